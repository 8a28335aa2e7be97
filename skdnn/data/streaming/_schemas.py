"""One schema for several Parquet files, the same one whatever their order.

The first file's would not do: it may hold integers where a later one holds fractions, nothing but
missing values, or lack a column.
"""

import json
from collections import Counter
from itertools import chain


def common_schema(fragments, keys):
    """Return the schema that all files can be read by.

    Parameters
    ----------
    fragments : list of pyarrow.dataset.ParquetFileFragment
    keys : pyarrow.Schema
        Of the columns whose values are in names of folders, such as "year=2024".

    Raises
    ------
    ValueError
        If a column has types in two files that no type has room for.
    """
    import pyarrow

    schemas = [(fragment.path, fragment.physical_schema) for fragment in fragments]
    types = {}  # of each column, and for each of its types the first file that has it
    n_columns = Counter(keys.names)  # of each name: a file may have several
    for path, schema in schemas:
        n_columns |= Counter(schema.names)
        for field in schema:
            types.setdefault(field.name, {}).setdefault(field.type, path)
    for key in keys:
        if any(key.name not in schema.names for _, schema in schemas):
            types.setdefault(key.name, {}).setdefault(key.type, "names of folders")
    orders = {tuple(schema.names) for _, schema in schemas}
    orders = sorted(orders, key=lambda names: (-len(names), names))
    names = dict.fromkeys(chain(*orders, keys.names))
    fields = [(n, _common_type(n, types[n])) for n in names for _ in range(n_columns[n])]
    index = {name for _, schema in schemas for name in index_names(schema)}
    metadata = {"pandas": json.dumps({"index_columns": sorted(index)})} if index else None
    return pyarrow.schema(fields, metadata)


def index_names(schema):
    """Return the names of the columns that were the index of the pandas frame that was written."""
    metadata = schema.pandas_metadata or {}
    # A range is described by its ends instead of a column.
    return [name for name in metadata.get("index_columns", []) if isinstance(name, str)]


def _common_type(name, paths):
    """Return a type for the values of all types of a column, the keys of `paths`."""
    import pyarrow

    first, *others = sorted(paths, key=str)
    common = first
    for other in others:
        try:
            common = _wider(common, other)
        except pyarrow.ArrowException as error:
            raise ValueError(
                f"X must hold one kind of values in column {name!r}, got {first} in "
                f"{paths[first]!r}, but {other} in {paths[other]!r}: convert one of the files."
            ) from error
    return common


def _wider(one, other):
    """Return PyArrow's common type, or one of ours where it has none that it can convert to."""
    import pyarrow
    from pyarrow import types

    pair = one, other
    if all(map(types.is_dictionary, pair)):
        return pyarrow.dictionary(pyarrow.int32(), _wider(one.value_type, other.value_type))
    pair = [_plain(type_) for type_ in pair]
    if any(map(types.is_decimal, pair)) and all(map(_is_number, pair)):
        pair = [pyarrow.float64()]
    if any(map(types.is_timestamp, pair)) and all(map(_is_point_in_time, pair)):
        pair = [pyarrow.timestamp("s") if types.is_date(type_) else type_ for type_ in pair]
        if pair[0].tz != pair[1].tz:  # without a zone it is read as UTC anywhere
            pair = [pyarrow.timestamp(type_.unit, "UTC") for type_ in pair]
    schemas = [pyarrow.schema([("", type_)]) for type_ in pair]
    return pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type


def _plain(type_):
    """Return what a dictionary holds, and the usual type of text or bytes in place of a view."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(type_):
        return _plain(type_.value_type)
    if types.is_string_view(type_):
        return pyarrow.string()
    return pyarrow.binary() if types.is_binary_view(type_) else type_


def _is_number(type_):
    from pyarrow import types

    return types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_)


def _is_point_in_time(type_):
    from pyarrow import types

    return types.is_date(type_) or types.is_timestamp(type_)
