"""Compare accuracy on tables with linear models, scikit-learn's networks, boosted trees, deep nets.

Run, with the package's extras ``benchmark`` and, for all peers, ``peers``, on a folder of parquet
files (the features, and a column ``__y__``) or, without one, on tables that scikit-learn brings::

    python benchmarks/accuracy.py FOLDER --results results.csv
    python benchmarks/accuracy.py FOLDER --results results.csv --half even --models skdnn,CatBoost
    python benchmarks/accuracy.py FOLDER --bundled --numbers --results numbers.csv
    python benchmarks/accuracy.py

Protocol
    ``__y__`` is 0 or 1, with ``--numbers`` a number. At most 6,000 rows of a table, drawn at
    random; two splits of 75 % to fit on and 25 % to test on, seeds 0 and 1, stratified by 0 and 1;
    all models at their defaults, with one thread. Every table counts the same. "Even" and "odd" are
    every other table in alphabetical order: choose on one half, confirm on the other.
Models
    "skdnn" is ``DeepBinaryClassifier()`` or ``DeepRegressor()``, "skdnn 5" the same with
    ``n_networks=5``. Peers that are not installed are left out.
Preparation
    Models that take categories and missing values get the frame as it is, but dates in days, and
    HistGradientBoosting the numbers of categories where these are more than it takes. The others,
    and those called "prepared", get what a careful user does: means for missing numbers,
    standardised numbers, one-hot categories (rare ones together); MLPRegressor a standardised y.
Figures
    Of 0 and 1: ROC AUC; log-loss; ECE, the expected calibration error in 15 bins of equal width. Of
    numbers: R²; the mean absolute error in deviations of y. The mean rank among all models by the
    first two, 1 being best; seconds of a fit, after one fit that does not count. Beside them, for
    our models against each peer, tables won, tied (within 0.001) and lost, and the p-value of
    Wilcoxon's signed-rank test over the tables.

Each fit's figures go to the file of results at once, and a fit found there is not run again. What
is shown counts the tables that all models shown have been through.
"""

import argparse
import csv
import importlib.util
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from scipy.stats import wilcoxon
from sklearn import datasets
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from skdnn import DeepBinaryClassifier, DeepRegressor

MOST_ROWS = 6_000
SEEDS = (0, 1)
TIE = 0.001
N_BINS = 15
MOST_LEVELS = 255  # that HistGradientBoosting takes
COLUMNS = ("table", "seed", "model")


def ours(face=DeepBinaryClassifier, **parameters):
    return face(device="cpu", random_state=0, **parameters)


def prepared(model):
    """Return a model behind what a careful user does to a frame."""
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    levels = OneHotEncoder(
        min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    prepare = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (levels, make_column_selector(dtype_exclude="number")),
    )
    return dated(make_pipeline(prepare, model))


def in_days(X):
    """Return a frame whose dates are days since 1970."""
    dates = X.select_dtypes("datetime").columns
    days = {name: (X[name] - pd.Timestamp(0)) / pd.Timedelta(days=1) for name in dates}
    return X.assign(**days)


def dated(model):
    """Return a model that takes no dates, for frames that have some."""
    return make_pipeline(FunctionTransformer(in_days), model)


def few_levels(model):
    """Return a model that takes but few levels: of columns with more it gets their numbers."""
    many = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = make_column_transformer(
        (many, lambda X: [name for name in _categories(X) if X[name].nunique() > MOST_LEVELS]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return dated(make_pipeline(prepare.set_output(transform="pandas"), model))


class AsText:
    """CatBoost, for which a missing category must be a text."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        self.model.fit(self._as_text(X), y, cat_features=list(_categories(X)))
        return self

    def predict_proba(self, X):
        return self.model.predict_proba(self._as_text(X))

    def predict(self, X):
        return self.model.predict(self._as_text(X))

    @staticmethod
    def _as_text(X):
        X = in_days(X)
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

    def predict(self, X):
        return self.model.predict(X.fillna(self.means))


def _categories(X):
    return X.select_dtypes(exclude=["number", "datetime"]).columns


def make_lightgbm(kind):
    import lightgbm

    return dated(getattr(lightgbm, f"LGBM{kind}")(n_jobs=1, random_state=0, verbose=-1))


def make_xgboost(kind):
    import xgboost

    return dated(getattr(xgboost, f"XGB{kind}")(n_jobs=1, random_state=0, enable_categorical=True))


def make_catboost(kind):
    import catboost

    model = getattr(catboost, f"CatBoost{kind}")
    return AsText(model(thread_count=1, random_seed=0, verbose=False, allow_writing_files=False))


def make_realmlp(kind):
    import pytabkit

    model = getattr(pytabkit, f"RealMLP_TD_{kind}")
    return Imputed(model(device="cpu", n_threads=1, random_state=0))


def make_tabm(kind):
    import pytabkit

    model = getattr(pytabkit, f"TabM_D_{kind}")
    return Imputed(model(device="cpu", n_threads=1, random_state=0))


OPTIONAL = {
    "LightGBM": ("lightgbm", make_lightgbm),
    "XGBoost": ("xgboost", make_xgboost),
    "CatBoost": ("catboost", make_catboost),
    "RealMLP_TD": ("pytabkit", make_realmlp),
    "TabM_D": ("pytabkit", make_tabm),
}


def models_for(kind, face, linear, mlp, trees):
    """Return a function that makes each model, by name.

    Parameters
    ----------
    kind : {"Classifier", "Regressor"}
        How the peers' classes end.
    face : type
        Ours.
    linear, mlp : dict of str to callable
        That make models of scikit-learn, by what to call them.
    trees : type
        HistGradientBoosting.
    """
    return {
        "skdnn": lambda: ours(face),
        "skdnn prepared": lambda: prepared(ours(face)),
        "skdnn 5": lambda: ours(face, n_networks=5),
        "skdnn 5 prepared": lambda: prepared(ours(face, n_networks=5)),
        "skdnn 10": lambda: ours(face, n_networks=10),
        **linear,
        **mlp,
        "HistGradientBoosting": lambda: few_levels(
            trees(random_state=0, categorical_features="from_dtype")
        ),
        **{
            name: partial(make, kind)
            for name, (module, make) in OPTIONAL.items()
            if importlib.util.find_spec(module)
        },
    }


@cache
def read_table(source):
    """Return X and y of a parquet file, or of a table of scikit-learn."""
    if not isinstance(source, Path):
        return source()
    X = pd.read_parquet(source)
    if len(X) > MOST_ROWS:
        X = X.sample(MOST_ROWS, random_state=0)
    y = X.pop("__y__").to_numpy()
    return X, y


def _bundled(load, made_of_y):
    """Return a function that loads a table of scikit-learn, its target made what is asked for."""

    def table():
        X, y = load(return_X_y=True, as_frame=True)
        return X, made_of_y(y).to_numpy() * 1

    return table


TABLES = {
    "breast_cancer": _bundled(datasets.load_breast_cancer, lambda y: y == 0),
    "diabetes": _bundled(datasets.load_diabetes, lambda y: y > y.median()),
    "digits": _bundled(datasets.load_digits, lambda y: y == 8),
    "iris": _bundled(datasets.load_iris, lambda y: y == 1),
    "wine": _bundled(datasets.load_wine, lambda y: y == 1),
}
TABLES_OF_NUMBERS = {
    "diabetes": _bundled(datasets.load_diabetes, lambda y: y),
    "linnerud": _bundled(datasets.load_linnerud, lambda y: y["Weight"]),
}


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
    models : dict of str to callable
    tables : dict of str to callable
        That scikit-learn brings.
    figures : callable
        From a fitted model, X and y to figures by name.
    ranks : dict of str to (str, int)
        By which of these models are ranked, by what to call it, the first one deciding in which
        order they are shown; 1 where more is better, else -1.
    is_stratified : bool
        Whether both sides of a split have the same share of each answer.
    """

    models: Mapping[str, Callable]
    tables: Mapping[str, Callable]
    figures: Callable[..., dict[str, Any]]
    ranks: Mapping[str, tuple[str, int]]
    is_stratified: bool


YES_OR_NO = Question(
    models_for(
        "Classifier",
        DeepBinaryClassifier,
        {"logistic regression": lambda: prepared(LogisticRegression(max_iter=1000))},
        {"MLPClassifier": lambda: prepared(MLPClassifier(random_state=0))},
        HistGradientBoostingClassifier,
    ),
    TABLES,
    figures_of_probabilities,
    {"log-loss": ("log_loss", -1), "AUC": ("auc", 1)},
    is_stratified=True,
)
NUMBERS = Question(
    models_for(
        "Regressor",
        DeepRegressor,
        {"RidgeCV": lambda: prepared(RidgeCV())},
        {
            "MLPRegressor": lambda: prepared(
                TransformedTargetRegressor(
                    MLPRegressor(random_state=0), transformer=StandardScaler()
                )
            )
        },
        HistGradientBoostingRegressor,
    ),
    TABLES_OF_NUMBERS,
    figures_of_numbers,
    {"R²": ("r2", 1), "MAE": ("mae", -1)},
    is_stratified=False,
)


def measure(question, make, X, y, seed):
    """Return the figures of one fit."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y if question.is_stratified else None, random_state=seed
    )
    model = make()
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    return {**question.figures(model, X_test, y_test), "seconds": seconds}


def run(question, sources, models, results):
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
                measure(question, question.models[model], X, y, seed)
                is_warm = True
            figures = measure(question, question.models[model], X, y, seed)
            append(results, {"table": name, "seed": seed, "model": model, **figures})
    return read_results(results)


def read_results(path):
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def append(path, row):
    is_new = not path.exists()
    if not is_new and list(read_results(path)) != list(row):
        raise ValueError(f"{path} must hold results of the same question; name another file.")
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def complete(results):
    """Return the results of the tables that every model has been through."""
    n_results = results.groupby("table").size()
    most = results["model"].nunique() * len(SEEDS)
    return results[results["table"].isin(n_results.index[n_results == most])]


def summary(question, results):
    """Return a frame of means over the tables, one row a model, best rank first."""
    tables = results.drop(columns="seed").groupby(["model", "table"]).mean()
    means = tables.groupby("model").mean()
    for name, (figure, sign) in question.ranks.items():
        ranks = tables[figure].unstack().rank(ascending=sign < 0)
        means.insert(means.columns.get_loc(figure) + 1, f"rank by {name}", ranks.mean(axis=1))
    return means.sort_values(f"rank by {next(iter(question.ranks))}")


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
    parser.add_argument("--bundled", action="store_true", help="the tables of scikit-learn as well")
    parser.add_argument("--numbers", action="store_true", help="predict numbers, not yes or no")
    parser.add_argument("--results", type=Path, help="accuracy.csv, or numbers.csv, by default")
    parser.add_argument("--half", choices=("even", "odd"))
    parser.add_argument("--models", help="comma-separated; all that are installed by default")
    parser.add_argument("--only-show", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    question = NUMBERS if arguments.numbers else YES_OR_NO
    path = arguments.results or Path("numbers.csv" if arguments.numbers else "accuracy.csv")
    sources = {}
    if arguments.folder is not None:
        sources = {path.stem: path for path in sorted(arguments.folder.glob("*.parquet"))}
    if arguments.bundled or arguments.folder is None:
        sources = {**question.tables, **sources}
    if arguments.half:
        sources = dict(list(sources.items())[arguments.half == "odd" :: 2])
    models = arguments.models.split(",") if arguments.models else list(question.models)
    results = read_results(path)
    if not arguments.only_show:
        results = run(question, sources, models, path)
    results = results[results["table"].isin(list(sources)) & results["model"].isin(models)]
    results = complete(results)
    print(f"{results['table'].nunique()} tables\n\n{as_markdown(summary(question, results))}")
    if results["model"].str.startswith("skdnn").all():
        return
    for name, (figure, sign) in question.ranks.items():
        print(f"\nWon/tied/lost by {name} (p)\n\n{as_markdown(duels(results, figure, sign))}")


if __name__ == "__main__":
    main()
