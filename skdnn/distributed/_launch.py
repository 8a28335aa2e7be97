"""How processes meet that a launcher has started, such as torchrun, srun, Ray Train or Spark."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import count
from typing import Literal

import torch
import torch.distributed as dist

from skdnn._version import __version__
from skdnn.processes import check_same, fitting_among

from ._communicator import Communicator
from ._failures import time_limit

# What launchers say of a process, and Slurm where nobody says so in its place.
_NAMES = {
    "rank": ("RANK", "SLURM_PROCID"),
    "size": ("WORLD_SIZE", "SLURM_NTASKS"),
    "local_rank": ("LOCAL_RANK", "SLURM_LOCALID"),
}
_n_meetings = count()


@contextmanager
def data_parallel(
    rows: Literal["all", "part"] = "all", *, timeout: float = 600.0
) -> Iterator[Communicator]:
    """Let the fits in the block be shared by all processes that a launcher has started.

    In each of them, `fit` of a DeepBinaryClassifier or DeepRegressor trains on rows of its own, and
    the gradients of all are summed in each step. So every process ends with the estimator that one
    process with all rows would have fitted, to rounding, in as many epochs; only with `dropout`
    each draws masks of its own. All processes must come here together and fit the same: the same
    parameters, in the same order. Saving, callbacks and printing are done by process 0.

    Parameters
    ----------
    rows : {"all", "part"}, default="all"
        What each process passes as X and y: all rows, the same in each, of which it will train on
        its share; or rows of its own, which may be none, of shape (0, n_features). Those of
        process 0 are then the first of all rows, those of process 1 the next.
    timeout : float, default=600.0
        Seconds that a process waits for another one before it gives up.

    Yields
    ------
    Communicator
        With `rank`, which of the processes this is, from 0, and `size`, how many there are.

    Raises
    ------
    ValueError
        If `rows` or `timeout` is none of these, or not the same everywhere. Within the block, `fit`
        refuses ``n_networks`` above 1, ``warm_start``, ``scoring`` and groups.
    RuntimeError
        If no launcher has said who the processes are, or one of them has ended or does not answer.
        What `fit` raises in one process, it raises in all of them.

    See Also
    --------
    skdnn.DeepBinaryClassifier, skdnn.DeepRegressor : Their fits are what is shared; of Dask's
        collections without this.

    Notes
    -----
    A launcher sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT in the environment,
    or has begun torch's default process group, which stays as it is. On machines with GPUs a
    process computes on that of its LOCAL_RANK.

    Examples
    --------
    In a file flowers.py, run by ``torchrun --nproc-per-node=2 flowers.py``::

        from skdnn import DeepBinaryClassifier
        from skdnn.distributed import data_parallel

        with data_parallel() as group:
            clf = DeepBinaryClassifier(random_state=0).fit(X, y)
        if group.rank == 0:
            print(clf.score(X_test, y_test))
    """
    if rows not in ("all", "part"):
        raise ValueError(f"rows must be 'all' or 'part', got {rows!r}.")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout > 0:
        raise ValueError(f"timeout must be a number of seconds above 0, got {timeout!r}.")
    group = _meet(rows, float(timeout))
    try:
        with group.failing_together():
            told = {"The version of skdnn": __version__, "rows": rows, "timeout": timeout}
            check_same(group, told)
        with fitting_among(group), _on_own_gpu():
            yield group
    except BaseException as error:
        group.tell(error)  # an error beside the fits: the others may be waiting in one
        raise
    finally:
        group.close()


def _meet(rows, timeout):
    rank, size, store, is_keeper = _place(timeout)
    # A launcher that starts processes anew keeps the store of the last time.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"skdnn/{attempt}/{next(_n_meetings)}", store)
    return Communicator(store, rank, size, rows=rows, timeout=timeout, is_keeper=is_keeper)


def _place(timeout):
    """Return rank, size, the store where all meet, and whether that is in this process."""
    if dist.is_available() and dist.is_initialized():
        rank, size = dist.get_rank(), dist.get_world_size()
        return rank, size, _store_beside_the_default_group(rank, timeout), rank == 0
    rank, size = _told("rank"), _told("size")
    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if None in (rank, size, address, port):
        raise RuntimeError(
            "data_parallel must run in processes that a launcher such as torchrun has started, "
            "which sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the environment."
        )
    is_keeper = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    return rank, size, _store(address, int(port), is_keeper, timeout), is_keeper


def _told(what):
    found = [os.environ[name] for name in _NAMES[what] if name in os.environ]
    return int(found[0]) if found else None


@cache  # a process keeps its store for all of its fits: others may still ask there
def _store(address, port, is_keeper, timeout):
    return dist.TCPStore(
        address,
        port,
        is_master=is_keeper,
        timeout=time_limit(timeout),
        wait_for_workers=False,
        multi_tenant=True,
    )


@cache
def _store_beside_the_default_group(rank, timeout):
    """Open a store in process 0, and tell the others by the default group where."""
    place = [None]
    if rank == 0:
        address = os.environ.get("MASTER_ADDR", socket.getfqdn())
        store = _store(address, 0, True, timeout)
        place = [(address, store.port)]
    dist.broadcast_object_list(place)
    return store if rank == 0 else _store(*place[0], False, timeout)


def _on_own_gpu():
    local_rank = _told("local_rank")
    if local_rank is None or not torch.cuda.is_available():
        return nullcontext()
    return torch.cuda.device(local_rank % torch.cuda.device_count())
