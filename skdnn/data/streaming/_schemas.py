"""Find one schema for several Parquet files, independent of their order.

The schema of the first file is not enough: a column may contain integers there and fractions in a
later file, or only missing values, or the column may be absent.
"""

import json
from collections import Counter
from itertools import chain
from typing import Any


def common_schema(fragments: list, partition_fields: Any) -> Any:
    """Return the pyarrow.Schema by which all files can be read.

    Parameters
    ----------
    fragments : list of pyarrow.dataset.ParquetFileFragment
    partition_fields : pyarrow.Schema
        The columns whose values are in the names of folders, such as "year=2024".

    Raises
    ------
    ValueError
        If a column has two types that cannot be converted to a common type.
    """
    import pyarrow

    schemas = [(fragment.path, fragment.physical_schema) for fragment in fragments]
    types: dict[str, dict] = {}  # for each column and each of its types, the first file with it
    n_columns = Counter(partition_fields.names)  # a file may have several columns of one name
    for path, schema in schemas:
        n_columns |= Counter(schema.names)
        for field in schema:
            types.setdefault(field.name, {}).setdefault(field.type, path)
    for field in partition_fields:
        if any(field.name not in schema.names for _, schema in schemas):
            types.setdefault(field.name, {}).setdefault(field.type, "names of folders")
    orders = {tuple(schema.names) for _, schema in schemas}
    longest_first = sorted(orders, key=lambda names: (-len(names), names))
    names = dict.fromkeys(chain(*longest_first, partition_fields.names))
    fields = [(n, _common_type(n, types[n])) for n in names for _ in range(n_columns[n])]
    index = {name for _, schema in schemas for name in index_names(schema)}
    metadata = {"pandas": json.dumps({"index_columns": sorted(index)})} if index else None
    return pyarrow.schema(fields, metadata)


def index_names(schema: Any) -> list[str]:
    """Return the names of the columns that were the index of the pandas frame in the file."""
    metadata = schema.pandas_metadata or {}
    # pandas describes a RangeIndex by a dict and does not write it as a column.
    return [name for name in metadata.get("index_columns", []) if isinstance(name, str)]


def _common_type(name: str, paths: dict) -> Any:
    """Return a type to which all types of a column, the keys of `paths`, can be converted."""
    import pyarrow

    first, *others = sorted(paths, key=str)
    common = first
    for other in others:
        try:
            common = _common_type_of_two(common, other)
        except pyarrow.ArrowException as error:
            raise ValueError(
                f"Column {name!r} of X has types that cannot be combined: {first} in "
                f"{paths[first]!r} and {other} in {paths[other]!r}. Convert one of the files."
            ) from error
    return common


def _common_type_of_two(one: Any, other: Any) -> Any:
    """Return PyArrow's common type, or another one where PyArrow cannot convert the values."""
    import pyarrow
    from pyarrow import types

    pair = [one, other]
    if all(map(types.is_dictionary, pair)):
        values = _common_type_of_two(one.value_type, other.value_type)
        return pyarrow.dictionary(pyarrow.int32(), values)
    pair = [_without_dictionary_or_view(type_) for type_ in pair]
    is_decimal = [types.is_decimal(type_) for type_ in pair]
    is_date = [types.is_date(type_) for type_ in pair]
    is_timestamp = [types.is_timestamp(type_) for type_ in pair]
    is_number = [types.is_integer(type_) or types.is_floating(type_) for type_ in pair]
    if any(is_decimal) and all(map(any, zip(is_decimal, is_number, strict=True))):
        pair = [pyarrow.float64()]
    if any(is_timestamp) and all(map(any, zip(is_timestamp, is_date, strict=True))):
        pair = [pyarrow.timestamp("s") if types.is_date(type_) else type_ for type_ in pair]
        if pair[0].tz != pair[1].tz:  # timestamps without a time zone are read as UTC
            pair = [pyarrow.timestamp(type_.unit, "UTC") for type_ in pair]
    schemas = [pyarrow.schema([("", type_)]) for type_ in pair]
    return pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type


def _without_dictionary_or_view(type_: Any) -> Any:
    """Return the type of the values of a dictionary, and the ordinary type of a string view."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(type_):
        return _without_dictionary_or_view(type_.value_type)
    if types.is_string_view(type_):
        return pyarrow.string()
    return pyarrow.binary() if types.is_binary_view(type_) else type_
