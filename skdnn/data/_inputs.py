"""Rows of a data set as the network takes them: standardised tensors on its device.

Dense data is standardised once, into a tensor of the network's dtype; sparse data stays sparse, and
each batch of it is made dense when it is asked for.
"""

import numpy as np
import torch
from scipy import sparse

from ._chunks import row_chunks

# A data set that would fill more of a GPU's free memory than this stays on the host, and its
# batches travel.
_SHARE_OF_FREE_MEMORY = 0.5


class DenseRows:
    """Standardised rows in one tensor, on the device or, where it has no room, on the host.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Of any real dtype, stride and byte order; it is only read.
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
            self.X[rows] = torch.from_numpy(chunk)

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


class SparseRows:
    """Rows of a CSR matrix, made dense and standardised batch by batch.

    Takes what `DenseRows` takes, X being sparse, and answers the same questions.
    """

    def __init__(self, X, index, standardizer, dtype, device):
        self.shape = (len(index), X.shape[1])
        self.X = X if len(index) == X.shape[0] else X[index]
        self.standardizer, self.dtype, self.device = standardizer, dtype, device

    def __getitem__(self, rows):
        """Return the rows of a slice, of shape (n, n_features)."""
        dense = self.standardizer.apply(self.X[rows].toarray())
        return torch.from_numpy(dense).to(self.device, self.dtype)

    def take(self, index):
        """Return the rows of an index tensor of shape (...), of shape (..., n_features)."""
        return self[index.flatten().cpu().numpy()].unflatten(0, index.shape)


def tensor_chunks(X, standardizer, dtype, device):
    """Yield the rows of X, dense or sparse, chunk by chunk, as tensors of shape (n, n_features).

    Parameters
    ----------
    X : array or CSR matrix of shape (n_samples, n_features)
    standardizer : Standardizer or None
        None leaves the numbers as they are.
    dtype : torch.dtype
    device : torch.device
    """
    for rows in row_chunks(X):
        chunk = X[rows].toarray() if sparse.issparse(X) else X[rows]
        if standardizer is not None:
            chunk = standardizer.apply(chunk)
        # A copy, since torch takes no read-only memory, foreign byte order or negative stride.
        native = np.array(chunk, dtype=str(dtype).removeprefix("torch."), order="C")
        yield torch.from_numpy(native).to(device)


def make_rows(X, index, standardizer, dtype, device):
    """Return the rows of X, dense or sparse, that an index array names."""
    rows = SparseRows if sparse.issparse(X) else DenseRows
    return rows(X, index, standardizer, dtype, device)
