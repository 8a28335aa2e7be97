"""scikit-learn's callbacks, for the versions that have them: the fit and its epochs as tasks."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _managed
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Has no callbacks to support."""

        def _init_callback_context(self, max_subtasks=0):
            return None

    def _managed(method):
        return method


Method = TypeVar("Method", bound=Callable[..., Any])


def with_callbacks(method: Method) -> Method:
    """Return a method of an estimator after which its callbacks are torn down, come what may."""
    return _managed(method)


def as_one_task(fit: Method) -> Method:
    """Return a fit(self, X, y=None) whose beginning and end the estimator's callbacks see."""

    @wraps(fit)
    def told_fit(self, X, y=None):
        context = self._init_callback_context()
        if not getattr(self, "_skl_callbacks", None):
            return fit(self, X, y)
        passed = {"estimator": self, "X": X, "y": y}
        context.call_on_fit_task_begin(**passed)
        fit(self, X, y)
        context.call_on_fit_task_end(**passed, reconstruction_attributes={})
        return self

    return cast(Method, with_callbacks(told_fit))


class EpochTasks:
    """Tells the callbacks of an estimator where its fit begins and ends, and each epoch of it.

    Parameters
    ----------
    estimator : estimator
        Without callbacks, nothing is told.
    context : sklearn.callback.CallbackContext
        Of the fit.
    X, y, sample_weight : as the user passed them
    """

    def __init__(self, estimator, context, X, y, sample_weight):
        self.context = context if getattr(estimator, "_skl_callbacks", None) else None
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.passed = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    @property
    def is_active(self):
        """Whether there are callbacks."""
        return self.context is not None

    def begin(self, learned, max_iter):
        """Begin the fit and its first epoch.

        Parameters
        ----------
        learned : callable
            From (network, result) to the fitted attributes, as if the fit had ended there.
        max_iter : int
            Epochs at the most.
        """
        self.learned = learned
        if self.context is not None:
            self.context.max_subtasks = max_iter
            self.context.call_on_fit_task_begin(**self.passed)
            self.epoch = self._begin_epoch()

    def __call__(self, progress):
        """End an epoch, stop where a callback says so, else begin the next."""
        if self.context is None:
            return
        stops = self.epoch.call_on_fit_task_end(
            **self.passed,
            reconstruction_attributes=lambda: self.learned(progress.network, progress.result()),
        )
        if stops:
            progress.stop()
        if not progress.is_last:
            self.epoch = self._begin_epoch()

    def end(self):
        """End the fit; the estimator has its fitted attributes."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.passed, reconstruction_attributes={})

    def _begin_epoch(self):
        epoch = self.context.subcontext(task_name="epoch")
        return epoch.call_on_fit_task_begin(**self.passed)
