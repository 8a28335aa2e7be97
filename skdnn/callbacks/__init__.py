"""Callbacks: what happens after each epoch besides training, and what a user is told.

scikit-learn's callbacks in `_callbacks`, a scorer in `_scoring`, printed lines in
`_progress_lines`, warnings in `_warnings`.
"""

from ._epoch_tasks import CallbackSupportMixin, EpochTasks, as_one_task, with_callbacks
from ._progress_lines import EpochLines, ReadingLines, ending_line
from ._scoring import make_score, score_name
from ._warnings import warn

__all__ = [
    "CallbackSupportMixin",
    "EpochLines",
    "EpochTasks",
    "ReadingLines",
    "as_one_task",
    "ending_line",
    "make_score",
    "score_name",
    "warn",
    "with_callbacks",
]
