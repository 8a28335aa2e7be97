"""Frames: any container of rows, read column by column into numbers and categories."""

from ._arrays import as_tensor, dense_tensor, row_chunks, to_host
from ._columns import Column, is_missing, kinds_of_categories, object_array, short_repr
from ._containers import (
    check_in_memory,
    check_not_lazy,
    column_tables,
    columns_of,
    holds_only_numbers,
    is_frame,
    is_of_sparse_columns,
    names_of,
    take_rows,
)
from ._reading import find_kinds, read_columns
from ._schema import Schema
from ._tables import Table, add_categories, fraction_of_others, select_categories
from ._text import text_warnings

__all__ = [
    "Column",
    "Schema",
    "Table",
    "add_categories",
    "as_tensor",
    "check_in_memory",
    "check_not_lazy",
    "column_tables",
    "columns_of",
    "dense_tensor",
    "find_kinds",
    "fraction_of_others",
    "holds_only_numbers",
    "is_frame",
    "is_missing",
    "is_of_sparse_columns",
    "kinds_of_categories",
    "names_of",
    "object_array",
    "read_columns",
    "row_chunks",
    "select_categories",
    "short_repr",
    "take_rows",
    "text_warnings",
    "to_host",
]
