"""A joblib backend that runs tasks in threads and trains their networks together.

It serves everything that runs independent fits through joblib: scikit-learn's searches,
cross-validation and ensembles.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Integral, Real
from types import TracebackType
from typing import Any

import joblib
from joblib.parallel import FallbackToBackend, ParallelBackendBase, SequentialBackend

from ._request import Call
from ._scheduler import Scheduler, TaskFuture, current_task

NAME = "skdnn"
MAX_TASKS = 128
MEMORY_LIMIT = 2**30
# Calls of Parallel that are nested deeper run their tasks one after the other. joblib's own
# backends do so from level 2; a cross-validation of a search of ensembles has three levels, 0 to 2.
MAX_NESTING_LEVEL = 2


class TogetherBackend(ParallelBackendBase):
    """Run each task in a thread; nested calls of Parallel share the scheduler.

    Parameters
    ----------
    max_tasks, memory_limit : int, float
        See `together`. Nested calls have the limits of the outermost one.
    **options
        Options of joblib.
    """

    supports_retrieve_callback = True
    supports_sharedmem = True
    uses_threads = True

    def __init__(
        self, max_tasks: int = MAX_TASKS, memory_limit: float = MEMORY_LIMIT, **options: Any
    ) -> None:
        super().__init__(**options)
        for name, value, kind, description in (
            ("max_tasks", max_tasks, Integral, "a whole number"),
            ("memory_limit", memory_limit, Real, "a number"),
        ):
            if isinstance(value, bool) or not isinstance(value, kind):
                raise TypeError(f"{name} must be {description} above 0, got {value!r}.")
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value!r}.")
        self.max_tasks, self.memory_limit = max_tasks, memory_limit
        self.scheduler: Scheduler
        self.call: Call
        self.failure: tuple[BaseException, TracebackType | None] | None = None
        self.warning_filters = ExitStack()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return the number of tasks at a time, which does not depend on `n_jobs`."""
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0. Use None or a positive number, or -1 for all.")
        return 1 if (self.nesting_level or 0) > MAX_NESTING_LEVEL else self.max_tasks

    def configure(self, n_jobs: int | None = 1, parallel: Any = None, **options: Any) -> int:
        """Start a call of Parallel."""
        if (self.nesting_level or 0) > MAX_NESTING_LEVEL:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self.scheduler, parent = current_task.get() or (
            Scheduler(self.max_tasks, self.memory_limit),
            None,
        )
        self.call = Call(parent)
        return self.effective_n_jobs(n_jobs)

    def start_call(self) -> None:
        """Save the warning filters: scikit-learn changes them in each task, for all threads."""
        if self.call.parent is None:
            self.warning_filters.enter_context(warnings.catch_warnings())

    def stop_call(self) -> None:
        """Restore the warning filters."""
        self.warning_filters.close()

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Future], Any] | None = None
    ) -> TaskFuture:
        """Queue a task and return its future."""
        future = TaskFuture()
        if callback is not None:
            future.add_done_callback(callback)
        self.scheduler.add(self.call, func, future)
        return future

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, future: TaskFuture) -> Any:
        """Return what a task returned, or raise its error."""
        error = future.exception()
        if error is not None:  # the first error of the call, which ends with it
            self.failure = error, future.traceback
        return future.result()

    def retrieval_context(self) -> "_Retrieval":
        """Return the context in which the caller waits for its tasks."""
        return _Retrieval(self, self.call)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel the tasks of this call, and wait a short time for their threads to end."""
        self.scheduler.abort(self.call)
        if ensure_ready:
            self.configure(parallel=self.parallel)

    def get_nested_backend(self) -> tuple["TogetherBackend", None]:
        """Return the backend of calls of Parallel within a task."""
        level = self.nesting_level + 1
        return TogetherBackend(self.max_tasks, self.memory_limit, nesting_level=level), None


@dataclass
class _Retrieval:
    """The context in which a caller waits for its tasks; an error keeps the task's traceback.

    joblib removes the traceback before it raises the error again. This is a class, because
    `contextlib.contextmanager` would remove it as well.
    """

    backend: TogetherBackend
    call: Call

    def __enter__(self) -> None:
        self.backend.scheduler.set_awaited(self.call, True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.backend.scheduler.set_awaited(self.call, False)
        failure, self.backend.failure = self.backend.failure, None
        if failure is not None and error is failure[0]:
            raise error.with_traceback(failure[1])


joblib.register_parallel_backend(NAME, TogetherBackend)


def together(
    max_tasks: int = MAX_TASKS, memory_limit: float = MEMORY_LIMIT
) -> joblib.parallel_config:
    """Train the networks of independent fits together, as one batched computation.

    In the block, everything that runs independent fits through joblib runs them in threads,
    whatever its ``n_jobs``: searches, cross-validation, ensembles of scikit-learn. Before its
    training, each fit of a network waits until all other tasks wait as well, or no fit has arrived
    for a second. Fits with the same layers, activations, batch size, optimizer, dtype and device
    are then trained as one stack. Each gives the result of a separate fit. Other estimators run as
    usual.

    ``joblib.parallel_config("skdnn")`` does the same.

    Calls of Parallel within a task use the same threads and limits, down to the third level of
    nesting, even if the task opens such a block itself; deeper calls run sequentially. With
    ``return_as="generator"`` a result is returned as soon as its own fit has ended. An error of a
    task is raised with the traceback of the task.

    Parameters
    ----------
    max_tasks : int, default=128
        The largest number of tasks at the same time.
    memory_limit : int or float, default=2**30
        Approximate limit in bytes of the data and networks of these tasks. If they are large, fewer
        than `max_tasks` are there at the same time.

    Returns
    -------
    context manager
        The previous backend of joblib is restored at the end of the block.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is not positive.

    See Also
    --------
    skdnn.distributed.data_parallel : Share one fit between several processes.

    Examples
    --------
    >>> import skdnn
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.model_selection import GridSearchCV
    >>> X, y = make_moons(200, noise=0.2, random_state=0)
    >>> clf = skdnn.DeepBinaryClassifier(random_state=0)
    >>> search = GridSearchCV(clf, {"learning_rate": [0.003, 0.01], "n_layers": [2, 3]})
    >>> with skdnn.together():
    ...     bool(search.fit(X, y).best_score_ > 0.9)
    True
    """
    return joblib.parallel_config(NAME, max_tasks=max_tasks, memory_limit=memory_limit)
