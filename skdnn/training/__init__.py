"""From a network and its batches to a TrainingResult; knows no estimator.

Gradient descent and its relatives are in `_optimizers`, the learning rate over time in
`_schedules`, when to stop in `_stopping`, what is known after an epoch in `_progress`, the loop
over epochs and steps in `_loop`.
"""

from ._averaging import WEIGHTS, WeightAverage
from ._early_stopping import EarlyStopping
from ._loop import train
from ._objective import epoch_raw_predictions, evaluate
from ._optimizers import OPTIMIZERS, Adam, GradientDescent, make_optimizer
from ._progress import Progress
from ._result import TrainingResult
from ._schedules import SCHEDULES
from ._threads import OPERATIONS_WORTH_THREADS, ThreadPool, threads_for, with_default_torch_state
from ._training_group import OPERATIONS_WORTH_GROUPS, operations_of_a_step

__all__ = [
    "OPERATIONS_WORTH_GROUPS",
    "OPERATIONS_WORTH_THREADS",
    "OPTIMIZERS",
    "SCHEDULES",
    "WEIGHTS",
    "Adam",
    "EarlyStopping",
    "GradientDescent",
    "Progress",
    "ThreadPool",
    "TrainingResult",
    "WeightAverage",
    "epoch_raw_predictions",
    "evaluate",
    "make_optimizer",
    "operations_of_a_step",
    "threads_for",
    "train",
    "with_default_torch_state",
]
