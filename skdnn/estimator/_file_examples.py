"""Examples in files: statistics of all rows from one pass, and a sample of the rows in memory.

The sample is an ordinary Examples, from which the plan is made. The split makes batches that read
the other rows from the file.
"""

import hashlib
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skdnn.callbacks import ReadingLines
from skdnn.checkpoints import describe, digest_of
from skdnn.data.frames import Schema, Table
from skdnn.data.streaming import FileColumns, FileStatistics, Source, TrainingFile, open_source
from skdnn.data.targets import Target
from skdnn.processes import current_processes
from skdnn.training import optimizer_kind

from ._columns import (
    RARE,
    learn_categories,
    read_schema,
    warn_about_other_categories,
    warn_about_text,
)
from ._examples import Examples, FitData, Totals, read_validation_set
from ._parameters import has_32_bits
from ._reading import CheckedX

# Parameters that need all rows at once or read them twice: name, condition, what a file allows.
NEEDS_ALL_ROWS = (
    ("n_networks", lambda value: value == 1, "1"),
    ("warm_start", lambda value: not value, "False"),
    ("scoring", lambda value: value is None, "None"),
    ("batch_size", lambda value: value is not None, "an integer or 'auto'"),
    ("target_encoding", lambda value: value is not True, "False or 'auto'"),
    (
        "optimizer",
        lambda value: not optimizer_kind(value).uses_all_rows,
        "'adam', 'adamw', 'sgd' or a class of torch's",
    ),
)


@dataclass(frozen=True, kw_only=True)
class FileExamples(Examples):
    """A sample of the rows of a file, with statistics of all of its rows.

    Attributes
    ----------
    statistics : FileStatistics
    factors : array of shape (n_classes,) or None
        The factors of the weights of each class, None for regression.
    is_held, is_sampled : arrays of bool of shape (n_samples,)
        Which rows in memory are held out where rows are held out, and which are in the sample.
    """

    statistics: FileStatistics
    factors: np.ndarray | None
    is_held: np.ndarray
    is_sampled: np.ndarray

    def summary(self, with_held_out: bool = True) -> Any:
        """Return the Summary of the rows of a weight above 0, with or without held-out ones."""
        return self.statistics.summary(self._factor_of_label(), with_held_out)

    def totals(self) -> Totals:
        """Return the Totals of all rows of the file."""
        summary, found = self.summary(), self.statistics.summaries
        n_rarest = summary.n_rows
        if self.factors is not None:
            labels = self._factor_of_label()
            n_rarest = min(
                found[label, False].n_rows + found[label, True].n_rows for label in labels
            )
        return Totals(
            summary.n_rows,
            summary.weight,
            n_rarest,
            has_32_bits(self.X.dtype),
            # There are rows to hold out and rows to train on, of each class.
            can_hold_out=all(some.n_rows > 0 for some in found.values()),
        )

    def digest(self) -> str:
        """Return a digest of the sample and of the statistics of all rows."""
        statistics, columns = self.statistics, self.statistics.columns
        facts = [
            columns.names, columns.y, columns.weight, statistics.sizes.tolist(),
            [(str(key), vars(found)) for key, found in statistics.summaries.items()],
        ]  # fmt: skip
        digest = hashlib.sha256((digest_of(self) + describe(facts)).encode())
        return digest.hexdigest()[:16]

    def training_file(self, with_held_out: bool) -> TrainingFile:
        """Return the TrainingFile of the rows to train on."""
        return TrainingFile(self.statistics, self.target, self.factors, self.X, with_held_out)

    def representative_rows(self) -> tuple[CheckedX, np.ndarray, np.ndarray]:
        """Return X, y and weights whose best constant prediction is that of all rows.

        In classification, y and weights are one entry for each class, with the sum of its weights.
        """
        if self.factors is None:
            return self.X, self.y, self.weight
        return self.X, *_weight_of_each_class(self.statistics, self.target, self.factors)

    def _factor_of_label(self) -> dict[Any, float]:
        if self.factors is None:
            return {}
        labels = self.statistics.labels()
        return dict(zip(labels, self.factors[self.target.encode(labels)], strict=True))


def read_file_examples(
    estimator: BaseEstimator, parameters: SimpleNamespace, data: FitData, source: Source
) -> FileExamples:
    """Return the Examples of a fit where X names files, which are opened as a Source."""
    _check_file_fit(parameters, data)
    columns, schema = _find_columns(estimator, parameters, data, source)
    lines = ReadingLines(source.n_rows) if parameters.verbose else lambda n_rows: None
    statistics = columns.statistics(parameters.validation_fraction, lines)
    lines(source.n_rows)
    examples = _sample(estimator, parameters, statistics, schema, data.X)
    _, _, totals = examples.representative_rows()
    examples.target.check(totals)
    validation = read_validation_set(estimator, parameters, data, examples.target, examples.schema)
    return replace(examples, validation=validation)


def _check_file_fit(parameters: SimpleNamespace, data: FitData) -> None:
    """Raise a ValueError if an argument or parameter is not supported where X is in a file."""
    for name, is_supported, supported in NEEDS_ALL_ROWS:
        value = getattr(parameters, name)
        if not is_supported(value):
            raise ValueError(f"{name} must be {supported} where X is in a file, got {value!r}.")
    if data.groups is not None:
        raise ValueError("groups must be None where X is in a file.")
    if data.X_val is not None and open_source(data.X_val) is not None:
        raise ValueError("X_val must hold its rows in memory, got one that is in a file.")
    if current_processes().size > 1:
        raise ValueError("X must hold its rows in memory where several processes share a fit.")


def _find_columns(
    estimator: BaseEstimator, parameters: SimpleNamespace, data: FitData, source: Source
) -> tuple[FileColumns, Schema]:
    """Return the FileColumns of a Source, and the Schema of those that are X."""
    named = {"y": data.y}
    if data.sample_weight is not None:
        named["sample_weight"] = data.sample_weight
    for argument, name in named.items():
        if not isinstance(name, str):
            raise TypeError(
                f"{argument} must name a column where X is in a file, got a {type(name).__name__}."
            )
        source.check_names([name], argument)
    others = {*named.values(), *source.index_names()}
    names = [name for name in source.names if name not in others]
    source.check_names(names, "X")
    if not names:
        raise ValueError(f"X must have columns besides {[*named.values()]}, got none.")
    schema = read_schema(estimator, parameters, source.empty.select(names))
    target = estimator._task.target
    columns = FileColumns(source, names, schema.kinds, data.y, data.sample_weight, target)
    return columns, schema


def _sample(
    estimator: BaseEstimator,
    parameters: SimpleNamespace,
    statistics: FileStatistics,
    schema: Schema,
    passed: Any,
) -> FileExamples:
    """Return the FileExamples of the rows in memory, with the categories of all rows."""
    columns, labels = statistics.columns, statistics.labels()
    target = columns.target.learn(labels if labels.size else np.zeros(1))
    factors = None
    if None not in statistics.sums:
        y, weight = _weight_of_each_class(statistics, target, np.ones(len(labels)))
        weighted = estimator._task.weigh(parameters, target, y, weight, weight)
        factors = np.divide(weighted, weight, out=np.zeros(len(labels)), where=weight > 0)
    summary = statistics.summary({}, with_held_out=True)
    if summary.categories:
        categories = [list(found) for found in summary.categories]
        counts = [np.array(list(found.values())) for found in summary.categories]
        if isinstance(parameters.categorical_features, str):
            empty = columns.source.empty.select(columns.names)
            schema = warn_about_text(schema, empty, passed, categories, counts)
        schema = learn_categories(schema, categories, counts, summary.n_rows)
    rows, is_held, is_sampled = statistics.pop_rows_in_memory(schema.categories, schema.n_frequent)
    y = target.encode(rows.y)
    weight = rows.weight if factors is None else rows.weight * factors[y]
    if isinstance(rows.X, Table):
        schema = warn_about_other_categories(schema, rows.X, weight, what=RARE)
    has_weight = weight > 0
    index = slice(None) if has_weight.all() else has_weight  # a slice takes no copy
    return FileExamples(
        X=rows.X[index],
        y=y[index],
        weight=weight[index],
        target=target,
        schema=schema,
        statistics=statistics,
        factors=factors,
        is_held=is_held[index],
        is_sampled=is_sampled[index],
    )


def _weight_of_each_class(
    statistics: FileStatistics, target: Target, factors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoded labels of y in ascending order, and the weight of all rows of each."""
    labels, weights = statistics.label_weights()
    y = target.encode(labels)
    order = np.argsort(y)
    return y[order], weights[order] * factors
