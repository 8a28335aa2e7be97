"""The rows of a file as training examples: statistics from a first pass, then shuffled buffers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from threading import Event
from typing import Any

import numpy as np

from skdnn.data.frames import Column, Table, object_array, read_columns
from skdnn.data.targets import Target, normalized_weights

from ._shuffling import RowRange, uniform_draws
from ._sources import Chunk, Source
from ._summary import Summary

# Memory of a shuffle buffer, and of the sample together with the held-out rows.
_BUFFER_BYTES, _SAMPLE_BYTES = 2**25, 2**23
_MAX_SAMPLE_ROWS = 2**16
_MAX_CHUNK_ROWS, _MIN_CHUNKS_OF_A_BUFFER = 2**14, 16
# Seeds of the hashes that decide whether a row is held out or sampled.
_HELD_OUT, _SAMPLED = 1, 2


@dataclass(frozen=True)
class Rows:
    """Some examples before they are encoded.

    Attributes
    ----------
    X : array or Table of shape (m, n_features)
    y : array of shape (m,)
    weight : array of shape (m,)
    """

    X: np.ndarray | Table
    y: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: np.ndarray) -> "Rows":
        """Return the Rows at the indices, or where a mask is True."""
        return Rows(self.X[index], self.y[index], self.weight[index])


@dataclass(frozen=True)
class FileColumns:
    """The meaning of the columns of a Source.

    Attributes
    ----------
    source : Source
    names : list of str
        Names of the columns of X.
    kinds : list of str or None
        Kinds of the columns of X, as returned by `find_kinds`.
    y : str
        Name of the column of labels or numbers.
    weight : str or None
        Name of the column of sample weights.
    target : type
        A subclass of `Classes`, or `RealNumbers`.
    """

    source: Source
    names: Sequence[str]
    kinds: Sequence[str] | None
    y: str
    weight: str | None
    target: type[Target]

    def read(
        self, chunks: list[Chunk], row_ranges: list[RowRange] | None = None
    ) -> Iterator[tuple[int, int, np.ndarray | Table, np.ndarray, np.ndarray]]:
        """Yield (number of the chunk, first row in it, X, y, weight); y is not encoded.

        Parameters
        ----------
        chunks : list of Chunk
        row_ranges : list of (number of a chunk, start, stop) or None, default=None
            None reads all chunks.
        """
        names = dict.fromkeys([*self.names, self.y])  # a set that keeps the order
        if self.weight is not None:
            names[self.weight] = None
        for chunk, first, table in self.source.read(chunks, list(names), row_ranges):
            weight = np.ones(len(table))
            if self.weight is not None:
                weight = Column(self.weight, table.column(self.weight)).array()
                weight = normalized_weights(weight, len(table))
            # An error about missing labels counts them in the whole file.
            whole_y = (whole.column(self.y) for whole in self.source.tables([self.y]))
            y = self.target.normalized(table.column(self.y), parts=whole_y)
            yield chunk, first, read_columns(table.select(self.names), self.kinds), y, weight

    def statistics(
        self, validation_fraction: float, report: Callable[[int], object] = lambda n_rows: None
    ) -> "FileStatistics":
        """Read all rows, and return their FileStatistics.

        Parameters
        ----------
        validation_fraction : float
            Fraction of the rows that may be held out.
        report : callable, default=nothing
            Called from time to time with the number of rows read so far.

        Raises
        ------
        ValueError, TypeError
            If there are no rows, all weights are 0, the file changes meanwhile, or a column has
            values that are not allowed.
        """
        n_rows = self.source.n_rows
        if not n_rows:
            raise ValueError("X must hold rows, got none.")
        row_bytes = 8 * len(self.names)
        for _, _, X, _, _ in self.read(self.source.chunks(64)[:1]):
            row_bytes = max(1, sum(array.nbytes for array in _arrays_of(X)) // len(X))
            break
        sample_rows = min(_MAX_SAMPLE_ROWS, max(1, _SAMPLE_BYTES // row_bytes))
        buffer_rows = max(_MIN_CHUNKS_OF_A_BUFFER, _BUFFER_BYTES // row_bytes)
        chunk_rows = min(_MAX_CHUNK_ROWS, max(1, buffer_rows // _MIN_CHUNKS_OF_A_BUFFER))
        chunks = self.source.chunks(chunk_rows)
        statistics = FileStatistics(
            self,
            chunks,
            buffer_rows,
            held_out_fraction=min(validation_fraction, sample_rows / n_rows),
            sampled_fraction=min(1.0, sample_rows / n_rows),
            sizes=np.zeros(len(chunks), dtype=np.intp),
        )
        for k, rows in enumerate(self.read(chunks)):
            if k % 100 == 0:
                report(int(statistics.sizes.sum()))
            statistics.add(*rows)
        n_found = statistics.sizes.sum()
        if n_found != n_rows:
            raise ValueError(
                f"X has changed while it was read: {n_found} of {n_rows} rows were found."
            )
        if not statistics.rows_in_memory:
            raise ValueError("sample_weight must hold a weight above zero, got all zero.")
        return statistics


@dataclass
class FileStatistics:
    """Statistics of all rows of a file, a sample of the rows, and the rows that may be held out.

    Attributes
    ----------
    columns : FileColumns
    chunks : list of Chunk
    buffer_rows : int
        Maximal number of rows of a shuffle buffer.
    held_out_fraction, sampled_fraction : float
        Fractions of the rows that may be held out, and that belong to the sample.
    sizes : array of int of shape (n_chunks,)
        Number of rows of each chunk.
    sums : dict
        In classification, for each label its number of rows in each chunk. In regression, for the
        key None the sum of y in each chunk.
    summaries : dict
        The Summary of the rows of each (label, whether they may be held out). The label is None in
        regression.
    rows_in_memory : list of (Rows, is_held_out, is_sampled)
        Rows that may be held out or belong to the sample, and two masks.
    dtype : dtype
        Common dtype of all numbers in X.
    label_dtype : dtype
    """

    columns: FileColumns
    chunks: list[Chunk]
    buffer_rows: int
    held_out_fraction: float
    sampled_fraction: float
    sizes: np.ndarray
    sums: dict[Any, np.ndarray] = field(default_factory=dict)
    summaries: dict[tuple[Any, bool], Summary] = field(default_factory=dict)
    rows_in_memory: list[tuple[Rows, np.ndarray, np.ndarray]] = field(default_factory=list)
    dtype: np.dtype | None = None
    label_dtype: np.dtype | None = None

    def add(
        self, chunk: int, first: int, X: np.ndarray | Table, y: np.ndarray, weight: np.ndarray
    ) -> None:
        """Add some rows of a chunk, of which `first` is the number of the first one."""
        self.sizes[chunk] += len(y)
        dtype = _arrays_of(X)[0].dtype
        self.dtype = dtype if self.dtype is None else np.result_type(self.dtype, dtype)
        self.label_dtype = self.label_dtype or y.dtype
        is_held_out = uniform_draws(_HELD_OUT, chunk, first, len(y)) < self.held_out_fraction
        is_sampled = uniform_draws(_SAMPLED, chunk, first, len(y)) < self.sampled_fraction
        if not self.rows_in_memory:  # the sample has a row even if nearly all weights are 0
            is_sampled[np.flatnonzero(weight)[:1]] = True
        chosen = (weight > 0) & (is_held_out | is_sampled)
        if chosen.any():
            chosen_X = X[chosen]
            if isinstance(chosen_X, Table):
                chosen_X = chosen_X.with_used_categories()
            rows = Rows(chosen_X, y[chosen], weight[chosen])
            self.rows_in_memory.append((rows, is_held_out[chosen], is_sampled[chosen]))
        for label, index in self.columns.target.by_label(y):
            sums = self.sums.setdefault(label, np.zeros(len(self.chunks)))
            sums[chunk] += y[index].sum() if label is None else len(index)
            for held_out in (False, True):
                some = index[is_held_out[index] == held_out]
                numbers = y[some] if label is None else None
                summary = Summary.of(X[some], weight[some], numbers)
                if (label, held_out) in self.summaries:
                    summary = self.summaries[label, held_out] + summary
                self.summaries[label, held_out] = summary
        if len(self.sums) > self.columns.target.most_labels:
            self.columns.target.learn(np.array(list(self.sums)))  # raises a ValueError

    def labels(self) -> np.ndarray:
        """Return all labels; an empty array in regression."""
        labels = [label for label in self.sums if label is not None]
        if self.label_dtype is not None and self.label_dtype.kind == "O":
            return object_array(labels)
        return np.array(labels, dtype=self.label_dtype)

    def label_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all labels, and the total weight of the rows of each."""
        labels = self.labels()
        totals = [
            sum(self.summaries[label, held].weight for held in (False, True)) for label in labels
        ]
        return labels, np.array(totals, dtype=float)

    def summary(self, factors: dict[Any, float], with_held_out: bool) -> Summary:
        """Return the Summary of the training rows.

        Parameters
        ----------
        factors : dict
            For each label the factor that multiplies the weights of its rows, by default 1.
        with_held_out : bool
            Whether the rows that may be held out are training rows.
        """
        summaries = [
            summary.scaled(factors.get(label, 1.0))
            for (label, held_out), summary in self.summaries.items()
            if factors.get(label, 1.0) > 0 and (with_held_out or not held_out)
        ]
        total = summaries[0]
        # Adding changes the counters of the first summary, so copy them.
        total = replace(total, categories=[counts.copy() for counts in total.categories])
        for summary in summaries[1:]:
            total += summary
        return total

    def means(self, target: Target) -> np.ndarray:
        """Return the mean of encoded y in each chunk."""
        sums = sum(
            counts if label is None else counts * target.encode(np.array([label]))[0]
            for label, counts in self.sums.items()
        )
        return np.nan_to_num(sums / np.maximum(1, self.sizes))

    def pop_rows_in_memory(
        self, categories: list[np.ndarray], n_frequent: np.ndarray
    ) -> tuple[Rows, np.ndarray, np.ndarray]:
        """Return the Rows in memory, which of them may be held out, and which are sampled.

        They are moved into the arrays that are returned, so this works only once.

        Parameters
        ----------
        categories : list of arrays
            Categories of each categorical column.
        n_frequent : array of int
            How many of them, the first ones, are encoded separately.
        """
        rows, is_held_out, is_sampled = zip(*self.rows_in_memory, strict=True)
        template = _recoded(rows[0].X[:0], categories, n_frequent)
        n_rows, y_dtype = sum(map(len, rows)), np.result_type(*(some.y.dtype for some in rows))
        del rows
        popped = (self.rows_in_memory.pop(0)[0] for _ in range(len(self.rows_in_memory)))
        recoded = (replace(some, X=_recoded(some.X, categories, n_frequent)) for some in popped)
        all_rows = _concatenated(recoded, n_rows, template, self.dtype, y_dtype)
        return all_rows, np.concatenate(is_held_out), np.concatenate(is_sampled)


@dataclass(frozen=True)
class TrainingFile:
    """The training rows of a file, read according to the statistics of all rows.

    Attributes
    ----------
    statistics : FileStatistics
    target : Target
    factors : array of shape (n_classes,) or None
        Factors that multiply the weights of the rows of each class.
    template : array or Table
        Some rows. A Table has the categories to encode.
    with_held_out : bool
        Whether the rows that may be held out are training rows.
    """

    statistics: FileStatistics
    target: Target
    factors: np.ndarray | None
    template: np.ndarray | Table
    with_held_out: bool

    def read(
        self,
        row_ranges: list[RowRange],
        left_over: Rows | None = None,
        is_cancelled: Event | None = None,
    ) -> Rows:
        """Return the training rows of some row ranges, without those of weight 0.

        Parameters
        ----------
        row_ranges : list of (number of a chunk, start, stop)
        left_over : Rows or None, default=None
            Rows to put before them.
        is_cancelled : threading.Event or None, default=None
            Once it is set, the result is not needed any more, and reading stops.
        """
        n_rows = sum(stop - start for _, start, stop in row_ranges)
        rows = self._training_rows(row_ranges, is_cancelled)
        if left_over is not None:
            n_rows, rows = n_rows + len(left_over), chain([left_over], rows)
        return _concatenated(rows, n_rows, self.template, self.statistics.dtype, float)

    def _training_rows(
        self, row_ranges: list[RowRange], is_cancelled: Event | None
    ) -> Iterator[Rows]:
        statistics = self.statistics
        chunks = statistics.columns.read(statistics.chunks, row_ranges)
        for chunk, first, X, labels, weight in chunks:
            if is_cancelled is not None and is_cancelled.is_set():
                return
            y = self.target.encode(labels)
            weight = weight if self.factors is None else weight * self.factors[y]
            chosen = weight > 0
            if not self.with_held_out:
                draws = uniform_draws(_HELD_OUT, chunk, first, len(y))
                chosen &= draws >= statistics.held_out_fraction
            if isinstance(self.template, Table):
                X = _recoded(X, self.template.categories, self.template.n_frequent)
            rows = Rows(X, y, weight)
            yield rows if chosen.all() else rows.take(chosen)


def _recoded(
    X: np.ndarray | Table, categories: list[np.ndarray], n_frequent: np.ndarray
) -> np.ndarray | Table:
    return X.recoded(categories, n_frequent) if isinstance(X, Table) else X


def _concatenated(
    parts: Iterable[Rows], n_rows: int, template: np.ndarray | Table, dtype: Any, y_dtype: Any
) -> Rows:
    """Return Rows joined to one; only one of them at a time needs to be in memory.

    Parameters
    ----------
    parts : iterable of Rows
    n_rows : int
        Their number of rows at most.
    template : array or Table
        Some rows with the columns and categories of all.
    dtype, y_dtype : dtype
        Of the numbers in X, and of y.
    """
    dtypes = [dtype, *(array.dtype for array in _arrays_of(template)[1:])]
    arrays = [
        np.empty((n_rows, *array.shape[1:]), its_dtype)
        for array, its_dtype in zip(_arrays_of(template), dtypes, strict=True)
    ]
    y, weight, n = np.empty(n_rows, y_dtype), np.empty(n_rows), 0
    for rows in parts:
        place = slice(n, n + len(rows))
        y[place], weight[place] = rows.y, rows.weight
        for array, values in zip(arrays, _arrays_of(rows.X), strict=True):
            array[place] = values
        n += len(rows)
    arrays = [array[:n] for array in arrays]
    X = arrays[0]
    if isinstance(template, Table):
        return Rows(replace(template, numbers=X, codes=arrays[1]), y[:n], weight[:n])
    return Rows(X, y[:n], weight[:n])


def _arrays_of(X: np.ndarray | Table) -> tuple[np.ndarray, ...]:
    return (X.numbers, X.codes) if isinstance(X, Table) else (X,)
