"""Rows of a data set as the network takes them: encoded tensors on its device.

For training they have a last column of ones, which multiplies the biases; for prediction they do
not.

| X | what is in memory during training |
|---|---|
| dense array or tensor, small table, small memory-mapped file | one tensor of all encoded rows |
| large table | a tensor of its encoded numbers, and the codes of its categories |
| sparse matrix, large memory-mapped file | X itself; each batch is encoded when it is needed |
"""

from dataclasses import replace
from mmap import mmap
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy import sparse

from skdnn.data.encoding import Encoder, OneHot, Standardize
from skdnn.data.frames import Table, as_tensor, dense_tensor, row_chunks

# A data set that would fill more of a GPU's free memory than this stays on the host, and its
# batches are copied to the GPU one by one.
_FRACTION_OF_FREE_MEMORY = 0.5
# A memory-mapped file of up to so many bytes is read into memory once, which is faster.
_FILE_WORTH_COPYING = 2**27
# An encoded table of up to so many numbers is kept in memory; a larger one can take many times the
# memory of the table itself.
_TABLE_WORTH_EXPANDING = 2**21
# The encoded numbers of a larger table are kept up to this size, 128 MB of float32.
_NUMBERS_WORTH_KEEPING = 2**25


class DenseRows:
    """Encoded rows in one tensor, on the device or, if they do not fit there, on the host.

    Parameters
    ----------
    X : Table, array or tensor of shape (n_samples, n_features)
        Of any real dtype, stride and byte order; it is only read. The rows of a tensor are copied
        from its device directly to this one.
    index : array of int of shape (n_rows,)
        The rows to take.
    encoder : Encoder
    dtype : torch.dtype
    device : torch.device
        The device of the rows that are returned.

    Attributes
    ----------
    is_on_demand : bool
        Whether rows are encoded anew each time that they are returned.
    n_columns : int
        Number of columns of X.
    """

    is_on_demand = False

    def __init__(
        self, X: Any, index: np.ndarray, encoder: Encoder, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.shape, self.n_columns = (len(index), encoder.n_outputs + 1), X.shape[1]
        self.device = device
        self.X = _empty_rows(self.shape, dtype, device)
        takes_all = len(index) == len(X) and np.array_equal(index, np.arange(len(X)))
        for rows in row_chunks(self):
            self.X[rows, :-1] = encoder.apply(X[rows] if takes_all else X[index[rows]], dtype)
        self.X[:, -1] = 1

    def equals(self, other: "DenseRows") -> bool:
        """Return whether other DenseRows hold the same numbers on the same device."""
        is_alike = other.X.dtype == self.X.dtype and other.X.device == self.X.device
        return is_alike and other.device == self.device and torch.equal(other.X, self.X)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Return the rows of a slice, of shape (n, n_outputs + 1)."""
        return self.X[rows].to(self.device)

    def take(self, index: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        They are written into `out` if it is given.
        """
        flat = index.flatten().to(self.X.device)
        if out is not None and out.device == self.X.device:
            torch.index_select(self.X, 0, flat, out=out.flatten(0, -2))
            return out
        rows = self.X.index_select(0, flat).unflatten(0, index.shape)
        return rows.to(self.device) if out is None else out.copy_(rows)


class TableRows:
    """Rows of a Table with encoded numbers; its categories are one-hot encoded when returned.

    Parameters and methods are those of `DenseRows`, X being a Table.
    """

    is_on_demand = False

    def __init__(
        self,
        X: Table,
        index: np.ndarray,
        encoder: Encoder,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.shape, self.device = (len(index), encoder.n_outputs + 1), device
        number_encoder = encoder.without(OneHot)
        is_kept = len(index) * number_encoder.n_outputs <= _NUMBERS_WORTH_KEEPING
        self.numbers = (DenseRows if is_kept else OnDemandRows)(
            encoder.target_means.append(X), index, number_encoder, dtype, device
        )
        codes = torch.from_numpy(X.codes[index].astype(np.int64))
        one_hot = encoder.block(OneHot)
        columns = one_hot.module(one_hot).columns(codes)
        # A category without an output sets the last column, which is 1 in every row.
        self.columns = columns.add_(number_encoder.n_outputs).to(torch.int32)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Return the rows of a slice, of shape (n, n_outputs + 1)."""
        return self._encode(self.numbers[rows], self.columns[rows])

    def take(self, index: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        They are written into `out` if it is given.
        """
        flat = index.flatten()
        columns = self.columns.index_select(0, flat.to(self.columns.device))
        if out is None:
            return self._encode(self.numbers.take(flat), columns).unflatten(0, index.shape)
        self._encode(self.numbers.take(flat), columns, out.flatten(0, -2))
        return out

    def _encode(
        self, numbers: torch.Tensor, columns: torch.Tensor, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return encoded numbers and, behind them, 1 in the columns of each row's categories."""
        n_numbers = numbers.shape[1] - 1
        if out is None:
            out = numbers.new_empty((len(numbers), self.shape[1]))
        out[:, :n_numbers] = numbers[:, :-1]
        out[:, n_numbers:].zero_()
        out[:, -1] = 1
        return out.scatter_(1, columns.to(self.device, torch.int64), 1.0)


class OnDemandRows:
    """Rows of a sparse matrix or a memory-mapped array, read and encoded when they are returned.

    Parameters and methods are those of `DenseRows`, X being a CSR matrix or an array.
    """

    is_on_demand = True

    def __init__(
        self, X: Any, index: np.ndarray, encoder: Encoder, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.shape = (len(index), encoder.n_outputs + 1)
        self.X, self.index = X, index
        self.encoder, self.dtype, self.device = encoder, dtype, device

    def __getitem__(self, rows: slice | np.ndarray) -> torch.Tensor:
        """Return the rows of a slice or an index array, of shape (n, n_outputs + 1)."""
        X = self.encoder.apply(self.X[self.index[rows]], self.dtype).to(self.device)
        return torch.nn.functional.pad(X, (0, 1), value=1.0)

    def take(self, index: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        They are written into `out` if it is given.
        """
        rows = self[index.flatten().cpu().numpy()].unflatten(0, index.shape)
        return rows if out is None else out.copy_(rows)


class RowsOfEachNetwork:
    """Rows of a stack of networks that differ only in their target means.

    Row i of network k has the index ``k * n_rows + i``. The methods are those of `DenseRows`.

    Parameters
    ----------
    X : Table of shape (n_samples, n_features)
    index : array of int of shape (n_rows,)
        The rows to take.
    means : array of shape (M, n_rows, t)
        The target means for each network, in the t columns that have target means.
    encoder : Encoder
    dtype : torch.dtype
    device : torch.device
    """

    def __init__(
        self,
        X: Table,
        index: np.ndarray,
        means: np.ndarray,
        encoder: Encoder,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        n_networks, self.n_rows, _ = means.shape
        self.shared = make_rows(X, index, encoder, dtype, device)
        self.device, self.is_on_demand = device, self.shared.is_on_demand
        self.shape = n_networks * self.n_rows, self.shared.shape[1]
        columns, encoder = encoder.mean_outputs, encoder.without(OneHot)
        self.columns = torch.from_numpy(columns).to(device)
        self.means = _empty_rows((self.shape[0], len(columns)), dtype, device)
        for k, of_network in enumerate(means):
            for rows in row_chunks(self.shared):
                own = replace(X[index[rows]], means=of_network[rows])
                of_rows = self.means[k * self.n_rows :][rows]
                of_rows.copy_(encoder.apply(own, dtype)[:, columns])

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Return the rows of a slice, of shape (n, n_outputs + 1)."""
        return self.take(torch.arange(self.shape[0], device=self.device)[rows])

    def take(self, index: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rows of an index tensor of shape (...), of shape (..., n_outputs + 1).

        They are written into `out` if it is given.
        """
        out = self.shared.take(index % self.n_rows, out)
        means = self.means.index_select(0, index.flatten().to(self.means.device))
        out[..., self.columns] = means.unflatten(0, index.shape).to(self.device)
        return out


def _empty_rows(shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return an uninitialised tensor on the device or, if it does not fit there, on the host."""
    if device.type == "cuda":
        n_free = torch.cuda.mem_get_info(device)[0] * _FRACTION_OF_FREE_MEMORY
        if np.prod(shape) * dtype.itemsize >= n_free:
            device = torch.device("cpu")
    return torch.empty(shape, dtype=dtype, device=device)


Rows: TypeAlias = DenseRows | TableRows | OnDemandRows | RowsOfEachNetwork


def make_rows(
    X: Any, index: np.ndarray, encoder: Encoder, dtype: torch.dtype, device: torch.device
) -> DenseRows | TableRows | OnDemandRows:
    """Return the rows of an index array of X: a Table, array, CSR matrix or tensor."""
    memory = X
    while isinstance(memory, np.ndarray):
        memory = memory.base
    is_large_file = isinstance(memory, mmap) and X.nbytes >= _FILE_WORTH_COPYING
    if isinstance(X, Table) and len(index) * encoder.n_outputs > _TABLE_WORTH_EXPANDING:
        return TableRows(X, index, encoder, dtype, device)
    kind = OnDemandRows if sparse.issparse(X) or is_large_file else DenseRows
    return kind(X, index, encoder, dtype, device)


def network_inputs(
    X: Any,
    encoder: Encoder,
    dtype: torch.dtype,
    device: torch.device,
    is_merged: bool = False,
    has_missing: bool = True,
) -> torch.Tensor:
    """Return rows as a tensor of shape (n, n_outputs), for predictions.

    Parameters
    ----------
    X : Table, array, CSR matrix or tensor of shape (n, n_features)
    encoder : Encoder
    dtype : torch.dtype
    device : torch.device
    is_merged : bool, default=False
        Whether the first layer standardises. Then numbers are not encoded, and a missing value is
        replaced by the centre of its column, as by the encoder.
    has_missing : bool, default=True
        False if it is known that no value is missing.
    """
    if not is_merged:
        return encoder.apply(X, dtype).to(device)
    numbers = dense_tensor(X, dtype)
    if has_missing and (is_missing := numbers.isnan()).any():
        center = as_tensor(encoder.block(Standardize).center, numbers.device).to(dtype)
        numbers = torch.where(is_missing, center, numbers)
    return numbers.to(device)
