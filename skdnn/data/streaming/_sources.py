"""Rows that are in files: what X is where it names them instead of holding them.

A path of Parquet or a list of paths, a dataset of PyArrow, or a scan of polars is a Source. It
hands out its rows as small tables of PyArrow, from wherever they are asked for, and holds none
itself. Of a Parquet file not even a row group is read as a whole: PyArrow's dataset would do so,
its file does not.
"""

import os
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from skdnn.data.frames import shown

from ._schemas import common_schema, index_names

# So many numbers come at a time.
_TABLE_SIZE = 2**18
# A file is read through a buffer of so many bytes for each column.
_BUFFER_SIZE = 2**16
# Of a polars frame so many rows are collected at a time: it finds each anew.
_ROWS_OF_A_SLICE = 2**16
_WHAT = "a Parquet file or of a folder of such"


def open_source(X):
    """Return the Source of one or more paths, a PyArrow dataset or a polars scan; else None.

    A list is one of paths where it has elements and all of them are paths.

    Raises
    ------
    ValueError
        If there is nothing to read at a path.
    ImportError
        If PyArrow is not installed.
    """
    paths = X if isinstance(X, list | tuple) else [X]
    if paths and all(isinstance(path, str | os.PathLike) for path in paths):
        if paths is X and not any(map(os.path.exists, paths)):
            raise ValueError(
                "X must be rows of numbers, a data frame, or paths of files that exist. Expected "
                f"2D array, got 1D array of {type(X[0]).__name__} instead: {shown(X)}."
            )
        return _source_of_paths([os.fspath(path) for path in paths])
    if hasattr(type(X), "get_fragments"):  # a dataset of PyArrow
        return _source_of_dataset(X)
    if hasattr(type(X), "collect_schema") and hasattr(type(X), "sink_parquet"):  # a polars scan
        empty = _pyarrow().table(_collected(X.head(0)).to_arrow())
        return Source(empty, [_FramePart(X)])
    return None


def _pyarrow():
    try:
        import pyarrow
        from pyarrow import dataset, fs, parquet  # noqa: F401, to be there as attributes
    except ImportError as error:
        raise ImportError("X is in a file, which PyArrow reads: pip install pyarrow.") from error
    return pyarrow


def _source_of_paths(paths):
    pyarrow = _pyarrow()
    dataset, local = pyarrow.dataset, pyarrow.fs.LocalFileSystem()
    files = [file for path in paths for file in _files_at(path, local)]
    options = dataset.FileSystemFactoryOptions(partitioning=dataset.HivePartitioning.discover())
    try:
        factory = dataset.FileSystemDatasetFactory(
            local, files, dataset.ParquetFileFormat(), options
        )
        *_, keys = factory.inspect_schemas()  # the columns that are in names of folders
        fragments = list(factory.finish(keys).get_fragments())
        schema = common_schema(fragments, keys)
        return Source(schema.empty_table(), [_ParquetPart(part, schema) for part in fragments])
    except (OSError, pyarrow.ArrowException) as error:
        given = repr(paths[0]) if len(paths) == 1 else shown(paths)
        raise ValueError(
            f"X must be the path of {_WHAT}, but {given} cannot be read: {error}"
        ) from error


def _files_at(path, local):
    """Return the files at a path, those of a folder in the order in which PyArrow lists them."""
    if not os.path.exists(path):
        raise ValueError(f"X must be the path of {_WHAT}, but there is none at {path!r}.")
    if not os.path.isdir(path):
        return [local.normalize_path(path)]
    pyarrow = _pyarrow()
    no_columns = pyarrow.schema([])  # so that no file is opened
    files = pyarrow.dataset.dataset(path, no_columns, format="parquet", filesystem=local).files
    if not files:
        raise ValueError(
            f"X must be the path of {_WHAT}, but the folder {path!r} has no files in it, beside "
            "those whose names begin with '.' or '_', which are skipped."
        )
    return files


def _source_of_dataset(dataset):
    pyarrow = _pyarrow()
    without, condition = _without_filter(dataset)
    try:
        n_rows = None if condition is None else dataset.count_rows()
        parts = [
            (_ParquetPart if hasattr(type(fragment), "row_groups") else _ScannedPart)(
                fragment, dataset.schema
            )
            for fragment in without.get_fragments()
        ]
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"X must be of files that can be read: {error}") from error
    return Source(dataset.schema.empty_table(), parts, condition, n_rows)


def _without_filter(dataset):
    """Return a dataset as it was before it was given a filter, and this.

    Of one with a filter PyArrow names no files, nor does it tell the filter in any other way; so a
    Source counts whether as many rows are left as PyArrow counts.
    """
    condition = (getattr(dataset, "_scan_options", None) or {}).get("filter")
    if condition is None:
        return dataset, None
    without = dataset.filter(_pyarrow().dataset.scalar(True))
    without._scan_options = {}
    return without, condition


class _ParquetPart:
    """A Parquet file, or some of its row groups."""

    def __init__(self, fragment, schema):
        self.fragment, self.schema, self.path = fragment, schema, fragment.path
        self.metadata = fragment.metadata
        self.groups = [group.id for group in fragment.row_groups]
        self.sizes = [self.metadata.row_group(group).num_rows for group in self.groups]
        self.keys = _pyarrow().dataset.get_partition_keys(fragment.partition_expression)
        self.state = self._state()

    def tables(self, spans, columns, n_rows):
        """Yield (place in spans, table) for ascending, disjoint spans of rows (start, stop)."""
        parquet = _pyarrow().parquet
        there = [name for name in self.fragment.physical_schema.names if name in columns]
        if self._state() != self.state:
            raise ValueError(
                f"X must stay as it is while it is read, but {self.path!r} has changed."
            )
        with (
            self.fragment.open() as stream,
            parquet.ParquetFile(
                stream, metadata=self.metadata, buffer_size=_BUFFER_SIZE, pre_buffer=False
            ) as file,
        ):
            edges = pairwise(np.cumsum([0, *self.sizes]).tolist())
            for group, (first, behind) in zip(self.groups, edges, strict=True):
                wanted = [span for span in enumerate(spans) if _overlap(span[1], first, behind)]
                if not wanted:
                    continue
                batches = file.iter_batches(
                    batch_size=n_rows, row_groups=[group], columns=there, use_threads=False
                )
                for k, batch in _within(wanted, batches, first):
                    yield k, self._completed(batch, columns)

    def _completed(self, batch, columns):
        """Return a table of these columns as the dataset has them, whatever the file has."""
        pyarrow = _pyarrow()
        fields = [self.schema.field(name) for name in columns]
        arrays = [self._column(batch, field) for field in fields]
        return pyarrow.table(arrays, schema=pyarrow.schema(fields))

    def _column(self, batch, field):
        pyarrow = _pyarrow()
        if field.name in batch.schema.names:
            column = batch.column(field.name)
        elif self.keys.get(field.name) is not None:
            column = pyarrow.array([self.keys[field.name]] * len(batch))
        else:
            return pyarrow.nulls(len(batch), field.type)
        try:
            if pyarrow.types.is_decimal(column.type) and pyarrow.types.is_floating(field.type):
                column = column.cast("string")  # from which a float is rounded once
            return column if column.type == field.type else column.cast(field.type)
        except pyarrow.ArrowException as error:
            raise _unfit(field, self.path, error) from error

    def _state(self):
        """Return what tells that a file is still the same."""
        info = self.fragment.filesystem.get_file_info([self.path])[0]
        return info.size, info.mtime_ns


class _ScannedPart:
    """A file of another format, which has to be read from its beginning."""

    def __init__(self, fragment, schema):
        self.fragment, self.schema = fragment, schema
        self.path = getattr(fragment, "path", "a table")
        self.sizes = [fragment.count_rows()]

    def tables(self, spans, columns, n_rows):
        """Yield (place in spans, table) for ascending, disjoint spans of rows (start, stop)."""
        pyarrow = _pyarrow()
        try:
            for k, batch in _within(list(enumerate(spans)), self._batches(columns, n_rows), 0):
                yield k, pyarrow.Table.from_batches([batch])
        except pyarrow.ArrowException:
            for name in columns:  # PyArrow says which one it is by its number, or not at all
                self._check_column(name, n_rows)
            raise

    def _check_column(self, name, n_rows):
        try:
            for _ in self._batches([name], n_rows):
                pass
        except _pyarrow().ArrowException as error:
            raise _unfit(self.schema.field(name), self.path, error) from error

    def _batches(self, columns, n_rows):
        return self.fragment.scanner(
            schema=self.schema,
            columns=columns,
            batch_size=n_rows,
            use_threads=False,
            batch_readahead=0,
            fragment_readahead=0,
        ).to_batches()


class _FramePart:
    """A polars frame that is collected slice by slice."""

    path = "a scan"

    def __init__(self, frame):
        import polars

        self.frame = frame
        self.sizes = [_collected(frame.select(polars.len())).item()]

    def tables(self, spans, columns, n_rows):
        """Yield (place in spans, table) for ascending, disjoint spans of rows (start, stop)."""
        frame = self.frame.select(columns)
        for k, (start, stop) in enumerate(spans):
            for first in range(start, stop, _ROWS_OF_A_SLICE):
                n = min(_ROWS_OF_A_SLICE, stop - first)
                table = _collected(frame.slice(first, n)).to_arrow()
                if len(table) != n:
                    raise ValueError("X must stay as it is while it is read, but has changed.")
                for some in range(0, n, n_rows):
                    yield k, table.slice(some, n_rows)


def _collected(scan):
    import polars

    try:
        return scan.collect()
    except (OSError, polars.exceptions.PolarsError) as error:
        raise ValueError(f"X must be a scan that polars can collect: {error}") from error


def _unfit(field, path, error):
    return ValueError(
        f"X must hold values in column {field.name!r} that can be converted to {field.type}, the "
        f"type of its schema, but those of {path!r} cannot: {error}"
    )


def _overlap(span, first, behind):
    return span[0] < behind and first < span[1]


def _within(spans, batches, position):
    """Yield (place, batch) for the rows of batches, counted from position, that are in spans."""
    last = max(stop for _, (_, stop) in spans)
    for batch in batches:
        for k, (start, stop) in spans:
            begin, end = max(0, start - position), min(len(batch), stop - position)
            if begin < end:
                yield k, batch.slice(begin, end - begin)
        position += len(batch)
        if position >= last:
            return


@dataclass(frozen=True)
class Cell:
    """Rows from `start` to `stop` of a part of a Source, whatever its condition."""

    part: int
    start: int
    stop: int


class Source:
    """Rows that are elsewhere.

    Parameters
    ----------
    empty : pyarrow.Table
        Without rows: the names and types of the columns.
    parts : list of parts
    condition : pyarrow expression or None, default=None
        Which rows count.
    n_rows : int or None, default=None
        How many these are; None for all.
    """

    def __init__(self, empty, parts, condition=None, n_rows=None):
        self.empty, self.parts, self.condition = empty, parts, condition
        self.names = list(empty.column_names)
        self.n_rows = sum(sum(part.sizes) for part in parts) if n_rows is None else n_rows

    def index_names(self):
        """Return the names of the columns that were the index of the pandas frame that was written.

        pandas gives them back as the index, and a frame's index is no feature.
        """
        return index_names(self.empty.schema)

    def check_names(self, names, what):
        """Raise a ValueError where a name is not that of a column.

        Parameters
        ----------
        names : sequence
        what : str
            Of whose names they are, for the error.
        """
        for name in names:
            if self.names.count(name) != 1:
                found = "several" if name in self.names else "none"
                raise ValueError(
                    f"{what} must name a column of X, which are {self.names}, got {name!r}: there "
                    f"are {found} of that name."
                )

    def cells(self, n_rows):
        """Return Cells of at most so many rows, which together are all rows, in their order.

        Row groups are cut into equal parts, or small ones taken together.
        """
        return [
            Cell(k, start, stop)
            for k, part in enumerate(self.parts)
            for start, stop in _cut(part.sizes, n_rows)
        ]

    def read(self, cells, columns, ranges=None):
        """Yield (number of a cell, first row there, table) for some rows, in their order.

        Parameters
        ----------
        cells : list of Cell
        columns : list of str
        ranges : list of (number of a cell, start, stop) or None, default=None
            Which of the rows that the condition leaves of a cell; None for all cells as a whole.
        """
        if ranges is None:
            ranges = [(k, 0, cell.stop - cell.start) for k, cell in enumerate(cells)]
        ranges = sorted(ranges)
        for k, of_part in groupby(ranges, lambda some: cells[some[0]].part):
            part = self.parts[k]
            try:
                yield from self._read_part(part, cells, columns, list(of_part))
            except (OSError, _pyarrow().ArrowException) as error:
                raise ValueError(
                    f"X must be of files that can be read, but {part.path!r} cannot: {error}"
                ) from error

    def tables(self, columns):
        """Yield all rows in their order as small tables of some columns."""
        for _, _, table in self.read(self.cells(_ROWS_OF_A_SLICE), columns):
            yield table

    def column(self, name):
        """Return a column as an array of PyArrow."""
        parts = [table.column(name) for table in self.tables([name])]
        arrays = [chunk for part in parts for chunk in part.chunks]
        return _pyarrow().chunked_array(arrays, type=self.empty.schema.field(name).type)

    def reads(self, path):
        """Tell whether a file is one of those that are read; those of polars are not known."""
        fragments = [part.fragment for part in self.parts if hasattr(part, "fragment")]
        return os.path.exists(path) and any(_is_file_of(fragment, path) for fragment in fragments)

    def _read_part(self, part, cells, columns, ranges):
        n_rows = max(1, _TABLE_SIZE // max(1, len(columns)))
        if self.condition is None:
            spans = [(cells[k].start + start, cells[k].start + stop) for k, start, stop in ranges]
            seen = [start for _, start, _ in ranges]
            read = part.tables(spans, columns, n_rows)
        else:
            # Which columns the condition looks at, it does not say.
            spans = [(cells[k].start, cells[k].stop) for k, _, _ in ranges]
            seen = [0] * len(ranges)
            read = part.tables(spans, self.names, n_rows)
        for place, table in read:
            if self.condition is not None:
                table = table.filter(self.condition).select(columns)
            k, start, stop = ranges[place]
            first = seen[place]
            seen[place] += len(table)
            begin, end = max(start, first), min(stop, seen[place])
            if begin < end:
                yield k, begin, table.slice(begin - first, end - begin)


def _is_file_of(fragment, path):
    base = getattr(fragment.filesystem, "base_path", "")  # of a SubTreeFileSystem
    try:
        return os.path.samefile(os.path.join(base, fragment.path), path)
    except OSError:  # it is not in a file of this machine
        return False


def concatenated(tables, n_rows):
    """Yield tables of PyArrow joined to larger ones, of nearly so many rows."""
    waiting = []
    for table in tables:
        if waiting and sum(map(len, waiting)) + len(table) > n_rows:
            yield _pyarrow().concat_tables(waiting)
            waiting = []
        waiting.append(table)
    if waiting:
        yield _pyarrow().concat_tables(waiting)


def _cut(sizes, most):
    """Return (start, stop) of cells of at most so many rows, for row groups of these sizes."""
    edges, first = [0], 0
    for size in sizes:
        if first + size - edges[-1] > most and first > edges[-1]:
            edges.append(first)
        n = -(-size // most)
        edges += [first + size * k // n for k in range(1, n)]
        first += size
    return [pair for pair in pairwise([*edges, first]) if pair[0] < pair[1]]
