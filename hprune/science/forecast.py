"""What runs will take, from what a short one took: work times the price of a unit, and what comes once."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Amounts:
    """The work of one run, by stage: operations or samples, in the unit of its prices; and how often it saves."""

    train: float
    clean_pass: float
    evaluation: float
    checkpoints: float

    def on(self, share: float, *, same_steps: bool = False) -> Amounts:
        """The same on a share of the samples, drawn as they come; with as many steps as before, so in more epochs, but
        validated as in `RunSpec.epochs_a_validation`.

        Raises:
            ValueError: if the share does not lie in (0, 1].
        """
        if not 0 < share <= 1:
            raise ValueError(f"a share of the samples must lie in (0, 1], got {share!r}")
        if not same_steps:
            return replace(self, train=share * self.train, clean_pass=share * self.clean_pass)
        evaluation = self.evaluation / (share * int(1 / share))
        return replace(self, evaluation=evaluation, checkpoints=(self.checkpoints + 1) / share - 1)

    def folds(self, number: int | None, *, judged: float) -> Amounts:
        """The same by folds: a model for each is trained on the others, and judges `judged` in all after each epoch.

        Raises:
            ValueError: if there are fewer than two.
        """
        if number is None:
            return self
        if number < 2:
            raise ValueError(f"needs two folds, got {number}")
        return Amounts(
            train=(number - 1) * self.train,
            clean_pass=judged,
            evaluation=number * self.evaluation,
            checkpoints=number * self.checkpoints,
        )


@dataclass(frozen=True)
class Prices:
    """Seconds of a unit of work in each stage."""

    fixed: float = 0.0
    """Of a run beside its stages."""
    first: float = 0.0
    """Beside, of the first run of a process."""
    train: float = 0.0
    clean_pass: float = 0.0
    evaluation: float = 0.0
    checkpoint: float = 0.0

    def seconds(self, amounts: Amounts, *, runs: int = 1) -> float:
        """Of a run with so much work, made of so many that are started one after the other."""
        return (
            runs * self.fixed
            + self.train * amounts.train
            + self.clean_pass * amounts.clean_pass
            + self.evaluation * amounts.evaluation
            + self.checkpoint * amounts.checkpoints
        )

    @staticmethod
    def mean(several: list[Prices]) -> Prices:
        """Of several that were measured at the same time."""
        names = ("fixed", "first", "train", "clean_pass", "evaluation", "checkpoint")
        return Prices(*(sum(getattr(one, name) for one in several) / len(several) for name in names))


@dataclass(frozen=True)
class Growing:
    """The size of a file by its rows, in bytes."""

    base: float
    row: float

    def size(self, rows: float) -> float:
        """With so many rows."""
        return self.base + self.row * rows

    def times(self, factor: float) -> Growing:
        """With so many times the columns."""
        return Growing(self.base * factor, self.row * factor)
