"""In which order should a subset be trained? Four rules: how much of the full set's order each keeps, how much it pads.

    python benchmarks/order_rules.py [--tokenizer MINILM --data SST2] [--sizes 1000 4000 16000] [--seeds 8]

MINILM is a folder with a tokenizer, SST2 one of the hub's Parquet; without them lengths are drawn (log-normal). Random
subsets of each share, batches of 32, nothing trained. Time: the rank correlation of a kept sample's place in the plan
of the subset with its place in that of the full set, of the same seed. Mates: of two kept samples of one batch of the
full set, how often they share a batch again.

own          an order drawn for the kept samples alone (0.1.0)
permutation  the full set's permutation, filtered; pools of 50 batches sorted by length and cut; batches shuffled
cut          the full set's batches one after the other, filtered, and cut as they are
pools        the same, in pools of 50 batches sorted by length, in the order of their mean place (`plan_subset`)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from hprune.data.batching import POOL, padded_share, plan_batches, plan_subset

SIZE = 32
Rows = NDArray[np.int64]
Rule = Callable[[Rows, Rows, int], list[Rows]]
"""(lengths of all, kept, seed) -> batches of kept rows, named as in the full set."""


def own(lengths: Rows, kept: Rows, seed: int) -> list[Rows]:
    """The rule of 0.1.0."""
    return [kept[batch] for batch in plan_batches(lengths[kept], batch_size=SIZE, seed=seed)]


def permutation(lengths: Rows, kept: Rows, seed: int) -> list[Rows]:
    """One permutation for all arms, and the rest as for the full set."""
    rng = np.random.default_rng([seed, 0, 0xBA7C4])
    rows = rng.permutation(lengths.size)
    rows = rows[np.isin(rows, kept)]
    pools = _cut(rows, SIZE * POOL)
    batches = [batch for pool in pools for batch in _cut(pool[np.argsort(lengths[pool], kind="stable")], SIZE)]
    return [batches[i] for i in rng.permutation(len(batches))]


def cut(lengths: Rows, kept: Rows, seed: int) -> list[Rows]:
    """The full set's sequence, whatever lengths meet."""
    rows = np.concatenate(plan_batches(lengths, batch_size=SIZE, seed=seed))
    return _cut(rows[np.isin(rows, kept)], SIZE)


def pools(lengths: Rows, kept: Rows, seed: int) -> list[Rows]:
    """What runs on a subset do."""
    return [kept[batch] for batch in plan_subset(lengths, kept, batch_size=SIZE, seed=seed)]


def _cut(rows: Rows, size: int) -> list[Rows]:
    return [rows[start : start + size] for start in range(0, rows.size, size)]


def _places(plan: list[Rows], rows: int) -> Rows:
    """(rows,) the batch that each stands in."""
    found = np.full(rows, -1)
    for number, batch in enumerate(plan):
        found[batch] = number
    return found


def _mates(full: Rows, subset: Rows) -> float:
    """Of pairs of one batch of the full set, the share that are in one batch of the subset."""
    apart = {number: subset[full == number] for number in np.unique(full)}
    pairs = sum(rows.size * (rows.size - 1) for rows in apart.values())
    same = sum(
        int((count * (count - 1)).sum()) for count in (np.unique(r, return_counts=True)[1] for r in apart.values())
    )
    return same / pairs if pairs else 0.0


def lengths_of(tokenizer: Path, data: Path) -> Rows:
    """(n,) tokens of each train sentence of SST-2."""
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    texts = pq.read_table(next(iter(sorted(data.glob("train*.parquet")))))["sentence"].to_pylist()
    found = AutoTokenizer.from_pretrained(str(tokenizer))(texts)["input_ids"]
    return np.array([len(ids) for ids in found])


def measured(lengths: Rows, rows: int, share: float, rule: Rule, seed: int) -> tuple[float, float, float]:
    """Time, padding and mates of one seed."""
    rng = np.random.default_rng([seed, 99])
    drawn = rng.choice(lengths, rows, replace=rows > lengths.size)
    kept = np.sort(rng.choice(rows, round(share * rows), replace=False))
    full = _places(plan_batches(drawn, batch_size=SIZE, seed=seed), rows)[kept]
    plan = rule(drawn, kept, seed)
    place = _places(plan, rows)[kept]
    padded = padded_share(drawn[kept], [np.searchsorted(kept, batch) for batch in plan])
    return float(spearmanr(full, place).statistic), padded, _mates(full, place)


def main() -> None:
    """Print the table: means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 0.7, 0.9])
    parser.add_argument("--seeds", type=int, default=8)
    asked = parser.parse_args()
    drawn = np.random.default_rng(0).lognormal(4, 0.8, 20_000).astype(np.int64).clip(3, 512)
    lengths = drawn if asked.data is None else lengths_of(asked.tokenizer, asked.data)
    rules = (own, permutation, cut, pools)
    print(f"| samples | kept | {' | '.join(f'{rule.__name__}: time, padding, mates' for rule in rules)} |")
    print(f"|---|---|{'---|' * len(rules)}")
    for rows in asked.sizes:
        for share in asked.shares:
            cells = []
            for rule in rules:
                found = [measured(lengths, rows, share, rule, seed) for seed in range(asked.seeds)]
                time, padded, mates = np.mean(found, axis=0)
                cells.append(f"{time:.2f}, {padded:.1%}, {mates:.2f}")
            print(f"| {rows:,} | {share:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
