"""Predictions written into a Parquet file, row group by row group, beside columns of X."""

import os
from contextlib import contextmanager
from tempfile import mkstemp

from skdnn.data import at_hand, column_tables, concatenated, open_source

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
    writer = None
    with _replacing(path) as partial:
        try:
            for table in concatenated(_answered(fitted, X, method, keep), _ROWS_OF_A_GROUP):
                writer = _writer(partial, table.schema) if writer is None else writer
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def _answered(fitted, X, method, keep):
    """Yield tables of the columns kept and, behind them, the predictions."""
    source = open_source(X)
    predict = getattr(fitted, method)
    if source is None:
        X = at_hand(X)
        answers = predict(X)
        for rows, kept in column_tables(X, keep, _ROWS_OF_A_GROUP):
            yield _with_answers(fitted, kept, method, answers[rows])
        return
    source.check_names(keep, "keep")
    features = features_in(fitted, source)
    for table in source.tables([*dict.fromkeys([*features, *keep])]):
        answers = predict(table.select(features))
        yield _with_answers(fitted, table.select(keep), method, answers)


def _with_answers(fitted, kept, method, answers):
    import pyarrow

    names = _names(fitted, method, answers)
    columns = [answers] if answers.ndim == 1 else list(answers.T)
    both = sorted({*names} & {*kept.column_names})
    if both:
        raise ValueError(f"keep must not name what predictions are called, got {both}.")
    arrays = [*kept.columns, *(pyarrow.array(column) for column in columns)]
    return pyarrow.table(arrays, names=[*kept.column_names, *names])


def _names(fitted, method, answers):
    if method.startswith("predict_"):
        return [str(label) for label in fitted.classes_]
    name = "prediction" if method == "predict" else method
    return [name] if answers.ndim == 1 else [f"{name}_{k}" for k in range(answers.shape[1])]


def _writer(path, schema):
    from pyarrow.parquet import ParquetWriter

    return ParquetWriter(path, schema)


@contextmanager
def _replacing(path):
    """Give the name of a file that becomes that of the path, should the block end well."""
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise ValueError(f"path must be a file in a folder that exists, got {path!r}.")
    handle, partial = mkstemp(prefix=os.path.basename(path), suffix=".partial", dir=folder)
    os.close(handle)
    try:
        yield partial
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def _umask():
    found = os.umask(0)
    os.umask(found)
    return found
