"""The machine that a benchmark runs on, without which its figures say little."""

import os
import platform
import sys
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from skdnn.network._products import numpy_is_faster

# They hold NumPy's kernels, and so those of MLPClassifier, to another processor.
KERNEL_VARIABLES = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}


def restart_without_kernel_variables():
    """Start the program again without these variables, which NumPy has read at its import."""
    if KERNEL_VARIABLES & os.environ.keys():
        others = {n: value for n, value in os.environ.items() if n not in KERNEL_VARIABLES}
        os.execve(sys.executable, [sys.executable, *sys.argv], others)


def print_machine():
    """Print the processor, and the libraries that multiply matrices."""
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    libraries = ", ".join(
        f"{pool['internal_api']} {pool['version']} with the kernels of {pool.get('architecture')} "
        f"on {pool['num_threads']} threads"
        for pool in blas
    )
    torch_blas = "MKL" if torch.backends.mkl.is_available() else "another library"
    ours = "NumPy" if numpy_is_faster() else "torch"
    print(
        f"{processor_name()}, {os.cpu_count()} processors; load average at the start "
        f"{os.getloadavg()[0]:.1f}\n"
        f"NumPy and SciPy multiply with {libraries}\n"
        f"torch {torch.__version__.split('+')[0]} multiplies with {torch_blas} for "
        f"{torch.backends.cpu.get_cpu_capability()} on {torch.get_num_threads()} threads; skdnn by "
        f"{ours}\n"
    )


def processor_name():
    """Return the name and family of the processor, as Linux knows it."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor()
    lines = [line.partition(":") for line in path.read_text(encoding="utf-8").splitlines()]
    facts = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    return f"{facts.get('model name', '')}, family {facts.get('cpu family', 'unknown')}"
