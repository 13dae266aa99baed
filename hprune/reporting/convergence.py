"""How many scoring runs were enough, for each table of H: facts for `report.json`, and the sentences that tell them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hprune.reporting.wording import count, share
from hprune.science.beta_binomial import LEAST_RUNS
from hprune.science.convergence import certain_part, convergence, expected_size
from hprune.science.patterns import MOST_RUNS, Patterns, right_throughout
from hprune.science.prediction import predict_sizes
from hprune.science.records import Scores
from hprune.science.stopping import gains_of
from hprune.storage.dynamics import StoredDynamics

log = logging.getLogger(__name__)

Facts = dict[str, Any]
Records = Callable[[Scores], StoredDynamics]
"""Finds the records that a table was made of, or raises ValueError or OSError where they are gone."""
MOST_SHOWN = 40
"""Numbers of runs whose ticket is told; of more runs only some, spread evenly."""


def convergence_of(tables: Sequence[Scores], records: Records) -> dict[str, Facts]:
    """How the winning ticket settles with the number of runs, for each table of H of at least two runs.

    Args:
        tables: the score tables of the study; of those of one way of measuring, that of the most epochs and runs.
        records: those behind a table, read in pieces; where they are gone, or too many, what the histogram of H alone
            says is told.

    Returns:
        By the name of the table, the shortest first, as `hprune.reporting.summary` says.
    """
    of_h = _largest([table for table in tables if table.is_h and table.runs > 1])
    return {table.name: _facts(table, _patterns(table, records)) for table in of_h}


def _largest(tables: Sequence[Scores]) -> list[Scores]:
    """Of each way of measuring the table of the most epochs and runs, the shortest name first."""
    ways: dict[tuple[str, int], Scores] = {}
    for table in sorted(tables, key=lambda table: (-table.epochs, -table.runs, len(table.name), table.name)):
        ways.setdefault((table.measured, table.conventions.get("skip_epochs", 0)), table)
    return sorted(ways.values(), key=lambda table: (len(table.name), table.name))


def _facts(table: Scores, patterns: Patterns | None) -> Facts:
    counts = np.bincount(table.values, minlength=table.runs + 1)
    certain, still_open = certain_part(counts)
    gained = None if patterns is None else gains_of(patterns)
    predicted = _predicted(counts, gained)
    return {
        "S": table.runs,
        "samples": len(table.values),
        "certain": certain,
        "open": still_open,
        "runs": _by_runs(counts, patterns, certain),
        "predicted": predicted,
        "one_more": predicted[0]["size"] - certain if predicted else None,
        "gains": None if gained is None else gained.tolist(),
        "stopped": table.conventions.get("stopped"),
    }


def _by_runs(counts: NDArray[np.int64], patterns: Patterns | None, final: int) -> list[Facts]:
    """Size and overlap by the number of runs; without the patterns their means only."""
    if patterns is not None:
        return [asdict(entry) for entry in convergence(patterns)]
    total, unknown = len(counts) - 1, dict.fromkeys(("sd", "low", "high", "overlap_low"))
    told = []
    for runs in sorted({round(at) for at in np.linspace(1, total, min(total, MOST_SHOWN))}):
        size = expected_size(counts, runs)
        told.append({"runs": runs, "subsets": None, "size": size, "overlap": size / final if final else 1.0, **unknown})
    return told


def _predicted(counts: NDArray[np.int64], gained: NDArray[np.int64] | None) -> list[Facts]:
    """The sizes after S + 1 to 2 S runs."""
    total = len(counts) - 1
    if total < LEAST_RUNS:
        return []
    at = sorted({total + 1, total + 2, *(round(x) for x in np.linspace(total + 1, 2 * total, min(total, MOST_SHOWN)))})
    return [asdict(one) for one in predict_sizes(counts, at, gained=gained)]


def _patterns(table: Scores, records: Records) -> Patterns | None:
    """The patterns of success in the runs behind a table; None where they cannot be had."""
    if table.runs > MOST_RUNS:
        return None
    try:
        patterns = Patterns.of(right_throughout(piece) for piece in records(table).pieces())
    except (ValueError, OSError) as error:
        log.warning(
            "the records behind %s cannot be read (%s): its convergence is told by its histogram", table.name, error
        )
        return None
    counts = np.bincount(table.values, minlength=table.runs + 1)
    return patterns if np.array_equal(patterns.histogram, counts) else None  # a score of another function by that name


def convergence_line(report: Mapping[str, Any]) -> list[str]:
    """For the terminal, of the first table of H: what one run less would have chosen, what one more brings."""
    told = [sentence for facts in report["convergence"].values() if (sentence := _sentence(facts))]
    return told[:1]


def _sentence(facts: Mapping[str, Any]) -> str | None:
    total = facts["S"]
    if facts["one_more"] is None or not facts["certain"]:
        return None
    fewer = next(entry for entry in reversed(facts["runs"]) if entry["runs"] < total)
    return (
        f"{count(fewer['runs'], 'scoring run')} would have chosen {share(fewer['overlap'])} of the winning ticket of "
        f"{total}; one more run would add about {share(facts['one_more'] / facts['samples'])} of the samples."
    )


def convergence_sentences(facts: Mapping[str, Any]) -> list[str]:
    """For the page: what is certain, what is open, what more runs would bring, where scoring stopped."""
    total, samples, certain = facts["S"], facts["samples"], facts["certain"]
    told = [
        f"{certain:,} of {samples:,} samples ({share(certain / samples)}) are certain: {total} runs do not agree on "
        "them, so they stay in the winning ticket whatever further runs say. The other "
        f"{facts['open']:,} are open."
    ]
    told += [sentence] if (sentence := _sentence(facts)) else []
    if facts["predicted"]:
        later = [one for one in facts["predicted"] if one["runs"] in (total + 2, 2 * total)]
        of = [
            f"{one['runs']} runs {one['size']:,.0f} (95% interval {one['low']:,.0f} to {one['high']:,.0f})"
            for one in later
        ]
        told.append(f"Predicted for {' and '.join(of)}.")
    if stopped := facts["stopped"]:
        told.append(
            f"Scoring stopped after {stopped['runs']} of {stopped['of']} runs: the others would bring at most "
            f"{stopped['limit']:.1%} of the samples into the winning ticket, if each brings no more than the most that "
            f"one of these brought, and one of them three times that; {stopped['open_share']:.1%} were allowed."
        )
    return told
