"""From a network and its batches to a TrainingResult; knows no estimator.

Gradient descent and its relatives are in `_optimizers`, the learning rate over time in
`_schedules`, when to stop in `_stopping`, what is known after an epoch in `_progress`, the loop
over epochs and steps in `_loop`.
"""

from ._averaging import WEIGHTS, WeightAverage
from ._loop import train
from ._objective import epoch_answers, evaluate
from ._optimizers import OPTIMIZERS, make_optimizer
from ._processor import Workers, on_one_thread, plainly, threads_for
from ._progress import Progress
from ._result import TrainingResult
from ._schedules import SCHEDULES
from ._stopping import Stopping

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "WEIGHTS",
    "Progress",
    "Stopping",
    "TrainingResult",
    "WeightAverage",
    "Workers",
    "epoch_answers",
    "evaluate",
    "make_optimizer",
    "on_one_thread",
    "plainly",
    "threads_for",
    "train",
]
