"""What a run says, and what libraries are kept from saying."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import transformers


class _QuietFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Nothing: the disk is full, and the same line is on the screen."""


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Keep what the run says beside its results, too."""
    handler = _QuietFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    ours = logging.getLogger("hprune")
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        with suppress(OSError):
            handler.close()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep advice that does not apply here off the screen; real warnings stay."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # "newly initialised weights: classifier", which is the point
    transformers.logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # Lightning sets INFO when it is imported
    with warnings.catch_warnings():
        # a batch takes under 2% of a step to make
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # the data module continues within an epoch; a state of the loader is lost (Lightning #20550)
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # on a login node
        # what is logged is the same in all processes, as their answers are brought together first
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        # nothing changes what a layer gives in place
        warnings.filterwarnings("ignore", message=".*FSDP2-wrapped module .* returned a view tensor.*")
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # lightning 2.6 with torch 2.13
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # peft 0.21 with transformers 5.23
        try:
            yield
        finally:
            transformers.logging.set_verbosity(verbosity)
