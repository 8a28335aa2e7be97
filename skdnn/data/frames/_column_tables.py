"""Columns of rows in memory as tables of PyArrow, to be written beside predictions."""

from ._columns import Column
from ._sources import columns_of, is_frame


def column_tables(X, names, n_rows):
    """Yield (slice of rows, table of some columns) for rows in memory, so many rows at a time.

    Parameters
    ----------
    X : frame, array, tensor or sparse matrix
    names : sequence
        Of columns of a frame.
    n_rows : int

    Raises
    ------
    ValueError
        If there are no columns of these names.
    """
    import pyarrow

    columns = {column.name: column for column in columns_of(X)} if is_frame(X) else {}
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise ValueError(f"keep must name columns of X, which are {[*columns]}, got {unknown}.")
    arrays = [_as_arrow(columns[name]) for name in names]
    table = pyarrow.table(arrays, names=[str(name) for name in names])
    length = X.shape[0] if hasattr(X, "shape") else len(X)
    for start in range(0, length, n_rows):
        rows = slice(start, min(length, start + n_rows))
        yield rows, table.slice(start, n_rows)


def _as_arrow(column: Column):
    """Return the values of a column as an array of PyArrow."""
    import pyarrow

    values = column.values
    if hasattr(values, "to_arrow"):  # of polars
        return values.to_arrow()
    is_of_pyarrow = hasattr(values, "to_pylist")
    return values if is_of_pyarrow else pyarrow.array(values, from_pandas=True)
