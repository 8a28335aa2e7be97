"""Processes that are started once and then called together, as a launcher starts them."""

import os
import socket
import traceback
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist
from fresh import CONTEXT

SECONDS = 240.0  # for any call: less than the time limits of pytest and of data_parallel


def free_port():
    """Return a port that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Ranks:
    """Processes with the environment of torchrun, or of srun, where process 0 keeps the store."""

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

        None stands for a process that has ended.
        """
        for pipe in self.pipes:
            pipe.send((function, arguments))
        answers = []
        for rank, pipe in enumerate(self.pipes):
            if not pipe.poll(seconds):
                self.end()
                raise TimeoutError(f"{function.__name__} hangs in process {rank}.")
            try:
                answers.append(pipe.recv())
            except EOFError:
                answers.append(None)
        return answers

    def results(self, function, *arguments):
        """Return what a function returns in each process; raise what it raises in one of them."""
        answers = self.call(function, *arguments)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

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
            answer = function(rank, *arguments)
        except BaseException as error:
            error.add_note(traceback.format_exc()) if hasattr(error, "add_note") else None
            answer = error
        pipe.send(answer)


@contextmanager
def started(size, by="torchrun"):
    ranks = Ranks(size, by)
    try:
        yield ranks
    finally:
        ranks.end()
