"""The columns of X: what `fit` learns about them, and warnings about their categories.

An estimator keeps what it has learned as attributes: `column_kinds_`, `is_categorical_`,
`categories_` and, for checks and warnings, `_kinds_of_categories` and `_columns_warned_of`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from skdnn.callbacks import warn
from skdnn.data.frames import (
    Table,
    add_categories,
    find_kinds,
    holds_only_numbers,
    kinds_of_categories,
    short_repr,
    text_warnings,
    to_host,
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


def learn_columns(
    estimator: BaseEstimator,
    X: UserX,
    categorical_features: str | tuple | None,
    processes: SingleProcess = SINGLE_PROCESS,
) -> None:
    """Store the kind of each column of X on the estimator, and forget earlier categories.

    `column_kinds_` is None where all columns hold numbers, and `is_categorical_` is None where no
    column holds categories.

    Warns
    -----
    UserWarning
        If a column is the index of a pandas frame, as other libraries read it from a file.
    """
    estimator.column_kinds_ = estimator.is_categorical_ = estimator.categories_ = None
    estimator._kinds_of_categories, estimator._columns_warned_of = None, ()
    check_same(processes, {"The number of columns of X": X.shape[1:]})
    names_columns = isinstance(categorical_features, tuple) and categorical_features != ()
    if all(processes.allgather(holds_only_numbers(X))) and not names_columns:
        return
    if sparse.issparse(X):
        raise ValueError("X must be dense where categorical_features names columns, got sparse X.")
    for name in map(str, getattr(X, "column_names", getattr(X, "columns", ()))):
        if PANDAS_INDEX.fullmatch(name):
            warn(
                f"X has a column {name!r}, which was the index of a pandas frame and is now used "
                "as a feature. Drop it, or write the frame with index=False."
            )
    kinds = find_kinds(to_host(X), categorical_features, processes)
    if kinds is not None:
        estimator.column_kinds_ = kinds
        is_categorical = np.array([kind == "category" for kind in kinds])
        estimator.is_categorical_ = is_categorical if is_categorical.any() else None


def column_name(estimator: BaseEstimator, j: int | np.integer) -> str:
    """Return how messages name column j of X: by its quoted name, or else by its index."""
    names = getattr(estimator, "feature_names_in_", None)
    return repr(int(j) if names is None else names[j])


def encode_categories(
    estimator: BaseEstimator,
    parameters: SimpleNamespace,
    examples: Any,
    is_partial_fit: bool = False,
) -> Table:
    """Return the Table of `examples`, an Examples, with codes for the categories of the estimator.

    The first call stores these categories on the estimator: the frequent ones, and in `fit` also
    the rare ones that get target means. Later calls of `partial_fit` add new frequent ones, and a
    fit with `warm_start` keeps the categories as they are.
    """
    table, weight, processes = examples.X, examples.weight, examples.processes
    is_first = estimator.categories_ is None
    if not (is_first or is_partial_fit):
        return replace(table, n_frequent=estimator._encoding["n_frequent"])
    table = table.with_categories_of_all_processes(processes)
    frequent = table.frequent_categories(weight, processes)
    categories: Sequence[np.ndarray] = frequent
    n_frequent: Sequence[int] = [len(column) for column in frequent]
    if not is_partial_fit:
        min_fraction = MIN_FRACTION_FOR_MEANS[parameters.target_encoding]
        rare = table.rare_categories(frequent, weight, min_fraction, processes)
        categories = [np.append(*pair) for pair in zip(frequent, rare, strict=True)]
    elif not is_first:
        n_known = estimator._encoding["n_frequent"]
        columns = zip(estimator.categories_, n_known, frequent, strict=True)
        categories, n_frequent = zip(*[add_categories(*column) for column in columns], strict=True)
    counts = [column[:-1] for column in table.counts(weight, processes)]
    X = examples.given
    learn_kinds_of_categories(estimator, parameters, X, X, table.categories, counts, processes)
    estimator.categories_ = list(categories)
    table = table.recoded(estimator.categories_, np.array(n_frequent, dtype=np.intp))
    estimator._columns_warned_of += warn_about_other_categories(
        estimator, table, weight, processes, RARE
    )
    return table


def learn_kinds_of_categories(
    estimator: BaseEstimator,
    parameters: SimpleNamespace,
    X: UserX,
    passed: Any,
    categories: Sequence[Sequence],
    counts: Sequence[np.ndarray],
    processes: SingleProcess = SINGLE_PROCESS,
) -> None:
    """Store on the estimator whether the categories of each column are text, numbers or both.

    Parameters
    ----------
    estimator : NetworkEstimator
    parameters : SimpleNamespace
    X, passed, categories, counts
        See `text_warnings`.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        The processes that share the fit. Only the first one warns.

    Warns
    -----
    UserWarning
        In the first call, if a text column reads as numbers, dates or durations.
    """
    found = [kinds_of_categories(column) for column in categories]
    known = estimator._kinds_of_categories or found
    estimator._kinds_of_categories = [a | b for a, b in zip(known, found, strict=True)]
    if estimator.categories_ is not None or not isinstance(parameters.categorical_features, str):
        return
    messages = text_warnings(X, passed, estimator.is_categorical_, categories, counts)
    for message in messages.values() if processes.rank == 0 else ():
        warn(message)
    estimator._columns_warned_of += tuple(messages)


def check_kinds_of_categories(estimator: BaseEstimator, table: Table) -> None:
    """Raise a ValueError if a column holds numbers where it held text in fit, or the reverse."""
    indices, kinds = np.flatnonzero(table.is_categorical), estimator._kinds_of_categories
    for j, known, categories in zip(indices, kinds, table.categories, strict=True):
        found = kinds_of_categories(categories)
        if known and found and not known & found:
            expected, got = (
                " and ".join(sorted("text" if kind == "category" else f"{kind}s" for kind in both))
                for both in (known, found)
            )
            raise ValueError(
                f"X must hold {expected} in column {column_name(estimator, j)}, as in fit, got "
                f"{got} such as {short_repr(categories[0])}."
            )


def warn_about_other_categories(
    estimator: BaseEstimator,
    table: Table,
    weight: np.ndarray | None = None,
    processes: SingleProcess = SINGLE_PROCESS,
    what: str = UNSEEN,
) -> tuple[int, ...]:
    """Warn about columns where nearly all values are in categories that share one input.

    Columns that fit has warned about are left out. Return the indices of the others.
    """
    if processes.allreduce(np.array(len(table))) <= FEW_ROWS:
        return ()
    fractions = table.fraction_of_others(weight, processes)
    columns = zip(np.flatnonzero(table.is_categorical).tolist(), fractions, strict=True)
    found = tuple(
        j
        for j, fraction in columns
        if fraction >= NEARLY_ALL and j not in estimator._columns_warned_of
    )
    for j in found:
        warn(f"Column {column_name(estimator, j)} has almost only {what}")
    return found
