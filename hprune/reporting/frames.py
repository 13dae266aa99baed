"""Studies as pandas tables, one row a sample or one row a cell: for notebooks and for your own plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hprune.reporting.cells import gather
from hprune.reporting.wording import WAYS, epochs, seeds, way
from hprune.science.records import Scores
from hprune.science.scores.confidence import confidence
from hprune.science.scores.variability import variability
from hprune.science.triage import of_decisions
from hprune.storage.dynamics import StoredDynamics, records_behind
from hprune.storage.manifests import read_results
from hprune.storage.override import under
from hprune.storage.runs import state_of
from hprune.storage.scores import load_scores, score_path
from hprune.storage.studies import existing_study, runs_of, studies_in
from hprune.tasks.spec import TaskData


def study_frame(root: Path, study: str, data: TaskData | None, score: str = "h_score") -> pd.DataFrame:
    """Samples with their score and what the scoring runs thought of them.

    Args:
        root: where results lie.
        study: its name.
        data: the task's tables (`hprune.report.data_of_study`).
        score: the name of a score table of the study.

    Returns:
        One row a sample, by sample_id, with the columns
            sample_id, text, label (the name of the class), value (the score);
            length: words between blanks;
            confidence, variability: the scores of these names, of the runs and epochs behind the score; of all scoring
            runs if it is of texts and has none.

    Raises:
        ValueError: if there is no such study or table, its runs are gone, or the data are not at hand, or not those
            that were scored.
    """
    if data is None:
        raise ValueError(
            f"the data of study {study!r} are not at hand, the warning before this says why; bring them back, or, if "
            "they are those of a study that you trust, read them with data_of_study(ROOT, STUDY, trust_code=True)"
        )
    scores = load_scores(score_path(root, study, score))
    if data.data_hash != scores.data_hash:
        hashes = f"hash {scores.data_hash[:8]} there, {data.data_hash[:8]} here"
        raise ValueError(
            f"the score table {score!r} of study {study!r} belongs to other data ({hashes}); score this data"
        )
    confident, variable = _confidence_and_variability(scores, root, study)
    texts = [" / ".join(parts) for parts in zip(*(data.train[column].to_pylist() for column in data.text), strict=True)]
    return pd.DataFrame(
        {
            "sample_id": scores.sample_ids,
            "text": texts,
            "label": np.array(data.label_names)[data.train["label"].to_numpy()],
            "value": scores.values,
            "length": [len(text.split()) for text in texts],
            "confidence": confident,
            "variability": variable,
        }
    )


def scores_frame(root: Path, study: str, like: str = "h_score") -> pd.DataFrame:
    """The score tables of a study side by side, turned so that higher is harder.

    Args:
        root: where results lie.
        study: its name.
        like: the table that the others are put beside: those of the same runs and epochs, measured the same way, and
            those of the texts alone. Decisions of a triage are no score and left out.

    Returns:
        One row a sample, by sample_id, which is the index; one column a table, `like` first. Scores of which higher is
        easier have their sign turned, so that H runs from -S, easy, to 0, hard.

    Raises:
        ValueError: if there is no such study or table.
    """
    first = load_scores(score_path(root, study, like))
    tables = [load_scores(path) for path in sorted((existing_study(root, study) / "scores").glob("*.parquet"))]
    others = [table for table in tables if table.name != first.name and not of_decisions(table)]
    beside = [table for table in others if _looks_at_the_same(table, first)]
    columns = {table.name: _hardness(table) for table in (first, *beside)}
    return pd.DataFrame(columns, index=pd.Index(first.sample_ids, name="sample_id"))


def hardest(hardness: pd.Series, size: int, *, skip: int = 0, seed: int = 0) -> pd.Series:
    """Whether a sample is one of the `size` hardest after the `skip` hardest are left out.

    Ties are broken at random by `seed`, as in `hprune.science.select`.

    Args:
        hardness: (N,) a score of which higher is harder.
        size: how many to choose.
        skip: how many to leave out first; N - size chooses the easiest.
        seed: of the order of what is equal.

    Returns:
        (N,) true for `size` samples.

    Raises:
        ValueError: if there are not as many.

    Example:
        >>> hardest(pd.Series([0.1, 0.9, 0.5, 0.7]), 2, skip=1).tolist()
        [False, False, True, True]
    """
    if min(size, skip) < 0 or skip + size > hardness.size:
        raise ValueError(f"cannot choose {size} samples after the {skip} hardest: there are {hardness.size}")
    ties = np.random.default_rng([seed, 0x71E5]).permutation(hardness.size)
    order = np.lexsort((ties, -hardness.to_numpy(dtype=np.float64)))
    chosen = np.zeros(hardness.size, dtype=bool)
    chosen[order[skip : skip + size]] = True
    return pd.Series(chosen, index=hardness.index)


def in_ticket(root: Path, study: str, table: str = "h_score") -> pd.Series:
    """Whether a sample is in the winning ticket of an H-score table, 0 < H < S; the index is sample_id.

    Raises:
        ValueError: if there is no such table, or it does not count runs.
    """
    scores = load_scores(score_path(root, study, table))
    if not np.issubdtype(scores.values.dtype, np.integer) or scores.values.max() > scores.runs:
        raise ValueError(f"a winning ticket needs a score of 0..S, such as h_score; {table!r} of {study!r} is no such")
    return pd.Series(scores.in_ticket, index=pd.Index(scores.sample_ids, name="sample_id"))


def cells_frame(root: Path, studies: Sequence[str], budget: str | None = None) -> pd.DataFrame:
    """The H-score tables of studies, a row each, as `hprune.reporting.cells.gather` puts them into lines.

    Args:
        root: where results lie.
        studies: their names.
        budget: of the arms that are shown, "epochs" or "steps"; None: at equal epochs where there is one.

    Returns:
        One row a cell, lines by their number of samples, the training pass first, with the columns
            line, title: the number of its line, and what all its cells have in common, in words;
            cell: its name, by its runs and epochs, unique in the line;
            task, model, data_hash, samples, way (of measuring), settings (that other lines have otherwise), study,
            table, S, E, seeds, and trained_epochs, of the runs behind it: a cell looks at the first E of these;
            histogram: samples with H = 0, .., S; size and share of the winning ticket; jaccard and kappa with that of
            the line's last cell, which has the most epochs and runs; full_runs: what it takes to score it, in full
            fine-tunings;
            budget, metric, and difference, low, high, difference_to_random, low_to_random, high_to_random: of the arm
            that was trained on the ticket; missing where there is none.

    Raises:
        ValueError: as in `gather`.
    """
    lines = sorted(gather(root, studies, name="cells")["lines"], key=_order)
    frame = pd.DataFrame([row for at, line in enumerate(lines) for row in _rows(at, line, budget)])
    if len(frame[["task", "model"]].drop_duplicates()) > 1:
        frame["title"] = frame["task"] + ", " + frame["model"] + ", " + frame["title"]
    for told_apart_by in ("seeds", "study", "table"):
        twice = frame.duplicated(["line", "cell"], keep=False)
        frame.loc[twice, "cell"] += ", " + frame.loc[twice, told_apart_by].map(_listed)
    return frame


def studies_beside(root: Path, study: str | None = None) -> list[str]:
    """A study and all others with score tables of the same data; by default the first by name that has score tables.

    Raises:
        ValueError: if there is no such study, or none has a complete run and a score table.
    """
    data = {name: found for name in studies_in(root) if (found := _scored_data(root, name))}
    first = study or next(iter(data), None)
    if first is None:
        raise ValueError(
            f"no study under {root} has a score table: finish one with python -m hprune.study{under(root)}"
        )
    existing_study(root, first)
    return [first, *(name for name in data if name != first and data[name] == data.get(first))]


def find_root(start: Path, root: str = "multirun") -> Path:
    """The folder of results: `root` as it is if absolute, else beside `start` or the nearest folder above it.

    Raises:
        ValueError: if no such folder has studies in it.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / root / "studies").is_dir():
            return folder / root
    raise ValueError(
        f"no folder {root!r} with studies in it at {start.resolve()} or above; run a study, or set HPRUNE_ROOT"
    )


def only_study(root: Path, default: str = "demo") -> str:
    """The name of the study under `root` if there is just one, else `default`."""
    there = [path.parent.name for path in root.glob("studies/*/runs")]
    return there[0] if len(there) == 1 else default


def _confidence_and_variability(scores: Scores, root: Path, study: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """By the runs and epochs that a score looked at; by all scoring runs if it is of the texts alone."""
    if scores.seeds:
        dynamics = records_behind(root, study, scores)
    else:
        dynamics = StoredDynamics.open([run.path for run in runs_of(root, study, "scoring")], scores.measured)
    found = [(confidence(piece), variability(piece)) for piece in dynamics.pieces(("true_prob",))]
    return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])


def _looks_at_the_same(table: Scores, other: Scores) -> bool:
    """Whether two tables are of the same samples, runs, epochs and way of measuring, or one is of the texts alone."""

    def facts(scores: Scores) -> tuple[Any, ...]:
        return scores.seeds, scores.epochs, scores.measured, scores.conventions.get("skip_epochs", 0)

    return table.data_hash == other.data_hash and (not table.seeds or facts(table) == facts(other))


def _hardness(scores: Scores) -> np.ndarray:
    values = scores.values.astype(np.float64)
    return values if scores.higher_is == "harder" else 0 - values  # 0, not -0


def _order(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return line["task"], line["model"], line["samples"], [*WAYS].index(line["measured"]), line["skip_epochs"]


def _rows(at: int, line: Mapping[str, Any], budget: str | None) -> Iterator[dict[str, Any]]:
    """The rows of one line of `gather`."""
    of = line["trained_epochs"]
    whole = all(cell["E"] == cell["trained_epochs"] for cell in line["cells"])
    kind = "runs of E epochs" if of is None else f"runs of {of} epochs" if whole else f"the first E of {of} epochs"
    facts = {name: line[name] for name in ("task", "model", "data_hash", "samples")} | {"way": way(line)}
    facts["settings"] = ", ".join(line["differs"])
    for cell in line["cells"]:
        own = {name: cell[name] for name in ("study", "table", "S", "E", "trained_epochs", "size", "share", "jaccard",
                                             "kappa", "full_runs")}  # fmt: skip
        yield {
            "line": at,
            "title": ", ".join([f"{line['samples']:,} samples", way(line), kind, *line["differs"]]),
            "cell": f"S = {cell['S']}, E = {epochs(cell)}",
            **facts,
            **own,
            "seeds": tuple(cell["seeds"]),
            "histogram": tuple(cell["histogram"]),
            **_gaps(next((arm for arm in cell["arms"] if budget in (None, arm["budget"])), None)),
        }


def _gaps(arm: Mapping[str, Any] | None) -> dict[str, Any]:
    """The differences of a cell's arm; its columns are there whether it has one or not."""
    gaps: dict[str, Any] = {name: arm[name] if arm else None for name in ("budget", "metric")}
    for end in ("", "_to_random"):
        gap = (arm and arm[f"difference{end}"]) or {}
        gaps |= {f"difference{end}": gap.get("mean"), f"low{end}": gap.get("low"), f"high{end}": gap.get("high")}
    return gaps


def _listed(value: Any) -> str:
    return f"seeds {seeds(value)}" if isinstance(value, tuple) else str(value)


def _scored_data(root: Path, study: str) -> str | None:
    """The hash of the data of a study that has a score table and a complete run."""
    if not any((existing_study(root, study) / "scores").glob("*.parquet")):
        return None
    done = (run.path for run in runs_of(root, study) if state_of(run.path) == "done")
    return next((str(read_results(path)["data_hash"]) for path in done), None)
