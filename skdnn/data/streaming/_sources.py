"""Rows in files: X names the files instead of holding the rows.

A path or a list of paths of Parquet files, or a PyArrow dataset, is opened as a Source. A Source
reads any rows as small PyArrow tables and keeps none of them. Parquet files are read with
`pyarrow.parquet.ParquetFile`, since a dataset would load whole row groups.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from skdnn.data.frames import short_repr

from ._schemas import common_schema, index_names
from ._shuffling import RowRange

# Numbers in a table, and rows of a chunk where all rows are read in order.
_TABLE_SIZE, _CHUNK_ROWS = 2**18, 2**16
# Bytes of the buffer for each column of a Parquet file.
_COLUMN_BUFFER_BYTES = 2**16
_EXPECTED = "a Parquet file or a folder of Parquet files"


def open_source(X: Any) -> "Source | None":
    """Return the Source of one or more paths or of a PyArrow dataset; None for any other X.

    A list consists of paths if it is not empty and all its elements are paths.

    Raises
    ------
    ValueError
        If a file does not exist or cannot be read, or a dataset has a filter.
    TypeError
        If X is a polars LazyFrame.
    ImportError
        If PyArrow is not installed.
    """
    paths = X if isinstance(X, list | tuple) else [X]
    if paths and all(isinstance(path, str | os.PathLike) for path in paths):
        if paths is X and not any(map(os.path.exists, paths)):
            raise ValueError(
                "X must be rows of numbers, a data frame, or paths of files that exist. Expected "
                f"2D array, got 1D array of {type(X[0]).__name__} instead: {short_repr(X)}."
            )
        return _open_paths([os.fspath(path) for path in paths])
    if hasattr(type(X), "get_fragments"):  # a PyArrow dataset
        return _open_dataset(X)
    if hasattr(type(X), "sink_parquet"):
        raise TypeError(
            "X must hold its rows in memory or name files, got a polars LazyFrame. Pass the paths "
            "of its Parquet files or X.collect(), or write its rows to a file by X.sink_parquet."
        )
    return None


def _import_pyarrow() -> Any:
    try:
        import pyarrow
        from pyarrow import dataset, fs, parquet  # noqa: F401, makes them attributes
    except ImportError as error:
        raise ImportError("PyArrow is needed to read X from files: pip install pyarrow.") from error
    return pyarrow


def _open_paths(paths: list[str]) -> "Source":
    pyarrow = _import_pyarrow()
    dataset, local = pyarrow.dataset, pyarrow.fs.LocalFileSystem()
    files = [file for path in paths for file in _files_at(path, local)]
    options = dataset.FileSystemFactoryOptions(partitioning=dataset.HivePartitioning.discover())
    try:
        factory = dataset.FileSystemDatasetFactory(
            local, files, dataset.ParquetFileFormat(), options
        )
        *_, partition_fields = factory.inspect_schemas()
        fragments = list(factory.finish(partition_fields).get_fragments())
        schema = common_schema(fragments, partition_fields)
        return Source(schema.empty_table(), [_ParquetFragment(f, schema) for f in fragments])
    except (OSError, pyarrow.ArrowException) as error:
        given = repr(paths[0]) if len(paths) == 1 else short_repr(paths)
        raise ValueError(
            f"X must be the path of {_EXPECTED}, but {given} cannot be read: {error}"
        ) from error


def _files_at(path: str, local: Any) -> list[str]:
    """Return the file at a path, or all files of a folder, in PyArrow's order."""
    if not os.path.exists(path):
        raise ValueError(f"X must be the path of {_EXPECTED}, but {path!r} does not exist.")
    if not os.path.isdir(path):
        return [local.normalize_path(path)]
    pyarrow = _import_pyarrow()
    no_columns = pyarrow.schema([])  # with a schema, PyArrow lists the files without opening one
    files = pyarrow.dataset.dataset(path, no_columns, format="parquet", filesystem=local).files
    if not files:
        raise ValueError(
            f"X must be the path of {_EXPECTED}, but the folder {path!r} has no files. "
            "Files whose names begin with '.' or '_' are skipped."
        )
    return files


def _open_dataset(dataset: Any) -> "Source":
    pyarrow = _import_pyarrow()
    try:
        fragments = [
            (_ParquetFragment if hasattr(type(fragment), "row_groups") else _ScannedFragment)(
                fragment, dataset.schema
            )
            for fragment in dataset.get_fragments()
        ]
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"The files of X cannot be read: {error}") from error
    except ValueError as error:  # PyArrow returns no fragments of a dataset with a filter
        raise ValueError(
            "X must be a PyArrow dataset without a filter. Write its rows to files by "
            "pyarrow.dataset.write_dataset(X, folder, format='parquet') and pass the path of the "
            "folder, or read them into memory by X.to_table()."
        ) from error
    return Source(dataset.schema.empty_table(), fragments)


class _ParquetFragment:
    """A Parquet file, or some of its row groups.

    Parameters
    ----------
    fragment : pyarrow.dataset.ParquetFileFragment
    schema : pyarrow.Schema
        To which the columns are converted.
    """

    def __init__(self, fragment: Any, schema: Any) -> None:
        self.fragment, self.schema, self.path = fragment, schema, fragment.path
        self.metadata = fragment.metadata
        self.groups = [group.id for group in fragment.row_groups]
        self.sizes = [self.metadata.row_group(group).num_rows for group in self.groups]
        partition = _import_pyarrow().dataset.get_partition_keys(fragment.partition_expression)
        self.partition_values = partition
        self.state = self._current_state()

    def read(
        self, row_ranges: list[RowRange], columns: list[str], n_rows: int
    ) -> Iterator[tuple[int, int, Any]]:
        """Yield (number of a chunk, first row, table) for some rows.

        Parameters
        ----------
        row_ranges : list of (number of a chunk, start, stop)
            Rows of the fragment, in ascending order and without overlap.
        columns : list of str
        n_rows : int
            Rows of a table at most.
        """
        self._check_unchanged()
        try:
            yield from self._read(row_ranges, columns, n_rows)
        except Exception:
            self._check_unchanged()  # the metadata of one file seldom decode another
            raise
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        if self._current_state() != self.state:
            raise ValueError(f"X has changed while it was read: {self.path!r} was modified.")

    def _read(
        self, row_ranges: list[RowRange], columns: list[str], n_rows: int
    ) -> Iterator[tuple[int, int, Any]]:
        pyarrow = _import_pyarrow()
        fields = [self.schema.field(name) for name in columns]
        in_file = [name for name in self.fragment.physical_schema.names if name in columns]
        with (
            self.fragment.open() as stream,
            pyarrow.parquet.ParquetFile(
                stream, metadata=self.metadata, buffer_size=_COLUMN_BUFFER_BYTES, pre_buffer=False
            ) as file,
        ):
            edges = pairwise(np.cumsum([0, *self.sizes]).tolist())
            for group, (first, end) in zip(self.groups, edges, strict=True):
                inside = [rows for rows in row_ranges if rows[1] < end and first < rows[2]]
                if not inside:
                    continue
                batches = file.iter_batches(
                    batch_size=n_rows, row_groups=[group], columns=in_file, use_threads=False
                )
                for chunk, row, batch in _slices(batches, first, inside):
                    arrays = [self._column(batch, field) for field in fields]
                    yield chunk, row, pyarrow.table(arrays, schema=pyarrow.schema(fields))

    def _column(self, batch: Any, field: Any) -> Any:
        """Return a column converted to the schema; null if the file does not have it."""
        pyarrow = _import_pyarrow()
        if field.name in batch.schema.names:
            column = batch.column(field.name)
        elif self.partition_values.get(field.name) is not None:
            column = pyarrow.array([self.partition_values[field.name]] * len(batch))
        else:
            return pyarrow.nulls(len(batch), field.type)
        try:
            return column if column.type == field.type else column.cast(field.type)
        except pyarrow.ArrowException as error:
            raise ValueError(
                f"Column {field.name!r} of X in {self.path!r} cannot be converted to {field.type}, "
                f"its type in the schema: {error}"
            ) from error

    def _current_state(self) -> tuple[int, int]:
        """Return size and modification time, by which changes of the file are noticed."""
        info = self.fragment.filesystem.get_file_info([self.path])[0]
        return info.size, info.mtime_ns


class _ScannedFragment:
    """A file of another format, such as CSV, which is always read from its beginning.

    Parameters
    ----------
    fragment : pyarrow.dataset.Fragment
    schema : pyarrow.Schema
    """

    def __init__(self, fragment: Any, schema: Any) -> None:
        self.fragment, self.schema = fragment, schema
        self.path = getattr(fragment, "path", "")  # a table in memory has none
        self.sizes = [fragment.count_rows()]

    def read(
        self, row_ranges: list[RowRange], columns: list[str], n_rows: int
    ) -> Iterator[tuple[int, int, Any]]:
        """Yield (number of a chunk, first row, table), see `_ParquetFragment.read`."""
        batches = self.fragment.to_batches(
            schema=self.schema,
            columns=columns,
            batch_size=n_rows,
            use_threads=False,
            batch_readahead=0,
            fragment_readahead=0,
        )
        for chunk, row, batch in _slices(batches, 0, row_ranges):
            yield chunk, row, _import_pyarrow().Table.from_batches([batch])


def _slices(
    batches: Iterable[Any], position: int, row_ranges: list[RowRange]
) -> Iterator[tuple[int, int, Any]]:
    """Yield (number of a chunk, first row, slice of a batch) for the rows in a range.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
    position : int
        Number of the first row of the first batch.
    row_ranges : list of (number of a chunk, start, stop)
    """
    last = max(stop for _, _, stop in row_ranges)
    for batch in batches:
        for chunk, start, stop in row_ranges:
            begin, end = max(0, start - position), min(len(batch), stop - position)
            if begin < end:
                yield chunk, position + begin, batch.slice(begin, end - begin)
        position += len(batch)
        if position >= last:
            return


@dataclass(frozen=True)
class Chunk:
    """The consecutive rows from `start` to `stop` of a fragment."""

    fragment: int
    start: int
    stop: int


class Source:
    """Rows in one or more files.

    Parameters
    ----------
    empty : pyarrow.Table
        A table without rows, for the names and types of the columns.
    fragments : list of fragments
    """

    def __init__(
        self, empty: Any, fragments: Sequence[_ParquetFragment | _ScannedFragment]
    ) -> None:
        self.empty, self.fragments = empty, fragments
        self.names = list(empty.column_names)
        self.n_rows = sum(sum(fragment.sizes) for fragment in fragments)

    def index_names(self) -> list[str]:
        """Return the names of the columns that were the index of the pandas frame in the file.

        pandas reads them back as the index, and the index of a frame is not a feature.
        """
        return index_names(self.empty.schema)

    def check_names(self, names: Iterable, what: str) -> None:
        """Raise a ValueError if a name is not that of exactly one column.

        Parameters
        ----------
        names : iterable
        what : str
            Name of the parameter, for the error message.
        """
        for name in names:
            if name not in self.names:
                raise ValueError(
                    f"{what} must name a column of X, got {name!r}. The columns are {self.names}."
                )
            if self.names.count(name) > 1:
                raise ValueError(
                    f"{what} must name a single column of X, got {name!r}, which is the name of "
                    f"several of the columns {self.names}."
                )

    def chunks(self, max_rows: int) -> list[Chunk]:
        """Return all rows as Chunks of at most `max_rows` rows, in order.

        Large row groups are split into equal chunks, small ones are merged.
        """
        chunks = []
        for k, fragment in enumerate(self.fragments):
            edges, first = [0], 0
            for size in fragment.sizes:
                if first + size - edges[-1] > max_rows and first > edges[-1]:
                    edges.append(first)
                n = -(-size // max_rows)
                edges += [first + size * j // n for j in range(1, n)]
                first += size
            pairs = pairwise([*edges, first])
            chunks += [Chunk(k, start, stop) for start, stop in pairs if start < stop]
        return chunks

    def read(
        self, chunks: list[Chunk], columns: list[str], row_ranges: list[RowRange] | None = None
    ) -> Iterator[tuple[int, int, Any]]:
        """Yield (number of a chunk, first row in it, table) for some rows, in their order.

        Parameters
        ----------
        chunks : list of Chunk
        columns : list of str
        row_ranges : list of (number of a chunk, start, stop) or None, default=None
            Rows of each chunk; None reads all chunks.
        """
        if row_ranges is None:
            row_ranges = [(k, 0, chunk.stop - chunk.start) for k, chunk in enumerate(chunks)]
        n_rows = max(1, _TABLE_SIZE // max(1, len(columns)))
        by_fragment = groupby(sorted(row_ranges), lambda row_range: chunks[row_range[0]].fragment)
        for number, ranges in by_fragment:
            fragment = self.fragments[number]
            in_fragment = [
                (k, chunks[k].start + start, chunks[k].start + stop) for k, start, stop in ranges
            ]
            try:
                for k, row, table in fragment.read(in_fragment, columns, n_rows):
                    yield k, row - chunks[k].start, table
            except (OSError, _import_pyarrow().ArrowException) as error:
                raise ValueError(f"X cannot be read from {fragment.path!r}: {error}") from error

    def tables(self, columns: list[str]) -> Iterator[Any]:
        """Yield all rows in order, as small tables of some columns."""
        for _, _, table in self.read(self.chunks(_CHUNK_ROWS), columns):
            yield table

    def column(self, name: str) -> Any:
        """Return a column as a pyarrow.ChunkedArray."""
        arrays = [array for table in self.tables([name]) for array in table.column(name).chunks]
        return _import_pyarrow().chunked_array(arrays, type=self.empty.schema.field(name).type)

    def contains_file(self, path: str) -> bool:
        """Return whether a file is one of those that are read."""
        for fragment in self.fragments:
            system = getattr(fragment.fragment, "filesystem", None)  # None for a table in memory
            folder = getattr(system, "base_path", "")  # of a SubTreeFileSystem
            # No such file here: `path` is new, or the other one is in a remote file system.
            with suppress(OSError):
                if os.path.samefile(os.path.join(folder, fragment.path), path):
                    return True
        return False


def combine_tables(tables: Iterable[Any], n_rows: int) -> Iterator[Any]:
    """Yield PyArrow tables joined to larger ones, of up to n_rows rows if they are smaller."""
    waiting: list[Any] = []
    for table in tables:
        if waiting and sum(map(len, waiting)) + len(table) > n_rows:
            yield _import_pyarrow().concat_tables(waiting)
            waiting = []
        waiting.append(table)
    if waiting:
        yield _import_pyarrow().concat_tables(waiting)
