"""Fresh processes that have only imported skdnn."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

# A server with all imports forks a clean process each time, which is fast.
_HOW = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(_HOW)
CONTEXT.set_forkserver_preload(["skdnn", "pytest"])


def call(function, *arguments):
    """Call a function in a fresh process; return its result or raise its error."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT) as executor:
        return executor.submit(function, *arguments).result()
