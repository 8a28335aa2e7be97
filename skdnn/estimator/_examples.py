"""Examples: checked X, y and weights, read from memory."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skdnn.checkpoints import describe, digest_of
from skdnn.data.batches import N_FOLDS
from skdnn.data.encoding import WeightedColumns, is_far_outside
from skdnn.data.frames import Schema, Table, check_in_memory, take_rows
from skdnn.data.streaming import open_source
from skdnn.data.targets import Target, check_total_weight, encode_groups, normalized_weights
from skdnn.processes import SINGLE_PROCESS, SingleProcess, check_same, current_processes

from ._columns import (
    MIN_FRACTION_FOR_MEANS,
    UserArray,
    UserX,
    encode_categories,
    read_schema,
    recode,
)
from ._parameters import has_32_bits
from ._reading import CheckedX, read_data

# Warn about X_val where at least this fraction of its rows lies outside the range of X in at least
# this fraction of the columns. On 33 public tables, with X_val drawn at random or from the upper
# half of a feature, this warns of none; with X scaled and X_val not, it warns of 72 %.
MOST_ROWS, SOME_COLUMNS = 0.8, 0.1
# Parameters that may differ between processes that share a fit: only process 0 saves and prints.
MAY_DIFFER = ("checkpoint", "device", "n_threads", "verbose")


@dataclass(frozen=True)
class FitData:
    """The arguments of `fit`, as the user passed them."""

    X: UserX
    y: UserArray
    sample_weight: UserArray | None = None
    X_val: UserX | None = None
    y_val: UserArray | None = None
    groups: UserArray | None = None
    sample_weight_val: UserArray | None = None


@dataclass(frozen=True)
class Totals:
    """Facts about all rows of a fit, in whatever process or file they are.

    Attributes
    ----------
    n_rows : int
        Number of rows with a weight above 0.
    weight : float
        Sum of the weights.
    n_rarest : int
        Number of these rows in the rarest class; for regression, of all of them.
    has_32_bits : bool
        Whether X has a float dtype of 32 bits or fewer.
    can_hold_out : bool, default=True
        Whether there are rows to hold out: not always in a file, where their number decides.
    can_make_folds : bool, default=False
        Whether the rows are in memory and of one process, and each of 5 folds can have some of each
        class, and a group of its own.
    """

    n_rows: int
    weight: float
    n_rarest: int
    has_32_bits: bool
    can_hold_out: bool = True
    can_make_folds: bool = False


@dataclass(frozen=True)
class Examples:
    """Checked data.

    Attributes
    ----------
    X : array, Table, CSR matrix or tensor of shape (n_samples, n_features)
    y : array of shape (n_samples,), or (n_samples, n_outputs) with several outputs
        Encoded by the target: indices of classes, numbers in the user's units for regression.
    weight : array of shape (n_samples,)
        Sample weights, times class weights in classification.
    target : Target
    schema : Schema
        The columns of X.
    groups : array of int of shape (n_samples,) or None
        Rows of the same group are held out together.
    validation : Examples or None
        The user's validation set.
    previous : estimator or None
        The estimator before this call, where it is fitted and training continues.
    processes : SingleProcess or Communicator
        The processes that share the rows.
    digest_of_all : str or None
        The digest of the rows of all processes, where each has read all of them.
    given : array, data frame, sparse matrix, tensor or None
        X as the user passed it.
    """

    X: CheckedX
    y: np.ndarray
    weight: np.ndarray
    target: Target
    schema: Schema
    groups: np.ndarray | None = None
    validation: "Examples | None" = None
    previous: BaseEstimator | None = None
    processes: SingleProcess = SINGLE_PROCESS
    digest_of_all: str | None = None
    given: UserX = None

    def take(self, index: Any) -> "Examples":
        """Return X, y and weights of some rows, which need no longer be those of `given`."""
        return Examples(self.X[index], self.y[index], self.weight[index], self.target, self.schema)

    def part(self, processes: SingleProcess) -> "Examples":
        """Return the part of all rows on which one of several processes trains."""
        n, rank, size = len(self.y), processes.rank, processes.size
        return self.take(slice(n * rank // size, n * (rank + 1) // size))

    def take_with_given(self, rows: np.ndarray) -> "Examples":
        """Return X, y, weights and `given` of some rows, by an array of indices."""
        return replace(self.take(rows), given=take_rows(self.given, rows))

    def totals(self) -> Totals:
        """Return the Totals of the rows of all processes."""
        counts = self.target.total_weights(self.y, self.weight > 0)
        is_wide = not has_32_bits(self.X.dtype)
        here = np.array([*counts, self.weight.sum(), is_wide], dtype=np.float64)
        *counts, weight, n_wide = self.processes.allreduce(here).tolist()
        n_rarest = int(min(counts))
        has_groups = self.groups is None or len(np.unique(self.groups)) >= N_FOLDS
        return Totals(
            n_rows=int(sum(counts)),
            weight=weight,
            n_rarest=n_rarest,
            has_32_bits=n_wide == 0,
            can_make_folds=self.processes.size == 1 and n_rarest >= N_FOLDS and has_groups,
        )

    def digest(self) -> str:
        """Return a digest of the rows of all processes."""
        return self.digest_of_all or ", ".join(self.processes.allgather(digest_of(self)))


def read_examples(estimator: BaseEstimator, parameters: SimpleNamespace, data: FitData) -> Examples:
    """Return the Examples of a fit of rows in memory."""
    if isinstance(data.y, str):
        if isinstance(data.X, list | tuple) and not data.X:
            raise ValueError("X must be a list of at least one path, got an empty list.")
        raise ValueError(
            "y must hold one label or number for each row of X, got "
            f"{data.y!r}. It can be the name of a column only where X is in a file."
        )
    processes = current_processes()
    readers = SINGLE_PROCESS if processes.rows == "all" else processes
    if processes.size > 1:
        _check_shared_fit(processes, parameters, data)
    previous = estimator if parameters.warm_start and hasattr(estimator, "coefs_") else None
    given = check_in_memory(data.X)
    schema = read_schema(estimator, parameters, given, previous, readers)
    min_rows = int(readers.size == 1)
    X, y = read_data(estimator, schema, given, data.y, min_rows=min_rows)
    y_of_all = y
    if readers.size > 1:
        of_each = readers.allgather(estimator._task.target.distinct(y))
        found = [rows for rows in of_each if len(rows)]
        if not found:
            raise ValueError("X must have a row in some process, got none in any.")
        y_of_all = np.concatenate(found)
    target = estimator._task.target.learn(y_of_all)
    examples = _make_examples(
        estimator, parameters, X, y, target, schema, data.sample_weight, "", readers
    )
    target.check(readers.allreduce(target.total_weights(examples.y, examples.weight > 0)))
    examples = replace(examples, given=given, previous=previous)
    if isinstance(X, Table) and previous is not None:
        table = replace(recode(schema, X), n_frequent=schema.n_frequent)
        examples = replace(examples, X=table)
    elif isinstance(X, Table):
        min_fraction = MIN_FRACTION_FOR_MEANS[parameters.target_encoding]
        examples = _with_categories(examples, parameters, min_fraction)
    groups = None
    if data.groups is not None:
        groups = encode_groups(data.groups)
        if len(groups) != len(y):
            raise ValueError(
                "groups must have one entry for each row, found inconsistent numbers of samples: "
                f"{[len(y), len(groups)]}."
            )
    validation = read_validation_set(estimator, parameters, data, target, examples.schema, readers)
    examples = replace(examples, groups=groups, validation=validation)
    if processes is readers:
        return examples
    # Each process has read all rows and trains on its part of them.
    digest = digest_of(examples)
    check_same(processes, {"X, y and sample_weight for rows='all'": digest})
    if validation is not None:
        validation = validation.part(processes)
    own = examples.part(processes)
    return replace(own, validation=validation, processes=processes, digest_of_all=digest)


def _check_shared_fit(processes: SingleProcess, parameters: SimpleNamespace, data: FitData) -> None:
    """Raise a ValueError unless several processes can share this fit and have equal parameters."""
    if data.groups is not None:
        raise ValueError("groups must be None where several processes share a fit.")
    for name, off in (("n_networks", 1), ("warm_start", False), ("scoring", None)):
        value = getattr(parameters, name)
        if value != off:
            raise ValueError(
                f"{name} must be {off} where several processes share a fit, got {value!r}."
            )
    shared = {n: describe(v) for n, v in vars(parameters).items() if n not in MAY_DIFFER}
    check_same(processes, {**shared, "X_val is None": data.X_val is None})


def read_partial_fit_examples(
    estimator: BaseEstimator,
    parameters: SimpleNamespace,
    X: UserX,
    y: UserArray,
    sample_weight: UserArray | None,
    target: Target | None = None,
) -> Examples:
    """Return the Examples of a call of partial_fit.

    In the first call the target is learned from y, unless it is given.
    """
    if open_source(X) is not None:
        raise TypeError(
            "X must hold its rows in memory for partial_fit, got a "
            f"{type(X).__name__}. Use fit, which reads it in parts."
        )
    if current_processes().size > 1:
        raise ValueError(
            "partial_fit must be called outside of data_parallel: only fit can be shared by "
            "several processes."
        )
    previous = estimator if hasattr(estimator, "coefs_") else None
    given = check_in_memory(X)
    schema = read_schema(estimator, parameters, given, previous)
    X, y = read_data(estimator, schema, given, y)
    if target is None:
        target_type = estimator._task.target
        target = (
            target_type.learn(y)
            if previous is None
            else target_type.from_attributes(vars(previous))
        )
    examples = _make_examples(estimator, parameters, X, y, target, schema, sample_weight)
    examples = replace(examples, given=given, previous=previous)
    return _with_categories(examples, parameters) if isinstance(X, Table) else examples


def _with_categories(
    examples: Examples, parameters: SimpleNamespace, min_fraction: float = 1.0
) -> Examples:
    """Return Examples of a Table with the categories that are learned from it."""
    rows = examples.X, examples.weight, examples.given, examples.processes
    schema, table = encode_categories(examples.schema, parameters, *rows, min_fraction)
    return replace(examples, schema=schema, X=table)


def read_validation_set(
    estimator: BaseEstimator,
    parameters: SimpleNamespace,
    data: FitData,
    target: Target,
    schema: Schema,
    processes: SingleProcess = SINGLE_PROCESS,
) -> Examples | None:
    """Return the Examples of the user's validation set, or None if there is none."""
    X_val, y_val, sample_weight_val = data.X_val, data.y_val, data.sample_weight_val
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val must be given with X_val and y_val, got no X_val.")
    if (X_val is None) != (y_val is None):
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"X_val and y_val must be given together, got no {missing}.")
    if X_val is None:
        return None
    try:
        given = check_in_memory(X_val)
        min_rows = int(processes.size == 1)
        X, y = read_data(estimator, schema, given, y_val, name="y_val", min_rows=min_rows)
        X = recode(schema, X)
    except (TypeError, ValueError) as error:
        error_type = TypeError if isinstance(error, TypeError) else ValueError
        raise error_type(f"X_val and y_val must be like X and y: {error}") from error
    examples = _make_examples(
        estimator, parameters, X, y, target, schema, sample_weight_val, "_val", processes
    )
    examples, rows = replace(examples, given=given), np.flatnonzero(examples.weight)
    # Rows of weight zero are dropped, because a scorer may take no weights.
    return examples if len(rows) == len(y) else examples.take_with_given(rows)


def _make_examples(
    estimator: BaseEstimator,
    parameters: SimpleNamespace,
    X: CheckedX,
    y: np.ndarray,
    target: Target,
    schema: Schema,
    sample_weight: UserArray | None,
    suffix: str = "",
    processes: SingleProcess = SINGLE_PROCESS,
) -> Examples:
    """Return the Examples of checked X and y, with y encoded and the weights checked."""
    y = target.encode(y, f"y{suffix}")
    weight = normalized_weights(sample_weight, len(y), f"sample_weight{suffix}")
    totals = processes.allreduce(target.total_weights(y, weight))
    check_total_weight(totals.sum(), f"sample_weight{suffix}")
    weight = estimator._task.weigh(parameters, target, y, weight, totals)
    return Examples(X, y, weight, target, schema, processes=processes)


def describe_out_of_range_column(examples: Examples) -> str | None:
    """Return a text about the column of X_val that is out of the range of X in the most rows.

    Return None unless most rows of X_val are outside in some columns, as they are where X was
    transformed before the fit and X_val was not.
    """
    processes, validation = examples.processes, examples.validation
    if validation is None:
        return None
    is_table = isinstance(examples.X, Table)
    X, X_val = (part.X.numbers if is_table else part.X for part in (examples, validation))
    low, high = WeightedColumns(X, examples.weight, processes=processes).limits()
    is_far = is_far_outside(X_val, low, high)
    is_far_row = is_far.sum(axis=1) >= max(1, SOME_COLUMNS * np.count_nonzero(low < high))
    n_far, n_rows = processes.allreduce(np.array([is_far_row.sum(), len(is_far_row)]))
    if n_far < MOST_ROWS * n_rows:
        return None
    of_validation = WeightedColumns(X_val, validation.weight, processes=processes)
    low_val, high_val = of_validation.limits()
    j = processes.allreduce(is_far.sum(axis=0)).argmax()
    j_of_X = np.flatnonzero(~examples.X.is_categorical)[j] if is_table else j
    name = examples.schema.column_name(j_of_X)
    return (
        f"column {name} is from {low[j]:g} to {high[j]:g} in X and from {low_val[j]:g} to "
        f"{high_val[j]:g} in X_val"
    )
