"""Shuffle the rows of a file through buffers that each represent the whole file.

A file may be sorted by its labels, or by a column that is correlated with them. So its chunks are
sorted by their mean of y and grouped into strata, and each buffer gets the same number of rows from
each stratum. Chunks are drawn in random order within a stratum, and rows are shuffled within a
buffer.

A hash of the number of a row decides whether it is held out, so that no list of rows is stored.
"""

from itertools import pairwise

import numpy as np

_N_STRATA = 16
_N_UINT64 = np.float64(2**64)

# (number of a chunk, start, stop): some rows of a chunk, counted from its first one.
RowRange = tuple[int, int, int]


def make_strata(sizes: np.ndarray, means: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of the chunks of each stratum, a list of arrays of int.

    All strata have an equal sum of two measures: the number of rows, and the distance of their
    means from the mean of y. So the chunks of a rare label form strata of their own.

    Parameters
    ----------
    sizes : array of int of shape (n_chunks,)
        Number of rows of each chunk.
    means : array of shape (n_chunks,)
        Mean of y in each chunk.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.streaming._shuffling import make_strata
    >>> rare_at_the_end = make_strata(np.full(20, 100), np.repeat([0.0, 1.0], [19, 1]))
    >>> [len(chunks) for chunks in rare_at_the_end if 19 in chunks]
    [1]
    """
    with_rows = np.flatnonzero(sizes)
    order = with_rows[np.argsort(means[with_rows], kind="stable")]
    sizes, means = sizes[order], means[order]
    differences = sizes * np.abs(means - np.average(means, weights=sizes))
    measure = sizes / sizes.sum()
    if differences.any():
        measure = measure + differences / differences.sum()
    midpoints = np.cumsum(measure) - measure / 2
    stratum = (_N_STRATA * midpoints / measure.sum()).astype(np.intp)
    return [order[stratum == k] for k in np.unique(stratum)]


def draw_buffers(
    sizes: np.ndarray, strata: list[np.ndarray], n_buffers: int, rng: np.random.Generator | None
) -> list[list[RowRange]]:
    """Return for each buffer the row ranges (chunk, start, stop) that it contains.

    Each row is in one buffer. The numbers of rows of a stratum in two buffers differ by 1 at most.

    Parameters
    ----------
    sizes : array of int of shape (n_chunks,)
        Number of rows of each chunk.
    strata : list of arrays of int
        As returned by `make_strata`.
    n_buffers : int
    rng : numpy.random.Generator or None
        None keeps all rows in their order.
    """
    buffers: list[list[RowRange]] = [[] for _ in range(n_buffers)]
    if rng is None:
        strata = [np.arange(len(sizes))]
    for chunks in strata:
        if rng is not None:
            chunks = rng.permutation(chunks)
        stops = np.cumsum(sizes[chunks])
        edges = stops[-1] * np.arange(n_buffers + 1) // n_buffers
        for buffer, (start, stop) in zip(buffers, pairwise(edges), strict=True):
            k = int(np.searchsorted(stops, start, side="right"))
            while start < stop:
                first, end = stops[k] - sizes[chunks[k]], min(stop, stops[k])
                if start < end:
                    buffer.append((int(chunks[k]), int(start - first), int(end - first)))
                start, k = end, k + 1
    return buffers


def uniform_draws(seed: int, chunk: int, first: int, n_rows: int) -> np.ndarray:
    """Return a number from 0 to 1 for each of some rows, always the same one for the same row.

    They are drawn by the generator of [1]_, whose numbers depend only on their position.

    Parameters
    ----------
    seed : int
        Another seed gives other, independent numbers.
    chunk : int
        Number of the chunk.
    first : int
        The first of the rows, counted from the first row of the chunk.
    n_rows : int

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
    start = (chunk << 32) + first + seed * 0xD1B54A32D192ED03
    z = np.arange(n_rows, dtype=np.uint64) + np.uint64(start % 2**64)
    z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) / _N_UINT64
