"""Processes in which nothing has happened but the import of skdnn."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

# A server that has imported everything forks a clean process each time, in no time.
_HOW = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(_HOW)
CONTEXT.set_forkserver_preload(["skdnn", "pytest"])


def call(function, *arguments):
    """Return what a function returns in a fresh process, or raise what it raises."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT) as executor:
        return executor.submit(function, *arguments).result()
