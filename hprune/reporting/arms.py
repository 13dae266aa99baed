"""From the comparison runs of a study to its arms, and which arms each is to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hprune.reporting.ticket_plan import TicketPlan
from hprune.reporting.weights import IDENTITY
from hprune.science.records import RunKey
from hprune.storage.differing import differing_keys
from hprune.storage.studies import StudyRun

Manifest = dict[str, Any]
Arm = Sequence[Manifest]
"""The runs of one arm: same subset and settings, different seeds."""


def arms_of(
    runs: Sequence[StudyRun], manifests: Mapping[Path, Manifest], plan: TicketPlan | None = None
) -> dict[str, Arm]:
    """Group comparison runs by subset and settings: the full set first, then by budget, random subsets last.

    Of these plain random ones come after those with given classes, and of arms of one name those of 0.1.0, whose
    samples came in an order of their own, are last.

    Args:
        runs: of arms.
        manifests: by folder.
        plan: the tickets that the study plans, if several: then the arms of each are apart.

    Returns:
        The arms by their labels: the subset's name and its ticket, and where several arms share these, the settings
        that differ.
    """
    groups: dict[tuple[str, str, int | None], list[Manifest]] = {}

    def order(run: StudyRun) -> tuple[bool, str, bool, bool, str, bool, RunKey]:
        manifest = manifests[run.path]
        random = drawn_at_random(rule_of(manifest)), is_random(manifest)
        own_order = not follows_full_set(manifest)
        return not trains_on_everything(manifest), budget_of(manifest), *random, run.key.subset, own_order, run.key

    for run in sorted(runs, key=order):
        manifest = manifests[run.path]
        groups.setdefault((run.key.subset, run.settings_hash, _ticket(manifest, plan)), []).append(manifest)
    named = {key: f"{key[0]}{_of_ticket(key[2])}" for key in groups}
    labelled: dict[str, Arm] = {}
    for key, group in groups.items():
        namesakes = [other[0] for of, other in groups.items() if of != key and named[of] == named[key]]
        label = _label(named[key], group[0], namesakes)
        labelled[label if label not in labelled else f"{label} [{key[1][:8]}]"] = group
    return labelled


def name_over_tickets(label: str, arm: Arm, plan: TicketPlan) -> str:
    """What the arms of several tickets have in common: the label without its ticket."""
    name = str(arm[0]["key"]["subset"])
    return name + label.removeprefix(f"{name}{_of_ticket(_ticket(arm[0], plan))}")


def _ticket(manifest: Manifest, plan: TicketPlan | None) -> int | None:
    """The ticket whose arm a run is; None for the full set, which is one arm of all seeds."""
    return None if plan is None or trains_on_everything(manifest) else plan.ticket_of(manifest)


def _of_ticket(ticket: int | None) -> str:
    """` (ticket 2)`, or nothing."""
    return "" if ticket is None else f" (ticket {ticket + 1})"


def full_set_of(manifest: Manifest, arms: Mapping[str, Arm]) -> str | None:
    """The arm on the full set whose settings are those of a run, in whatever budget; None for the full set itself."""
    if trains_on_everything(manifest):
        return None
    return next(
        (name for name, arm in arms.items() if trains_on_everything(arm[0]) and same_settings(manifest, arm[0])), None
    )


def random_like_of(manifest: Manifest, arms: Mapping[str, Arm]) -> str | None:
    """The random arm of the same size, settings and budget; None for the full set and for a random arm.

    Random samples with given classes (`random_stratified`, `random_same_classes`) are arms that are compared with it.
    """
    return None if is_random(manifest) else _of_its_size(manifest, arms, is_random)


def ticket_of(manifest: Manifest, arms: Mapping[str, Arm]) -> str | None:
    """The winning ticket of the same size, settings and budget; None for the full set and for a winning ticket."""
    return None if is_ticket(manifest) else _of_its_size(manifest, arms, is_ticket)


def _of_its_size(manifest: Manifest, arms: Mapping[str, Arm], wanted: Callable[[Manifest], bool]) -> str | None:
    """The arm of this size, one whose samples come in the same order rather than another."""
    if trains_on_everything(manifest):
        return None
    found = {
        name: ({run["key"]["seed"] for run in arm}, follows_full_set(arm[0]))
        for name, arm in arms.items()
        if wanted(arm[0])
        and budget_of(arm[0]) == budget_of(manifest)
        and same_settings(manifest, arm[0])
        and arm[0]["samples"] == manifest["samples"]
    }

    def fits(name: str) -> tuple[bool, bool]:
        """Whether an arm has the same order, and, as tickets may be equally large, the same seeds."""
        seeds, follows = found[name]
        return follows == follows_full_set(manifest), manifest["key"]["seed"] in seeds

    return max(found, key=fits, default=None)  # the first of the best


def budget_of(manifest: Manifest) -> str:
    """What an arm has in common with the full set: `epochs`, or `steps` of the optimiser."""
    return str(manifest["settings"].get("trainer", {}).get("budget", "epochs"))


def is_ticket(manifest: Manifest) -> bool:
    """Whether a run was trained on the winning ticket."""
    return bool(manifest["key"]["subset"] == "winning_ticket")


def trains_on_everything(manifest: Manifest) -> bool:
    """Whether a run was trained on the full set."""
    return rule_of(manifest) == "everything"


def rule_of(manifest: Manifest) -> str:
    """The rule that chose the samples of a run."""
    return str(manifest["settings"]["subset"]["rule"])


def follows_full_set(manifest: Manifest) -> bool:
    """Whether a run on a subset took its samples in the order of the full set; in 0.1.0 each had one of its own."""
    return bool(manifest["settings"].get("data", {}).get("order_from") == "full_set")


def is_random(manifest: Manifest) -> bool:
    """Whether the samples of a run were drawn at random whatever their class: a score gave their number only."""
    return rule_of(manifest).endswith(".random_like") and manifest["settings"]["subset"].get("balance") is None


def drawn_at_random(rule: str) -> bool:
    """Whether a rule draws samples at random: a score says how many, of all or of each class, at most."""
    return rule.endswith((".random_like", ".random_same_classes"))


def mean_seconds(arm: Arm) -> float:
    """Mean seconds of training of an arm's runs."""
    return float(np.mean([manifest["cost"]["train_seconds"] for manifest in arm]))


def same_settings(a: Manifest, b: Manifest) -> bool:
    """Equal but for the subset and its order, the budget, and how samples are recorded."""
    return _compared(a) == _compared(b)


def _compared(manifest: Manifest) -> dict[str, Any]:
    settings = {key: value for key, value in manifest["settings"].items() if key not in ("subset", "record")}
    trainer = {key: value for key, value in settings.get("trainer", {}).items() if key != "budget"}
    data = {key: value for key, value in settings.get("data", {}).items() if key != "order_from"}
    return {**settings, "data": data, "trainer": trainer}


def named_settings(manifest: Manifest, others: Sequence[Manifest]) -> dict[str, str]:
    """The settings in which runs differ from one, by their dotted names, as `name=value` of that one."""
    keys = [text.split(" (")[0] for other in others for text in differing_keys(manifest["settings"], other["settings"])]
    model, named = manifest["key"]["model"], {}
    if any(other["key"]["model"] != model for other in others):  # which says more than the digests of weights
        named["model"] = f"model={model}"
        namesakes = [other for other in others if other["key"]["model"] == model]
        keys = [key for key in keys if key not in IDENTITY or any(_differ(manifest, other, key) for other in namesakes)]
    return named | {key: f"{key}={_setting(manifest, key)}" for key in keys}


def _differ(manifest: Manifest, other: Manifest, key: str) -> bool:
    return bool(_setting(manifest, key) != _setting(other, key))


def _label(name: str, manifest: Manifest, namesakes: Sequence[Manifest]) -> str:
    named = named_settings(manifest, namesakes)
    named.pop("trainer.budget", None)
    orders_differ = named.pop("data.order_from", None) is not None
    if "subset.scores" in named:
        named["subset.scores"] = _table(manifest, namesakes)
    shown = list(named.values())
    shown += ["own order"] if orders_differ and not follows_full_set(manifest) else []
    shown += ["steps"] if budget_of(manifest) == "steps" else []
    return f"{name} [{', '.join(shown)}]" if shown else name


def _table(manifest: Manifest, namesakes: Sequence[Manifest]) -> str:
    """The score table, which says what it is, but for one that another study called the same: `h_score of 6 runs`."""
    name, digest = _setting(manifest, "subset.scores"), manifest["settings"]["subset"].get("scores")
    called_alike = any(
        _setting(other, "subset.scores") == name and other["settings"]["subset"].get("scores") != digest
        for other in namesakes
    )
    return f"{name} of {len(manifest['subset'].get('seeds', ()))} runs" if called_alike else str(name)


def _setting(manifest: Manifest, key: str) -> Any:
    """The value of a setting by its dotted name; score tables by their name rather than their hash."""
    if key == "subset.scores":
        return manifest["subset"].get("scores")
    value: Any = manifest["settings"]
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value[:8] if isinstance(value, str) and len(value) == 64 else value  # a content hash
