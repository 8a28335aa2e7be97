"""Rows of a data set as the network takes them: encoded tensors on its device.

What trains a network has a last column of ones, to which its biases belong. Predictions do without.

Dense data is encoded once, into a tensor of the network's dtype. Of a large table only the numbers
are, and its levels become columns batch by batch. Sparse data stays sparse and a large file that is
mapped into memory stays where it is: each batch is made when it is asked for.
"""

from mmap import mmap

import numpy as np
import torch
from scipy import sparse

from skdnn.data.frames import Table, as_tensor, dense_tensor, row_chunks

# A data set that would fill more of a GPU's free memory than this stays on the host, and its
# batches travel.
_FRACTION_OF_FREE_MEMORY = 0.5
# A memory-mapped file of up to so many bytes is read into memory once, which is faster.
_FILE_WORTH_COPYING = 2**27
# An encoded table of up to so many numbers is kept; a larger one is many times the table itself.
_TABLE_WORTH_EXPANDING = 2**21
# Of a larger one, what its numbers come to is kept up to here, 128 MB of float32.
_NUMBERS_WORTH_KEEPING = 2**25


class DenseRows:
    """Encoded rows in one tensor, on the device or, where it has no room, on the host.

    Parameters
    ----------
    X : Table, array or tensor of shape (n_samples, n_features)
        Of any real dtype, stride and byte order; it is only read. A tensor's rows pass from its
        device to this one, and by no other.
    index : array of int of shape (n_rows,)
        The rows to take.
    encoder : Encoder
    dtype : torch.dtype
    device : torch.device
        Where the rows go when they are asked for.

    Attributes
    ----------
    are_made : bool
        Whether rows are encoded anew whenever they are asked for.
    n_columns : int
        Of X.
    """

    are_made = False

    def __init__(self, X, index, encoder, dtype, device):
        self.shape, self.n_columns = (len(index), encoder.n_outputs + 1), X.shape[1]
        self.device = device
        self.X = torch.empty(self.shape, dtype=dtype, device=self._storage(dtype))
        takes_all = len(index) == len(X) and np.array_equal(index, np.arange(len(X)))
        for rows in row_chunks(self):
            self.X[rows, :-1] = encoder.apply(X[rows] if takes_all else X[index[rows]], dtype)
        self.X[:, -1] = 1

    def equals(self, other):
        """Tell whether other DenseRows hold the same numbers in the same place."""
        known, found = other.X, self.X
        is_alike = known.dtype == found.dtype and known.device == found.device
        return is_alike and other.device == self.device and torch.equal(known, found)

    def __getitem__(self, rows):
        """Return the rows of a slice, of shape (n, n_outputs + 1)."""
        return self.X[rows].to(self.device)

    def take(self, index, out=None):
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        Where `out` is given, the rows go there.
        """
        flat = index.flatten().to(self.X.device)
        if out is not None and out.device == self.X.device:
            torch.index_select(self.X, 0, flat, out=out.flatten(0, -2))
            return out
        rows = self.X.index_select(0, flat).unflatten(0, index.shape)
        return rows.to(self.device) if out is None else out.copy_(rows)

    def _storage(self, dtype):
        if self.device.type != "cuda":
            return self.device
        free, _ = torch.cuda.mem_get_info(self.device)
        fits = np.prod(self.shape) * dtype.itemsize < _FRACTION_OF_FREE_MEMORY * free
        return self.device if fits else torch.device("cpu")


class TableRows:
    """Rows of a table whose numbers are encoded once, and whose levels are told by their column.

    Takes what `DenseRows` takes, X being a Table, and answers the same questions.
    """

    are_made = False

    def __init__(self, X, index, encoder, dtype, device):
        self.shape, self.device = (len(index), encoder.n_outputs + 1), device
        encodes_numbers = encoder.without_categories()
        is_kept = len(index) * encodes_numbers.n_outputs <= _NUMBERS_WORTH_KEEPING
        self.numbers = (DenseRows if is_kept else OnDemandRows)(
            encoder.numbers_of(X), index, encodes_numbers, dtype, device
        )
        first = encodes_numbers.n_outputs + np.cumsum(encoder.n_categories) - encoder.n_categories
        codes = np.minimum(X.codes[index], encoder.n_frequent)
        columns = (codes + first).astype(np.int32)
        # What is no level goes to the last column, which is 1 anyway.
        columns[codes >= encoder.n_categories] = encoder.n_outputs
        self.columns = torch.from_numpy(columns)

    def __getitem__(self, rows):
        """Return the rows of a slice, of shape (n, n_outputs + 1)."""
        return self._filled(self.numbers[rows], self.columns[rows])

    def take(self, index, out=None):
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        Where `out` is given, the rows go there.
        """
        flat = index.flatten()
        columns = self.columns.index_select(0, flat.to(self.columns.device))
        if out is None:
            return self._filled(self.numbers.take(flat), columns).unflatten(0, index.shape)
        self._filled(self.numbers.take(flat), columns, out.flatten(0, -2))
        return out

    def _filled(self, numbers, columns, out=None):
        n_rows, n_numbers = len(numbers), numbers.shape[1] - 1
        if out is None:
            out = numbers.new_empty((n_rows, self.shape[1]))
        out[:, :n_numbers] = numbers[:, :-1]
        out[:, n_numbers:].zero_()
        out[:, -1] = 1
        return out.scatter_(1, columns.to(self.device, torch.int64), 1.0)


class OnDemandRows:
    """Rows of a CSR matrix or a memory-mapped array, read and encoded batch by batch.

    Takes what `DenseRows` takes, X being sparse or a file, and answers the same questions.
    """

    are_made = True

    def __init__(self, X, index, encoder, dtype, device):
        self.shape = (len(index), encoder.n_outputs + 1)
        self.X, self.index = X, index
        self.encoder, self.dtype, self.device = encoder, dtype, device

    def __getitem__(self, rows):
        """Return the rows of a slice, of shape (n, n_outputs + 1)."""
        X = self.encoder.apply(self.X[self.index[rows]], self.dtype).to(self.device)
        return torch.nn.functional.pad(X, (0, 1), value=1.0)

    def take(self, index, out=None):
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        Where `out` is given, the rows go there.
        """
        rows = self[index.flatten().cpu().numpy()].unflatten(0, index.shape)
        return rows if out is None else out.copy_(rows)


class RowsOfEachNetwork:
    """Rows whose target means differ from network to network; all else they share.

    The i-th row of network k has the number ``k * n_rows + i``. Same methods as `DenseRows`.

    Parameters
    ----------
    X : Table of shape (n_samples, n_features)
    index : array of int of shape (n_rows,)
        The rows to take.
    means : array of shape (M, n_rows, t)
        The target means that each network sees, of the t columns that have some.
    encoder : Encoder
    dtype : torch.dtype
    device : torch.device
    """

    def __init__(self, X, index, means, encoder, dtype, device):
        n_networks, self.n_rows, _ = means.shape
        self.shared = make_rows(X, index, encoder, dtype, device)
        self.device, self.are_made = device, self.shared.are_made
        self.shape = n_networks * self.n_rows, self.shared.shape[1]
        encodes_means, columns = encoder.of_means()
        means = means.reshape(self.shape[0], -1)
        self.means = DenseRows(means, np.arange(self.shape[0]), encodes_means, dtype, device)
        self.columns = torch.from_numpy(columns).to(device)

    def __getitem__(self, rows):
        """Return the rows of a slice, of shape (n, n_outputs + 1)."""
        return self.take(torch.arange(self.shape[0], device=self.device)[rows])

    def take(self, index, out=None):
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        Where `out` is given, the rows go there.
        """
        out = self.shared.take(index % self.n_rows, out)
        out[..., self.columns] = self.means.take(index)[..., :-1]
        return out


def network_inputs(X, encoder, dtype, device, is_merged=False, has_missing=True):
    """Return rows of any kind as a tensor of shape (n, n_outputs), for predictions.

    Parameters
    ----------
    X : Table, array, CSR matrix or tensor of shape (n, n_features)
    encoder : Encoder
    dtype : torch.dtype
    device : torch.device
    is_merged : bool, default=False
        Whether the first layer standardises. Then numbers stay as they are, and a missing one
        becomes the centre of its column, as the encoder has it.
    has_missing : bool, default=True
        False where it is known that none is missing.
    """
    if is_merged:
        numbers = dense_tensor(X, dtype)
        return (_with_centers(numbers, encoder) if has_missing else numbers).to(device)
    return encoder.apply(X, dtype).to(device)


def _with_centers(X, encoder):
    is_missing = X.isnan()
    if not is_missing.any():
        return X
    return torch.where(is_missing, as_tensor(encoder.center, X.device).to(X.dtype), X)


def make_rows(X, index, encoder, dtype, device):
    """Return the rows of X, of any kind, that an index array names."""
    kind = OnDemandRows if sparse.issparse(X) or _is_large_file(X) else DenseRows
    if isinstance(X, Table) and len(index) * encoder.n_outputs > _TABLE_WORTH_EXPANDING:
        kind = TableRows
    return kind(X, index, encoder, dtype, device)


def _is_large_file(X):
    """Tell whether an array's memory is a file of more bytes than are worth copying."""
    if not isinstance(X, np.ndarray) or X.nbytes < _FILE_WORTH_COPYING:
        return False
    while isinstance(X.base, np.ndarray):
        X = X.base
    return isinstance(X.base, mmap)
