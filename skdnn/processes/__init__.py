"""With whom a fit shares its rows: with nobody, or with other processes that have others of them.

Each process calls the same functions in the same order, and where a result is one of all rows, asks
its group for it. What a group answers is written down in `Alone`, for a group of one; that of
several processes is in `skdnn.distributed`, and `fit` finds it here.
"""

from ._agreement import check_same
from ._context import current_processes, current_trainer, fitting_among, training_by
from ._single_process import SINGLE_PROCESS, SingleProcess

__all__ = [
    "SINGLE_PROCESS",
    "SingleProcess",
    "check_same",
    "current_processes",
    "current_trainer",
    "fitting_among",
    "training_by",
]
