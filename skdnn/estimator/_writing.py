"""Predictions written into a Parquet file, row group by row group, beside columns of X."""

from contextlib import ExitStack

from skdnn.checkpoints import replace_atomically, replaceable_path
from skdnn.data.frames import check_in_memory, column_tables
from skdnn.data.streaming import concatenated, open_source

from ._parameters import OneOf, plain
from ._prediction import features_in

METHOD = OneOf(("predict", "predict_proba", "predict_log_proba", "decision_function"))
_ROWS_OF_A_GROUP = 2**16


def write_predictions(fitted, X, path, method, keep):
    """Write what a method of a fitted estimator says of X, and columns of X that are kept.

    Parameters
    ----------
    fitted : NetworkEstimator
    X : as `fit` takes it
    path : str or os.PathLike
    method : str
    keep : sequence of str
    """
    if not METHOD.accepts(method) or not hasattr(fitted, method):
        raise ValueError(f"method must be {METHOD} that the estimator has, got {method!r}.")
    keep = plain([keep] if isinstance(keep, str) else keep)
    path = replaceable_path(path, "path")
    source = open_source(X)  # which files are read is settled before another one is written
    if source is not None and source.reads(path):
        raise ValueError(
            f"path must not be a file that X names, since it would be replaced, got {path!r}. "
            "Name another file."
        )
    writer = None
    with ExitStack() as stack:
        try:
            file = stack.enter_context(replace_atomically(path))
        except OSError as error:
            raise ValueError(
                f"path must be a file that can be written, but {path!r} cannot: {error.strerror}."
            ) from error
        answered = _answered(fitted, X, source, method, keep)
        for table in concatenated(answered, _ROWS_OF_A_GROUP):
            if writer is None:
                writer = stack.enter_context(_writer(file, table.schema))
            writer.write_table(table)


def _answered(fitted, X, source, method, keep):
    """Yield tables of the columns kept and, behind them, the predictions."""
    predict = getattr(fitted, method)
    if source is None:
        X = check_in_memory(X)
        predictions = predict(X)
        for rows, kept in column_tables(X, keep, _ROWS_OF_A_GROUP):
            yield _with_answers(fitted, kept, method, predictions[rows])
        return
    source.check_names(keep, "keep")
    features = features_in(fitted, source)
    for table in source.tables([*dict.fromkeys([*features, *keep])]):
        predictions = predict(table.select(features))
        yield _with_answers(fitted, table.select(keep), method, predictions)


def _with_answers(fitted, kept, method, predictions):
    import pyarrow

    names = _names(fitted, method, predictions)
    columns = [predictions] if predictions.ndim == 1 else list(predictions.T)
    both = sorted({*names} & {*kept.column_names})
    if both:
        raise ValueError(f"keep must not name what predictions are called, got {both}.")
    arrays = [*kept.columns, *(pyarrow.array(column) for column in columns)]
    return pyarrow.table(arrays, names=[*kept.column_names, *names])


def _names(fitted, method, predictions):
    if method.startswith("predict_"):
        return [str(label) for label in fitted.classes_]
    name = "prediction" if method == "predict" else method
    return [name] if predictions.ndim == 1 else [f"{name}_{k}" for k in range(predictions.shape[1])]


def _writer(file, schema):
    from pyarrow.parquet import ParquetWriter

    return ParquetWriter(file, schema)
