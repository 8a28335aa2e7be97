"""Examples: from what the user passes to checked rows.

Arrays of numbers, tensors and sparse matrices stay what they are, a tensor on its device; frames
and arrays of objects are read column by column. scikit-learn's checks learn and compare the number
and names of the features.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import check_array, check_X_y, validate_data

from skdnn.callbacks import warn
from skdnn.checkpoints import describe, digest_of
from skdnn.data.encoding import column_limits, columns_with_infinity, is_far_outside
from skdnn.data.frames import (
    Table,
    add_categories,
    check_in_memory,
    find_kinds,
    is_of_sparse_columns,
    is_plain,
    kinds_of_categories,
    read_columns,
    shown,
    take_rows,
    text_warnings,
    to_host,
)
from skdnn.data.targets import check_weights, encode_groups
from skdnn.processes import SINGLE_PROCESS, check_same, current_processes

from ._parameters import has_32_bits

# A column of levels that says nothing of so many of its values is worth a warning, where there are
# more than a few.
NEARLY_ALL, FEW_ROWS = 0.95, 20
RARE = (
    "rare categories, which are merged and carry no information. Drop identifiers; convert numbers "
    "or dates stored as text."
)
UNSEEN = (
    "categories that are rare or unseen in fit, which are merged and carry no information. Check "
    "that its values are written as in fit."
)
# X_val lies far outside X where so many of its rows do so in so many of the columns. Of 33 public
# tables, whose X_val is drawn at random or from the upper half of a feature, none is then warned
# of; of the same tables, whose X is transformed by a scaler and X_val is not, 72 % are.
MOST_ROWS, SOME_COLUMNS = 0.8, 0.1
# By `target_encoding`: means are learned of a column's rare levels where those that come again make
# up more than this share of the rows.
FRACTION_WORTH_MEANS = {True: 0.0, "auto": 0.02, False: 1.0}
# So pandas names an index without a name where it writes it as a column.
INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")
# What processes that share one fit may be told differently: only the first saves and prints.
OF_EACH_PROCESS = ("checkpoint", "device", "n_threads", "verbose")

# By estimator: an X, and what `read_data` has returned for it.
_kept: WeakKeyDictionary = WeakKeyDictionary()


@dataclass(frozen=True)
class Totals:
    """What the plan is to know of all rows together, wherever they are.

    Attributes
    ----------
    n_rows : int
        Of a weight above 0.
    weight : float
        Of all of them.
    n_rarest : int
        How many there are of the rarer of two labels, or of numbers.
    has_32_bits : bool
        Whether X has no more than 32 bits.
    is_sparse : bool
        Whether X is sparse in some process.
    """

    n_rows: int
    weight: float
    n_rarest: int
    has_32_bits: bool
    is_sparse: bool


@dataclass(frozen=True)
class Examples:
    """Checked data.

    Attributes
    ----------
    X : array, Table, CSR matrix or tensor of shape (n_samples, n_features)
    y : array of shape (n_samples,), or (n_samples, n_outputs) for several numbers
        As the target encodes it: 0 or 1, or numbers in the user's units.
    weight : array of shape (n_samples,)
        Of each row: sample weight, times class weight where there is such a thing.
    target : TwoClasses or RealNumbers
        What y holds.
    groups : array of int of shape (n_samples,) or None
        What belongs together.
    validation : Examples or None
        The rows that the user wants watched.
    before : estimator or None
        Fitted before, where training goes on: what its columns hold stays.
    processes : SingleProcess or Communicator
        Of those that have the other rows.
    digest : str or None
        Of all rows, where it is known.
    given : array, data frame, sparse matrix, tensor or None
        X as the user passed it.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray
    target: Any
    groups: np.ndarray | None = None
    validation: Any = None
    before: Any = None
    processes: Any = SINGLE_PROCESS
    digest: str | None = None
    given: Any = None

    def take(self, index):
        """Return the Examples of some rows."""
        return Examples(self.X[index], self.y[index], self.weight[index], self.target)

    def take_with_given(self, rows):
        """Return the Examples of some rows, an index array, with these rows of `given`."""
        return replace(self.take(rows), given=take_rows(self.given, rows))

    def totals(self):
        """Return the Totals."""
        rows, is_wide = self.weight > 0, not has_32_bits(self.X.dtype)
        here = [np.count_nonzero(rows), self.weight.sum(), is_wide, sparse.issparse(self.X)]
        n_rows, weight, n_wide, n_sparse = self.processes.allreduce(
            np.array(here, dtype=np.float64)
        )
        n_rarest = self.target.count_rarest(self.y[rows], self.processes)
        return Totals(int(n_rows), float(weight), int(n_rarest), n_wide == 0, n_sparse > 0)

    def can_hold_out(self):
        """Return whether rows can be held out: of rows in memory, any number of them."""
        return True

    def among(self, processes):
        """Return the Examples that a process is to train on, of all that each of them has read."""
        if processes is self.processes:
            return self
        digest, validation = digest_of(self), self.validation
        check_same(processes, {"X, y and sample_weight for rows='all'": digest})
        return replace(
            self.take(processes.own_rows(len(self.y))),
            validation=None
            if validation is None
            else validation.take(processes.own_rows(len(validation.y))),
            processes=processes,
            digest=digest,
        )


def read_examples(
    estimator, parameters, X, y, sample_weight, groups, X_val, y_val, sample_weight_val
):
    """Return the Examples of a fit."""
    processes = current_processes()
    if processes.size > 1:
        _check_shared(processes, parameters, groups, X_val)
    before = estimator if parameters.warm_start and hasattr(estimator, "coefs_") else None
    learn_by, readers = parameters if before is None else None, processes.readers
    given = check_in_memory(X)
    X, y = read_data(estimator, given, y, learn_by=learn_by, processes=readers)
    if readers.allreduce(np.array(len(y))) == 0:
        raise ValueError("X must have a row in some process, got none in any.")
    target = estimator._task.target.learn(y, readers)
    examples = _weighted(estimator, parameters, X, y, target, sample_weight, processes=readers)
    target.check(examples.y, examples.weight, readers)
    examples = replace(
        _with_known_categories(estimator, parameters, replace(examples, given=given)),
        groups=_read_groups(groups, len(y)),
        validation=read_validation_set(
            estimator, parameters, X_val, y_val, sample_weight_val, target, readers
        ),
        before=before,
    )
    return examples.among(processes)


def _check_shared(processes, parameters, groups, X_val):
    """Raise a ValueError for what several processes cannot do together, or are not told all."""
    if groups is not None:
        raise ValueError("groups must be None where several processes share a fit.")
    for name, off in (("n_networks", 1), ("warm_start", False), ("scoring", None)):
        value = getattr(parameters, name)
        if value != off:
            raise ValueError(
                f"{name} must be {off} where several processes share a fit, got {value!r}."
            )
    told = {n: describe(v) for n, v in vars(parameters).items() if n not in OF_EACH_PROCESS}
    check_same(processes, {**told, "X_val is None": X_val is None})


def read_more(estimator, parameters, X, y, sample_weight, target=None):
    """Return the Examples of a call of partial_fit.

    In the first one the target is learned from y, unless it is given.
    """
    if current_processes().size > 1:
        raise ValueError(
            "partial_fit must be called outside of data_parallel: what processes share is a fit."
        )
    before, given = estimator if hasattr(estimator, "coefs_") else None, check_in_memory(X)
    learn_by = parameters if before is None else None
    X, y = read_data(estimator, given, y, learn_by=learn_by, recodes=False)
    if target is None:
        kind = estimator._task.target
        target = kind.learn(y) if before is None else kind.from_attributes(vars(before))
    examples = _weighted(estimator, parameters, X, y, target, sample_weight)
    examples = replace(examples, given=given, before=before)
    return _with_more_categories(estimator, parameters, examples)


def _read_groups(groups, n_rows):
    if groups is None:
        return None
    groups = encode_groups(groups)
    if len(groups) != n_rows:
        raise ValueError(
            "groups must be one for each row, found inconsistent numbers of samples: "
            f"{[n_rows, len(groups)]}."
        )
    return groups


def read_validation_set(estimator, parameters, X_val, y_val, sample_weight_val, target, processes):
    """Return the Examples of the user's validation set, None where there is none."""
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val must be given with X_val and y_val, got no X_val.")
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together, got one of them.")
    if X_val is None:
        return None
    try:
        given = check_in_memory(X_val)
        X, y = read_data(estimator, given, y_val, name="y_val", processes=processes)
    except (TypeError, ValueError) as error:
        kept = TypeError if isinstance(error, TypeError) else ValueError
        raise kept(f"X_val and y_val must be such as X and y: {error}") from error
    validation = _weighted(
        estimator, parameters, X, y, target, sample_weight_val, suffix="_val", processes=processes
    )
    validation, rows = replace(validation, given=given), np.flatnonzero(validation.weight)
    # Rows of weight zero behave as absent, for a scorer that takes no weights as well.
    return validation if len(rows) == len(validation.y) else validation.take_with_given(rows)


def column_far_outside(estimator, examples):
    """Return a column in which X_val lies far outside X, described, or None where X_val does not.

    It does so where the columns of X were transformed before, and those of X_val were not.
    """
    processes, validation = examples.processes, examples.validation
    is_table = isinstance(examples.X, Table)
    X, X_val = (part.X.numbers if is_table else part.X for part in (examples, validation))
    low, high = column_limits(X, examples.weight, processes)
    is_far = is_far_outside(X_val, low, high)
    is_far_row = is_far.sum(axis=1) >= max(1, SOME_COLUMNS * np.count_nonzero(low < high))
    n_far, n_rows = processes.allreduce(np.array([is_far_row.sum(), len(is_far_row)]))
    if n_far < MOST_ROWS * n_rows:
        return None
    low_val, high_val = column_limits(X_val, validation.weight, processes)
    j = processes.allreduce(is_far.sum(axis=0)).argmax()
    label = _label(estimator, np.flatnonzero(~examples.X.is_categorical)[j] if is_table else j)
    return (
        f"{label} is from {low[j]:g} to {high[j]:g} in X and from {low_val[j]:g} to "
        f"{high_val[j]:g} in X_val"
    )


def _weighted(
    estimator, parameters, X, y, target, sample_weight, suffix="", processes=SINGLE_PROCESS
):
    y = target.encode(y, f"y{suffix}")
    weight = check_weights(sample_weight, len(y), f"sample_weight{suffix}", processes)
    weight = estimator._task.weigh(parameters, target, y, weight, processes)
    return Examples(X, y, weight, target, processes=processes)


def read_data(estimator, X, *y, learn_by=None, name="y", recodes=True, processes=SINGLE_PROCESS):
    """Return X, and y where one is passed, checked.

    Parameters
    ----------
    estimator : NetworkEstimator
        What each column of X holds, and where they are known already, the levels.
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
    *y : array-like or tensor of shape (n_samples,) or (n_samples, n_outputs)
    learn_by : object or None, default=None
        The parameters by which the estimator learns number, names and kinds of the columns; with
        None they must be those that it knows.
    name : str, default="y"
        Of y, for errors.
    recodes : bool, default=True
        Give levels the codes of those that are known already.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows; a process may have none.
    """
    if isinstance(X, Table):
        return X
    if isinstance(estimator, Hashable) and (kept := _kept.get(estimator)) and X is kept[0]:
        return kept[1]
    X = check_in_memory(X)
    reset = learn_by is not None
    if reset:
        learn_columns(estimator, X, learn_by.categorical_features, processes)
    y = [estimator._task.target.normalized(values, name) for values in y]
    options = {"reset": reset, "ensure_min_samples": 1 if processes.size == 1 else 0}
    # Of no rows, there is no y that scikit-learn's checks would take.
    unchecked, y = (y, []) if X.shape[0] == 0 and processes.size > 1 else ([], y)
    if estimator.column_kinds_ is not None or not is_plain(X):
        read = _read_columns(estimator, X, y, recodes, **options)
    elif isinstance(X, torch.Tensor):
        read = _read_tensor(estimator, X, y, **options)
    else:
        read = _read_array(estimator, X, y, **options)
    if reset:
        names = getattr(estimator, "feature_names_in_", None)
        check_same(processes, {"The names of the columns of X": describe(names)})
    return (read, *unchecked) if unchecked else read


def keep_read(estimator, X, read):
    """Let `read_data` return what was read of X before, as long as the estimator is there."""
    if isinstance(estimator, Hashable):
        _kept[estimator] = X, read


def learn_columns(estimator, X, categorical_features, processes=SINGLE_PROCESS):
    """Let the estimator learn number, names and kinds of the columns of X."""
    estimator.column_kinds_ = estimator.is_categorical_ = estimator.categories_ = None
    estimator._kinds_of_categories, estimator._columns_warned_of = None, ()
    has_names = not isinstance(categorical_features, str | None) and len(categorical_features) > 0
    check_same(processes, {"The number of columns of X": X.shape[1:]})
    are_plain = all(processes.allgather(is_plain(X)))
    if are_plain and not has_names:
        return
    if sparse.issparse(X):
        raise ValueError("X must be dense where categorical_features names columns, got sparse X.")
    _warn_of_index(X)
    estimator.column_kinds_ = find_kinds(to_host(X), categorical_features, processes)
    if estimator.column_kinds_ is not None:
        is_categorical = np.array([kind == "category" for kind in estimator.column_kinds_])
        estimator.is_categorical_ = is_categorical if is_categorical.any() else None


def _warn_of_index(X):
    """Warn of a column that is the index of a pandas frame, as libraries beside pandas read it."""
    names = map(str, getattr(X, "column_names", getattr(X, "columns", ())))
    for name in filter(INDEX_OF_PANDAS.fullmatch, names):
        warn(
            f"X has a column {name!r}, which was the index of a pandas frame and is now learned "
            "from as a feature. Leave it out, or write the frame with index=False.",
        )


def _read_columns(estimator, X, y, recodes, reset, ensure_min_samples):
    X = to_host(X.toarray() if sparse.issparse(X) else X)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    checked = _check_shape(estimator, X, y, ensure_min_samples)
    read = read_columns(X, estimator.column_kinds_)
    if isinstance(read, Table) and estimator._kinds_of_categories is not None:
        _check_kinds_of_categories(estimator, read)
    if recodes and estimator.categories_ is not None:
        read = read.recoded(estimator.categories_)
        warn_of_others(estimator, read)
    return (read, *checked) if y else read


def _check_kinds_of_categories(estimator, table):
    """Raise a ValueError for numbers in a column that had text in fit, and for the reverse."""
    columns = zip(
        np.flatnonzero(table.is_categorical),
        estimator._kinds_of_categories,
        map(kinds_of_categories, table.categories),
        strict=True,
    )
    for (j, known, found), values in zip(columns, table.categories, strict=True):
        if known and found and not known & found:
            raise ValueError(
                f"X must hold {_plural(known)} in {_label(estimator, j)}, as in fit, got "
                f"{_plural(found)} such as {shown(values[0])}."
            )


def _plural(kinds):
    return " and ".join(sorted("text" if kind == "category" else f"{kind}s" for kind in kinds))


def _check_shape(estimator, X, y, ensure_min_samples):
    """Return y as scikit-learn's checks leave it beside X, of which they see the shape alone."""
    stub = np.broadcast_to(np.float32(0), tuple(X.shape))
    options = {"dtype": None, "ensure_min_samples": ensure_min_samples}
    if not y:
        check_array(stub, **options)
        return ()
    return check_X_y(stub, *y, **options, **_options_of_y(estimator, y))[1:]


def _options_of_y(estimator, y):
    return {"multi_output": estimator._task.target.takes_several} if y else {}


def _read_array(estimator, X, y, **options):
    # Dense data keeps its dtype: it is converted chunk by chunk, without a copy of the whole.
    is_sparse = sparse.issparse(X) or is_of_sparse_columns(X)
    read = validate_data(
        estimator,
        X,
        *y,
        accept_sparse="csr",
        dtype=(np.float64, np.float32) if is_sparse else "numeric",
        ensure_all_finite=False,
        **options,
        **_options_of_y(estimator, y),
    )
    _check_finite(estimator, read[0] if y else read)
    return read


def _read_tensor(estimator, X, y, **options):
    stub = np.broadcast_to(np.float32(0), tuple(X.shape))
    checked = validate_data(
        estimator, stub, *y, dtype=None, **options, **_options_of_y(estimator, y)
    )
    _check_finite(estimator, X)
    return (X, checked[1]) if y else X


def _check_finite(estimator, X):
    if sparse.issparse(X):
        missing = X.indices[np.isnan(X.data)]
        if len(missing):
            raise ValueError(
                f"Input X contains NaN in {_label(estimator, missing[0])}: sparse X must miss no "
                "number. Make it dense, or fill the gaps."
            )
    infinite = columns_with_infinity(X)
    if len(infinite):
        raise ValueError(f"Input X contains infinity in {_label(estimator, infinite[0])}.")


def _label(estimator, j):
    return f"column {_name(estimator, j)}"


def _name(estimator, j):
    names = getattr(estimator, "feature_names_in_", None)
    return repr(int(j) if names is None else names[j])


def _with_known_categories(estimator, parameters, examples):
    """Return the Examples with codes for the levels worth telling apart, once these are learnt."""
    if not isinstance(examples.X, Table):
        return examples
    if estimator.categories_ is not None:
        return replace(
            examples, X=replace(examples.X, n_frequent=estimator._encoding["n_frequent"])
        )
    processes = examples.processes
    examples = replace(examples, X=examples.X.with_categories_of_all_processes(processes))
    categories = examples.X.frequent_categories(examples.weight, processes)
    fraction = FRACTION_WORTH_MEANS[parameters.target_encoding]
    rare = examples.X.rare_categories(categories, examples.weight, fraction, processes)
    n_frequent = [len(frequent) for frequent in categories]
    categories = [np.append(*pair) for pair in zip(categories, rare, strict=True)]
    return _recoded(estimator, parameters, examples, categories, n_frequent)


def _with_more_categories(estimator, parameters, examples):
    """Return the Examples with codes for the levels known so far and those worth adding."""
    if not isinstance(examples.X, Table):
        return examples
    categories = examples.X.frequent_categories(examples.weight)
    n_frequent = [len(frequent) for frequent in categories]
    if estimator.categories_ is not None:
        known = zip(
            estimator.categories_, estimator._encoding["n_frequent"], categories, strict=True
        )
        categories, n_frequent = zip(*[add_categories(*column) for column in known], strict=True)
    return _recoded(estimator, parameters, examples, list(categories), n_frequent)


def _recoded(estimator, parameters, examples, categories, n_frequent):
    table, weight, processes = examples.X, examples.weight, examples.processes
    counts = [column[:-1] for column in table.counts(weight, processes)]
    X = examples.given
    learn_kinds(estimator, parameters, X, X, table.categories, counts, processes)
    estimator.categories_ = categories
    recoded = table.recoded(categories, np.array(n_frequent, dtype=np.intp))
    estimator._columns_warned_of += warn_of_others(estimator, recoded, weight, processes, RARE)
    return replace(examples, X=recoded)


def learn_kinds(estimator, parameters, X, passed, categories, counts, processes=SINGLE_PROCESS):
    """Let the estimator learn whether categories are text or numbers; warn of numbers as text.

    Parameters
    ----------
    estimator : NetworkEstimator
    parameters : Parameters
    X, passed, categories, counts
        As of `text_warnings`.
    processes : SingleProcess or Communicator, default=SINGLE_PROCESS
        Of those that have the other rows; the first one warns.
    """
    found = list(map(kinds_of_categories, categories))
    known = estimator._kinds_of_categories or found
    estimator._kinds_of_categories = [a | b for a, b in zip(known, found, strict=True)]
    if estimator.categories_ is not None or not isinstance(parameters.categorical_features, str):
        return
    text = text_warnings(X, passed, estimator.is_categorical_, categories, counts)
    for message in text.values() if processes.rank == 0 else ():
        warn(message)
    estimator._columns_warned_of += tuple(text)


def warn_of_others(estimator, table, weight=None, processes=SINGLE_PROCESS, what=UNSEEN):
    """Warn of columns of which nearly all values are categories that share one input.

    Not of those that fit has warned of. Return the indices of the others.
    """
    if processes.allreduce(np.array(len(table))) <= FEW_ROWS:
        return ()
    fractions = table.fraction_of_others(weight, processes)
    columns = zip(np.flatnonzero(table.is_categorical).tolist(), fractions, strict=True)
    nearly_all = [j for j, fraction in columns if fraction >= NEARLY_ALL]
    found = tuple(j for j in nearly_all if j not in estimator._columns_warned_of)
    for j in found:
        warn(f"Column {_name(estimator, j)} has almost only {what}")
    return found
