"""Run tasks in threads, and train the networks that they fit together.

A fit in a task requests its training here and waits. As soon as all tasks wait, or no new request
has arrived for a while, requests with equal stack keys are trained as one stack. Each fit continues
as soon as its own networks have ended. As many stacks are trained at the same time as torch has
threads.

The state of a scheduler is protected by a lock. No thread computes while it holds the lock.
"""

import heapq
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import partial
from itertools import count
from threading import Lock, Thread, current_thread
from time import monotonic
from types import TracebackType
from typing import Any
from weakref import WeakSet

import joblib
import sklearn
import torch
from joblib.parallel import SequentialBackend

from skdnn.processes import use_trainer
from skdnn.training import TrainingConfig, TrainingResult, train

from ._request import Call, Request, split_into_stacks
from ._stack import Results, train_stack

# Waiting requests are trained if none has arrived for so many seconds: other tasks may compute
# something else for long, or wait for a fit that waits here.
ARRIVAL_TIMEOUT = 1.0
JOIN_TIMEOUT = 2.0  # seconds that an aborted call waits for the threads of its tasks
THREAD_NAME = "skdnn-task"
# After so many seconds Python may switch to another thread. With Python's own 5 ms, which is longer
# than most operations of a training step, a second training would mostly wait.
SWITCH_INTERVAL = 5e-4

_switch_lock = Lock()
_switch_intervals: list[float] = []  # found by the trainings that run; the first is the user's


@contextmanager
def _short_switch_interval() -> Iterator[None]:
    """Let threads take shorter turns in the block; the last of several blocks restores them."""
    with _switch_lock:
        _switch_intervals.append(sys.getswitchinterval())
        sys.setswitchinterval(min(SWITCH_INTERVAL, _switch_intervals[0]))
    try:
        yield
    finally:
        with _switch_lock:
            found = _switch_intervals.pop()
            if not _switch_intervals:
                sys.setswitchinterval(found)


# The scheduler and the call of joblib.Parallel whose task runs in this thread.
current_task: ContextVar["tuple[Scheduler, Call] | None"] = ContextVar("task", default=None)


class TaskFuture(Future):
    """The result of a task, and the traceback of its error, which joblib would drop."""

    traceback: TracebackType | None = None


class Scheduler:
    """Schedule the tasks of a call of `joblib.Parallel` and of all calls nested in it.

    Parameters
    ----------
    max_tasks : int
        Tasks of each depth that run or wait at the same time.
    memory_limit : float
        Bytes.
    """

    def __init__(self, max_tasks: int, memory_limit: float) -> None:
        self.max_tasks, self.memory_limit = max_tasks, memory_limit
        self.n_processors = torch.get_num_threads()
        self.lock = Lock()
        # A heap of tasks that have not started: (-depth, number, call, function, future).
        self.queue: list[tuple[int, int, Call, Callable[[], Any], TaskFuture]] = []
        self.numbers = count()
        self.n_started: defaultdict[int, int] = defaultdict(int)  # unfinished tasks by depth
        self.threads: set[Thread] = set()
        self.waiting: list[Request] = []
        self.last_arrival = 0.0  # of a request
        self.known_rows: WeakSet = WeakSet()  # encoded rows of requests
        self.known_rows_lock = Lock()
        self.n_busy = 1  # threads that neither train nor wait: at first the caller
        self.n_training = 0  # processors in use by trainings

    def add(self, call: Call, function: Callable[[], Any], future: TaskFuture) -> None:
        """Queue a task, which starts as soon as there is room."""
        with self.lock:
            call.n_left += 1
            # Tasks of nested calls start first, because another task waits for them.
            heapq.heappush(self.queue, (-call.depth, next(self.numbers), call, function, future))
            self._update_blocked(call)
            self._schedule()

    def set_awaited(self, call: Call, is_awaited: bool) -> None:
        """Note whether the caller waits for its tasks."""
        with self.lock:
            call.is_awaited = is_awaited
            self._update_blocked(call)
            self._schedule()

    def abort(self, call: Call) -> None:
        """Cancel the tasks of a call: queued ones at once, trainings after their epoch."""
        with self.lock:
            if call.parent is None and not call.was_aborted:
                self.n_busy -= 1  # the caller, so that queued tasks start and end at once
            call.was_aborted = True
            for request in self.waiting:
                if request.call.is_cancelled:
                    self._finish(request)
            self.waiting = [request for request in self.waiting if request.result is None]
            self._schedule()
            threads = list(self.threads) if call.parent is None else []
        end = monotonic() + JOIN_TIMEOUT
        for thread in threads:
            thread.join(max(0.0, end - monotonic()))

    def train(
        self,
        call: Call,
        network: Any,
        batches: Any,
        optimizer: Any,
        config: TrainingConfig,
        **options: Any,
    ) -> TrainingResult:
        """Do what `skdnn.training.train` does, together with other fits."""
        if call.is_cancelled:
            raise KeyboardInterrupt
        request = Request(call, network, batches, optimizer, config, options)
        with self.known_rows_lock:
            request.reuse_rows(self.known_rows)
        with self.lock:
            n_in_memory = int(self.memory_limit / request.n_bytes)
            self.max_tasks = max(1, min(self.max_tasks, n_in_memory))
            self.waiting.append(request)
            self.last_arrival = monotonic()
            self.n_busy -= 1
            self._schedule()
        while request.result is None:
            if not request.wake.wait(ARRIVAL_TIMEOUT):
                with self.lock:
                    self._schedule(trains=monotonic() >= self.last_arrival + ARRIVAL_TIMEOUT)
            elif request.run_training is not None:
                run_training, request.run_training = request.run_training, None
                request.wake.clear()
                run_training()
        if isinstance(request.result, BaseException):
            raise request.result
        return request.result

    def _schedule(self, trains: bool = False) -> None:
        """Start tasks while there is room, then trainings if all tasks wait or `trains` is set.

        This and the methods below, except for `_train` and `_run`, need the lock.
        """
        while self.queue and self.n_busy + self.n_training < self.n_processors:
            is_idle = self.n_busy + self.n_training + len(self.waiting) == 0
            if not (is_idle or self._has_room()):
                break
            _, _, call, function, future = heapq.heappop(self.queue)
            self.n_busy += 1
            self.n_started[call.depth] += 1
            task = partial(self._run, call, function, future)
            self._start_thread(task, call.context, call.config)
        if self.n_busy <= 0 or trains:
            self._start_trainings()

    def _has_room(self) -> bool:
        """Return whether the limit of tasks lets the next queued task start."""
        return self.n_started[self.queue[0][2].depth] < self.max_tasks

    def _start_trainings(self) -> None:
        """Start to train stacks of waiting requests while there are idle processors."""
        while self.n_training < self.n_processors and self.waiting:
            stack = self._largest_stack()
            self.waiting = [request for request in self.waiting if request not in stack]
            first = stack[0]
            is_shared = self.n_busy + self.n_training + len(self.waiting) > 0 or (
                bool(self.queue) and self._has_room()
            )
            takes_all = not is_shared or first.fixes_n_threads
            n_processors = self.n_processors if takes_all else 1
            self.n_training += n_processors
            training = partial(self._train, stack, 1 if is_shared else None, n_processors)
            if len(stack) == 1:
                first.run_training = training
                first.wake.set()
            else:  # in no thread of a fit, which could not continue before the whole stack ends
                self._start_thread(training, first.context, first.sklearn_config)

    def _largest_stack(self) -> list[Request]:
        """Return the stack of waiting requests that has most to compute in an epoch."""
        by_key = defaultdict(list)
        for request in self.waiting:
            by_key[request.stack_key].append(request)
        n_idle = max(1, self.n_processors - self.n_training - (len(by_key) - 1))
        stacks = [stack for same in by_key.values() for stack in split_into_stacks(same, n_idle)]
        return max(
            stacks,
            key=lambda stack: sum(each.operations * each.batches.n_steps for each in stack),
        )

    def _start_thread(
        self, function: Callable[[], None], context: Context, config: dict[str, Any]
    ) -> None:
        """Call a function in a new thread with context variables and scikit-learn's config."""

        def run() -> None:
            torch.set_num_threads(self.n_processors)  # other threads may have set another number
            try:
                with sklearn.config_context(**config):
                    function()
            finally:
                self.threads.discard(current_thread())

        name = f"{THREAD_NAME}-{next(self.numbers)}"
        thread = Thread(target=context.copy().run, args=(run,), name=name, daemon=True)
        self.threads.add(thread)
        thread.start()

    def _update_blocked(self, call: Call) -> None:
        is_blocked = call.is_awaited and call.n_left > 0
        self.n_busy += call.is_blocked - is_blocked
        call.is_blocked = is_blocked

    def _finish(
        self, request: Request, result: TrainingResult | BaseException | None = None
    ) -> None:
        """Give a request its result, or an interrupt if it is cancelled, and wake its thread."""
        request.result = KeyboardInterrupt() if request.call.is_cancelled else result
        self.n_busy += 1
        request.wake.set()

    def _run(self, call: Call, function: Callable[[], Any], future: TaskFuture) -> None:
        """Run a task in this thread."""
        try:
            if call.is_cancelled:
                raise KeyboardInterrupt
            with self._task_of(call):
                result = function()
        except BaseException as error:  # raised in the thread that waits for the task
            # Another task may raise the same object, whose traceback would grow.
            future.traceback, error.__traceback__ = error.__traceback__, None
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            with self.lock:
                call.n_left -= 1
                self.n_started[call.depth] -= 1
                self._update_blocked(call)
                self.n_busy -= 1
                self._schedule()

    def _train(self, stack: list[Request], n_threads: int | None, n_processors: int) -> None:
        """Train a stack in this thread, and give each request its result as soon as it is there."""

        def deliver(results: Results) -> None:
            with self.lock:
                for k, result in results.items():
                    self._finish(stack[k], result)
                self._schedule()

        # A fit within a training, such as in a scorer, is an ordinary one.
        backend = SequentialBackend(nesting_level=stack[0].nesting_level)
        try:
            with (
                _short_switch_interval(),
                self._task_of(None),
                joblib.parallel_config(backend),
            ):
                results = train_stack(stack, n_threads, deliver)
        except BaseException as error:  # such as a RecursionError; without it fits would hang
            results = {k: error for k, request in enumerate(stack) if request.result is None}
        with self.lock:
            self.n_training -= n_processors
            for k, result in results.items():
                self._finish(stack[k], result)
            self.waiting += [request for request in stack if request.result is None]
            self._schedule()

    @contextmanager
    def _task_of(self, call: Call | None) -> Iterator[None]:
        """Let fits in the block be trained by the scheduler; if `call` is None, as usual."""
        token = current_task.set(None if call is None else (self, call))
        try:
            with use_trainer(train if call is None else partial(self.train, call)):
                yield
        finally:
            current_task.reset(token)
