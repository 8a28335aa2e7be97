"""data_parallel: connect processes that a launcher such as torchrun, srun or Ray has started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Literal

import torch
import torch.distributed as dist

from skdnn._version import __version__
from skdnn.processes import check_same, use_processes

from ._communicator import Communicator

# Environment variables that launchers set; those of Slurm are used if there are no others.
_VARIABLES = {
    "rank": ("RANK", "SLURM_PROCID"),
    "size": ("WORLD_SIZE", "SLURM_NTASKS"),
    "local_rank": ("LOCAL_RANK", "SLURM_LOCALID"),
}
_numbers_of_blocks = count()


@contextmanager
def data_parallel(
    rows: Literal["all", "part"] = "all", *, timeout: float = 600.0
) -> Iterator[Communicator]:
    """Share the fits in the block between all processes that a launcher has started.

    In each process, `fit` of a DeepBinaryClassifier or DeepRegressor trains on different rows, and
    the gradients of all processes are added in each step. So every process ends with the estimator
    that one process with all rows would have fitted, up to rounding, in as many epochs. The one
    exception is `dropout`, whose masks each process draws itself. All processes must enter the
    block and run the same fits in it: the same parameters, in the same order. Process 0 saves
    checkpoints, calls callbacks and prints.

    Parameters
    ----------
    rows : {"all", "part"}, default="all"
        What each process passes as X and y. "all": all rows, the same in each process, which then
        trains on its part of them. "part": its own rows, perhaps none, of shape (0, n_features).
        The rows of process 0 are then the first of all rows, followed by those of process 1.
    timeout : float, default=600.0
        Seconds that a process waits for another one before it raises an error.

    Yields
    ------
    Communicator
        Its `rank` is the number of this process, from 0, its `size` the number of processes.

    Raises
    ------
    ValueError
        If `rows` or `timeout` is invalid, or not the same in all processes. Within the block, `fit`
        refuses ``n_networks`` above 1, ``warm_start``, ``scoring`` and groups.
    RuntimeError
        If there is no launcher, or a process has ended or does not answer within the timeout.
        An error that `fit` raises in one process is raised in all of them.

    See Also
    --------
    skdnn.DeepBinaryClassifier, skdnn.DeepRegressor : Their `fit` also takes Dask collections,
        without this function.

    Notes
    -----
    A launcher sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT in the environment.
    On a machine with GPUs, a process uses the GPU whose number is its LOCAL_RANK. torch's default
    process group, if there is one, stays as it is.

    Examples
    --------
    In a file flowers.py, run by ``torchrun --nproc-per-node=2 flowers.py``::

        from skdnn import DeepBinaryClassifier
        from skdnn.distributed import data_parallel

        with data_parallel() as communicator:
            clf = DeepBinaryClassifier(random_state=0).fit(X, y)
        if communicator.rank == 0:
            print(clf.score(X_test, y_test))
    """
    if rows not in ("all", "part"):
        raise ValueError(f"rows must be 'all' or 'part', got {rows!r}.")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout > 0:
        raise ValueError(f"timeout must be a number of seconds above 0, got {timeout!r}.")
    communicator = _connect(rows, float(timeout))
    local_rank = _from_environment("local_rank")
    own_gpu: torch.cuda.device | nullcontext = nullcontext()
    if local_rank is not None and torch.cuda.is_available():
        own_gpu = torch.cuda.device(local_rank % torch.cuda.device_count())
    try:
        with communicator.propagating_errors():
            settings = {"The version of skdnn": __version__, "rows": rows, "timeout": timeout}
            check_same(communicator, settings)
        with use_processes(communicator), own_gpu:
            yield communicator
    except BaseException as error:
        communicator.report(error)  # also an error outside of `fit`, where the others may be
        raise
    finally:
        communicator.close()


def _connect(rows: Literal["all", "part"], timeout: float) -> Communicator:
    """Return the communicator of the processes that the environment names."""
    rank, size = _from_environment("rank"), _from_environment("size")
    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if rank is None or size is None or address is None or port is None:
        raise RuntimeError(
            "data_parallel must run in processes that a launcher such as torchrun has started, "
            "which sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the environment."
        )
    hosts_store = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = _open_store(address, int(port), hosts_store, timeout)
    # A launcher that restarts the processes keeps the store of the previous attempt.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    own_store = dist.PrefixStore(f"skdnn/{attempt}/{next(_numbers_of_blocks)}", store)
    return Communicator(own_store, rank, size, rows=rows, timeout=timeout, hosts_store=hosts_store)


def _from_environment(name: str) -> int | None:
    values = [os.environ[each] for each in _VARIABLES[name] if each in os.environ]
    return int(values[0]) if values else None


@cache  # kept open for all fits, because other processes may still read the store of an earlier one
def _open_store(address: str, port: int, is_master: bool, timeout: float) -> "dist.TCPStore":
    return dist.TCPStore(
        address,
        port,
        is_master=is_master,
        timeout=timedelta(seconds=timeout),
        wait_for_workers=False,
        multi_tenant=True,
    )
