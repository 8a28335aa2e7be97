"""Arrays, tensors and sparse matrices of numbers: conversion, and chunks of rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse

# Elements of a chunk, which stays in a processor's cache.
CHUNK_SIZE = 2**18
_FLOATS_OF_NUMPY = (torch.float16, torch.float32, torch.float64)


def row_chunks(X: Any, n: int = 1, width: int = 1) -> Iterator[slice]:
    """Yield slices that split the rows of X into at least n chunks, of about 2**18 elements.

    A row counts as `width` elements if it has fewer columns.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.frames import row_chunks
    >>> list(row_chunks(np.empty((3, 2**17))))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    n_samples, n_features = X.shape
    rows = max(1, min(CHUNK_SIZE // max(width, n_features), -(-n_samples // n)))
    for start in range(0, n_samples, rows):
        yield slice(start, min(start + rows, n_samples))


def dense_tensor(X: Any, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return an array, CSR matrix or tensor as a dense tensor."""
    if isinstance(X, torch.Tensor):
        return X.to(dtype)
    X = X.toarray() if sparse.issparse(X) else X
    # A copy, since torch refuses foreign byte order and negative strides, and warns of read-only
    # memory.
    return torch.from_numpy(np.array(X, dtype=str(dtype).removeprefix("torch."), order="C"))


def to_host(values: Any) -> Any:
    """Return a tensor as a NumPy array, and anything else as it is."""
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()
    # NumPy has neither bfloat16 nor floats of 8 bits.
    is_unknown = values.is_floating_point() and values.dtype not in _FLOATS_OF_NUMPY
    return (values.float() if is_unknown else values).resolve_conj().resolve_neg().numpy()


def as_tensor(array: np.ndarray, device: torch.device | None = None) -> torch.Tensor:
    """Return a native, contiguous array as a tensor, on the CPU without a copy."""
    # Arrays loaded with joblib's mmap_mode are read-only: torch warns of them, so they are copied.
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor if device is None or device.type == "cpu" else tensor.to(device)
