"""Tasks in threads, and where their fits wait for each other.

A fit comes here with what it wants to be trained, a request, and waits. Once no task has anything
else to do, or nobody has come for a while, those of a kind are trained as one stack, and each goes
on with its own result as soon as its own networks have ended. As many stacks are trained at the
same time as torch has threads.

Threads keep a meeting in order by a lock, and never compute while they hold it.
"""

import heapq
import sys
from collections import defaultdict
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from itertools import count
from threading import Event, Lock, Thread, current_thread
from time import monotonic
from weakref import WeakSet

import joblib
import sklearn
import torch
from joblib.parallel import SequentialBackend, get_active_backend

from skdnn.processes import training_by

from ._request import Request, in_pieces
from ._stack import train_stack

# Where nobody has come for so many seconds, those who wait are trained: the others may compute
# something else for long, or wait themselves for one who waits here.
PATIENCE = 1.0
PATIENCE_AT_THE_END = 2.0
THREAD = "skdnn-task"  # how the names of threads begin
# For how long a thread has Python at a time, in seconds. Operations of a step are shorter than
# Python's own 5 ms, for which a second thread would mostly wait.
TURN = 5e-4


class _Turns:
    """Lets threads that train at the same time take quicker turns, and gives back what it found."""

    def __init__(self):
        self.lock, self.n_inside, self.found = Lock(), 0, None

    @contextmanager
    def quick(self):
        """Take quick turns in the block."""
        with self.lock:
            if self.n_inside == 0:
                self.found = sys.getswitchinterval()
                sys.setswitchinterval(min(TURN, self.found))
            self.n_inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.n_inside -= 1
                if self.n_inside == 0:
                    sys.setswitchinterval(self.found)


TURNS = _Turns()

_call: ContextVar = ContextVar("call", default=None)


def current_call():
    """Return the Call whose task runs in this thread, None outside of tasks."""
    return _call.get()


@contextmanager
def _in_task_of(call):
    """Run a task of a Call in the block; None: outside of tasks."""
    token = _call.set(call)
    try:
        with training_by(call and partial(call.scheduler.train, call)):
            yield
    finally:
        _call.reset(token)


class Call:
    """A call of Parallel: tasks, and somebody who waits for them.

    Attributes
    ----------
    scheduler : Meeting
    within : Call or None
        That of the task which called.
    level : int
        How many calls are around it.
    context : contextvars.Context
        In which each task finds what the caller has set.
    config : dict
        scikit-learn's, which it keeps for each thread.
    n_left : int
        Tasks that have not ended.
    is_awaited : bool
        Whether the caller does nothing but wait for them.
    is_blocked : bool
        Whether it must: there are some.
    """

    def __init__(self, scheduler, within):
        self.scheduler, self.within = scheduler, within
        self.level = 0 if within is None else within.level + 1
        self.context, self.config = copy_context(), sklearn.get_config()
        self.n_left, self.is_awaited, self.is_blocked, self.has_ended = 0, False, False, False

    @property
    def is_over(self):
        """Whether nobody wants the results any more."""
        return self.has_ended or (self.within is not None and self.within.is_over)


class PendingRequest:
    """A request that waits for its result.

    Attributes
    ----------
    request : Request
    call : Call
    context : contextvars.Context
        Of the thread of its fit.
    config : dict
        scikit-learn's in that thread.
    nesting_level : int
        joblib's in that thread.
    training : callable or None
        What its thread is to do, if it is to train.
    result : TrainingResult, exception or None
    woken : threading.Event
        Set once there is a training or a result.
    """

    def __init__(self, request, call):
        self.request, self.call = request, call
        self.context, self.config = copy_context(), sklearn.get_config()
        self.nesting_level = get_active_backend()[0].nesting_level
        self.training, self.result, self.woken = None, None, Event()


class Scheduler:
    """The tasks of a call of Parallel, and of all calls within them.

    Parameters
    ----------
    max_tasks : int
    memory_limit : float
        Bytes.
    """

    def __init__(self, max_tasks, memory_limit):
        self.max_tasks, self.memory_limit = max_tasks, memory_limit
        self.n_processors = torch.get_num_threads()
        self.lock, self.comparing = Lock(), Lock()
        self.queue, self.numbers = [], count()
        self.begun = defaultdict(int)  # tasks, by level
        self.threads, self.waiting, self.rows = set(), [], WeakSet()
        self.last_came = 0.0  # when somebody began to wait
        self.n_busy = 0  # threads that do something else than train or wait
        self.n_training = 0  # processors that train

    def new_call(self, within):
        """Return a Call; its caller, of the outermost one, is busy until it awaits the tasks."""
        with self.lock:
            self.n_busy += within is None
        return Call(self, within)

    def add(self, call, task, future):
        """Let a task, a function without arguments, begin as soon as there is room."""
        with self.lock:
            call.n_left += 1
            # Those within others first: for them somebody waits.
            heapq.heappush(self.queue, (-call.level, next(self.numbers), call, task, future))
            self._note(call)
            self._go_on()

    def await_tasks(self, call, is_awaited):
        """Know whether the caller does nothing but wait for its tasks."""
        with self.lock:
            call.is_awaited = is_awaited
            self._note(call)
            self._go_on()

    def end(self, call):
        """End the tasks of a call: those that wait, and trainings after their epoch."""
        with self.lock:
            if call.within is None and not call.has_ended:
                self.n_busy -= 1  # its caller, so that tasks in the queue begin, and end at once
            call.has_ended = True
            for pending in self.waiting:
                if pending.call.is_over:
                    self._release(pending)
            self.waiting = [pending for pending in self.waiting if pending.result is None]
            self._go_on()

    def join(self):
        """Wait for tasks that have been ended, for a little: some may go on for long."""
        until = monotonic() + PATIENCE_AT_THE_END
        with self.lock:
            threads = list(self.threads)
        for thread in threads:
            thread.join(max(0.0, until - monotonic()))

    def train(self, call, network, batches, optimizer, **options):
        """Return the TrainingResult of what `train` is asked for, trained with others' own."""
        if call.is_over:
            raise KeyboardInterrupt
        pending = PendingRequest(Request(network, batches, optimizer, options), call)
        with self.comparing:
            pending.request.share_rows(self.rows)
        with self.lock:
            self._limit(pending.request)
            self.waiting.append(pending)
            self.last_came = monotonic()
            self.n_busy -= 1
            self._go_on()
        while pending.result is None:
            if not pending.woken.wait(PATIENCE):
                with self.lock:
                    self._go_on(is_patient=monotonic() < self.last_came + PATIENCE)
            elif pending.training is not None:
                training, pending.training = pending.training, None
                pending.woken.clear()
                training()
        if isinstance(pending.result, BaseException):
            raise pending.result
        return pending.result

    def _train(self, stack, n_threads, n_processors):
        """Train a stack on so many processors, and hand out each result once it is there."""

        def hand_out(results):
            with self.lock:
                for k, result in results.items():
                    self._release(stack[k], result)
                self._go_on()

        # What fits within a training, such as a scorer that does, is nothing to others.
        backend = SequentialBackend(nesting_level=stack[0].nesting_level)
        try:
            with TURNS.quick(), _in_task_of(None), joblib.parallel_config(backend):
                results = train_stack(
                    [each.request for each in stack],
                    lambda: [each.call.is_over for each in stack],
                    n_threads,
                    hand_out,
                )
        except BaseException as error:  # such as a RecursionError: no fit may wait for ever
            results = {k: error for k, each in enumerate(stack) if each.result is None}
        with self.lock:
            self.n_training -= n_processors
            for k, result in results.items():
                self._release(stack[k], result)
            self.waiting += [each for each in stack if each.result is None]
            self._go_on()

    def _release(self, pending, result=None):
        """Let a thread go on that has its result, or whose call is over."""
        pending.result = KeyboardInterrupt() if pending.call.is_over else result
        self.n_busy += 1
        pending.woken.set()

    def _note(self, call):
        is_blocked = call.is_awaited and call.n_left > 0
        self.n_busy += call.is_blocked - is_blocked
        call.is_blocked = is_blocked

    def _limit(self, request):
        """Learn from a request how many tasks memory has room for."""
        self.max_tasks = max(1, min(self.max_tasks, int(self.memory_limit / request.n_bytes)))

    def _go_on(self, is_patient=True):
        """Begin tasks, as many as there may be; then trainings, the best of them first."""
        while self._more_may_come() and self.n_busy + self.n_training < self.n_processors:
            self._begin_task()
        if self.n_busy <= 0 or not is_patient:
            self._begin_trainings()

    def _more_may_come(self):
        """Tell whether a task waits for nothing but a processor."""
        if not self.queue:
            return False
        goes_on = self.n_busy + self.n_training + len(self.waiting)
        return not goes_on or self._is_below_limit()

    def _is_below_limit(self):
        level = self.queue[0][2].level
        return self.begun[level] < self.max_tasks

    def _begin_task(self):
        _, _, call, task, future = heapq.heappop(self.queue)
        self.n_busy += 1
        self.begun[call.level] += 1
        self._begin_thread(partial(self._run, call, task, future), call.context, call.config)

    def _begin_thread(self, function, context, config):
        """Call a function in a thread of its own, with a context and scikit-learn's config."""

        def run():
            torch.set_num_threads(self.n_processors)  # others set theirs back and forth meanwhile
            try:
                with sklearn.config_context(**config):
                    function()
            finally:
                self.threads.discard(current_thread())

        name = f"{THREAD}-{next(self.numbers)}"
        thread = Thread(target=context.copy().run, args=(run,), name=name, daemon=True)
        self.threads.add(thread)
        thread.start()

    def _run(self, call, task, future):
        try:
            if call.is_over:
                raise KeyboardInterrupt
            with _in_task_of(call):
                result = task()
        except BaseException as error:  # whatever it is, who asked for the task is to know
            # Another task may raise the same object, whose traceback would grow.
            future.traceback, error.__traceback__ = error.__traceback__, None
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            with self.lock:
                call.n_left -= 1
                self.begun[call.level] -= 1
                self._note(call)
                self.n_busy -= 1
                self._go_on()

    def _begin_trainings(self):
        while self.n_training < self.n_processors and (stack := self._next_stack()):
            self.waiting = [pending for pending in self.waiting if pending not in stack]
            leader, goes_on = stack[0], self.n_busy + self.n_training + len(self.waiting) > 0
            is_shared = goes_on or (self.queue and self._is_below_limit())
            takes_all = not is_shared or leader.request.needs_its_threads
            n_processors = self.n_processors if takes_all else 1
            self.n_training += n_processors
            training = partial(self._train, stack, 1 if is_shared else None, n_processors)
            if len(stack) == 1:
                leader.training = training
                leader.woken.set()
            else:  # no fit of the stack waits for the longest of them
                self._begin_thread(training, leader.context, leader.config)

    def _next_stack(self):
        """Return the stack that has most to compute, an empty list where nobody waits."""
        kinds = defaultdict(list)
        for pending in self.waiting:
            kinds[pending.request.kind].append(pending)
        n_idle = self.n_processors - self.n_training - (len(kinds) - 1)
        stacks = [
            piece for of_a_kind in kinds.values() for piece in in_pieces(of_a_kind, max(1, n_idle))
        ]
        return max(stacks, key=lambda stack: sum(each.request.work for each in stack), default=[])
