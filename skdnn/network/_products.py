"""Products of matrices, by torch or by NumPy, whichever is faster on this processor.

On AMD processors with AVX-512 torch multiplies with MKL, which does not use it there, and takes
about twice as long as NumPy with OpenBLAS. This depends only on the processor and on the two
libraries, so that fits on one machine with the same seed are bit-identical.
"""

import contextlib
import os
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

# The kernels of OpenBLAS for processors with AVX-512.
_AVX512_KERNELS = {"SkylakeX", "Cooperlake", "SapphireRapids"}
# With fewer examples, finding NumPy's view of a tensor takes longer than NumPy saves.
_COLUMNS_WORTH_NUMPY = 16


@cache
def numpy_is_faster() -> bool:
    """Return whether NumPy multiplies matrices on the CPU faster than torch."""
    multiplies_by_mkl = torch.backends.mkl.is_available()
    return multiplies_by_mkl and _is_amd() and _openblas_kernel() in _AVX512_KERNELS


def _is_amd() -> bool:
    identifier = os.environ.get("PROCESSOR_IDENTIFIER", "")  # on Windows
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        identifier += file.read(1000)
    return "AuthenticAMD" in identifier


def _openblas_kernel() -> str | None:
    """Return the name of the kernels of NumPy's OpenBLAS; None if NumPy has another library."""
    name = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    library = _openblas() if "openblas" in name else None
    return None if library is None else library.architecture


@cache
def _openblas() -> Any:
    """Return threadpoolctl's controller of NumPy's OpenBLAS, beside which SciPy has its own."""
    libraries = ThreadpoolController().select(internal_api="openblas").lib_controllers
    return max(libraries, key=lambda library: "numpy" in library.filepath, default=None)


def operand(matrix: Tensor | None) -> Any:
    """Return a matrix, or a stack of them, as `product_of` multiplies it, in the same memory."""
    return matrix.numpy() if matrix is not None and matrix.is_cpu and numpy_is_faster() else matrix


def product_of(operand: Any) -> Callable[..., Any]:
    """Return the function ``product(A, B, out=C)`` for operands like this one."""
    if isinstance(operand, np.ndarray):
        return np.matmul
    return torch.mm if operand.ndim == 2 else torch.bmm


def affine(b: Tensor, W: Tensor, A: Tensor) -> Tensor:
    """Return ``W A + b`` in a new tensor.

    Parameters
    ----------
    b : tensor of shape (..., n^[l], 1)
    W : tensor of shape (..., n^[l], n^[l-1])
    A : tensor of shape (..., n^[l-1], m)
    """
    if A.shape[-1] >= _COLUMNS_WORTH_NUMPY and A.is_cpu and numpy_is_faster():
        return torch.from_numpy(np.matmul(W.numpy(), A.numpy())).add_(b)
    return (torch.addmm if W.ndim == 2 else torch.baddbmm)(b, W, A)


class _OneBLASThread:
    """Context manager: NumPy multiplies on one thread while any block is entered.

    The number of threads of OpenBLAS is that of the process, so the blocks are counted, of all
    threads. Where torch multiplies it is not changed.
    """

    def __init__(self) -> None:
        self._lock, self._n_entered, self._n_threads = Lock(), 0, 1

    def __enter__(self) -> None:
        if numpy_is_faster():
            with self._lock:
                self._n_entered += 1
                if self._n_entered == 1:
                    self._n_threads = _openblas().get_num_threads()
                    _openblas().set_num_threads(1)

    def __exit__(self, *exception: object) -> None:
        if numpy_is_faster():
            with self._lock:
                self._n_entered -= 1
                if not self._n_entered:
                    _openblas().set_num_threads(self._n_threads)


ONE_BLAS_THREAD = _OneBLASThread()
