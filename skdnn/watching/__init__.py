"""What looks on while a network learns; each is told of an epoch's end, and knows no estimator.

scikit-learn's callbacks in `_callbacks`, a scorer in `_scoring`, checkpoints in `_checkpoint`,
lines on the screen in `_printing`; what a user is warned of in `_telling`.
"""

from ._callbacks import CallbackSupportMixin, EpochTasks, as_one_task, with_callbacks
from ._checkpoint import Checkpoint, Journal, open_journal
from ._origin import describe, digest_of
from ._printing import EpochLines, ReadingLines, ending_line
from ._scoring import make_score, score_name
from ._telling import warn

__all__ = [
    "CallbackSupportMixin",
    "Checkpoint",
    "EpochLines",
    "EpochTasks",
    "Journal",
    "ReadingLines",
    "as_one_task",
    "describe",
    "digest_of",
    "ending_line",
    "make_score",
    "open_journal",
    "score_name",
    "warn",
    "with_callbacks",
]
