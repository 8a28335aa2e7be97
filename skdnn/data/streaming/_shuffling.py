"""Which rows of a file are in memory together: mixes, each with its share of all labels.

A file may be sorted, by its labels or by what goes with them. So its cells are sorted by the mean
of y and cut into strata, and each mix has as many rows of each stratum as any other. Within a mix
rows are shuffled, and within a stratum cells come in random order.

Nothing has to be kept to know whether a row is held out: a hash of its number tells.
"""

from itertools import pairwise

import numpy as np

_N_STRATA = 16
_LARGEST = np.float64(2**64)


def make_strata(sizes, means):
    """Return the cells by strata, a list of arrays of int.

    The strata are equal in the sum of two measures: how many rows they have, and how much these
    differ from the mean of y. So a label that is rare has strata of its own, where it has cells.

    Parameters
    ----------
    sizes : array of int of shape (n_cells,)
        Rows.
    means : array of shape (n_cells,)
        Of y.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.streaming._shuffling import make_strata
    >>> rare_at_the_end = make_strata(np.full(20, 100), np.repeat([0.0, 1.0], [19, 1]))
    >>> [len(cells) for cells in rare_at_the_end if 19 in cells]
    [1]
    """
    there = np.flatnonzero(sizes)
    order = there[np.argsort(means[there], kind="stable")]
    sizes, means = sizes[order], means[order]
    differences = sizes * np.abs(means - np.average(means, weights=sizes))
    measure = sizes / sizes.sum()
    if differences.any():
        measure = measure + differences / differences.sum()
    up_to = np.cumsum(measure) - measure / 2
    stratum = (_N_STRATA * up_to / measure.sum()).astype(np.intp)
    return [order[stratum == k] for k in np.unique(stratum)]


def draw_buffers(sizes, strata, n_buffers, rng):
    """Return for each mix the ranges of rows (cell, start, stop) that it is made of.

    Each row is in one of them, and of each stratum as many, but for one, are in each.

    Parameters
    ----------
    sizes : array of int of shape (n_cells,)
    strata : list of arrays of int
    n_buffers : int
    rng : numpy.random.Generator
    """
    buffers = [[] for _ in range(n_buffers)]
    for cells in strata:
        cells = rng.permutation(cells)
        stops = np.cumsum(sizes[cells])
        edges = stops[-1] * np.arange(n_buffers + 1) // n_buffers
        for buffer, (start, stop) in zip(buffers, pairwise(edges), strict=True):
            buffer += _ranges(cells, sizes, stops, start, stop)
    return buffers


def buffers_in_order(sizes, n_buffers):
    """Return the same for rows that stay in their order."""
    cells, stops = np.arange(len(sizes)), np.cumsum(sizes)
    edges = stops[-1] * np.arange(n_buffers + 1) // n_buffers
    return [_ranges(cells, sizes, stops, start, stop) for start, stop in pairwise(edges)]


def _ranges(cells, sizes, stops, start, stop):
    """Return the ranges of the rows from start to stop of cells that lie behind each other."""
    found = []
    k = int(np.searchsorted(stops, start, side="right"))
    while start < stop:
        first, end = stops[k] - sizes[cells[k]], min(stop, stops[k])
        if start < end:
            found.append((int(cells[k]), int(start - first), int(end - first)))
        start, k = end, k + 1
    return found


def uniform_draws(seed, cell, first, n_rows):
    """Return numbers from 0 to 1 for rows of a cell, the same ones whenever they are asked for.

    By the generator of [1]_, of which each number depends on its place alone.

    Parameters
    ----------
    seed : int
        For other numbers.
    cell, first, n_rows : int

    References
    ----------
    .. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
       OOPSLA 2014.

    Examples
    --------
    >>> from skdnn.data.streaming._shuffling import uniform_draws
    >>> uniform_draws(0, 3, 5, 100)[10:12].tolist() == uniform_draws(0, 3, 15, 2).tolist()
    True
    """
    start = (cell << 32) + first + seed * 0xD1B54A32D192ED03
    z = np.arange(n_rows, dtype=np.uint64) + np.uint64(start % 2**64)
    z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) / _LARGEST
