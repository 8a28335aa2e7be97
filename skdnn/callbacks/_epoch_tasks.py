"""scikit-learn's callbacks, where its version has them: they see a fit and its epochs as tasks."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from sklearn.base import BaseEstimator

from skdnn.network import Network
from skdnn.training import Progress, TrainingResult

try:
    from sklearn import callback as sklearn_callback
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9
    sklearn_callback = None

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """A mixin without effect, where scikit-learn has no callbacks."""

        def _init_callback_context(self, max_subtasks: int | None = 0) -> None:
            return None


Method = TypeVar("Method", bound=Callable[..., Any])


def with_callbacks(method: Method) -> Method:
    """Return a method of an estimator that tears down the estimator's callbacks when it ends."""
    return method if sklearn_callback is None else sklearn_callback.with_callbacks(method)


def as_callback_task(fit: Method) -> Method:
    """Return a method fit(self, X, y=None) whose begin and end are reported to the callbacks."""

    @wraps(fit)
    def fit_as_task(self: Any, X: Any, y: Any = None) -> Any:
        context = self._init_callback_context()
        if not getattr(self, "_skl_callbacks", None):
            return fit(self, X, y)
        passed = {"estimator": self, "X": X, "y": y}
        context.call_on_fit_task_begin(**passed)
        fit(self, X, y)
        context.call_on_fit_task_end(**passed, reconstruction_attributes={})
        return self

    return cast(Method, with_callbacks(fit_as_task))


class EpochTasks:
    """Report the begin and end of a fit, and of each of its epochs, to an estimator's callbacks.

    Parameters
    ----------
    estimator : estimator
        Without callbacks, nothing is reported.
    context : sklearn.callback.CallbackContext or None
        The context of the fit. With None, nothing is reported.
    X, y, sample_weight : as the user passed them

    Attributes
    ----------
    is_active : bool
        Whether there are callbacks to report to.
    """

    def __init__(
        self, estimator: BaseEstimator, context: Any, X: Any, y: Any, sample_weight: Any
    ) -> None:
        self.is_active = context is not None and bool(getattr(estimator, "_skl_callbacks", None))
        self.context = context
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.passed = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    def begin(
        self, learned: Callable[[Network, TrainingResult], dict[str, Any]], max_iter: int
    ) -> None:
        """Report the begin of the fit and of its first epoch.

        Parameters
        ----------
        learned : callable
            From (network, result) to the fitted attributes, as if the fit had ended there.
        max_iter : int
            Largest number of epochs.
        """
        self.learned = learned
        if self.is_active:
            self.context.max_subtasks = max_iter
            self.context.call_on_fit_task_begin(**self.passed)
            epoch = self.context.subcontext(task_name="epoch")
            self.epoch = epoch.call_on_fit_task_begin(**self.passed)

    def __call__(self, progress: Progress) -> None:
        """Report the end of an epoch and the begin of the next one, unless a callback stops."""
        if not self.is_active:
            return
        stops = self.epoch.call_on_fit_task_end(
            **self.passed,
            reconstruction_attributes=lambda: self.learned(progress.network, progress.result()),
        )
        if stops:
            progress.stop()
        if not progress.is_last:
            epoch = self.context.subcontext(task_name="epoch")
            self.epoch = epoch.call_on_fit_task_begin(**self.passed)

    def end(self) -> None:
        """Report the end of the fit, after which the estimator has its fitted attributes."""
        if self.is_active:
            self.context.call_on_fit_task_end(**self.passed, reconstruction_attributes={})
