"""Tasks in threads, and where their fits wait for each other.

A fit comes here with what it wants to be trained, a request, and waits. Once no task has anything
else to do, or nobody has come for a while, one of the waiting threads trains those of a kind as one
stack, and each goes on with its own result. As many stacks are trained at the same time as torch
has threads.

Threads keep a meeting in order by a lock, and never compute while they hold it.
"""

import heapq
import sys
from collections import defaultdict
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from itertools import count
from threading import Event, Lock, Thread, current_thread
from time import monotonic
from weakref import WeakSet

import joblib
import sklearn
import torch

from skdnn.sharing import training_by

from ._request import Request, in_pieces
from ._stack import train_as_one

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


class Call:
    """A call of Parallel: tasks, and somebody who waits for them.

    Attributes
    ----------
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

    def __init__(self, within):
        self.within, self.level = within, 0 if within is None else within.level + 1
        self.context, self.config = copy_context(), sklearn.get_config()
        self.n_left, self.is_awaited, self.is_blocked, self.has_ended = 0, False, False, False

    @property
    def is_over(self):
        """Whether nobody wants the results any more."""
        return self.has_ended or (self.within is not None and self.within.is_over)


class Asked:
    """A request that waits for its result.

    Attributes
    ----------
    request : Request
    call : Call
    stack : list of Asked
        What its thread is to train, if it is to train.
    n_threads : int or None
        On how many threads; None is as many as if nobody else were there.
    result : TrainingResult, exception or None
    woken : threading.Event
        Set once there is a stack or a result.
    """

    def __init__(self, request, call):
        self.request, self.call = request, call
        self.stack, self.n_threads, self.result, self.woken = [], 1, None, Event()


class Meeting:
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
        return Call(within)

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
            call.has_ended = True
            self._release([asked for asked in self.waiting if asked.call.is_over])
            self._go_on()

    def join(self):
        """Wait for tasks that have been ended, for a little: some may go on for long."""
        until = monotonic() + PATIENCE_AT_THE_END
        with self.lock:
            threads = list(self.threads)
        for thread in threads:
            thread.join(max(0.0, until - monotonic()))

    def train(self, call, network, batches, rule, **options):
        """Return the TrainingResult of what `train` is asked for, trained with others' own."""
        if call.is_over:
            raise KeyboardInterrupt
        asked = Asked(Request(network, batches, rule, options), call)
        with self.comparing:
            asked.request.share_rows(self.rows)
        with self.lock:
            self._limit(asked.request)
            self.waiting.append(asked)
            self.last_came = monotonic()
            self.n_busy -= 1
            self._go_on()
        while asked.result is None:
            if not asked.woken.wait(PATIENCE):
                with self.lock:
                    self._go_on(is_patient=monotonic() < self.last_came + PATIENCE)
            elif asked.stack:
                self._lead(asked)
        if isinstance(asked.result, BaseException):
            raise asked.result
        return asked.result

    def _lead(self, asked):
        """Train the stack that a thread was given, and tell each what came of it."""
        stack, asked.stack = asked.stack, []
        asked.woken.clear()
        # What fits within a training, such as a scorer that does, is nothing to others.
        with TURNS.quick(), training_by(None), joblib.parallel_config("sequential"):
            results = train_as_one(
                [each.request for each in stack],
                lambda: [each.call.is_over for each in stack],
                asked.n_threads,
            )
        with self.lock:
            self.n_training -= self._n_processors(asked)
            self.waiting += stack
            for each, result in zip(stack, results, strict=True):
                each.result = result
            self._release([each for each in stack if each.result is not None])
            self._go_on()

    def _release(self, asked):
        """Let threads go on that have their result, or whose call is over."""
        for each in asked:
            self.waiting.remove(each)
            if each.call.is_over:
                each.result = KeyboardInterrupt()
            self.n_busy += 1
            each.woken.set()

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
        run = partial(call.context.copy().run, self._run, call, task, future)
        thread = Thread(target=run, name=f"{THREAD}-{next(self.numbers)}", daemon=True)
        self.threads.add(thread)
        thread.start()

    def _run(self, call, task, future):
        # Other threads set theirs back and forth meanwhile.
        torch.set_num_threads(self.n_processors)
        try:
            if call.is_over:
                raise KeyboardInterrupt
            with sklearn.config_context(**call.config), training_by(partial(self.train, call)):
                result = task()
        except BaseException as error:  # whatever it is, who asked for the task is to know
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            with self.lock:
                call.n_left -= 1
                self.begun[call.level] -= 1
                self._note(call)
                self.n_busy -= 1
                self.threads.discard(current_thread())
                self._go_on()

    def _begin_trainings(self):
        while self.n_training < self.n_processors and (stack := self._next_stack()):
            self.waiting = [asked for asked in self.waiting if asked not in stack]
            leader, goes_on = stack[0], self.n_busy + self.n_training + len(self.waiting) > 0
            is_shared = goes_on or (self.queue and self._is_below_limit())
            leader.stack, leader.n_threads = stack, 1 if is_shared else None
            self.n_training += self._n_processors(leader)
            leader.woken.set()

    def _n_processors(self, leader):
        """Return how many processors a training takes."""
        if leader.n_threads is None or leader.request.needs_its_threads:
            return self.n_processors
        return 1

    def _next_stack(self):
        """Return the stack that has most to compute, an empty list where nobody waits."""
        kinds = defaultdict(list)
        for asked in self.waiting:
            kinds[asked.request.kind].append(asked)
        n_idle = self.n_processors - self.n_training - (len(kinds) - 1)
        stacks = [
            piece for of_a_kind in kinds.values() for piece in in_pieces(of_a_kind, max(1, n_idle))
        ]
        return max(stacks, key=lambda stack: sum(each.request.work for each in stack), default=[])
