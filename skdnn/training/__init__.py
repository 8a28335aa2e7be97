"""Training: from a network and its batches to a TrainingResult, without the estimators.

The settings of a training are a TrainingConfig, in `_config`. Gradient descent, Adam and torch's
optimizers are in `_optimizers`, L-BFGS in `_lbfgs`, averages of the weights in `_averaging`,
learning rate schedules in `_schedules`, early stopping in `_early_stopping`, curves and the
state to resume in `_progress`, and the loop over epochs in `_loop`.
"""

from ._averaging import WEIGHTS
from ._config import MAY_DIFFER, MUST_BE_EQUAL, TrainingConfig
from ._early_stopping import EarlyStopping
from ._evaluation import epoch_raw_predictions
from ._loop import train
from ._optimizers import OPTIMIZERS, OptimizerKind, make_optimizer, optimizer_kind
from ._progress import CURVES, Progress
from ._result import TrainingResult
from ._schedules import SCHEDULES
from ._threads import OPERATIONS_WORTH_THREADS, ThreadPool, threads_for, with_default_torch_state
from ._training_group import OPERATIONS_WORTH_GROUPS, operations_per_step

__all__ = [
    "CURVES",
    "MAY_DIFFER",
    "MUST_BE_EQUAL",
    "OPERATIONS_WORTH_GROUPS",
    "OPERATIONS_WORTH_THREADS",
    "OPTIMIZERS",
    "SCHEDULES",
    "WEIGHTS",
    "EarlyStopping",
    "OptimizerKind",
    "Progress",
    "ThreadPool",
    "TrainingConfig",
    "TrainingResult",
    "epoch_raw_predictions",
    "make_optimizer",
    "operations_per_step",
    "optimizer_kind",
    "threads_for",
    "train",
    "with_default_torch_state",
]
