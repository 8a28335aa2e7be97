"""Compare accuracy on tables with linear models, scikit-learn's networks, boosted trees, deep nets.

Run, with the package's extras ``benchmark`` and, for all peers, ``peers``, on a folder of parquet
files (the features, and a column ``__y__``) or, without one, on tables that scikit-learn brings::

    python benchmarks/accuracy.py FOLDER --results labels.csv
    python benchmarks/accuracy.py FOLDER --half even --models "skdnn,CatBoost"
    python benchmarks/accuracy.py FOLDER --models "skdnn;skdnn(dropout=0.1)" --against skdnn
    python benchmarks/accuracy.py FOLDER --bundled --ask numbers
    python benchmarks/accuracy.py FOLDER --ask photographs

Protocol
    ``__y__`` is 0 or 1, or a number. At most 6,000 rows of a table, drawn at random; splits of 75 %
    to fit on and 25 % to test on, stratified by 0 and 1: six of a table of fewer than 1,000 rows,
    three of fewer than 3,000, else two. All models at their defaults, with one thread. Every table
    counts the same. "Even" and "odd" are every other table in alphabetical order: a change that
    both halves call better by more than their noise is one that carries over.
Models
    "skdnn" is ``DeepBinaryClassifier()`` or ``DeepRegressor()``, "skdnn 5" the same with
    ``n_networks=5``, ``skdnn(n_networks=3, dropout=0.1)`` whatever is asked for. What follows an @
    is a name for the code of the day: ``skdnn@before``. The peers, and how a table is prepared for
    each: `contenders.py`.
Photographs
    ``.npz`` files of X (n, h, w, 3), y, and groups of photographs that stay on one side of a split;
    averaged to 32 × 32. Logistic regression has C = 0.001, MLPClassifier stops early.
Figures
    Of 0 and 1: log-loss; ROC AUC; ECE, the expected calibration error in 15 bins of equal width. Of
    numbers: R²; the mean absolute error in deviations of y. The mean rank among all models by the
    first two, 1 being best; seconds of a fit, after one fit that does not count. Beside them, for
    our models against each peer, tables won, tied (within 0.001) and lost, and the p-value of
    Wilcoxon's signed-rank test over the tables. With ``--against``, the mean differences of all
    models to one of them, with standard errors over the tables, for all and for each half.

Each fit's figures go to the file of results at once, and a fit found there is not run again. What
is shown counts the tables that all models shown have been through.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

# Splits of a table of fewer rows than these.
SPLITS = ((1_000, 6), (3_000, 3), (np.inf, 2))
TIE = 0.001
N_BINS = 15
COLUMNS = ("table", "seed", "model")


def expected_calibration_error(y, p):
    """Return ``Σ_bins share * |mean y - mean p|``."""
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    return np.abs(np.bincount(bins, weights=y - p, minlength=N_BINS)).sum() / len(y)


def figures_of_probabilities(model, X, y):
    p = np.asarray(model.predict_proba(X), dtype=np.float64)[:, 1]
    return {
        "auc": roc_auc_score(y, p),
        "log_loss": log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)),
        "ece": expected_calibration_error(y, p),
    }


def figures_of_numbers(model, X, y):
    predicted = model.predict(X)
    return {"r2": r2_score(y, predicted), "mae": mean_absolute_error(y, predicted) / y.std()}


@dataclass(frozen=True)
class Question:
    """What is asked of the models: yes or no, or a number.

    Attributes
    ----------
    face : type
        Ours.
    models : dict of str to callable
    bundled : dict of str to callable
        Tables that scikit-learn brings.
    figures : callable
        From a fitted model, X and y to figures by name.
    ranks : dict of str to (str, int)
        By which of these models are ranked, by what to call it, the first one deciding in which
        order they are shown; 1 where more is better, else -1.
    is_stratified : bool
        Whether both sides of a split have the same share of each answer.
    """

    face: type
    models: Mapping[str, Callable]
    bundled: Mapping[str, Callable]
    figures: Callable[..., dict[str, Any]]
    ranks: Mapping[str, tuple[str, int]]
    is_stratified: bool


OF_PROBABILITIES = figures_of_probabilities, {"log-loss": ("log_loss", -1), "AUC": ("auc", 1)}, True
QUESTIONS = {
    "labels": Question(
        DeepBinaryClassifier, contenders.OF_LABELS, tables.OF_LABELS, *OF_PROBABILITIES
    ),
    "photographs": Question(DeepBinaryClassifier, contenders.OF_PHOTOGRAPHS, {}, *OF_PROBABILITIES),
    "numbers": Question(
        DeepRegressor,
        contenders.OF_NUMBERS,
        tables.OF_NUMBERS,
        figures_of_numbers,
        {"R²": ("r2", 1), "MAE": ("mae", -1)},
        False,
    ),
}


def seeds_of(n_rows):
    """Return the seeds of the splits of a table."""
    return range(next(n_splits for most, n_splits in SPLITS if n_rows < most))


def split(question, y, groups, seed):
    """Return the rows to fit on and those to test on."""
    rows = np.arange(len(y))
    if groups is not None:
        return next(GroupShuffleSplit(test_size=0.25, random_state=seed).split(rows, y, groups))
    stratify = y if question.is_stratified else None
    return train_test_split(rows, test_size=0.25, stratify=stratify, random_state=seed)


def measure(question, make, source, seed):
    """Return the figures of one fit."""
    X, y, groups = tables.read_table(source)
    train, test = split(question, y, groups, seed)
    rows_of = X.iloc.__getitem__ if hasattr(X, "iloc") else X.__getitem__
    model = make()
    start = time.perf_counter()
    model.fit(rows_of(train), y[train])
    seconds = time.perf_counter() - start
    return {**question.figures(model, rows_of(test), y[test]), "seconds": seconds}


def run(question, sources, models, path):
    """Measure what the file of results lacks, and return all of it as a frame."""
    found = read_results(path)
    done = set(map(tuple, found[list(COLUMNS)].to_numpy()))
    for name in models:
        make = contenders.find_model(question.models, question.face, name)
        is_warm = False
        for table, source in sources.items():
            for seed in seeds_of(len(tables.read_table(source)[1])):
                if (table, seed, name) in done:
                    continue
                if not is_warm:  # the first fit of a process compiles, imports and allocates
                    measure(question, make, source, seed)
                    is_warm = True
                figures = measure(question, make, source, seed)
                append(path, {"table": table, "seed": seed, "model": name, **figures})
    return read_results(path)


def read_results(path):
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def append(path, row):
    is_new = not path.exists()
    if not is_new and list(pd.read_csv(path, nrows=0)) != list(row):
        raise ValueError(f"{path} must hold results of the same question; name another file.")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def by_table(results):
    """Return the mean figures of each model and table, of the tables all have been through."""
    means = results.drop(columns="seed").groupby(["model", "table"]).mean()
    n_models = means.groupby("table").size()
    return means[means.index.isin(n_models.index[n_models == n_models.max()], category="table")]


def summary(question, means):
    """Return a frame of means over the tables, one row a model, best rank first."""
    rows = means.groupby("model").mean()
    for name, (figure, sign) in question.ranks.items():
        ranks = means[figure].unstack().rank(ascending=sign < 0)
        rows.insert(rows.columns.get_loc(figure) + 1, f"rank by {name}", ranks.mean(axis=1))
    return rows.sort_values(f"rank by {next(iter(question.ranks))}")


def duels(means, figure, sign):
    """Return for each model of ours and each peer wins, ties, losses and the p-value."""
    scores = means[figure].unstack() * sign
    is_ours = scores.index.str.startswith("skdnn")
    rows = {}
    for peer, we in product(scores.index[~is_ours], scores.index[is_ours]):
        difference = (scores.loc[we] - scores.loc[peer]).to_numpy()
        won, lost = (difference > TIE).sum(), (difference < -TIE).sum()
        p = wilcoxon(difference).pvalue
        rows.setdefault(peer, {})[we] = f"{won}/{len(difference) - won - lost}/{lost} ({p:.2g})"
    return pd.DataFrame(rows).T


def differences(question, means, baseline):
    """Return the mean differences to a baseline × 10⁴ ± standard error, for all and each half."""
    rows = {}
    for model in means.index.unique("model").drop(baseline):
        row = rows.setdefault(model, {})
        for name, (figure, _) in question.ranks.items():
            scores = means[figure].unstack()
            difference = 1e4 * (scores.loc[model] - scores.loc[baseline]).sort_index()
            parts = {"all": difference, "even": difference[0::2], "odd": difference[1::2]}
            for part, values in parts.items():
                row[f"{name} {part}"] = f"{values.mean():+.0f} ± {values.sem():.0f}"
        seconds = means["seconds"].unstack()
        row["time"] = f"{(seconds.loc[model] / seconds.loc[baseline]).median():.2f}"
    return pd.DataFrame(rows).T


def as_markdown(frame):
    """Return a frame as a table of Markdown."""
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
    parser.add_argument("folder", nargs="?", type=Path, help="of files")
    parser.add_argument("--ask", choices=QUESTIONS, default="labels", help="for what")
    parser.add_argument("--bundled", action="store_true", help="the tables of scikit-learn as well")
    parser.add_argument("--results", type=Path, help="labels.csv and the like by default")
    parser.add_argument("--half", choices=("even", "odd"))
    parser.add_argument("--tables", help="comma-separated; all of the folder by default")
    parser.add_argument("--models", help="separated by ; or , (all that are installed by default)")
    parser.add_argument("--against", help="the model to show differences to")
    parser.add_argument("--only-show", action="store_true", help="run nothing")
    return parser.parse_args()


def find_sources(question, arguments):
    """Return what to compare on, by name."""
    sources = {} if arguments.folder is None else tables.find_files(arguments.folder)
    if arguments.bundled or arguments.folder is None:
        sources = {**question.bundled, **sources}
    if arguments.half:
        sources = dict(list(sources.items())[arguments.half == "odd" :: 2])
    if arguments.tables:
        sources = {name: sources[name] for name in arguments.tables.split(",")}
    return sources


def main():
    arguments = parse_arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    question = QUESTIONS[arguments.ask]
    path = arguments.results or Path(f"{arguments.ask}.csv")
    sources, models = find_sources(question, arguments), list(question.models)
    if arguments.models:
        separator = ";" if any(mark in arguments.models for mark in ";(") else ","
        models = [name.strip() for name in arguments.models.split(separator)]
    results = read_results(path) if arguments.only_show else run(question, sources, models, path)
    results = results[results["table"].isin(list(sources)) & results["model"].isin(models)]
    means = by_table(results)
    n_tables = means.index.unique("table").size
    print(f"{n_tables} tables\n\n{as_markdown(summary(question, means))}")
    if arguments.against:
        print(f"\n× 10⁴\n\n{as_markdown(differences(question, means, arguments.against))}")
    if results["model"].str.startswith("skdnn").all():
        return
    for name, (figure, sign) in question.ranks.items():
        print(f"\nWon/tied/lost by {name} (p)\n\n{as_markdown(duels(means, figure, sign))}")


if __name__ == "__main__":
    main()
