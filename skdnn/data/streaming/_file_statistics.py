"""The examples of a file: one pass that learns what all of them come to, and mixes to train on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from skdnn.data.frames import Column, Table, objects_of, read_columns
from skdnn.data.targets import normalized_weights

from ._shuffling import uniform_draws
from ._sources import Source
from ._summary import Summary

# Of a mix; of the sample, and of the rows to watch.
_MIX_BYTES, _KEPT_BYTES = 2**25, 2**23
# Rows of a sample, or to watch, at the most.
_MOST_KEPT = 2**16
# Of a cell, and how many cells there are in a mix at least.
_CELL_ROWS, _CELLS_OF_A_MIX = 2**14, 16
# With more labels than this, y is no target of a binary classifier.
_MOST_LABELS = 20
# Seeds of what a row's number decides.
_HELD_OUT, _SAMPLED = 1, 2


@dataclass(frozen=True)
class Rows:
    """Some examples, as they are before they are encoded.

    Attributes
    ----------
    X : array or Table of shape (m, n_features)
    y : array of shape (m,)
    weight : array of shape (m,)
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray

    def __len__(self):
        return len(self.y)

    def take(self, index):
        """Return the Rows of an index."""
        return Rows(self.X[index], self.y[index], self.weight[index])


@dataclass(frozen=True)
class FileColumns:
    """What the columns of a Source are.

    Attributes
    ----------
    source : Source
    names : list of str
        Of the columns of X.
    kinds : list of str or None
        What they hold, as `find_kinds` says.
    y : str
        The column of labels or numbers.
    weight : str or None
        That of the weights.
    target : type
        `TwoClasses` or `RealNumbers`.
    """

    source: Source
    names: Sequence[str]
    kinds: Sequence[str] | None
    y: str
    weight: str | None
    target: Any

    def read(self, cells, ranges=None):
        """Yield (cell, first row there, X, y, weight); y as it stands there."""
        columns = list(dict.fromkeys([*self.names, self.y, *([self.weight] * bool(self.weight))]))
        for cell, first, table in self.source.read(cells, columns, ranges):
            weight = np.ones(len(table))
            if self.weight is not None:
                weight = Column(self.weight, table.column(self.weight)).array()
                weight = normalized_weights(weight, len(table))
            of_all = (part.column(self.y) for part in self.source.tables([self.y]))
            y = self.target.normalized(table.column(self.y), parts=of_all)
            yield cell, first, read_columns(table.select(self.names), self.kinds), y, weight

    def statistics(self, validation_fraction, tell=lambda n_rows: None):
        """Return the Survey of all rows.

        Parameters
        ----------
        validation_fraction : float
            The share of the rows that might be held out.
        tell : callable, default=nothing
            Told now and then how many rows have been read.

        Raises
        ------
        ValueError, TypeError
            If there are no rows, or a column holds what it must not.
        """
        n_rows = self.source.n_rows
        if not n_rows:
            raise ValueError("X must hold rows, got none.")
        row_bytes = self._row_bytes()
        most_kept = min(_MOST_KEPT, max(1, _KEPT_BYTES // row_bytes))
        fractions = min(validation_fraction, most_kept / n_rows), min(1.0, most_kept / n_rows)
        buffer_rows = max(_CELLS_OF_A_MIX, _MIX_BYTES // row_bytes)
        cells = self.source.cells(min(_CELL_ROWS, max(1, buffer_rows // _CELLS_OF_A_MIX)))
        statistics = FileStatistics(self, cells, buffer_rows, *fractions)
        for k, chunk in enumerate(self.read(cells)):
            if k % 100 == 0:
                tell(int(statistics.sizes.sum()))
            statistics.add(*chunk)
        statistics.check_rows()
        return statistics

    def _row_bytes(self):
        """Return how much memory a row needs, by the first ones."""
        for _, _, X, _, _ in self.read(self.source.cells(64)[:1]):
            arrays = _arrays(X)
            return max(1, sum(array.nbytes for array in arrays) // len(X))
        return 8 * len(self.names)


@dataclass
class FileStatistics:
    """What a pass over all rows has learned.

    Attributes
    ----------
    columns : FileColumns
    cells : list of Cell
    buffer_rows : int
        Of a mix, at the most.
    held_out_fraction, sampled_fraction : float
        Of the rows: that might be held out, and that are kept as a sample.
    sizes : array of int of shape (n_cells,)
        Rows of each cell that the source's condition leaves.
    sums : dict
        From each label to how often each cell has it; from None to the sums of numbers.
    found : dict
        From (label, whether they are held out) to the Summary of such rows; the label is None
        where y holds numbers.
    kept : list of (Rows, is_held, is_sampled)
        Rows to watch, and of the sample.
    dtype : dtype
        That holds the numbers of all.
    label_dtype : dtype
    """

    columns: FileColumns
    cells: list
    buffer_rows: int
    held_out_fraction: float
    sampled_fraction: float
    sums: dict = field(default_factory=dict)
    found: dict = field(default_factory=dict)
    kept: list = field(default_factory=list)
    dtype: Any = None
    label_dtype: Any = None

    def __post_init__(self):
        self.sizes = np.zeros(len(self.cells), dtype=np.intp)

    def add(self, cell, first, X, y, weight):
        """Take some rows."""
        self.sizes[cell] += len(y)
        of_X = _arrays(X)[0].dtype
        self.dtype = of_X if self.dtype is None else np.result_type(self.dtype, of_X)
        self.label_dtype = self.label_dtype or y.dtype
        is_held = uniform_draws(_HELD_OUT, cell, first, len(y)) < self.held_out_fraction
        is_sampled = uniform_draws(_SAMPLED, cell, first, len(y)) < self.sampled_fraction
        if not self.kept:  # nearly all may have a weight of 0
            is_sampled[np.flatnonzero(weight)[:1]] = True
        is_kept = (weight > 0) & (is_held | is_sampled)
        if is_kept.any():
            some = Rows(_compact(X[is_kept]), y[is_kept], weight[is_kept])
            self.kept.append((some, is_held[is_kept], is_sampled[is_kept]))
        for label, rows in self.columns.target.by_label(y):
            self._count(cell, label, y[rows])
            for held in (False, True):
                self._summarize(label, held, X, y, weight, rows[is_held[rows] == held])
        if len(self.sums) > _MOST_LABELS:
            self.columns.target.learn(np.array(list(self.sums)))  # raises a ValueError

    def _count(self, cell, label, y):
        if label not in self.sums:
            self.sums[label] = np.zeros(len(self.cells))
        self.sums[label][cell] += len(y) if label is not None else y.sum()

    def _summarize(self, label, held, X, y, weight, rows):
        numbers = y[rows] if label is None else None
        some = Summary.of(X[rows], weight[rows], numbers)
        known = self.found.get((label, held))
        self.found[label, held] = some if known is None else known + some

    def check_rows(self):
        """Raise a ValueError where rows are not all there, or none is to be learned from."""
        n_found, n_rows = self.sizes.sum(), self.columns.source.n_rows
        if n_found != n_rows:
            raise ValueError(
                f"X must stay as it is while it is read, but of {n_rows} rows {n_found} were found."
            )
        if not self.kept:
            raise ValueError("sample_weight must hold a weight above zero, got all zero.")

    def labels(self):
        """Return the labels as an array; of numbers none."""
        labels = [label for label in self.sums if label is not None]
        if self.label_dtype.kind == "O":
            return objects_of(labels)
        return np.array(labels, dtype=self.label_dtype)

    def weights_of_labels(self):
        """Return the labels and the weight of all rows of each."""
        labels = self.labels()
        totals = [sum(self.found[label, held].weight for held in (False, True)) for label in labels]
        return labels, np.array(totals, dtype=float)

    def summary(self, factors, with_held_out):
        """Return the Summary of the rows to train on.

        Parameters
        ----------
        factors : dict
            From labels to what their rows' weights are multiplied by; 1 where one is missing.
        with_held_out : bool
            Whether those that might be held out are trained on, too.
        """
        total = None
        for (label, held), found in self.found.items():
            factor = factors.get(label, 1.0)
            if factor > 0 and (with_held_out or not held):
                found = found.scaled(factor)
                total = found.copied() if total is None else total + found
        return total

    def means(self, target):
        """Return the mean of y in each cell."""
        sums = sum(
            counts if label is None else counts * target.encode(np.array([label]))[0]
            for label, counts in self.sums.items()
        )
        return np.nan_to_num(sums / np.maximum(1, self.sizes))

    def kept_rows(self, categories, n_frequent):
        """Return all Rows kept, which of them are held out, and which are of the sample; once.

        Parameters
        ----------
        categories : list of arrays
            Those of a Table, of which the first `n_frequent` are told apart.
        """
        rows, is_held, is_sampled = zip(*self.kept, strict=True)
        like, n_rows = recoded(rows[0].X[:0], categories, n_frequent), sum(map(len, rows))
        held = [np.empty((n_rows, array.shape[1]), array.dtype) for array in _arrays(like)]
        held[0] = held[0].astype(self.dtype)
        y, weight = (np.concatenate([getattr(some, n) for some in rows]) for n in ("y", "weight"))
        del rows
        n = 0
        while self.kept:  # each is forgotten when it is copied
            some, *_ = self.kept.pop(0)
            for array, part in zip(
                held, _arrays(recoded(some.X, categories, n_frequent)), strict=True
            ):
                array[n : n + len(some)] = part
            n += len(some)
        return Rows(_made_of(like, held), y, weight), *map(np.concatenate, (is_held, is_sampled))


@dataclass(frozen=True)
class TrainingFile:
    """The examples of a file to train on, as what was learned of them makes them.

    Attributes
    ----------
    statistics : Survey
    target : TwoClasses or RealNumbers
    factors : array of shape (2,) or None
        What the weights of each class are multiplied by.
    like : array or Table
        Some rows, whose levels are those to tell.
    with_held_out : bool
        Whether rows that might be held out are trained on.
    """

    statistics: FileStatistics
    target: Any
    factors: np.ndarray | None
    like: Any
    with_held_out: bool

    def read(self, ranges, before=None, is_over=None):
        """Return the Rows of some ranges of cells, behind those of before.

        Rows of weight 0 are left out. None where an Event says that nobody needs them any more.
        """
        statistics = self.statistics
        n_rows = sum(stop - start for _, start, stop in ranges)
        n_rows += 0 if before is None else len(before)
        held = [
            np.empty((n_rows, *array.shape[1:]), dtype)
            for array, dtype in zip(_arrays(self.like), self._dtypes(), strict=True)
        ]
        y, weight, n = np.empty(n_rows), np.empty(n_rows), 0
        for some in self._pieces(statistics.columns.read(statistics.cells, ranges), before):
            if is_over is not None and is_over.is_set():
                return None
            rows = slice(n, n + len(some))
            y[rows], weight[rows] = some.y, some.weight
            for array, part in zip(held, _arrays(some.X), strict=True):
                array[rows] = part
            n += len(some)
        return Rows(_made_of(self.like, [array[:n] for array in held]), y[:n], weight[:n])

    def _dtypes(self):
        return [self.statistics.dtype, *(array.dtype for array in _arrays(self.like)[1:])]

    def _pieces(self, chunks, before):
        if before is not None:
            yield before
        for cell, first, X, labels, weight in chunks:
            y = self.target.encode(labels)
            weight = weight if self.factors is None else weight * self.factors[y]
            counts = weight > 0
            if not self.with_held_out:
                counts &= (
                    uniform_draws(_HELD_OUT, cell, first, len(y))
                    >= self.statistics.held_out_fraction
                )
            if isinstance(X, Table):
                X = recoded(X, self.like.categories, self.like.n_frequent)
            some = Rows(X, y, weight)
            yield some if counts.all() else some.take(counts)


def recoded(X, categories, n_frequent):
    """Return a Table with codes for some levels; an array as it is."""
    return X.recoded(categories, n_frequent) if isinstance(X, Table) else X


def _compact(X):
    return X.with_used_categories() if isinstance(X, Table) else X


def _arrays(X):
    return (X.numbers, X.codes) if isinstance(X, Table) else (X,)


def _made_of(like, arrays):
    if not isinstance(like, Table):
        return arrays[0]
    numbers, codes = arrays
    return replace(like, numbers=numbers, codes=codes)
