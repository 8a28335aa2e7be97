"""From a network and its batches to a TrainingResult; knows no estimator.

Gradient descent and its relatives are in `_optimizers`, the learning rate over time in
`_schedules`, when to stop in `_stopping`, what is known after an epoch in `_progress`, the loop
over epochs and steps in `_loop`.
"""

from ._averaging import WEIGHTS, WeightAverage
from ._loop import train
from ._objective import epoch_answers, evaluate
from ._optimizers import OPTIMIZERS, Adam, GradientDescent, make_optimizer
from ._progress import Progress
from ._result import TrainingResult
from ._running import OPERATIONS_WORTH_GROUPS, operations_of_a_step
from ._schedules import SCHEDULES
from ._stopping import Stopping
from ._threads import OPERATIONS_WORTH_THREADS, Workers, plainly, threads_for

__all__ = [
    "OPERATIONS_WORTH_GROUPS",
    "OPERATIONS_WORTH_THREADS",
    "OPTIMIZERS",
    "SCHEDULES",
    "WEIGHTS",
    "Adam",
    "GradientDescent",
    "Progress",
    "Stopping",
    "TrainingResult",
    "WeightAverage",
    "Workers",
    "epoch_answers",
    "evaluate",
    "make_optimizer",
    "operations_of_a_step",
    "plainly",
    "threads_for",
    "train",
]
