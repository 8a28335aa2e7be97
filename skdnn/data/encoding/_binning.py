"""Bins: where the numeric embedding lets the first layer bend.

Most bins hold as many rows each. A number that is very frequent, such as the 0 of those who have
none, would swallow several of them: it is an edge of its own, and the others share the rest.
"""

import numpy as np

from skdnn.processes import SINGLE_PROCESS

from ._statistics import columns_with_weights, quantiles

_N_BINS = 16
# A column of fewer edges than these is told as well by the number alone.
_FEWEST_EDGES = 3


def bins(X, weight, processes=SINGLE_PROCESS):
    """Return the column, start and inverse width of every bin.

    Parameters
    ----------
    X : array, CSR matrix or tensor of shape (n_samples, n_features)
    weight : array of shape (n_samples,)
        Rows of weight 0 do not count.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows.

    Returns
    -------
    columns, starts, scales : arrays of shape (n_bins,)
    """
    columns, starts, widths = [np.empty(0, dtype=np.intp)], [np.empty(0)], [np.empty(0)]
    rows = np.flatnonzero(weight)
    found = columns_with_weights(X, weight, rows, range(X.shape[1]), processes)
    for j, column in enumerate(found):
        edges = bin_edges(*column)
        if len(edges) >= _FEWEST_EDGES:
            columns.append(np.full(len(edges) - 1, j))
            starts.append(edges[:-1])
            widths.append(np.diff(edges))
    # A bin narrower than any number is a step.
    with np.errstate(over="ignore"):
        scales = np.minimum(1 / np.concatenate(widths), np.finfo(np.float64).max)
    return np.concatenate(columns), np.concatenate(starts), scales


def bin_edges(values, weight):
    """Return where the bins of a column begin and end, sorted.

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
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) <= _N_BINS + 1:
        return distinct
    fraction = np.bincount(place, weight) / weight.sum()
    is_frequent = fraction >= 1 / _N_BINS
    rest = ~is_frequent[place]
    n_bins = max(1, _N_BINS - np.count_nonzero(is_frequent))
    others = quantiles(values[rest], weight[rest], np.linspace(0, 1, n_bins + 1))
    return np.union1d(distinct[is_frequent], others)
