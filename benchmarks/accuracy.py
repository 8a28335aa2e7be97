"""Compare accuracy with linear models, scikit-learn's networks, boosted trees and deep networks.

Requires the extra ``benchmark``, and ``peers`` for all peers. The data is a folder of Parquet files
(features and a column ``__y__``), or by default the data sets of scikit-learn::

    python benchmarks/accuracy.py FOLDER --results classification.csv
    python benchmarks/accuracy.py FOLDER --half even --models "skdnn,CatBoost"
    python benchmarks/accuracy.py FOLDER --models "skdnn;skdnn(dropout=0.1)" --against skdnn
    python benchmarks/accuracy.py FOLDER --bundled --task regression
    python benchmarks/accuracy.py FOLDER --task photographs
    python benchmarks/accuracy.py FOLDER --shapes --training-rows 100

Protocol
    ``__y__`` is 0 or 1, or a number. At most 6,000 random rows of a table are used. Each split has
    75 % of the rows for training and 25 % for testing, stratified by class: six splits of a table
    of fewer than 1,000 rows, three of fewer than 3,000, else two. All models have their defaults
    and one thread. All tables have the same weight. "Even" and "odd" are every other table in
    alphabetical order: an improvement generalises if both halves show it beyond their noise.
    With ``--training-rows`` so many rows are for training and all others for testing; tables
    without twice as many rows are left out.
Shapes
    With ``--shapes`` also circles, moons and the like, of two to ten columns of random numbers.
Models
    "skdnn" is ``DeepBinaryClassifier()`` or ``DeepRegressor()``, "skdnn 5" the same with
    ``n_networks=5``, and ``skdnn(n_networks=3, dropout=0.1)`` has these parameters. A suffix after
    @ names a version of the code: ``skdnn@before``. `contenders.py` contains the peers and how
    tables are prepared for them.
Photographs
    ``.npz`` files with X (n, h, w, 3), y and optional groups of photographs that are not split.
    Images are averaged to 32 × 32. Logistic regression has C = 0.001, MLPClassifier early stopping.
Metrics
    Classification: log-loss, ROC AUC, and ECE, the expected calibration error in 15 bins of equal
    width. Regression: R², and the mean absolute error in standard deviations of y. The mean rank
    among all models by the first two metrics, 1 is best. Seconds of a fit, after a warm-up. For our
    models against each peer: tables won, tied (within 0.001) and lost, and the p-value of
    Wilcoxon's signed-rank test over the tables. With ``--against``, mean differences of all models
    to one of them, with standard errors over the tables, for all tables and each half.

The metrics of each fit are appended to the file of results at once, and a fit found there is not
run again. Summaries contain the tables for which all models have results.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import contenders
import numpy as np
import pandas as pd
import tables
import torch
from scipy.stats import wilcoxon
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from skdnn import DeepBinaryClassifier, DeepRegressor

# Number of splits of a table with fewer rows than these.
SPLITS = ((1_000, 6), (3_000, 3), (np.inf, 2))
TIE = 0.001
N_BINS = 15
COLUMNS = ("table", "seed", "model")


def expected_calibration_error(y, p):
    """Return ``Σ_bins fraction * |mean y - mean p|``."""
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    return np.abs(np.bincount(bins, weights=y - p, minlength=N_BINS)).sum() / len(y)


def classification_metrics(model, X, y):
    p = np.asarray(model.predict_proba(X), dtype=np.float64)[:, 1]
    return {
        "auc": roc_auc_score(y, p),
        "log_loss": log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)),
        "ece": expected_calibration_error(y, p),
    }


def regression_metrics(model, X, y):
    predicted = model.predict(X)
    return {"r2": r2_score(y, predicted), "mae": mean_absolute_error(y, predicted) / y.std()}


@dataclass(frozen=True)
class Task:
    """A kind of prediction, with its models, data and metrics.

    Attributes
    ----------
    estimator : type
        Of skdnn.
    models : dict of str to callable
    bundled : dict of str to callable
        Data sets of scikit-learn.
    metrics : callable
        Returns a dict of metrics for a fitted model, X and y.
    ranks : dict of str to (str, int)
        The metrics by which models are ranked, by their title; 1 if larger is better, else -1. The
        first one orders the summary.
    is_stratified : bool
        Whether splits are stratified by y.
    training : float or int, default=0.75
        The fraction or the number of rows for training.
    """

    estimator: type
    models: Mapping[str, Callable]
    bundled: Mapping[str, Callable]
    metrics: Callable[..., dict[str, Any]]
    ranks: Mapping[str, tuple[str, int]]
    is_stratified: bool
    training: float | int = 0.75


CLASSIFICATION = classification_metrics, {"log-loss": ("log_loss", -1), "AUC": ("auc", 1)}, True
TASKS = {
    "classification": Task(
        DeepBinaryClassifier, contenders.CLASSIFIERS, tables.CLASSIFICATION, *CLASSIFICATION
    ),
    "photographs": Task(
        DeepBinaryClassifier, contenders.PHOTOGRAPH_CLASSIFIERS, {}, *CLASSIFICATION
    ),
    "regression": Task(
        DeepRegressor,
        contenders.REGRESSORS,
        tables.REGRESSION,
        regression_metrics,
        {"R²": ("r2", 1), "MAE": ("mae", -1)},
        False,
    ),
}


def split_seeds(n_rows):
    """Return the seeds of the splits of a table."""
    return range(next(n_splits for most, n_splits in SPLITS if n_rows < most))


def split(task, y, groups, seed):
    """Return the rows for training and for testing."""
    rows = np.arange(len(y))
    if groups is not None:
        by_group = GroupShuffleSplit(train_size=task.training, random_state=seed)
        return next(by_group.split(rows, y, groups))
    stratify = y if task.is_stratified else None
    return train_test_split(rows, train_size=task.training, stratify=stratify, random_state=seed)


def measure(task, make, source, seed):
    """Return the metrics of one fit."""
    X, y, groups = tables.read_table(source)
    train, test = split(task, y, groups, seed)
    rows_of = X.iloc.__getitem__ if hasattr(X, "iloc") else X.__getitem__
    model = make()
    start = time.perf_counter()
    model.fit(rows_of(train), y[train])
    seconds = time.perf_counter() - start
    return {**task.metrics(model, rows_of(test), y[test]), "seconds": seconds}


def run(task, sources, models, path):
    """Run the fits that the file of results lacks, and return all results as a data frame."""
    found = read_results(path)
    done = set(map(tuple, found[list(COLUMNS)].to_numpy()))
    for name in models:
        make = contenders.find_model(task.models, task.estimator, name)
        is_warm = False
        for table, source in sources.items():
            for seed in split_seeds(len(tables.read_table(source)[1])):
                if (table, seed, name) in done:
                    continue
                if not is_warm:  # the first fit of a process compiles, imports and allocates
                    measure(task, make, source, seed)
                    is_warm = True
                metrics = measure(task, make, source, seed)
                append(path, {"table": table, "seed": seed, "model": name, **metrics})
    return read_results(path)


def read_results(path):
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def append(path, row):
    is_new = not path.exists()
    if not is_new and list(pd.read_csv(path, nrows=0)) != list(row):
        raise ValueError(f"{path} must contain results of the same task; name another file.")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def by_table(results):
    """Return the mean metrics by model and table, of tables for which all models have results."""
    means = results.drop(columns="seed").groupby(["model", "table"]).mean()
    n_models = means.groupby("table").size()
    return means[means.index.isin(n_models.index[n_models == n_models.max()], level="table")]


def summary(task, means):
    """Return the means over the tables, one row for each model, best rank first."""
    rows = means.groupby("model").mean()
    for name, (figure, sign) in task.ranks.items():
        ranks = means[figure].unstack().rank(ascending=sign < 0)
        rows.insert(rows.columns.get_loc(figure) + 1, f"rank by {name}", ranks.mean(axis=1))
    return rows.sort_values(f"rank by {next(iter(task.ranks))}")


def duels(means, figure, sign):
    """Return wins, ties, losses and the p-value for each model of skdnn and each peer."""
    scores = means[figure].unstack() * sign
    is_ours = scores.index.str.startswith("skdnn")
    rows = {}
    for peer, we in product(scores.index[~is_ours], scores.index[is_ours]):
        difference = (scores.loc[we] - scores.loc[peer]).to_numpy()
        won, lost = (difference > TIE).sum(), (difference < -TIE).sum()
        p = wilcoxon(difference).pvalue
        rows.setdefault(peer, {})[we] = f"{won}/{len(difference) - won - lost}/{lost} ({p:.2g})"
    return pd.DataFrame(rows).T


def differences(task, means, baseline):
    """Return the mean differences to a baseline × 10⁴ ± standard error, for all and each half."""
    rows = {}
    for model in means.index.unique("model").drop(baseline):
        row = rows.setdefault(model, {})
        for name, (figure, _) in task.ranks.items():
            scores = means[figure].unstack()
            difference = 1e4 * (scores.loc[model] - scores.loc[baseline]).sort_index()
            parts = {"all": difference, "even": difference[0::2], "odd": difference[1::2]}
            for part, values in parts.items():
                row[f"{name} {part}"] = f"{values.mean():+.0f} ± {values.sem():.0f}"
        seconds = means["seconds"].unstack()
        row["time"] = f"{(seconds.loc[model] / seconds.loc[baseline]).median():.2f}"
    return pd.DataFrame(rows).T


def as_markdown(frame):
    """Return a data frame as a Markdown table."""
    header = ["", *frame.columns]
    rows = [
        [name, *map(_shown, row)] for name, row in zip(frame.index, frame.to_numpy(), strict=True)
    ]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value):
    return value if isinstance(value, str) else f"{value:.3f}"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="folder of data files")
    parser.add_argument("--task", choices=TASKS, default="classification")
    parser.add_argument(
        "--bundled", action="store_true", help="also use the data sets of scikit-learn"
    )
    parser.add_argument("--shapes", action="store_true", help="also use made-up shapes")
    parser.add_argument("--training-rows", type=int, help="train on so many rows")
    parser.add_argument("--results", type=Path, help="default: classification.csv and the like")
    parser.add_argument("--half", choices=("even", "odd"))
    parser.add_argument("--tables", help="comma-separated; default: all")
    parser.add_argument("--models", help="separated by ; or , (default: all that are installed)")
    parser.add_argument("--against", help="show differences to this model")
    parser.add_argument("--only-show", action="store_true", help="only show earlier results")
    return parser.parse_args()


def find_sources(task, arguments):
    """Return the data sets by name."""
    sources = {} if arguments.folder is None else tables.find_files(arguments.folder)
    if arguments.bundled or arguments.folder is None:
        sources = {**task.bundled, **sources}
    # First, so that a table is in the same half whatever else is chosen.
    if arguments.half:
        sources = dict(list(sources.items())[arguments.half == "odd" :: 2])
    if arguments.shapes:
        sources = {**tables.SHAPES, **sources}
    if n := arguments.training_rows:
        sources = {
            name: source for name, source in sources.items()
            if len(tables.read_table(source)[1]) >= 2 * n
        }  # fmt: skip
    if arguments.tables:
        sources = {name: sources[name] for name in arguments.tables.split(",")}
    return sources


def main():
    arguments = parse_arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    task = TASKS[arguments.task]
    if arguments.training_rows:
        task = replace(task, training=arguments.training_rows)
    path = arguments.results or Path(f"{arguments.task}.csv")
    sources, models = find_sources(task, arguments), list(task.models)
    if arguments.models:
        separator = ";" if any(mark in arguments.models for mark in ";(") else ","
        models = [name.strip() for name in arguments.models.split(separator)]
    results = read_results(path) if arguments.only_show else run(task, sources, models, path)
    results = results[results["table"].isin(list(sources)) & results["model"].isin(models)]
    means = by_table(results)
    n_tables = means.index.unique("table").size
    print(f"{n_tables} tables\n\n{as_markdown(summary(task, means))}")
    if arguments.against:
        print(f"\n× 10⁴\n\n{as_markdown(differences(task, means, arguments.against))}")
    if results["model"].str.startswith("skdnn").all():
        return
    for name, (figure, sign) in task.ranks.items():
        print(f"\nWon/tied/lost by {name} (p)\n\n{as_markdown(duels(means, figure, sign))}")


if __name__ == "__main__":
    main()
