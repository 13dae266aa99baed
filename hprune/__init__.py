"""hprune makes fine-tuning sets smaller without losing accuracy, and says honestly whether it worked.

The commands are the interface (`python -m hprune.train --help`). For notebooks, the science imports without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hprune.science.records import Dynamics, RunKey, RunRecord, Scores, Subset
    from hprune.science.scores.h_score import h_score

__all__ = ["Dynamics", "RunKey", "RunRecord", "Scores", "Subset", "h_score"]
__version__ = "0.2.0.dev0"


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: `--help` needs no numpy."""
    if name not in __all__:
        raise AttributeError(f"module 'hprune' has no attribute {name!r}")
    return getattr(
        import_module("hprune.science.scores.h_score" if name == "h_score" else "hprune.science.records"), name
    )


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
