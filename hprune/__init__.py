"""hprune makes fine-tuning sets smaller without losing accuracy, and says honestly whether it worked.

The commands are the interface (`python -m hprune.train --help`). For notebooks, the science imports without torch.
"""

from hprune.science.records import Dynamics as Dynamics
from hprune.science.records import RunKey as RunKey
from hprune.science.records import RunRecord as RunRecord
from hprune.science.records import Scores as Scores
from hprune.science.records import Subset as Subset
from hprune.science.scores.h_score import h_score as h_score

__version__ = "0.1.0"
