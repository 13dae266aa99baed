"""One run: run.json, identity.json, records, predictions and subset agree with each other and with the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hprune.science.records import Measured
from hprune.storage.bound import check_same_run
from hprune.storage.files import read_table
from hprune.storage.manifests import key_of, read_failure, read_identity, read_manifest, read_results
from hprune.storage.predictions import load_predictions
from hprune.storage.runs import check_file, check_footer, load_record, record_facts
from hprune.verifying.metrics import metrics_of
from hprune.verifying.problems import Problem, noting

Manifest = Mapping[str, Any]

ROUNDING = 1e-4
"""By how much a stated metric may differ from what its examples add up to: runs compute it in single precision."""
HELD_OUT = "out_of_fold"
"""The set whose metrics are means over folds."""


def problems_of_run(path: Path) -> list[Problem]:
    """What does not fit in the folder of a run, complete or not."""
    found: list[Problem] = []
    if not (path / "run.json").exists():
        readers: dict[str, Callable[[Path], Any]] = {"identity.json": read_identity, "failure.json": read_failure}
        for name, read in readers.items():
            if (path / name).exists():
                with noting(found, path / name):
                    read(path)
        return found
    with noting(found, path / "run.json"):
        manifest = read_manifest(path)
    if found:
        return found  # what names the rest is not to be believed
    with noting(found, path / "run.json"):
        read_results(path)
    found += _of_identity(path, manifest)
    files = _of_files(path, manifest)
    found += files
    bad = {problem.path for problem in files}
    for file in sorted(set(path.glob("*.parquet")) - bad):
        if file.name in manifest["files"]:
            found += _of_content(file, manifest)
    if not bad:
        found += _of_samples(path, manifest)
    if (path / "failure.json").exists():
        found.append(Problem(path / "failure.json", "stands beside run.json, so that run is complete: remove it"))
    return found


def _of_identity(path: Path, manifest: Manifest) -> list[Problem]:
    """What stands in identity.json is what stands in run.json; a fold has none."""
    found: list[Problem] = []
    file = path / "identity.json"
    if not file.exists():
        if path.name.startswith("seed="):
            found.append(Problem(file, "is missing: bring it back, or move the run's folder away and train it again"))
        return found
    with noting(found, file):
        check_same_run(file, read_identity(path), key_of(manifest), manifest["settings_hash"])
    return found


def _of_files(path: Path, manifest: Manifest) -> list[Problem]:
    """Every file is there, is listed, and is the one that the run wrote, to the last byte."""
    found: list[Problem] = []
    listed, there = set(manifest["files"]), {file.name for file in path.glob("*.parquet")}
    for name in sorted(listed - there):
        found.append(Problem(path / name, "is listed in run.json and gone: bring it back, or train the run again"))
    for name in sorted(there - listed):
        found.append(Problem(path / name, "is no file of this run, as run.json does not list it: move it away"))
    for name in sorted(listed & there):
        with noting(found, path / name):
            check_file(path / name, manifest)
            check_footer(path / name, manifest)
    return found


def _of_content(file: Path, manifest: Manifest) -> list[Problem]:
    """What a file says of itself is what the run is."""
    found: list[Problem] = []
    kind, name = file.name.split(".")[:2]
    with noting(found, file):
        if kind == "record" and name in get_args(Measured):
            _check_record(file, name, manifest)  # type: ignore[arg-type]
        elif kind == "predictions":
            _check_predictions(file, name, manifest)
        elif kind == "subset":
            _check_subset(file, manifest)
    return found


def _check_record(file: Path, measured: Measured, manifest: Manifest) -> None:
    facts = read_table(file)[1]
    stated = {"settings_hash": manifest["settings_hash"], "measured": measured}
    if "restored" not in manifest and not facts.get("not_kept"):  # of those that were, some columns are gone
        record = load_record(file.parent, measured)
        ids = record.sample_ids
        if ids.size > 1 and (np.diff(ids) <= 0).any():
            raise _differs(file, "sample_id", "not increasing", "increasing")
        if "content" in facts:
            stated |= record_facts(record)
    for name, expected in stated.items():
        if name in facts and facts[name] != expected:
            raise _differs(file, name, facts[name], expected)


def _check_predictions(file: Path, name: str, manifest: Manifest) -> None:
    """The set and its hash are those of the run's settings; what is right adds up to the metrics that are stated."""
    facts = read_table(file)[1]
    task = manifest["settings"].get("task")
    evaluation = task.get("evaluation", {}) if isinstance(task, dict) else {}
    for key, expected in {"set": name, "data_hash": evaluation.get(name)}.items():
        if expected is not None and key in facts and facts[key] != expected:
            raise _differs(file, key, facts[key], expected)
    table, metrics = load_predictions(file.parent, name), manifest.get("metrics", {}).get(name)
    if table is None or metrics is None or name == HELD_OUT or not table.num_rows:
        return
    for metric, value in metrics_of(table).items():
        if (
            metric in metrics
            and _comparable(metric, metrics, task)
            and abs(value - metrics[metric]) > ROUNDING * max(1, abs(value))
        ):
            raise ValueError(
                f"{file}: the {metric} of its examples is {value:.4f}, run.json states {metrics[metric]:.4f}; "
                "one of them was altered: bring the original back, or move the folder away and train the run again"
            )


def _comparable(metric: str, stated: Mapping[str, Any], task: Any) -> bool:
    """Whether a metric is defined as ours are: those of a kind of task of one's own are not known.

    The loss is that of the probabilities where calibration is stated, too: not of pairs of a question and an option.
    """
    kind = task.get("kind", {}) if isinstance(task, dict) else {}
    ours = str(kind.get("class", "hprune.") if isinstance(kind, dict) else "").startswith("hprune.")
    return metric in ("accuracy", "exact_match") or (ours and (metric != "loss" or "ece" in stated))


def _check_subset(file: Path, manifest: Manifest) -> None:
    table, facts = read_table(file)
    stated = {"name": manifest["key"]["subset"]}
    stated |= {"data_hash": manifest["data_hash"]} if "data_hash" in manifest else {}
    for name, expected in stated.items():
        if name in facts and facts[name] != expected:
            raise _differs(file, name, facts[name], expected)
    if "samples" in manifest and table.num_rows != manifest["samples"]:
        raise _differs(file, "number of samples", table.num_rows, manifest["samples"])


def _of_samples(path: Path, manifest: Manifest) -> list[Problem]:
    """What was recorded is what was trained on; in a fold it is what was held out."""
    found: list[Problem] = []
    if not path.name.startswith("seed=") or not (path / "subset.parquet").exists():
        return found
    trained = read_table(path / "subset.parquet")[0]["sample_id"]
    for file in path.glob("record.*.parquet"):
        with noting(found, file):
            if not read_table(file)[0]["sample_id"].equals(trained):
                raise _differs(file, "samples", "not those of subset.parquet", "the same")
    return found


def _differs(file: Path, name: str, there: Any, expected: Any) -> ValueError:
    return ValueError(
        f"{file}: its {name} is {str(there)[:80]!r}, that of the run here {str(expected)[:80]!r}; it was altered or "
        "comes from another run: bring the original back, or move the folder away and train the run again"
    )
