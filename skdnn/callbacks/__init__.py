"""Callbacks: scikit-learn's callbacks, scores of each epoch, printed lines and warnings.

- `_epoch_tasks`: report a fit and its epochs to scikit-learn's callbacks;
- `_scoring`: score the validation set after each epoch, by a scorer of scikit-learn;
- `_progress_lines`: print the progress of training and reading;
- `_warnings`: warn at the line of the user's program.
"""

from ._epoch_tasks import CallbackSupportMixin, EpochTasks, as_callback_task, with_callbacks
from ._progress_lines import EpochLines, ReadingLines, ending_line
from ._scoring import make_score_function, score_name
from ._warnings import warn

__all__ = [
    "CallbackSupportMixin",
    "EpochLines",
    "EpochTasks",
    "ReadingLines",
    "as_callback_task",
    "ending_line",
    "make_score_function",
    "score_name",
    "warn",
    "with_callbacks",
]
