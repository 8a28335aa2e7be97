"""From a network and its batches to a TrainingResult; knows no estimator.

Gradient descent and its relatives are in `_optimizers`, the learning rate over time in
`_schedules`, when to stop in `_stopping`, the loop over epochs and steps in `_loop`.
"""

from ._loop import evaluate, train
from ._optimizers import OPTIMIZERS, make_optimizer
from ._processor import threads_for
from ._result import TrainingResult
from ._schedules import SCHEDULES
from ._stopping import Stopping

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Stopping",
    "TrainingResult",
    "evaluate",
    "make_optimizer",
    "threads_for",
    "train",
]
