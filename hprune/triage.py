"""Suspicious samples as a sheet that a person fills in: `python -m hprune.triage study=<study> out=triage.csv`.

`read=triage.csv` makes a score table of the decisions, so that `subset=triaged` is an arm of the study, and with
`out=corrected.parquet` the corrected train split.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from omegaconf import DictConfig

from hprune import __version__
from hprune.command import command, plain
from hprune.export import check_writing, tell_classes, tell_escaped
from hprune.root import root_of
from hprune.science.records import Scores
from hprune.science.subset import check_scored
from hprune.science.triage import TABLE, Decisions, decide, of_decisions
from hprune.storage import shapes
from hprune.storage.exports import check_target, export_ready, provenance_path, write_export
from hprune.storage.files import read_json, sha256_of_file
from hprune.storage.override import of_study, override
from hprune.storage.places import local_path
from hprune.storage.scores import load_scores, main_h, save_scores, score_path
from hprune.storage.sheets import check_sheet, read_sheet
from hprune.storage.studies import existing_study
from hprune.suspects import suspects_of
from hprune.tasks.relabel import why_no_relabel, with_labels
from hprune.tasks.source import read_splits
from hprune.tasks.spec import TaskData, TaskSpec, settings_of_source

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Study:
    """A study whose data are at hand and unchanged."""

    root: Path
    name: str
    task: TaskSpec
    data: TaskData
    h: Scores


@command("triage", reads=True)
def main(cfg: DictConfig) -> None:
    """Write a sheet, or read it back."""
    out = None if cfg.out is None else local_path(cfg.out, "out")
    sheet = None if cfg.read is None else local_path(cfg.read, "read")
    check_choices(cfg, out=out, sheet=sheet)
    study, writing = _study(cfg), {"formulas": cfg.formulas, "overwrite": cfg.overwrite}
    if sheet is None:
        assert out is not None, "checked above"
        write_sheet(study, out, values=plain(cfg["values"]), folds=cfg.folds, **writing)
        return
    decisions = decisions_of(study, sheet)
    with ExitStack() as written:  # both can be made, or neither is
        if out is not None:
            written.enter_context(corrected_ready(study, decisions, out, sheet=sheet, **writing))
        save_decisions(study, decisions, name=cfg.name, overwrite=cfg.overwrite)


def check_choices(cfg: DictConfig, *, out: Path | None, sheet: Path | None) -> None:
    """Refuse what the keys cannot be, before anything is read.

    Raises:
        ValueError: naming the key and what came.
    """
    check_writing(cfg)
    if sheet is None and out is None:
        raise ValueError("give out=triage.csv for a sheet to fill in, or read=triage.csv for one that is")
    if sheet is None and out is not None:
        check_sheet(out, "out")
    if sheet is not None and out is not None and out.suffix == ".ids":
        raise ValueError(f"out={out}: ids alone say nothing of corrected labels; use .parquet, .jsonl, .csv or .tsv")
    if sheet is not None and out is not None and sheet.resolve() == out.resolve():
        raise ValueError(f"out={out} is the sheet that is read; give the corrected split another name")
    if out is not None:
        check_target(out)


def _study(cfg: DictConfig) -> Study:
    from hprune.report import check_carried, place_of, unchanged_study

    root = root_of(cfg)
    task, data, manifest = unchanged_study(root, cfg.study, place=place_of(cfg), trust_code=cfg.trust_code)
    check_carried(root, cfg.study, data, manifest)
    if cfg.scores is None:
        tables = sorted((existing_study(root, cfg.study) / "scores").glob("h_score*.parquet"))
        h = main_h(root, cfg.study, [load_scores(path) for path in tables])
        if h is None:
            raise ValueError(
                f"study {cfg.study!r} has no table of H yet; make it with: "
                f"python -m hprune.score {of_study(cfg.study, root)}"
            )
    else:
        h = load_scores(score_path(root, cfg.study, cfg.scores))
    check_scored(h, data.train["sample_id"].to_numpy(), data.data_hash)
    return Study(root, cfg.study, task, data, h)


def write_sheet(study: Study, out: Path, *, values: Any, folds: str | None, formulas: str, overwrite: bool) -> None:
    """Write the samples whose H is one of `values`, the most suspicious first, and where they come from.

    Raises:
        ValueError: if there are none, the records behind H are gone, or something else stands there.
    """
    table, how = suspects_of(study.root, study.name, study.task, study.data, study.h, values=values, folds=folds)
    facts = {**_facts(study), "samples": table.num_rows, "full_samples": study.data.train.num_rows, **how}
    ids = table["sample_id"].to_numpy()
    changed = write_export(out, table, ids, formulas=formulas, provenance=facts, overwrite=overwrite)
    if changed:
        log.info(
            "%s: put a ' before %d cells that a spreadsheet would take for formulas; "
            "only decision, new_label and sample_id are read back", out, sum(changed.values()),
        )  # fmt: skip
    log.info(
        "wrote %s of %s samples to %s; write keep, drop or relabel under decision (blank: keep) and, to relabel, the "
        "class under new_label, then: python -m hprune.triage %s %s out=corrected.parquet",
        f"{table.num_rows:,}", f"{study.data.train.num_rows:,}", out,
        of_study(study.name, study.root), override("read", out),
    )  # fmt: skip


def decisions_of(study: Study, sheet: Path) -> Decisions:
    """What a filled-in sheet says, checked against the study.

    Raises:
        ValueError: naming its lines that say what cannot be; or it is of other data.
    """
    lines, beside = read_sheet(sheet), provenance_path(sheet)
    if beside.exists():
        told = read_json(beside)
        shapes.check_shape(beside, told, {"data_hash": shapes.text})
        if told["data_hash"] != study.data.data_hash:
            raise ValueError(
                f"read={sheet} is a sheet of other data: {beside} says {told['data_hash'][:8]}, those of study "
                f"{study.name!r} are {study.data.data_hash[:8]}; read it with the study that wrote it"
            )
    else:
        log.warning("%s is not there: that the sheet is of this data is known by its ids only", beside)
    if lines and not any(line.decision.strip() for line in lines):
        log.warning("%s: no sample has a decision, as if nobody had filled it in; all of them count as kept", sheet)
    train = study.data.train
    try:
        return decide(
            lines,
            sample_ids=train["sample_id"].to_numpy(),
            labels=train["label"].to_numpy(),
            label_names=study.data.label_names,
            no_relabel=why_no_relabel(study.task.kind),
        )
    except ValueError as error:
        raise ValueError(f"{sheet}: {error}") from error


def save_decisions(study: Study, decisions: Decisions, *, name: str, overwrite: bool) -> Path:
    """Make a score table of decisions: 1 for what is kept, 0 for what is dropped or relabelled.

    A wrong label is wrong in this data, so a relabelled sample does not count as kept; the corrected split has it.

    Raises:
        ValueError: if another table stands there and may not be replaced.
    """
    ids = study.data.train["sample_id"].to_numpy().copy()
    made = Scores(
        name=name,
        sample_ids=ids,
        values=decisions.values(ids),
        higher_is="easier",
        seeds=study.h.seeds,
        epochs=study.h.epochs,
        measured=study.h.measured,
        data_hash=study.data.data_hash,
        conventions={"score": TABLE, "function": "hprune.triage", "of": study.h.name, "decisions": decisions.counts},
    )
    path = score_path(study.root, study.name, name)
    if path.exists():
        there = load_scores(path)
        if not of_decisions(there):
            raise ValueError(f"{path} is no table of decisions and is not replaced; choose another name=NAME")
        if (there.digest, there.conventions) == (made.digest, made.conventions):
            log.info("the score table %s holds these decisions already", path)
            return path
        if not overwrite:
            raise ValueError(
                f"{path} holds other decisions ({_said(there.conventions.get('decisions'))}; now "
                f"{_said(decisions.counts)}); keep both with name=NAME, or set overwrite=true"
            )
    new = path.with_name(f".{name}.new")
    new.unlink(missing_ok=True)
    save_scores(new, made)
    new.replace(path)
    log.info(
        "%s of the %s samples in the sheet; table %s (relabelled samples count as dropped there: their label in this "
        "data is wrong). An arm of it: python -m hprune.train +experiment=... %s subset=triaged%s",
        _said(decisions.counts), f"{decisions.looked_at:,}", path, of_study(study.name, study.root),
        "" if name == TABLE else f" {override('subset.scores', name)}",
    )  # fmt: skip
    return path


def corrected(study: Study, decisions: Decisions, splits: Mapping[str, pa.Table]) -> pa.Table:
    """The samples of the study as they came, in its splits, those that were dropped gone, labels replaced.

    Raises:
        ValueError: if samples are parts of rows, nothing is left, or it is not known how a class is written.
    """
    if study.data.uncut is not None:
        raise ValueError(
            "out: samples of this study are parts of rows, and a table of rows cannot leave out a part; "
            "leave out= away, and train on subset=triaged or export it"
        )
    if "validation" not in splits:
        log.warning(
            "the study held its validation set out of the train split, and training on the corrected one holds out "
            "another: give both the same task.validation_file to compare them"
        )
    ids = study.data.train["sample_id"].to_numpy()
    kept = ids[~np.isin(ids, decisions.dropped)]
    if not kept.size:
        raise ValueError("every sample is dropped: nothing is left to train on")
    return with_labels(study.task, splits["train"], decisions.relabelled, study.data.label_names).take(pa.array(kept))


@contextmanager
def corrected_ready(
    study: Study, decisions: Decisions, out: Path, *, sheet: Path, formulas: str, overwrite: bool
) -> Iterator[None]:
    """Write the corrected train split, and what was changed, to their places when the block has succeeded.

    Raises:
        ValueError: as in `corrected` and `export_ready`.
    """
    from hprune.tasks.read_again import classes_if_read  # torch, which --help and a wrong key do not wait for

    splits = read_splits(study.task)
    table = corrected(study, decisions, splits)
    differing = classes_if_read(study.task, splits["train"], table, out, formulas)
    ids, labels, names = study.data.train["sample_id"].to_numpy(), study.data.train["label"], study.data.label_names
    relabelled = [
        {"sample_id": i, "from": names[labels[int(np.searchsorted(ids, i))].as_py()], "to": names[new]}
        for i, new in sorted(decisions.relabelled.items())
    ]
    facts = {**_facts(study), "samples": table.num_rows, "full_samples": ids.size, "decisions": decisions.counts}
    facts |= {"sheet": {"file": sheet.name, "sha256": sha256_of_file(sheet)}}
    facts |= {"dropped": list(decisions.dropped), "relabelled": relabelled, "classes_if_read": differing}
    nobody = np.empty(0, np.int64)
    with export_ready(out, table, nobody, formulas=formulas, provenance=facts, overwrite=overwrite) as changed:
        yield
    tell_escaped(out, changed)
    tell_classes(out, differing)
    log.info("wrote %s rows to %s; train on them with %s", f"{table.num_rows:,}", out, override("task.train_file", out))


def _facts(study: Study) -> dict[str, Any]:
    """Where a sheet and a corrected split come from."""
    scores = {name: getattr(study.h, name) for name in ("name", "epochs", "measured")}
    return {
        "study": study.name,
        "task": study.task.name,
        "data_hash": study.data.data_hash,
        "scores": {**scores, "seeds": list(study.h.seeds)},
        "source": settings_of_source(study.task),
        "hprune": __version__,
    }


def _said(counts: Any) -> str:
    """`3 keep, 1 drop, 0 relabel`."""
    return ", ".join(f"{number} {name}" for name, number in counts.items()) if isinstance(counts, Mapping) else "none"


if __name__ == "__main__":
    main()
