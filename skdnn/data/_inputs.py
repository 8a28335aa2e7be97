"""Rows of a data set as the network takes them: standardised tensors on its device.

Dense data is standardised once, into a tensor of the network's dtype. Sparse data stays sparse and
a large memory-mapped file stays where it is: each batch is made when it is asked for.
"""

from mmap import mmap

import numpy as np
import torch
from scipy import sparse

from ._chunks import row_chunks

# A data set that would fill more of a GPU's free memory than this stays on the host, and its
# batches travel.
_SHARE_OF_FREE_MEMORY = 0.5
# A memory-mapped file of up to so many bytes is read into memory once, which is faster.
_FILE_WORTH_COPYING = 2**27


class DenseRows:
    """Standardised rows in one tensor, on the device or, where it has no room, on the host.

    Parameters
    ----------
    X : array or tensor of shape (n_samples, n_features)
        Of any real dtype, stride and byte order; it is only read. A tensor's rows pass from its
        device to this one, and by no other.
    index : array of int of shape (n_rows,)
        The rows to take.
    standardizer : Standardizer
    dtype : torch.dtype
    device : torch.device
        Where the rows go when they are asked for.
    """

    def __init__(self, X, index, standardizer, dtype, device):
        self.shape = (len(index), X.shape[1])
        self.device = device
        self.X = torch.empty(self.shape, dtype=dtype, device=self._storage(dtype))
        takes_all = len(index) == len(X)
        for rows in row_chunks(self):
            chunk = standardizer.apply(X[rows] if takes_all else X[index[rows]])
            self.X[rows] = torch.as_tensor(chunk)

    def __getitem__(self, rows):
        """Return the rows of a slice, of shape (n, n_features)."""
        return self.X[rows].to(self.device)

    def take(self, index):
        """Return the rows of an index tensor of shape (...), of shape (..., n_features)."""
        flat = index.flatten().to(self.X.device)
        return self.X.index_select(0, flat).unflatten(0, index.shape).to(self.device)

    def _storage(self, dtype):
        if self.device.type != "cuda":
            return self.device
        free, _ = torch.cuda.mem_get_info(self.device)
        fits = np.prod(self.shape) * dtype.itemsize < _SHARE_OF_FREE_MEMORY * free
        return self.device if fits else torch.device("cpu")


class LazyRows:
    """Rows of a CSR matrix or a memory-mapped array, read and standardised batch by batch.

    Takes what `DenseRows` takes, X being sparse or a file, and answers the same questions.
    """

    def __init__(self, X, index, standardizer, dtype, device):
        self.shape = (len(index), X.shape[1])
        self.X, self.index = X, index
        self.standardizer, self.dtype, self.device = standardizer, dtype, device

    def __getitem__(self, rows):
        """Return the rows of a slice, of shape (n, n_features)."""
        dense = self.standardizer.apply(_to_dense(self.X[self.index[rows]]))
        return torch.from_numpy(dense).to(self.device, self.dtype)

    def take(self, index):
        """Return the rows of an index tensor of shape (...), of shape (..., n_features)."""
        return self[index.flatten().cpu().numpy()].unflatten(0, index.shape)


def tensor_chunks(X, standardizer, dtype, device):
    """Yield the rows of X, of any kind, chunk by chunk, as tensors of shape (n, n_features).

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    standardizer : Standardizer or None
        None leaves the numbers as they are.
    dtype : torch.dtype
    device : torch.device
    """
    for rows in row_chunks(X):
        chunk = _to_dense(X[rows])
        if standardizer is not None:
            chunk = standardizer.apply(chunk)
        if not isinstance(chunk, torch.Tensor):
            # A copy, since torch takes no read-only memory, foreign byte order or negative stride.
            native = np.array(chunk, dtype=str(dtype).removeprefix("torch."), order="C")
            chunk = torch.from_numpy(native)
        yield chunk.to(device, dtype)


def make_rows(X, index, standardizer, dtype, device):
    """Return the rows of X, of any kind, that an index array names."""
    is_lazy = sparse.issparse(X) or _is_large_file(X)
    return (LazyRows if is_lazy else DenseRows)(X, index, standardizer, dtype, device)


def _to_dense(rows):
    return rows.toarray() if sparse.issparse(rows) else rows


def _is_large_file(X):
    """Tell whether an array's memory is a file of more bytes than are worth copying."""
    if not isinstance(X, np.ndarray) or X.nbytes < _FILE_WORTH_COPYING:
        return False
    while isinstance(X.base, np.ndarray):
        X = X.base
    return isinstance(X.base, mmap)
