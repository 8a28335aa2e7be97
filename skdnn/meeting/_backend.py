"""joblib's view of a meeting: a backend whose tasks are threads.

What runs independent fits through joblib is served without knowing it: searches,
cross-validation, ensembles of scikit-learn's.
"""

import warnings
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from numbers import Integral, Real

import joblib
from joblib.parallel import ParallelBackendBase

from ._meeting import Meeting

NAME = "skdnn"
MAX_TASKS = 128
MEMORY_LIMIT = 2**30


class TogetherBackend(ParallelBackendBase):
    """Runs each task in a thread; a call of Parallel within a task shares the meeting.

    Parameters
    ----------
    max_tasks, memory_limit : int, float
        See `together`.
    meeting : Meeting or None, default=None
        Of the call around this one.
    within : Call or None, default=None
        The call around this one.
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
        *,
        meeting=None,
        within=None,
        nesting_level=None,
        **options,
    ):
        super().__init__(nesting_level=nesting_level or 0, **options)
        _check("max_tasks", max_tasks, Integral, "a whole number")
        _check("memory_limit", memory_limit, Real, "a number")
        self.max_tasks, self.memory_limit = max_tasks, memory_limit
        self.meeting, self.within, self.call = meeting, within, None
        self.filters = ExitStack()

    def effective_n_jobs(self, n_jobs):
        """Return how many tasks there are at a time, whatever n_jobs says."""
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0: -1 is all processors, None what is usual.")
        return self.max_tasks

    def configure(self, n_jobs=1, parallel=None, **options):
        """Begin a call of Parallel."""
        self.parallel = parallel
        meeting = self.meeting if self.within else Meeting(self.max_tasks, self.memory_limit)
        self.meeting, self.call = meeting, meeting.new_call(self.within)
        return self.effective_n_jobs(n_jobs)

    def start_call(self):
        """Keep the filters of warnings: scikit-learn sets them in each task, for all threads."""
        if self.within is None:
            self.filters.enter_context(warnings.catch_warnings())

    def stop_call(self):
        """Give back what was kept."""
        self.filters.close()

    def submit(self, func, callback=None):
        """Let a task begin as soon as there is room, and return its Future."""
        future = Future()
        future.add_done_callback(callback)
        self.meeting.add(self.call, func, future)
        return future

    apply_async = submit  # as joblib before 1.5 calls it

    def retrieve_result_callback(self, future):
        """Return what a task returned, or raise what it raised."""
        return future.result()

    @contextmanager
    def retrieval_context(self):
        """Know that the caller waits for its tasks."""
        call = self.call
        self.meeting.await_tasks(call, True)
        try:
            yield
        finally:
            self.meeting.await_tasks(call, False)

    def abort_everything(self, ensure_ready=True):
        """End the tasks of this call, and wait a little for them to end."""
        self.meeting.end(self.call)
        if self.within is None:
            self.meeting.join()
        if ensure_ready:
            self.configure(parallel=self.parallel)

    def get_nested_backend(self):
        """Return the backend of calls within a task: their fits meet all others."""
        nested = TogetherBackend(
            self.max_tasks,
            self.memory_limit,
            meeting=self.meeting,
            within=self.call,
            nesting_level=self.nesting_level + 1,
        )
        return nested, None


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
