"""Predictions written to a Parquet file in row groups, next to columns of X."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from skdnn.checkpoints import replace_atomically, replaceable_path
from skdnn.data.frames import check_in_memory, column_tables
from skdnn.data.streaming import combine_tables, open_source

from ._parameters import Options, to_python
from ._prediction import MatrixLike, features_in

METHOD = Options(("predict", "predict_proba", "predict_log_proba", "decision_function"))
_ROWS_OF_A_GROUP = 2**16


def write_predictions(
    fitted: Any,
    X: MatrixLike,
    path: str | os.PathLike,
    method: str,
    keep: str | Sequence[str],
) -> None:
    """Write the predictions for X, preceded by some of its columns.

    Parameters
    ----------
    fitted : NetworkEstimator
    X : as in `fit`
    path : str or os.PathLike
    method : str
        The method that predicts.
    keep : str or sequence of str
        Columns of X.
    """
    if not METHOD.accepts(method) or not hasattr(fitted, method):
        raise ValueError(f"method must be {METHOD} that the estimator has, got {method!r}.")
    keep = to_python([keep] if isinstance(keep, str) else keep)
    path = replaceable_path(path, "path")
    source = open_source(X)  # lists the files of X before another one is created beside them
    if source is not None and source.contains_file(path):
        raise ValueError(
            f"path must not be a file that X names, since it would be replaced, got {path!r}. "
            "Name another file."
        )
    writer = None
    with ExitStack() as stack:
        try:
            file = stack.enter_context(replace_atomically(path))
        except OSError as error:
            raise ValueError(f"path={path!r} cannot be written: {error.strerror}.") from error
        tables = _tables_with_predictions(fitted, X, source, method, keep)
        for table in combine_tables(tables, _ROWS_OF_A_GROUP):
            if writer is None:
                from pyarrow.parquet import ParquetWriter

                writer = stack.enter_context(ParquetWriter(file, table.schema))
            writer.write_table(table)


def _tables_with_predictions(
    fitted: Any, X: Any, source: Any, method: str, keep: Sequence[str]
) -> Iterator[Any]:
    """Yield PyArrow tables of the columns to keep and, behind them, the predictions."""
    predict = getattr(fitted, method)
    if source is None:
        X = check_in_memory(X)
        predictions = predict(X)
        for rows, table in column_tables(X, keep, _ROWS_OF_A_GROUP):
            yield _with_predictions(table, fitted, method, predictions[rows])
        return
    source.check_names(keep, "keep")
    features = features_in(fitted, source)
    for table in source.tables([*dict.fromkeys([*features, *keep])]):
        predictions = predict(table.select(features))
        yield _with_predictions(table.select(keep), fitted, method, predictions)


def _with_predictions(table: Any, fitted: Any, method: str, predictions: Any) -> Any:
    """Return a PyArrow table with the predictions as its last columns."""
    import pyarrow

    columns = [predictions] if predictions.ndim == 1 else list(predictions.T)
    name = "prediction" if method == "predict" else method
    names = [name] if predictions.ndim == 1 else [f"{name}_{k}" for k in range(len(columns))]
    if method.startswith("predict_"):
        names = [str(label) for label in fitted.classes_]
    duplicates = sorted({*names} & {*table.column_names})
    if duplicates:
        raise ValueError(f"keep must not name what predictions are called, got {duplicates}.")
    arrays = [*table.columns, *map(pyarrow.array, columns)]
    return pyarrow.table(arrays, names=[*table.column_names, *names])
