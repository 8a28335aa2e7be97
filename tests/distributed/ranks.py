"""Start processes as a launcher does, and call a function in all of them."""

import os
import socket
import traceback
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist
from fresh import CONTEXT

SECONDS = 240.0  # the timeout of a call, shorter than those of pytest and of data_parallel


def free_port():
    """Return a port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Ranks:
    """Processes with the environment of torchrun, or of srun, where process 0 hosts the store."""

    def __init__(self, size, by="torchrun"):
        self.size = size
        limit = timedelta(seconds=SECONDS)
        self.store = dist.TCPStore(
            "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=limit
        )
        port, free, self.pipes, self.processes = self.store.port, free_port(), [], []
        for rank in range(size):
            here, there = CONTEXT.Pipe()
            environment = {"MASTER_ADDR": "127.0.0.1"}
            if by == "torchrun":
                environment |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}
                environment |= {"TORCHELASTIC_USE_AGENT_STORE": True, "MASTER_PORT": port}
            else:
                environment |= {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NTASKS": size}
                environment["MASTER_PORT"] = free
            process = CONTEXT.Process(target=serve, args=(there, environment), daemon=True)
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)

    def call(self, function, *arguments, seconds=SECONDS):
        """Return what ``function(rank, *arguments)`` returns or raises in each process, by rank.

        The result of a process that has ended is None.
        """
        for pipe in self.pipes:
            pipe.send((function, arguments))
        outcomes = []
        for rank, pipe in enumerate(self.pipes):
            if not pipe.poll(seconds):
                self.end()
                raise TimeoutError(f"{function.__name__} hangs in process {rank}.")
            try:
                outcomes.append(pipe.recv())
            except EOFError:
                outcomes.append(None)
        return outcomes

    def results(self, function, *arguments):
        """Return what a function returns in each process; raise an error of one of them."""
        outcomes = self.call(function, *arguments)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return outcomes

    def end(self):
        for process in self.processes:
            process.kill()
            process.join()


def serve(pipe, environment):
    os.environ.update({name: str(value) for name, value in environment.items()})
    rank = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID")))
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            outcome = function(rank, *arguments)
        except BaseException as error:
            error.add_note(traceback.format_exc()) if hasattr(error, "add_note") else None
            outcome = error
        pipe.send(outcome)


@contextmanager
def started(size, by="torchrun"):
    ranks = Ranks(size, by)
    try:
        yield ranks
    finally:
        ranks.end()
