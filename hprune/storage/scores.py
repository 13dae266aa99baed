"""Score tables: `studies/<study>/scores/<name>.parquet`, one row a sample, the facts behind the numbers as metadata."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hprune.science.records import Direction, Measured, Scores
from hprune.science.select import subset_size
from hprune.science.subset import SubsetSpec, check_scored
from hprune.storage import shapes
from hprune.storage.files import (
    OpenTable,
    array_of,
    as_json,
    check_name,
    column_of,
    open_table,
    sha256_of_json,
    table_writer,
)
from hprune.storage.manifests import read_identity
from hprune.storage.override import of_study, override
from hprune.storage.places import below, local_path
from hprune.storage.studies import runs_of, study_folder


def _measured(value: Any) -> bool:
    """train_pass, eval_pass or out_of_fold."""
    return value in get_args(Measured)


def _direction(value: Any) -> bool:
    """Easier or harder."""
    return value in get_args(Direction)


FACTS: shapes.Shape = {
    "name": shapes.name,
    "higher_is": _direction,
    "seeds": shapes.list_of(shapes.count),
    "epochs": shapes.count,
    "measured": _measured,
    "data_hash": shapes.text,
    "conventions": shapes.anything,
}
"""What the metadata of a table tells."""


STOPPED: shapes.Shape = {"runs": shapes.count, "of": shapes.count, "open_share": shapes.number, "limit": shapes.number}
OWN: shapes.Shape = {
    "missing_seeds": shapes.list_of(shapes.count),
    "stopped": STOPPED,
    "skip_epochs": shapes.count,
    "score": shapes.text,
}
"""What the conventions may tell, beside what is the score's own."""


class _Content:
    """A digest of a whole table, facts and numbers, whatever the pieces it comes in."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = {name: facts[name] for name in FACTS}
        self.columns = hashlib.sha256(), hashlib.sha256()

    def add(self, ids: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Take the next rows."""
        self.dtype = values.dtype.str
        for digest, column in zip(self.columns, (ids, values), strict=True):
            digest.update(np.ascontiguousarray(column).data)

    def digest(self) -> str:
        """Hex digest of all that came."""
        return sha256_of_json([self.facts, self.dtype, *(column.hexdigest() for column in self.columns)])


def score_path(root: Path, study: str, name: str) -> Path:
    """Where the table of one score of a study lies."""
    check_name("score.name", name)
    return study_folder(root, study) / "scores" / f"{name}.parquet"


def save_scores(path: Path, scores: Scores) -> None:
    """Write a score table; an equal one that is already there stays.

    Raises:
        ValueError: if another score table stands there; the message names the facts, or counts the values, that differ.
    """
    save_pieces(path, iter([scores]))


def save_pieces(path: Path, pieces: Iterator[Scores]) -> None:
    """Write a score table as its pieces come; an equal one that is already there stays.

    Args:
        path: where the table lies.
        pieces: one score of the samples by increasing id, of one size but the last, which may be smaller.

    Raises:
        ValueError: as in `save_scores`; or there are no samples.
    """
    first = next(pieces, None)
    if first is None or not first.values.size:
        raise ValueError(f"there are no samples to score for {path}")
    pieces = itertools.chain([first], pieces)
    if path.exists():
        differing = _differences(_open_scores(path), _facts(first), pieces, size=first.values.size)
        if differing:
            raise ValueError(
                f"{path} holds another score, differing in {', '.join(differing)}; "
                "give this one its own name with score.name=NAME, or remove that file"
            )
        return
    schema = pa.schema({"sample_id": pa.int64(), "value": pa.from_numpy_dtype(first.values.dtype)})
    facts = _facts(first)
    content = _Content(facts)
    with table_writer(path, schema, facts, content.digest) as write:
        for piece in pieces:
            content.add(piece.sample_ids, piece.values)
            write(pa.table({"sample_id": column_of(piece.sample_ids), "value": column_of(piece.values)}))


def _differences(there: OpenTable, facts: dict[str, Any], pieces: Iterator[Scores], *, size: int) -> list[str]:
    """In what a table differs from the score that comes in pieces of `size` samples."""
    both: dict[str, Any] = {name: (there.facts.get(name), here) for name, here in facts.items()}
    there_too, here_too = both["conventions"]  # numbers are the same whatever they were enough for
    both["conventions"] = (_without(there_too, "stopped"), _without(here_too, "stopped"))
    if "function" not in there.facts["conventions"]:  # of before tables named it
        both["conventions"] = (both["conventions"][0], _without(both["conventions"][1], "function"))
    found = [f"{name} ({a} there, {b} here)" for name, (a, b) in both.items() if a != b]
    if found:
        return found
    other = 0
    for piece, batch in itertools.zip_longest(pieces, there.batches(size)):
        if piece is None or batch is None:
            return ["the samples"]
        if not np.array_equal(piece.sample_ids, array_of(batch.column("sample_id"))):
            return ["the samples"]
        other += int((piece.values != array_of(batch.column("value"))).sum())
    return [f"the values of {other} samples"] if other else []


def _without(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != name}


def load_scores(path: Path) -> Scores:
    """Read a score table.

    Raises:
        ValueError: if it does not exist, or is not a score table.
    """
    if not path.exists():
        raise ValueError(f"no score table at {path}; make it with: python -m hprune.score study=NAME")
    stored = _open_scores(path)
    table, facts = stored.read(), stored.facts
    if table["sample_id"].null_count or table["value"].null_count:
        raise ValueError(f"{path} has rows without a sample_id or a value; {shapes.WAY_OUT}")
    ids, values = (table[name].to_numpy().copy() for name in ("sample_id", "value"))
    content = _Content(facts)
    content.add(ids, values)
    if stored.content not in (None, content.digest()):  # None: of hprune 0.1 before tables had one
        raise ValueError(f"{path} was altered: its content is not what its checksum says; remove it and score again")
    return Scores(
        name=facts["name"],
        sample_ids=ids,
        values=values,
        higher_is=facts["higher_is"],
        seeds=tuple(facts["seeds"]),
        epochs=facts["epochs"],
        measured=facts["measured"],
        data_hash=facts["data_hash"],
        conventions=facts["conventions"],
    )


def main_h(root: Path, study: str, tables: Sequence[Scores]) -> Scores | None:
    """The H-score that a study is shown by.

    Of those that its winning tickets were chosen by, or else of all, `h_score`, or the one of the most epochs and runs.
    """
    of_h = [table for table in tables if table.is_h]
    tickets = [run.path for run in runs_of(root, study, "comparison") if run.key.subset == "winning_ticket"]
    chosen = {
        read_identity(path)["settings"].get("subset", {}).get("scores")
        for path in tickets
        if (path / "identity.json").exists()
    }
    by = [table for table in of_h if table.digest in chosen] or of_h
    return min(by, key=lambda one: (one.name != "h_score", -one.epochs, -one.runs, one.name), default=None)


def _open_scores(path: Path) -> OpenTable:
    table = open_table(below(path.parent, path.name))
    schema = table.parquet.schema_arrow
    there = dict(zip(schema.names, schema.types, strict=True))
    lacking = [*({"sample_id", "value"} - set(there)), *(name for name in FACTS if name not in table.facts)]
    if lacking:
        raise ValueError(
            f"{path} is not a score table of hprune: it has the columns {schema.names}, and lacks {', '.join(lacking)}"
        )
    kind = there["value"]
    if there["sample_id"] != pa.int64() or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(
            f"{path} is not a score table of hprune: sample_id must be int64 and value a number, "
            f"they are {there['sample_id']} and {kind}"
        )
    shapes.check_shape(path, table.facts, FACTS)
    shapes.check_shape(path, table.facts["conventions"], OWN, at="conventions", lenient=True)
    return table


def scores_for(spec: SubsetSpec, *, root: Path, study: str) -> Scores | None:
    """The score table that a subset is chosen by: the study's own, another of its tables by name, or a file.

    Raises:
        ValueError: if there is none.
    """
    if spec.select is None or not spec.by_score:
        return None
    return _table(spec, "scores", spec.scores or "h_score", root=root, study=study)


def sized(spec: SubsetSpec, *, sample_ids: NDArray[np.int64], data_hash: str, root: Path, study: str) -> SubsetSpec:
    """The subset with its size as a number, where a table that it is not chosen by says how many `keep` keeps.

    Args:
        spec: the subset.
        sample_ids: (N,) ids of the train table.
        data_hash: of the train table.
        root: where results lie.
        study: its name.

    Raises:
        ValueError: if there is no such table, or it is of other data.
    """
    if spec.select is None or spec.keep is None or (spec.by_score and spec.sized_by is None):
        return spec
    table = _table(spec, "sized_by", spec.sized_by or spec.scores or "h_score", root=root, study=study)
    check_scored(table, sample_ids, data_hash)
    size = subset_size(table.values, runs=table.runs, keep=spec.keep, fraction=spec.fraction, size=spec.size)
    return replace(spec, size=size, keep=None)


def waits_for_scores(spec: SubsetSpec, *, root: Path, study: str) -> bool:
    """Whether a table of the study that a subset is chosen or sized by is not there yet."""
    names = [name for _, name in tables_behind(spec) if not name.endswith(".parquet")]
    return any(not score_path(root, study, name).exists() for name in names)


def tables_behind(spec: SubsetSpec) -> list[tuple[str, str]]:
    """The score tables that a subset is chosen or sized by: the key that says which, and its name or file."""
    if spec.select is None:
        return []
    by_table = spec.keep is not None and (not spec.by_score or spec.sized_by is not None)
    names = [("scores", spec.scores or "h_score")] if spec.by_score else []
    return names + ([("sized_by", spec.sized_by or spec.scores or "h_score")] if by_table else [])


def check_apart(spec: SubsetSpec, seed: int, *, root: Path, study: str) -> None:
    """Refuse to train an arm with a seed whose run is behind a score table that the arm is chosen or sized by.

    Raises:
        ValueError: naming the seed, the table and the way out; or a table is missing.
    """
    for key, name in tables_behind(spec):
        path = _path_of(spec, key, name, root=root, study=study)
        seeds = _open_scores(path).facts["seeds"]
        if seed in seeds:
            raise ValueError(
                f"seed {seed} is one of the scoring seeds {seeds} behind {path}: an arm of subset {spec.name!r} that "
                "is trained with it would be judged by a run that chose its samples. Use other seeds "
                "(seed=101,102,...), or set comparison.allow_seed_overlap=true"
            )


def _table(spec: SubsetSpec, key: str, name: str, *, root: Path, study: str) -> Scores:
    return load_scores(_path_of(spec, key, name, root=root, study=study))


def _path_of(spec: SubsetSpec, key: str, name: str, *, root: Path, study: str) -> Path:
    """Where a table of a subset lies, which must be there."""
    path = local_path(name, f"subset.{key}") if name.endswith(".parquet") else score_path(root, study, name)
    if not path.exists():
        own = "" if name == "h_score" or name.endswith(".parquet") else f" {override('score', name)}"
        if name.startswith("h_score-seeds"):
            runs = name.removeprefix("h_score-seeds").partition("-")[0].replace("+", ",")
            own = f" score.seeds=[{runs}] score.by_seeds=true"
        others = sorted(other.stem for other in path.parent.glob(f"{path.stem}-*.parquet"))
        raise ValueError(
            f"subset {spec.name!r} needs the score table {path}, which does not exist; "
            f"make it with: python -m hprune.score {of_study(study, root)}{own}, "
            f"or name another with subset.{key}=NAME or FILE"
            + (f"; the study has {', '.join(others)}" if others else "")
        )
    return path


def _facts(scores: Scores) -> dict[str, Any]:
    facts = {name: getattr(scores, name) for name in FACTS}
    return dict(as_json(facts | {"conventions": dict(scores.conventions)}))
