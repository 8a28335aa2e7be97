"""joblib's view of a meeting: a backend whose tasks are threads.

What runs independent fits through joblib is served without knowing it: searches,
cross-validation, ensembles of scikit-learn's.
"""

import warnings
from concurrent.futures import Future
from contextlib import ExitStack
from numbers import Integral, Real

import joblib
from joblib.parallel import FallbackToBackend, ParallelBackendBase, SequentialBackend

from ._scheduler import Scheduler, current_call

NAME = "skdnn"
MAX_TASKS = 128
MEMORY_LIMIT = 2**30
# Calls of Parallel that are nested deeper run their tasks one after the other. joblib's own
# backends do so from level 2; a cross-validation of a search of ensembles has three levels, 0 to 2.
DEEPEST_LEVEL = 2


class TogetherBackend(ParallelBackendBase):
    """Runs each task in a thread; a call of Parallel within a task shares the meeting.

    Parameters
    ----------
    max_tasks, memory_limit : int, float
        See `together`. Within a task those of the outermost call apply.
    **options
        Of joblib's.
    """

    supports_retrieve_callback = True
    supports_sharedmem = True
    uses_threads = True

    def __init__(
        self,
        max_tasks=MAX_TASKS,
        memory_limit=MEMORY_LIMIT,
        **options,
    ):
        super().__init__(**options)
        _check("max_tasks", max_tasks, Integral, "a whole number")
        _check("memory_limit", memory_limit, Real, "a number")
        self.max_tasks, self.memory_limit = max_tasks, memory_limit
        self.scheduler = self.call = self.failure = None
        self.filters = ExitStack()

    def effective_n_jobs(self, n_jobs):
        """Return how many tasks there are at a time, whatever n_jobs says."""
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0: -1 is all processors, None what is usual.")
        return 1 if self._is_too_deep() else self.max_tasks

    def configure(self, n_jobs=1, parallel=None, **options):
        """Begin a call of Parallel."""
        if self._is_too_deep():
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel, within = parallel, current_call()
        self.scheduler = (
            within.scheduler if within else Scheduler(self.max_tasks, self.memory_limit)
        )
        self.call = self.scheduler.new_call(within)
        return self.effective_n_jobs(n_jobs)

    def _is_too_deep(self):
        return (self.nesting_level or 0) > DEEPEST_LEVEL

    def start_call(self):
        """Keep the filters of warnings: scikit-learn sets them in each task, for all threads."""
        if self.call.within is None:
            self.filters.enter_context(warnings.catch_warnings())

    def stop_call(self):
        """Give back what was kept."""
        self.filters.close()

    def submit(self, func, callback=None):
        """Let a task begin as soon as there is room, and return its Future."""
        future = Future()
        future.add_done_callback(callback)
        self.scheduler.add(self.call, func, future)
        return future

    apply_async = submit  # as joblib before 1.5 calls it

    def retrieve_result_callback(self, future):
        """Return what a task returned, or raise what it raised."""
        error = future.exception()
        if error is not None:  # the first of the call, which ends with it
            self.failure = error, future.traceback
        return future.result()

    def retrieval_context(self):
        """Return the context in which the caller waits for its tasks."""
        return _Retrieval(self)

    def abort_everything(self, ensure_ready=True):
        """End the tasks of this call, and wait a little for them to end."""
        self.scheduler.end(self.call)
        if self.call.within is None:
            self.scheduler.join()
        if ensure_ready:
            self.configure(parallel=self.parallel)

    def get_nested_backend(self):
        """Return the backend of calls within a task: their fits meet all others."""
        level = self.nesting_level + 1
        return TogetherBackend(self.max_tasks, self.memory_limit, nesting_level=level), None


class _Retrieval:
    """The caller waits for its tasks; an error of a task is raised with the task's traceback.

    joblib removes the traceback before it raises the error again. This is a class, since
    `contextlib.contextmanager` sets the traceback back as well.
    """

    def __init__(self, backend):
        self.backend, self.call = backend, backend.call

    def __enter__(self):
        self.backend.scheduler.await_tasks(self.call, True)

    def __exit__(self, kind, error, traceback):
        self.backend.scheduler.await_tasks(self.call, False)
        failure, self.backend.failure = self.backend.failure, None
        if failure is not None and error is failure[0]:
            raise error.with_traceback(failure[1])


joblib.register_parallel_backend(NAME, TogetherBackend)


def together(max_tasks=MAX_TASKS, memory_limit=MEMORY_LIMIT):
    """Let fits that joblib runs be trained as one stack, where they fit together.

    In the block, whatever runs independent fits through joblib does so in threads: searches,
    cross-validation, ensembles of scikit-learn's, whatever their ``n_jobs`` says. Each fit of a
    network waits where its training begins, until no other task has anything to do or none has come
    for a second; those that have the same layers, activations, batch size, optimizer, dtype and
    device are then trained as one stack. What each ends with is what it reaches alone. Other
    estimators just run.

    ``joblib.parallel_config("skdnn")`` is the same.

    Calls of Parallel that are nested in a task share its threads and limits, down to the third
    level, also where the task opens such a block itself; deeper ones run sequentially. With
    ``return_as="generator"`` a result is returned when its own fit has ended. An error of a task is
    raised with the traceback of the task.

    Parameters
    ----------
    max_tasks : int, default=128
        How many tasks are there at the same time, at the most.
    memory_limit : int or float, default=2**30
        Bytes that the data of those tasks and their networks may take, about: where they are
        large, fewer than `max_tasks` wait for each other.

    Returns
    -------
    context manager
        Outside of which joblib does what it did before.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of another type, or not positive.

    See Also
    --------
    skdnn.distributed.data_parallel : One fit shared by several processes.

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


def _check(name, value, kind, description):
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"{name} must be {description} above 0, got {value!r}.")
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value!r}.")
