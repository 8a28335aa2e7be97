"""The bins of the piecewise-linear encoding of numbers.

Bins hold about equally many rows. A very frequent number, such as a 0 for "none", would take up
several quantiles: it gets an edge of its own, and the other edges are quantiles of the other rows.
"""

import numpy as np

from skdnn.processes import SINGLE_PROCESS, SingleProcess

from ._statistics import Matrix, columns_with_weights, quantiles

MOST_BINS = 16
# For a column with fewer edges, the bins say no more than the number itself.
_FEWEST_EDGES = 3


def find_bins(
    X: Matrix, weight: np.ndarray, processes: SingleProcess = SINGLE_PROCESS
) -> dict[str, np.ndarray]:
    """Return the column, start and inverse width of each bin, as an Encoder names them.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
        Rows of weight 0 do not count.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes among which the rows are distributed.

    Returns
    -------
    dict with "bin_column", "bin_start" and "bin_scale", arrays of shape (n_bins,)
    """
    columns, starts, widths = [np.empty(0, dtype=np.intp)], [np.empty(0)], [np.empty(0)]
    rows = np.flatnonzero(weight)
    found = columns_with_weights(X, weight, rows, range(X.shape[1]), processes)
    for j, (values, weights) in enumerate(found):
        edges = bin_edges(values, weights)
        if len(edges) >= _FEWEST_EDGES:
            columns.append(np.full(len(edges) - 1, j))
            starts.append(edges[:-1])
            widths.append(np.diff(edges))
    # The inverse of a subnormal width would be infinite.
    with np.errstate(over="ignore"):
        scales = np.minimum(1 / np.concatenate(widths), np.finfo(np.float64).max)
    return {
        "bin_column": np.concatenate(columns),
        "bin_start": np.concatenate(starts),
        "bin_scale": scales,
    }


def bin_edges(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the sorted edges of the bins of a column.

    Parameters
    ----------
    values, weight : arrays of shape (m,)

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding._binning import bin_edges
    >>> bin_edges(np.array([3.0, 1.0, 1.0, 2.0]), np.ones(4))
    array([1., 2., 3.])
    >>> bin_edges(np.maximum(np.arange(-50.0, 51.0), 0), np.ones(101)).round()
    array([ 0.,  1.,  4.,  8., 11., 14., 18., 21., 24., 27., 31., 34., 37.,
           41., 44., 47., 50.])
    """
    distinct, position = np.unique(values, return_inverse=True)
    if len(distinct) <= MOST_BINS + 1:
        return distinct
    is_frequent = np.bincount(position, weight) / weight.sum() >= 1 / MOST_BINS
    is_other = ~is_frequent[position]
    n_bins = max(1, MOST_BINS - int(is_frequent.sum()))
    fractions = np.linspace(0, 1, n_bins + 1)
    return np.union1d(
        distinct[is_frequent], quantiles(values[is_other], weight[is_other], fractions)
    )
