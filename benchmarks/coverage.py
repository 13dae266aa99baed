"""How often stated intervals cover and tests err, in simulated studies: by the rule that reports go by, and by others.

    python benchmarks/coverage.py [--studies 2000] [--seeds 3 6 10] [--examples 277 872 2693]

Goals: 95% intervals cover 93% to 97%; tests at 5% reject what is true in at most 5.5% of studies. "Size" is the share
of studies without a difference in which a test finds one. Seeds "agree by chance" where their mean square is below a
quarter of what chance at each example gives: in every fifth study of three seeds or so. Answers are right or wrong, by
a logit: difficulty of the example, seed of the run, ticket, and what arm and full set have of an example each for
itself. Difficulties are normal, so most examples are easy for every run, and two runs disagree on 5% to 19% of them.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t

from hprune.science.crossed import crossed, mean_squares, over_seeds, welch, welch_over_seeds
from hprune.science.margin import resolvable_margin
from hprune.science.tickets import over_tickets

Array = NDArray[np.float64]
RESAMPLES = 200
BOOTSTRAPPED = 250
"""Studies of a kind that are bootstrapped, which takes long."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations on the logit, all but `scale` in units of it."""

    seed: float
    example: float
    scale: float
    ticket: float = 0.0
    """The larger, the fewer examples are a matter of chance."""


KINDS = {
    "none but chance": Noise(0, 0, 2),
    "seeds": Noise(0.08, 0, 2),
    "examples": Noise(0, 0.5, 2),
    "both, small": Noise(0.03, 0.3, 2),
    "both": Noise(0.08, 0.7, 4),
    "both, many disagree": Noise(0.08, 0.5, 1),
    "seeds differ wildly": Noise(0.3, 0.7, 4),
}
SHIFTS = (0.0, 0.3)
"""What the arm is better by, in units of the scale: 0 or about 2.5 points."""
MEAN, SPREAD = 2.6, 2.0
"""Of the difficulties, in units of the scale: an accuracy of 83% to 88%."""


def logits(rng: np.random.Generator, n: int, noise: Noise) -> tuple[Array, Array]:
    """Of the full set and of the arm, (n,) each."""
    common = MEAN + SPREAD * rng.standard_normal(n)
    own, other = noise.example * rng.standard_normal((2, n))
    return noise.scale * (common + own), noise.scale * (common + other)


def right(rng: np.random.Generator, logit: Array, effects: Array) -> Array:
    """Whether each run has each example right: (S, n), for effects (S,) on the logit."""
    return (rng.random((effects.size, logit.size)) < expit(logit + effects[:, None])).astype(np.float64)


@lru_cache
def true_difference(noise: Noise, shift: float) -> float:
    """The mean over all examples, seeds and tickets: of a sigmoid over a normal."""
    z = np.linspace(-8, 8, 20001)
    weight = np.exp(-(z**2) / 2)
    weight /= weight.sum()

    def mean(shift: float, ticket: float) -> float:
        spread = np.sqrt(SPREAD**2 + noise.example**2 + noise.seed**2 + ticket**2)
        return float(weight @ expit(noise.scale * (MEAN + shift + spread * z)))

    return mean(shift, noise.ticket) - mean(0.0, 0.0)


def pair(
    rng: np.random.Generator, seeds: int, n: int, noise: Noise, shift: float = 0.0, correlation: float = 0.0
) -> tuple[Array, Array]:
    """An arm and the full set, (S, n) each, whose effects of a seed are correlated."""
    full, arm = logits(rng, n, noise)
    own, fresh = noise.scale * noise.seed * rng.standard_normal((2, seeds))
    other = correlation * own + np.sqrt(1 - correlation**2) * fresh
    return right(rng, arm + noise.scale * shift, own), right(rng, full, other)


@dataclass(frozen=True)
class Studies:
    """What many studies of one kind found: (M,) each."""

    seeds: int
    examples: int
    mean: Array
    error: Array
    """Of the rule that reports go by, and its degrees of freedom."""
    df: Array
    by_seed: Array
    by_example: Array
    rest: Array
    covered: Array
    """Whether the bootstrap's interval covers the true difference, of the first studies only."""

    @property
    def more(self) -> Array:
        """What examples have of their own, in mean squares."""
        return np.maximum(self.by_example - self.rest, 0)

    @property
    def size(self) -> int:
        """S n."""
        return self.seeds * self.examples


def quantile(df: Any) -> Array:
    """Of Student's t, for two-sided intervals of 95%."""
    return np.asarray(t.ppf(0.975, df))


def smaller_exponent(found: Studies) -> Array:
    """Degrees of freedom as by Hillis, but to the power of less than 1."""
    nu, ratio = found.seeds - 1, found.more / np.maximum(found.by_seed, 1e-12)
    df = np.minimum(nu * (1 + ratio) ** (1 - 1 / (2 * nu)), found.examples - 1)
    return quantile(df) * np.sqrt((found.by_seed + found.more) / found.size)


def never_narrower(found: Studies) -> Array:
    """The wider of the interval by `smaller_exponent` and the one over examples alone."""
    alone = quantile(found.examples - 1) * np.sqrt(np.maximum(found.by_example, found.rest) / found.size)
    return np.maximum(smaller_exponent(found), alone)


def hillis(found: Studies) -> Array:
    """Satterthwaite's degrees of freedom, with the seeds' mean square alone in the denominator."""
    total = found.by_seed + found.more
    df = (found.seeds - 1) * (total / np.maximum(found.by_seed, 1e-12)) ** 2
    return quantile(df) * np.sqrt(total / found.size)


def cochran(found: Studies) -> Array:
    """The quantiles of the two parts, weighted by them (Cochran and Cox 1950)."""
    total = np.maximum(found.by_seed + found.more, 1e-12)
    few, many = quantile(found.seeds - 1), quantile(found.examples - 1)
    return (found.by_seed * few + found.more * many) / total * np.sqrt(total / found.size)


def moments(found: Studies) -> Array:
    """A mixed model by moments: only the sum is cut off; Satterthwaite's degrees of freedom of all three squares."""
    squares = np.stack([found.by_seed, found.by_example, -found.rest])
    own = np.array([found.seeds - 1, found.examples - 1, (found.seeds - 1) * (found.examples - 1)])
    total = np.maximum(squares.sum(axis=0), 0)
    df = total**2 / np.maximum((squares**2 / own[:, None]).sum(axis=0), 1e-12)
    return quantile(np.maximum(df, 1)) * np.sqrt(total / found.size)


REPORTED, BOOTSTRAP = "**crossed, as reported**", "bootstrap over seeds and examples"
RULES: dict[str, Callable[[Studies], Array]] = {
    REPORTED: lambda found: quantile(found.df) * found.error,
    "crossed, df by Hillis": hillis,
    "crossed, Hillis' exponent 1 - 1 / (2 nu) in place of 2": smaller_exponent,
    "the same, never narrower than over examples alone": never_narrower,
    "crossed, quantiles weighted (Cochran, Cox)": cochran,
    "mixed model by moments, Satterthwaite": moments,
    "t over seeds": lambda found: quantile(found.seeds - 1) * np.sqrt(found.by_seed / found.size),
    "over examples alone, as a bootstrap over them": lambda found: 1.96 * np.sqrt(found.by_example / found.size),
}


def bootstrap(rng: np.random.Generator, seeds: int, n: int) -> Callable[[Array], tuple[float, float]]:
    """Percentile intervals by drawing seeds and examples anew; the draws are the same for all studies."""
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
    of_all = (rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n).astype(np.float32)

    def ends(gaps: Array) -> tuple[float, float]:
        means = ((of_seeds @ gaps).astype(np.float32) * of_all).sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)

    return ends


def simulate(studies: int, seeds: int, n: int, noise: Noise, shift: float) -> Studies:
    """Studies of one kind."""
    rng = np.random.default_rng([seeds, n, int(1000 * shift), *(int(100 * x) for x in (noise.seed, noise.example))])
    true, ends = true_difference(noise, shift), bootstrap(rng, seeds, n)
    rows, covered = [], []
    for i in range(studies):
        arm, full = pair(rng, seeds, n, noise, shift)
        gaps = arm - full
        ours = crossed(gaps)
        rows.append((ours.mean, ours.error, ours.df, *mean_squares(gaps)))
        if i < BOOTSTRAPPED:
            low, high = ends(gaps)
            covered.append(low <= true <= high)
    mean, error, df, by_seed, by_example, rest = np.array(rows).T
    return Studies(seeds, n, mean, error, df, by_seed, by_example, rest, np.array(covered, dtype=float))


def hits_of(studies: int, seeds: int, n: int, noise: Noise, shift: float) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """Whether each rule's interval covers the true difference, by study; and in which the seeds agree by chance."""
    found, true = simulate(studies, seeds, n, noise, shift), true_difference(noise, shift)
    off = np.abs(found.mean - true)
    hits = {name: (off <= rule(found) + 1e-12).astype(float) for name, rule in RULES.items()}
    return hits | {BOOTSTRAP: found.covered}, found.by_seed < found.rest / 4


def percent(values: Sequence[float]) -> str:
    """`94.1 .. 95.0 .. 97.2`: the lowest, the mean, the highest."""
    return " .. ".join(f"{100 * value:.1f}" for value in (min(values), float(np.mean(values)), max(values)))


def row(*cells: object) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |")


def head(*cells: object) -> None:
    """Print the head of a table."""
    print()
    row(*cells)
    print("|---" * len(cells) + "|")


def single_tickets(studies: int, all_seeds: Sequence[int], examples: Sequence[int]) -> None:
    """One ticket: all rules over the whole grid, then the one that is reported kind by kind."""
    everything = {
        (seeds, n, kind, shift): hits_of(studies, seeds, n, noise, shift)
        for seeds, n, (kind, noise), shift in itertools.product(all_seeds, examples, KINDS.items(), SHIFTS)
    }

    hits = {cell: {name: float(own.mean()) for name, own in found.items()} for cell, (found, _) in everything.items()}
    few = [found for (seeds, *_), found in everything.items() if seeds == all_seeds[0]]

    def in_agreement(name: str) -> str:
        if name == BOOTSTRAP:
            return ""
        return f"{100 * float(np.concatenate([found[name][agree] for found, agree in few]).mean()):.1f}"

    def coverages(name: str, seeds: int, kinds: Iterable[str] = KINDS) -> str:
        cells = itertools.product(examples, kinds)
        return percent([float(np.mean([hits[seeds, n, kind, s][name] for s in SHIFTS])) for n, kind in cells])

    of_seeds = [f"{seeds} seeds" for seeds in all_seeds]
    over = f"{len(KINDS)} kinds of noise x {len(examples)} numbers of examples"
    head(f"one ticket: coverage in %, lowest .. mean .. highest of {over}", *of_seeds,
         f"if {all_seeds[0]} seeds agree by chance", "size of the test, highest")  # fmt: skip
    for name in [*RULES, BOOTSTRAP]:
        missed = [
            1 - float(np.mean([hits[seeds, n, kind, 0.0][name] for n in examples]))
            for seeds, kind in itertools.product(all_seeds, KINDS)
        ]
        row(name, *(coverages(name, seeds) for seeds in all_seeds), in_agreement(name), f"{100 * max(missed):.1f}")
    middle = examples[len(examples) // 2]
    facts = ["sd of a run's difference over seeds, points", f"error by {middle} examples", "two full runs disagree"]
    head("one ticket, as reported: coverage in %", *facts, *of_seeds)
    for kind, noise in KINDS.items():
        row(kind, *facts_of(noise, middle), *(coverages(REPORTED, seeds, [kind]) for seeds in all_seeds))


def facts_of(noise: Noise, n: int) -> list[str]:
    """What a kind of noise amounts to: of two arms without a difference, over many seeds and examples."""
    rng = np.random.default_rng(0)
    arm, full = pair(rng, 200, 5000, noise)
    by_seed, by_example, rest = mean_squares(arm - full)
    seed, example = (max(square - rest, 0) for square in (by_seed, by_example))
    disagree = float((full[::2] != full[1::2]).mean())
    return [f"{100 * np.sqrt(seed / 5000):.1f}", f"{100 * np.sqrt(example / 200 / n):.1f}", f"{disagree:.0%}"]


def unpaired(studies: int, seeds: int, n: int) -> None:
    """The paired test beside Welch's, by how seeds of arm and full set are correlated."""
    tests: dict[str, Callable[[Array, Array], float | None]] = {
        "paired": lambda arm, full: crossed(arm - full).p_value,
        "Welch": lambda arm, full: welch(arm, full).p_value,
        "paired, over seeds": lambda arm, full: over_seeds((arm - full).mean(axis=1)).p_value,
        "Welch, over seeds": lambda arm, full: welch_over_seeds(arm.mean(axis=1), full.mean(axis=1)).p_value,
    }
    kinds, shift = {"both": KINDS["both"], "seeds only, more": Noise(0.15, 0.0, 4)}, 0.18
    points = 100 * true_difference(kinds["both"], shift)
    powers = [f"{name}: power at {points:.1f} points" for name in list(tests)[:2]]
    head(f"{seeds} seeds, {n} examples: noise, correlation of seeds", *(f"{name}: size" for name in tests), *powers)
    for (kind, noise), correlation in itertools.product(kinds.items(), (-0.3, 0.0, 0.3, 0.6)):
        rng = np.random.default_rng(int(100 * correlation) + 1000)
        found = dict.fromkeys(itertools.product((0.0, shift), tests), 0)
        for _, at in itertools.product(range(studies), (0.0, shift)):
            arm, full = pair(rng, seeds, n, noise, at, correlation)
            for name, test in tests.items():
                p = test(arm, full)
                found[at, name] += p is not None and p < 0.05
        sizes = [f"{100 * found[0.0, name] / studies:.1f}" for name in tests]
        row(f"{kind}, {correlation:+.1f}", *sizes, *(f"{found[shift, name] / studies:.0%}" for name in list(tests)[:2]))


def of_tickets(rng: np.random.Generator, each: Sequence[int], n: int, noise: Noise, shift: float) -> list[Array]:
    """Gaps of several tickets to the full set, (K, n) each."""
    return retrained(rng, *logits(rng, n, noise), each, noise, shift)


def retrained(
    rng: np.random.Generator, full: Array, arm: Array, each: Sequence[int], noise: Noise, shift: float = 0.0
) -> list[Array]:
    """The same for given examples."""
    gaps = []
    for seeds in each:
        own, other = noise.scale * noise.seed * rng.standard_normal((2, seeds))
        own = own + noise.scale * (noise.ticket * rng.standard_normal() + shift)
        gaps.append(right(rng, arm, own) - right(rng, full, other))
    return gaps


METHODS: dict[str, Callable[[list[Array]], float]] = {
    "**tickets and examples, as reported**": lambda gaps: over_tickets(gaps)[0].half_width(),
    "t over tickets": lambda gaps: over_seeds(np.array([table.mean() for table in gaps])).half_width(),
    "seeds and examples, as if of one ticket": lambda gaps: crossed(np.vstack(gaps)).half_width(),
}


def methods(studies: int, examples: Sequence[int]) -> None:
    """Several tickets: the verdict on the method, beside what leaves out examples, or the tickets.

    Of T tickets 6 studies / T: fewer tickets take less time, and their coverage is nearer to the ends of the goal.
    """
    kinds = [Noise(0.08, 0.5, 2, ticket) for ticket in (0.0, 0.04, 0.08, 0.16)] + [Noise(0.05, 0.5, 2, 0.15)]
    over = f"{len(kinds)} kinds of noise x {len(examples)} numbers of examples"
    head(f"the method: coverage in %, of {over}, tickets from alike to thrice as far apart as seeds", *METHODS,
         "size of the test as reported")  # fmt: skip
    for each in [(seeds,) * tickets for tickets in (2, 3, 4, 6) for seeds in (1, 2, 3)] + [(3, 1, 2, 3)]:
        rounds = max(3 * studies // len(each), 1)
        shares: dict[str, list[float]] = {name: [] for name in METHODS}
        missed: list[float] = []
        for noise in kinds:
            by_n = [method_hits(rounds, each, n, noise) for n in examples]  # (methods, shifts), each
            for name, covered in zip(METHODS, np.swapaxes(by_n, 0, 1), strict=True):
                shares[name] += covered.mean(axis=-1).tolist()
            missed.append(1 - float(np.mean([hits[0, 0] for hits in by_n])))
        seeds = f"{each[0]} each" if len(set(each)) == 1 else " + ".join(map(str, each))
        row(f"{len(each)} tickets, seeds: {seeds}", *map(percent, shares.values()), percent(missed))


def method_hits(rounds: int, each: Sequence[int], n: int, noise: Noise) -> Array:
    """How often each of METHODS covers at each of SHIFTS: (methods, shifts)."""
    rng = np.random.default_rng([*each, n, int(100 * noise.ticket)])
    found = np.zeros((len(METHODS), len(SHIFTS)))
    for _, (at, shift) in itertools.product(range(rounds), enumerate(SHIFTS)):
        true, gaps = true_difference(noise, shift), of_tickets(rng, each, n, noise, shift)
        of_ticket = float(np.mean([table.mean() for table in gaps]))
        for i, (name, half_width) in enumerate(METHODS.items()):
            mean = float(np.vstack(gaps).mean()) if "one ticket" in name else of_ticket
            found[i, at] += abs(mean - true) <= half_width(gaps) + 1e-12
    return found / rounds


def margins(studies: int, n: int) -> None:
    """How often a margin from six runs of the full set is resolved by the comparison that comes after them."""
    head(f"margin from 6 runs of the full set, {n} examples", "margin in points, median",
         "equivalence is shown, no difference", "a difference as large is found")  # fmt: skip
    planned = [(kind, noise, 6, 1) for kind, noise in KINDS.items()]
    planned.append(("both, tickets as far apart as seeds", Noise(0.08, 0.7, 4, 0.08), 12, 4))
    for kind, noise, seeds, tickets in planned:
        rng, stated, shown, found = np.random.default_rng(seeds), [], 0, 0
        for _ in range(studies):
            full, arm = logits(rng, n, noise)
            before = right(rng, full, noise.scale * noise.seed * rng.standard_normal(6))
            stated.append(margin := resolvable_margin(before, seeds=seeds, tickets=tickets))
            gaps = retrained(rng, full, arm, [seeds // tickets] * tickets, noise)
            estimate = over_tickets(gaps)[0] if tickets > 1 else crossed(gaps[0])
            shown += abs(estimate.mean) + estimate.half_width(0.9) < margin
            found += abs(estimate.mean + margin) > estimate.half_width()
        of = f"{kind}; {seeds} seeds" + (f" of {tickets} tickets" if tickets > 1 else "")
        row(of, f"{100 * np.median(stated):.1f}", f"{shown / studies:.0%}", f"{found / studies:.0%}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 6, 10])
    parser.add_argument("--examples", type=int, nargs="+", default=[277, 872, 2693])
    args = parser.parse_args()
    seeds, examples = sorted(args.seeds), sorted(args.examples)
    middle = examples[len(examples) // 2]
    single_tickets(args.studies, seeds, examples)
    unpaired(args.studies, seeds[len(seeds) // 2], middle)
    methods(args.studies, examples[len(examples) // 2 :])
    margins(max(args.studies // 4, 1), middle)


if __name__ == "__main__":
    main()
