"""Requests for training, and which of them can be trained as one stack of networks."""

from collections.abc import Callable, Hashable
from contextvars import copy_context
from itertools import pairwise
from threading import Event
from typing import Any
from weakref import WeakSet

import numpy as np
import sklearn
import torch
from joblib.parallel import get_active_backend

from skdnn.data.batches import Batches, DenseRows
from skdnn.network import ACTIVATIONS, Network
from skdnn.training import (
    OPERATIONS_WORTH_GROUPS,
    OPERATIONS_WORTH_THREADS,
    ThreadPool,
    TrainingConfig,
    TrainingResult,
    operations_per_step,
    optimizer_kind,
)

# A stack saves the overhead of each operation. Beyond these limits the overhead no longer matters,
# and the parameters no longer fit into the processor's cache.
MAX_NETWORKS = 32
MAX_OPERATIONS = 1e8  # of a step
MAX_PARAMETER_BYTES = 2**21
# Memory of a waiting fit besides its encoded rows: the given and the decoded rows, of up to eight
# bytes a number; the weights, their gradient, the tensors of the optimizer, the best weights.
COPIES_OF_ROWS, COPIES_OF_THETA = 2, 8


class Call:
    """A call of `joblib.Parallel`.

    Parameters
    ----------
    parent : Call or None
        The call whose task made this one.

    Attributes
    ----------
    depth : int
        How many calls this one is nested in.
    context : contextvars.Context
        The context variables of the caller, which its tasks see.
    config : dict
        scikit-learn's configuration in the thread of the caller.
    n_left : int
        Tasks that have not ended.
    is_awaited : bool
        Whether the caller waits for its tasks.
    is_blocked : bool
        Whether the caller waits for tasks that have not ended.
    was_aborted : bool
    """

    def __init__(self, parent: "Call | None") -> None:
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.context, self.config = copy_context(), sklearn.get_config()
        self.n_left, self.is_awaited, self.is_blocked, self.was_aborted = 0, False, False, False

    @property
    def is_cancelled(self) -> bool:
        """Whether this call or one around it was aborted, so that nobody needs the results."""
        return self.was_aborted or (self.parent is not None and self.parent.is_cancelled)


class Request:
    """A call of `train` by a fit, which waits for the result.

    Parameters
    ----------
    call : Call
        The call of `joblib.Parallel` whose task fits.
    network : Network
    batches : Batches
    optimizer : optimizer of `make_optimizer`
    config : TrainingConfig
    options : dict
        The keyword arguments of `train`.

    Attributes
    ----------
    n_networks : int
    generators : list of torch.Generator
        All generators from which the training draws.
    dense_batches : list of Batches
        The batches whose encoded rows are in memory.
    operations : float
        Floating point operations of a step.
    fixes_n_threads : bool
        Whether the training must run on the number of threads that a separate fit would use: the
        user has given it, or dropout masks depend on it.
    stack_key : hashable
        Requests with equal keys can be trained as one stack. A request that must be trained alone
        has a key of its own.
    n_bytes : int
        Approximate memory of its data and networks.
    context, sklearn_config, nesting_level : contextvars.Context, dict, int
        Context variables, scikit-learn's configuration and joblib's level in the thread of the fit.
    run_training : callable or None
        Set if the thread of the fit is to train the network itself.
    result : TrainingResult, exception or None
    wake : threading.Event
        Set once there is `run_training` or `result`.
    """

    def __init__(
        self,
        call: Call,
        network: Network,
        batches: Any,
        optimizer: Any,
        config: TrainingConfig,
        options: dict[str, Any],
    ) -> None:
        self.call, self.network, self.batches = call, network, batches
        self.optimizer, self.config, self.options = optimizer, config, options
        self.n_networks: int = network.n_networks or 1
        self.generators = [*batches.generators, *options["generators"]]
        self.operations = operations_per_step(network, batches)
        self.fixes_n_threads = config.n_threads not in (None, 1) or (
            network.drops and self.operations >= OPERATIONS_WORTH_THREADS
        )
        both = [each for each in (batches, options["validation"]) if each is not None]
        self.dense_batches = [each for each in both if isinstance(each.rows, DenseRows)]
        can_be_stacked = (
            optimizer_kind(config.optimizer).has_state
            # A user's own function may depend on the shape of its argument.
            and all(g in ACTIVATIONS.values() for g in network.activations[1:])
            and all(type(each) is Batches for each in both)
            and not options["observers"]
            and options["on_start"] is None
            and options["processes"].size == 1
            and config.n_threads is None
            and not self.fixes_n_threads
            and config.learning_rate <= torch.finfo(network.theta.dtype).max  # type: ignore[operator]
        )
        self.stack_key: Hashable = self._stack_key() if can_be_stacked else object()
        self.n_bytes = COPIES_OF_THETA * network.theta.nbytes + sum(
            rows.X.nbytes + COPIES_OF_ROWS * 8 * rows.shape[0] * rows.n_columns
            for rows in (each.rows for each in self.dense_batches)
        )
        self.context, self.sklearn_config = copy_context(), sklearn.get_config()
        self.nesting_level = get_active_backend()[0].nesting_level
        self.run_training: Callable[[], None] | None = None
        self.result: TrainingResult | BaseException | None = None
        self.wake = Event()

    def _stack_key(self) -> Hashable:
        """Return what the requests of a stack must have in common."""
        options, network, batches = self.options, self.network, self.batches
        return (
            self.config.stack_key(),
            network.layer_sizes,
            tuple(g.name for g in network.activations[1:]),
            network.output.name,
            network.n_networks,
            tuple(network.dropout),
            network.theta.dtype,
            network.theta.device,
            network.embedding,
            options["validation"] is None,
            options["score"] is None,
            options["criterion"] is None,
            batches.n_steps,
            batches.batch_size if batches.n_steps > 1 else None,
            # Dropout draws a number for each row.
            batches.n_rows if network.drops else None,
        )

    def reuse_rows(self, known: WeakSet) -> None:
        """Replace encoded rows by equal ones of other requests, and add new ones to `known`."""
        for batches in self.dense_batches:
            equal = (rows for rows in known if rows.equals(batches.rows))
            batches.rows = next(equal, batches.rows)
            known.add(batches.rows)


def split_into_stacks(requests: list[Request], n_processors: int) -> list[list[Request]]:
    """Return requests with equal stack keys in stacks of about equal size.

    There are as many stacks as their limits require, or as many as idle processors if the work is
    large enough to occupy them.
    """
    one, theta = requests[0], requests[0].network.theta
    n_stacks = 1  # a GPU has use for all networks at once
    if theta.is_cpu:
        max_size = min(
            MAX_NETWORKS / one.n_networks,
            MAX_OPERATIONS / one.operations,
            MAX_PARAMETER_BYTES / theta.nbytes,
        )
        operations = sum(request.operations for request in requests)
        n_worth = ThreadPool(n=n_processors).worth(operations, OPERATIONS_WORTH_GROUPS)
        n_stacks = max(-(-len(requests) // max(1, int(max_size))), min(len(requests), n_worth))
    # Networks next to each other with the same learning rate are updated together.
    requests = sorted(requests, key=lambda request: request.config.learning_rate)
    edges = np.linspace(0, len(requests), n_stacks + 1).round().astype(int).tolist()
    return [requests[start:stop] for start, stop in pairwise(edges)]
