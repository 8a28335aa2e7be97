"""The Schema of a fit: the columns of X and their categories, and warnings about them."""

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from skdnn.callbacks import warn
from skdnn.checkpoints import describe
from skdnn.data.frames import (
    Schema,
    Table,
    add_categories,
    find_kinds,
    fraction_of_others,
    is_frame,
    kinds_of_categories,
    object_array,
    select_categories,
    text_warnings,
)
from skdnn.processes import SINGLE_PROCESS, SingleProcess, check_same

from ._defaults import TARGET_ENCODED_FRACTION

# X of shape (n_samples, n_features) as the user passed it, with its rows in memory: an array, a
# data frame, a sparse matrix or a tensor.
UserX: TypeAlias = Any
# y, weights or groups as the user passed them: an array-like or a tensor.
UserArray: TypeAlias = Any

# Warn about a column where at least this fraction of the values are in categories that share one
# input, unless X has only a few rows.
NEARLY_ALL, FEW_ROWS = 0.95, 20
RARE = (
    "rare categories, which are merged and carry no information. Drop identifiers; convert numbers "
    "or dates stored as text."
)
UNSEEN = (
    "categories that are rare or unseen in fit, which are merged and carry no information. Check "
    "that its values are written as in fit."
)
# By `target_encoding`: the rare categories of a column get target means where those that occur at
# least twice make up more than this fraction of the rows.
MIN_FRACTION_FOR_MEANS = {True: 0.0, "auto": TARGET_ENCODED_FRACTION, False: 1.0}
# The name under which pandas writes an unnamed index as a column.
PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def read_schema(
    estimator: BaseEstimator,
    parameters: SimpleNamespace,
    X: UserX,
    previous: BaseEstimator | None = None,
    processes: SingleProcess = SINGLE_PROCESS,
) -> Schema:
    """Return the Schema by which to read X: that of the previous fit, if training continues.

    Else it is that of X, without categories yet.

    Warns
    -----
    UserWarning
        If a column is the index of a pandas frame, as other libraries read it from a file.
    """
    if previous is not None:
        return Schema.from_attributes(vars(previous))
    # scikit-learn writes the names of the columns to the estimator: to a copy, since fit may fail.
    named = copy.copy(estimator)
    validate_data(named, X, reset=True, skip_check_array=True)
    names = getattr(named, "feature_names_in_", None)
    for name in () if names is None else names:
        if PANDAS_INDEX.fullmatch(name):
            warn(
                f"X has a column {name!r}, which was the index of a pandas frame and is now used "
                "as a feature. Drop it, or write the frame with index=False."
            )
    shared = {
        "number of columns": X.shape[1:],
        "names of the columns": describe(names),
        "container": "a data frame" if is_frame(X) else "an array",
    }
    check_same(processes, {f"The {what} of X": value for what, value in shared.items()})
    kinds = find_kinds(X, parameters.categorical_features, processes)
    return Schema(X.shape[1], names, kinds)


def learn_categories(
    schema: Schema,
    categories: Sequence[Sequence | np.ndarray],
    counts: Sequence[np.ndarray],
    n_rows: int,
    min_fraction: float = 1.0,
) -> Schema:
    """Return the Schema with the categories to distinguish, of those that some rows have.

    If the Schema has categories, as in later calls of `partial_fit`, frequent ones are added.

    Parameters
    ----------
    schema : Schema
    categories : list of arrays or lists
        The distinct values of each categorical column.
    counts : list of arrays
        Number of rows of each distinct value.
    n_rows : int
    min_fraction : float, default=1.0
        See `select_categories`. By default no rare categories are selected.
    """
    found = [kinds_of_categories(column) for column in categories]
    known = schema.kinds_of_categories or found
    kinds = [a | b for a, b in zip(known, found, strict=True)]
    pairs = zip(counts, categories, strict=True)
    chosen = [select_categories(*pair, n_rows, min_fraction) for pair in pairs]
    if schema.categories:
        columns = zip(schema.categories, schema.n_frequent, chosen, strict=True)
        chosen = [add_categories(known, n, column) for known, n, (column, _) in columns]
    now, n_frequent = zip(*chosen, strict=True)
    return replace(
        schema,
        categories=list(now),
        n_frequent=np.array(n_frequent, dtype=np.intp),
        kinds_of_categories=kinds,
    )


def warn_about_text(
    schema: Schema,
    X: UserX,
    passed: Any,
    categories: Sequence[Sequence | np.ndarray],
    counts: Sequence[np.ndarray],
    is_first_process: bool = True,
) -> Schema:
    """Warn about text columns that read as numbers, dates or durations.

    Only the first of several processes warns. Return the Schema with these columns. `text_warnings`
    documents the other arguments.
    """
    messages = text_warnings(X, passed, schema.is_categorical, categories, counts)
    for message in messages.values() if is_first_process else ():
        warn(message)
    return replace(schema, columns_warned_of=tuple(messages))


def encode_categories(
    schema: Schema,
    parameters: SimpleNamespace,
    table: Table,
    weight: np.ndarray,
    X: UserX,
    processes: SingleProcess,
    min_fraction: float = 1.0,
) -> tuple[Schema, Table]:
    """Return the Schema with the categories of all processes, and the Table with codes for them.

    Parameters
    ----------
    schema, min_fraction
        See `learn_categories`.
    parameters : SimpleNamespace
    table : Table
        The rows of this process, with their own categories.
    weight : array of shape (m,)
    X : UserX
        The rows as the user passed them.
    processes : SingleProcess or Communicator

    Warns
    -----
    UserWarning
        If a text column of "from_dtype" reads as numbers, dates or durations, or nearly all values
        of a column are rare categories.
    """
    if processes.size > 1:
        of_all = zip(*processes.allgather(table.categories), strict=True)
        table = table.recoded([object_array([*dict.fromkeys(chain(*found))]) for found in of_all])
    counts = _counts(table, weight, processes)
    n_rows, counts = int(counts[0].sum()), [column[:-1] for column in counts]
    if not schema.categories and isinstance(parameters.categorical_features, str):
        is_first_process = processes.rank == 0
        schema = warn_about_text(schema, X, X, table.categories, counts, is_first_process)
    schema = learn_categories(schema, table.categories, counts, n_rows, min_fraction)
    table = table.recoded(schema.categories, schema.n_frequent)
    return warn_about_other_categories(schema, table, weight, processes, RARE), table


def recode(schema: Schema, X: Table | Any) -> Table | Any:
    """Return a Table with codes for the categories of the Schema, any other X as it is.

    Warns
    -----
    UserWarning
        If nearly all values of a column are other categories.
    """
    if isinstance(X, Table):
        X = X.recoded(schema.categories)
        warn_about_other_categories(schema, X)
    return X


def warn_about_other_categories(
    schema: Schema,
    table: Table,
    weight: np.ndarray | None = None,
    processes: SingleProcess = SINGLE_PROCESS,
    what: str = UNSEEN,
) -> Schema:
    """Warn about columns where nearly all values are in categories that share one input.

    Columns that the user has been warned of are left out. Return the Schema with the others, too.
    """
    if processes.allreduce(np.array(len(table))) <= FEW_ROWS:
        return schema
    counts = _counts(table, np.ones(len(table)) if weight is None else weight, processes)
    columns = zip(np.flatnonzero(table.is_categorical), counts, table.categories, strict=True)
    found = tuple(
        int(j)
        for j, n_rows, categories in columns
        if j not in schema.columns_warned_of
        and fraction_of_others(n_rows, categories) >= NEARLY_ALL
    )
    for j in found:
        warn(f"Column {schema.column_name(j)} has almost only {what}")
    return replace(schema, columns_warned_of=schema.columns_warned_of + found)


def _counts(table: Table, weight: np.ndarray, processes: SingleProcess) -> list[np.ndarray]:
    """Return `table.counts`, summed over all processes."""
    return [processes.allreduce(column) for column in table.counts(weight)]
