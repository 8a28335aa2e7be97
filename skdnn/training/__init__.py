"""Training: from a network and its batches to a TrainingResult, without the estimators.

Gradient descent, Adam and torch's optimizers are in `_optimizers`, L-BFGS in `_lbfgs`, averages of
the weights in `_averaging`, learning rate schedules in `_schedules`, early stopping in
`_early_stopping`, curves and checkpoints in `_progress`, and the loop over epochs in `_loop`.
"""

from ._averaging import WEIGHTS, WeightAverage
from ._early_stopping import EarlyStopping
from ._evaluation import epoch_raw_predictions, evaluate
from ._loop import train
from ._optimizers import (
    OPTIMIZERS,
    Adam,
    GradientDescent,
    OptimizerKind,
    make_optimizer,
    optimizer_kind,
)
from ._progress import Progress
from ._result import TrainingResult
from ._schedules import SCHEDULES
from ._threads import OPERATIONS_WORTH_THREADS, ThreadPool, threads_for, with_default_torch_state
from ._training_group import OPERATIONS_WORTH_GROUPS, operations_per_step

__all__ = [
    "OPERATIONS_WORTH_GROUPS",
    "OPERATIONS_WORTH_THREADS",
    "OPTIMIZERS",
    "SCHEDULES",
    "WEIGHTS",
    "Adam",
    "EarlyStopping",
    "GradientDescent",
    "OptimizerKind",
    "Progress",
    "ThreadPool",
    "TrainingResult",
    "WeightAverage",
    "epoch_raw_predictions",
    "evaluate",
    "make_optimizer",
    "operations_per_step",
    "optimizer_kind",
    "threads_for",
    "train",
    "with_default_torch_state",
]
