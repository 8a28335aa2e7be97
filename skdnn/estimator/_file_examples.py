"""Examples in files: what one pass over all rows tells, and a sample that stands for them.

The sample is an ordinary Examples, of which a plan is made; beside it stands the Survey, from which
the split makes batches that read the rest.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from skdnn.callbacks import ReadingLines
from skdnn.checkpoints import describe, digest_of
from skdnn.data.streaming import FileColumns, FileStatistics, TrainingFile, open_source
from skdnn.processes import SINGLE_PROCESS, current_processes

from ._examples import (
    RARE,
    Examples,
    Totals,
    learn_columns,
    learn_kinds,
    read_examples,
    read_more,
    read_validation_set,
    warn_of_others,
)
from ._parameters import has_32_bits

# What takes all rows at once, or a second time, and what it must be here.
NEEDS_ALL_ROWS = (
    ("n_networks", lambda value: value == 1, "1"),
    ("warm_start", lambda value: not value, "False"),
    ("scoring", lambda value: value is None, "None"),
    ("batch_size", lambda value: value is not None, "an integer or 'auto'"),
    ("target_encoding", lambda value: value is not True, "False or 'auto'"),
    ("optimizer", lambda value: value != "lbfgs", "'adam', 'adamw', 'sgd' or a class of torch's"),
)


@dataclass(frozen=True)
class FileExamples(Examples):
    """A sample of the rows of a file, and what is known of all of them.

    Attributes
    ----------
    statistics : Survey
    factors : array of shape (2,) or None
        What the weights of each class are multiplied by.
    is_held, is_sampled : arrays of bool of shape (n_kept,)
        Of the rows here: those to watch if some are held out, and those that stand for all.
    """

    statistics: FileStatistics | None = None
    factors: Any = None
    is_held: Any = None
    is_sampled: Any = None

    def summary(self, with_held_out=True):
        """Return the Summary of the rows of a weight above 0, with those to be held out or not."""
        return self.statistics.summary(self._factor_of_label(), with_held_out)

    def totals(self):
        """Return the Totals of all rows of the file."""
        summary = self.summary()
        n_rarest = summary.n_rows
        if self.factors is not None:
            found = self.statistics.found
            of_label = {
                label: found[label, False].n_rows + found[label, True].n_rows
                for label in self._factor_of_label()
            }
            n_rarest = min(of_label.values())
        narrow = has_32_bits(self.X.dtype)
        return Totals(summary.n_rows, summary.weight, n_rarest, narrow, is_sparse=False)

    def can_hold_out(self):
        """Return whether there are rows to hold out and to train on, of both classes each."""
        return all(found.n_rows > 0 for found in self.statistics.found.values())

    def training_file(self, with_held_out):
        """Return the TrainingFile of the rows to train on."""
        return TrainingFile(self.statistics, self.target, self.factors, self.X, with_held_out)

    def standing_for_all(self):
        """Return X, y and weights of some rows, whose best single answer is that of all."""
        if self.factors is None:
            return self.X, self.y, self.weight
        return self.X, *_one_of_each(self.statistics, self.target, self.factors)

    def _factor_of_label(self):
        if self.factors is None:
            return {}
        labels = self.statistics.labels()
        return dict(zip(labels, self.factors[self.target.encode(labels)], strict=True))


def read_examples_or_file(
    estimator, parameters, X, y, sample_weight, groups, X_val, y_val, sample_weight_val
):
    """Return the Examples of a fit, whether X holds its rows or names a file."""
    source = open_source(X)
    if source is None:
        if isinstance(y, str):
            if isinstance(X, list | tuple) and not X:
                raise ValueError("X must be a list of at least one path, got an empty list.")
            raise ValueError(
                "y must hold one label or number for each row of X; the name of a column it is "
                f"only where X is in a file, got {y!r}."
            )
        return read_examples(
            estimator, parameters, X, y, sample_weight, groups, X_val, y_val, sample_weight_val
        )
    _check_streams(parameters, groups, X_val)
    columns = _find_columns(estimator, parameters, source, y, sample_weight)
    lines = ReadingLines(source.n_rows) if parameters.verbose else lambda n_rows: None
    statistics = columns.statistics(parameters.validation_fraction, lines)
    lines(source.n_rows)
    examples = _sampled(estimator, parameters, statistics, X)
    _, labels, weight = examples.standing_for_all()
    examples.target.check(labels, weight)
    validation = read_validation_set(
        estimator, parameters, X_val, y_val, sample_weight_val, examples.target, SINGLE_PROCESS
    )
    examples = replace(examples, validation=validation)
    return replace(examples, digest=_digest(examples))


def read_more_examples_or_file(estimator, parameters, X, y, sample_weight, target=None):
    """Return the Examples of a call of partial_fit, which must be in memory."""
    if open_source(X) is not None:
        raise TypeError(
            f"X must hold its rows in memory for partial_fit, got a {type(X).__name__}: fit takes "
            "it as it is, and reads it part by part."
        )
    return read_more(estimator, parameters, X, y, sample_weight, target)


def _check_streams(parameters, groups, X_val):
    for name, keeps, constraint in NEEDS_ALL_ROWS:
        value = getattr(parameters, name)
        if not keeps(value):
            raise ValueError(f"{name} must be {constraint} where X is in a file, got {value!r}.")
    if groups is not None:
        raise ValueError("groups must be None where X is in a file.")
    if X_val is not None and open_source(X_val) is not None:
        raise ValueError("X_val must hold its rows in memory, got one that is in a file.")
    if current_processes().size > 1:
        raise ValueError("X must hold its rows in memory where several processes share a fit.")


def _find_columns(estimator, parameters, source, y, sample_weight):
    """Return the FileColumns; the estimator learns names and kinds of those of X."""
    named = {"y": y} if sample_weight is None else {"y": y, "sample_weight": sample_weight}
    for what, name in named.items():
        if not isinstance(name, str):
            raise TypeError(
                f"{what} must name a column where X is in a file, got a {type(name).__name__}."
            )
        source.check_names([name], what)
    others = {*named.values(), *source.index_names()}
    names = [name for name in source.names if name not in others]
    source.check_names(names, "X")
    if not names:
        raise ValueError(f"X must hold columns beside {[*named.values()]}, got none.")
    empty = source.empty.select(names)
    learn_columns(estimator, empty, parameters.categorical_features)
    validate_data(estimator, empty, reset=True, skip_check_array=True)
    kinds = estimator.column_kinds_
    return FileColumns(source, names, kinds, y, sample_weight, estimator._task.target)


def _sampled(estimator, parameters, statistics, passed):
    """Return the FileExamples, without rows of the user's to watch."""
    kind = statistics.columns.target
    target = (
        kind.learn(statistics.labels()) if statistics.labels().size else kind.learn(np.zeros(1))
    )
    factors, n_frequent = None, None
    if None not in statistics.sums:
        y, weight = _one_of_each(statistics, target, np.ones(2))
        weighed = estimator._task.weigh(parameters, target, y, weight, SINGLE_PROCESS)
        factors = np.divide(weighed, weight, out=np.zeros(2), where=weight > 0)
    summary = statistics.summary({}, with_held_out=True)
    frequent = summary.frequent_categories()
    if frequent:
        empty = statistics.columns.source.empty.select(statistics.columns.names)
        counts = [np.array(list(found.values())) for found in summary.categories]
        categories = list(map(list, summary.categories))
        learn_kinds(estimator, parameters, empty, passed, categories, counts)
        estimator.categories_ = frequent
        n_frequent = np.array([len(categories) for categories in frequent], dtype=np.intp)
    rows, is_held, is_sampled = statistics.kept_rows(frequent, n_frequent)
    y = target.encode(rows.y)
    weight = rows.weight if factors is None else rows.weight * factors[y]
    there = weight > 0
    if frequent:
        estimator._columns_warned_of += warn_of_others(estimator, rows.X, weight, what=RARE)
    if there.all():
        there = slice(None)
    return FileExamples(
        rows.X[there],
        y[there],
        weight[there],
        target,
        statistics=statistics,
        factors=factors,
        is_held=is_held[there],
        is_sampled=is_sampled[there],
    )


def _one_of_each(statistics, target, factors):
    """Return y of one row of each class, and as weights those of all its rows."""
    labels, weights = statistics.weights_of_labels()
    y = target.encode(labels)
    order = np.argsort(y)
    return y[order], weights[order] * factors


def _digest(examples):
    """Return a digest of what is known of all rows."""
    statistics = examples.statistics
    known = [
        statistics.columns.names, statistics.columns.y, statistics.columns.weight,
        statistics.sizes.tolist(),
        [(str(key), vars(found)) for key, found in statistics.found.items()],
    ]  # fmt: skip
    return hashlib.sha256((digest_of(examples) + describe(known)).encode()).hexdigest()[:16]
