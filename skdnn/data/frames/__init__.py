"""Frames: any container of rows, read column by column into numbers and categories."""

from ._arrays import as_tensor, dense_tensor, row_chunks, to_host
from ._columns import Column, is_missing, kinds_of_categories, objects_of, shown
from ._containers import (
    check_in_memory,
    check_not_lazy,
    column_tables,
    columns_of,
    is_frame,
    is_of_sparse_columns,
    is_plain,
    take_rows,
)
from ._reading import find_kinds, read_columns
from ._tables import Table, add_categories, frequent_of_counts
from ._text import text_warnings

__all__ = [
    "Column",
    "Table",
    "add_categories",
    "as_tensor",
    "check_in_memory",
    "check_not_lazy",
    "column_tables",
    "columns_of",
    "dense_tensor",
    "find_kinds",
    "frequent_of_counts",
    "is_frame",
    "is_missing",
    "is_of_sparse_columns",
    "is_plain",
    "kinds_of_categories",
    "objects_of",
    "read_columns",
    "row_chunks",
    "shown",
    "take_rows",
    "text_warnings",
    "to_host",
]
