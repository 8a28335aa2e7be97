"""Compare accuracy on tables with logistic regression, MLPClassifier, boosted trees and deep nets.

Run, with the package's extras ``benchmark`` and, for all peers, ``peers``, on a folder of parquet
files (the features, and a column ``__y__`` of 0 and 1) or, without one, on tables that scikit-learn
brings::

    python benchmarks/accuracy.py FOLDER --results results.csv
    python benchmarks/accuracy.py FOLDER --results results.csv --half even --models skdnn,CatBoost
    python benchmarks/accuracy.py

Protocol
    At most 6,000 rows of a table, drawn at random; two stratified splits of 75 % to fit on and 25 %
    to test on, seeds 0 and 1; all models at their defaults, with one thread. Every table counts the
    same. "Even" and "odd" are every other table in alphabetical order: choose on one half, confirm
    on the other.
Models
    "skdnn" is ``DeepBinaryClassifier()``, "skdnn 5" the same with ``n_networks=5``. Peers that are
    not installed are left out.
Preparation
    Models that take categories and missing values get the frame as it is. The others, and those
    called "prepared", get what a careful user does: means for missing numbers, standardised
    numbers, one-hot categories (rare ones together).
Figures
    ROC AUC; log-loss; ECE, the expected calibration error in 15 bins of equal width; the mean rank
    among all models by AUC and by log-loss, 1 being best; seconds of a fit, after one fit that does
    not count. Beside them, for our models against each peer, tables won, tied (within 0.001) and
    lost, and the p-value of Wilcoxon's signed-rank test over the tables.

Each fit's figures go to the file of results at once, and a fit found there is not run again. What
is shown counts the tables that all models shown have been through.
"""

import argparse
import csv
import importlib.util
import os
import time
import warnings
from functools import cache
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from scipy.stats import wilcoxon
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdnn import DeepBinaryClassifier

MOST_ROWS = 6_000
SEEDS = (0, 1)
TIE = 0.001
N_BINS = 15
FIELDS = ("table", "seed", "model", "auc", "log_loss", "ece", "seconds")


def ours(**parameters):
    return DeepBinaryClassifier(device="cpu", random_state=0, **parameters)


def prepared(model):
    """Return a model behind what a careful user does to a frame."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    levels = OneHotEncoder(
        min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    prepare = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (levels, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(prepare, model)


class AsText:
    """CatBoost, for which a missing category must be a text."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        self.model.fit(self._as_text(X), y, cat_features=list(_categories(X)))
        return self

    def predict_proba(self, X):
        return self.model.predict_proba(self._as_text(X))

    @staticmethod
    def _as_text(X):
        return X.assign(
            **{
                name: X[name].astype(object).where(X[name].notna(), "missing").astype(str)
                for name in _categories(X)
            }
        )


class Imputed:
    """A model of pytabkit, which takes categories, but numbers without gaps."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        self.means = X.select_dtypes("number").mean().fillna(0.0)
        self.model.fit(X.fillna(self.means), y, cat_col_names=list(_categories(X)))
        return self

    def predict_proba(self, X):
        return self.model.predict_proba(X.fillna(self.means))


def _categories(X):
    return X.select_dtypes(exclude="number").columns


def make_lightgbm():
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_jobs=1, random_state=0, verbose=-1)


def make_xgboost():
    from xgboost import XGBClassifier

    return XGBClassifier(n_jobs=1, random_state=0, enable_categorical=True)


def make_catboost():
    from catboost import CatBoostClassifier

    return AsText(
        CatBoostClassifier(thread_count=1, random_seed=0, verbose=False, allow_writing_files=False)
    )


def make_realmlp():
    from pytabkit import RealMLP_TD_Classifier

    return Imputed(RealMLP_TD_Classifier(device="cpu", n_threads=1, random_state=0))


def make_tabm():
    from pytabkit import TabM_D_Classifier

    return Imputed(TabM_D_Classifier(device="cpu", n_threads=1, random_state=0))


MODELS = {
    "skdnn": lambda: ours(),
    "skdnn prepared": lambda: prepared(ours()),
    "skdnn 5": lambda: ours(n_networks=5),
    "skdnn 5 prepared": lambda: prepared(ours(n_networks=5)),
    "skdnn 10": lambda: ours(n_networks=10),
    "logistic regression": lambda: prepared(LogisticRegression(max_iter=1000)),
    "MLPClassifier": lambda: prepared(MLPClassifier(random_state=0)),
    "HistGradientBoosting": lambda: HistGradientBoostingClassifier(
        random_state=0, categorical_features="from_dtype"
    ),
}
OPTIONAL = {
    "LightGBM": ("lightgbm", make_lightgbm),
    "XGBoost": ("xgboost", make_xgboost),
    "CatBoost": ("catboost", make_catboost),
    "RealMLP_TD": ("pytabkit", make_realmlp),
    "TabM_D": ("pytabkit", make_tabm),
}
MODELS |= {
    name: make for name, (module, make) in OPTIONAL.items() if importlib.util.find_spec(module)
}


@cache
def read_table(source):
    """Return X and y of a parquet file, or of a table of scikit-learn."""
    if isinstance(source, str):
        return TABLES[source]()
    X = pd.read_parquet(source)
    if len(X) > MOST_ROWS:
        X = X.sample(MOST_ROWS, random_state=0)
    y = X.pop("__y__").to_numpy()
    return X, y


def _bundled(load, positive):
    """Return a function that loads a table of scikit-learn, its target made yes or no."""

    def table():
        X, y = load(return_X_y=True, as_frame=True)
        return X, positive(y).to_numpy().astype(int)

    return table


TABLES = {
    "breast_cancer": _bundled(datasets.load_breast_cancer, lambda y: y == 0),
    "diabetes": _bundled(datasets.load_diabetes, lambda y: y > y.median()),
    "digits": _bundled(datasets.load_digits, lambda y: y == 8),
    "iris": _bundled(datasets.load_iris, lambda y: y == 1),
    "wine": _bundled(datasets.load_wine, lambda y: y == 1),
}


def expected_calibration_error(y, p):
    """Return ``Σ_bins share * |mean y - mean p|``."""
    bins = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    return np.abs(np.bincount(bins, weights=y - p, minlength=N_BINS)).sum() / len(y)


def measure(make, X, y, seed):
    """Return the figures of one fit."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=seed
    )
    model = make()
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    p = np.asarray(model.predict_proba(X_test), dtype=np.float64)[:, 1]
    return {
        "auc": roc_auc_score(y_test, p),
        "log_loss": log_loss(y_test, np.clip(p, 1e-15, 1 - 1e-15)),
        "ece": expected_calibration_error(y_test, p),
        "seconds": seconds,
    }


def run(sources, models, results):
    """Measure what the file of results lacks, and return all of it as a frame."""
    found = read_results(results)
    done = set(map(tuple, found[["table", "seed", "model"]].to_numpy()))
    for model in models:
        is_warm = False
        for (name, source), seed in product(sources.items(), SEEDS):
            if (name, seed, model) in done:
                continue
            X, y = read_table(source)
            if not is_warm:  # the first fit of a process compiles, imports and allocates
                measure(MODELS[model], X, y, seed)
                is_warm = True
            figures = measure(MODELS[model], X, y, seed)
            append(results, {"table": name, "seed": seed, "model": model, **figures})
    return read_results(results)


def read_results(path):
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=FIELDS)


def append(path, row):
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def complete(results):
    """Return the results of the tables that every model has been through."""
    n_results = results.groupby("table").size()
    most = results["model"].nunique() * len(SEEDS)
    return results[results["table"].isin(n_results.index[n_results == most])]


def summary(results):
    """Return a frame of means over the tables, one row a model, best rank first."""
    tables = results.groupby(["model", "table"])[list(FIELDS[3:])].mean()
    auc, loss = tables["auc"].unstack(), tables["log_loss"].unstack()
    means = tables.groupby("model").mean()
    means.insert(1, "rank by AUC", auc.rank(ascending=False).mean(axis=1))
    means.insert(3, "rank by log-loss", loss.rank().mean(axis=1))
    return means.sort_values("rank by log-loss")


def duels(results, figure, sign):
    """Return for each model of ours and each peer wins, ties, losses and the p-value."""
    tables = results.groupby(["model", "table"])[figure].mean().unstack() * sign
    is_ours = tables.index.str.startswith("skdnn")
    rows = {}
    for peer, we in product(tables.index[~is_ours], tables.index[is_ours]):
        difference = (tables.loc[we] - tables.loc[peer]).to_numpy()
        won, lost = (difference > TIE).sum(), (difference < -TIE).sum()
        p = wilcoxon(difference).pvalue
        rows.setdefault(peer, {})[we] = f"{won}/{len(difference) - won - lost}/{lost} ({p:.2g})"
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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="of parquet files")
    parser.add_argument("--results", type=Path, default=Path("accuracy.csv"))
    parser.add_argument("--half", choices=("even", "odd"))
    parser.add_argument("--models", help="comma-separated; all that are installed by default")
    parser.add_argument("--only-show", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if arguments.folder is None:
        sources = {name: name for name in TABLES}
    else:
        sources = {path.stem: path for path in sorted(arguments.folder.glob("*.parquet"))}
    if arguments.half:
        sources = dict(list(sources.items())[arguments.half == "odd" :: 2])
    models = arguments.models.split(",") if arguments.models else list(MODELS)
    results = read_results(arguments.results)
    if not arguments.only_show:
        results = run(sources, models, arguments.results)
    results = results[results["table"].isin(list(sources)) & results["model"].isin(models)]
    results = complete(results)
    print(f"{results['table'].nunique()} tables\n\n{as_markdown(summary(results))}")
    if results["model"].str.startswith("skdnn").all():
        return
    for figure, sign, name in (("auc", 1, "ROC AUC"), ("log_loss", -1, "log-loss")):
        print(f"\nWon/tied/lost by {name} (p)\n\n{as_markdown(duels(results, figure, sign))}")


if __name__ == "__main__":
    main()
