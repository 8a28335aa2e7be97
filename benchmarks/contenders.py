"""The models that `accuracy.py` compares: skdnn, scikit-learn and peers that are installed.

Models that support categories and missing values get the data frame with dates as days. For
HistGradientBoosting, columns with more categories than it supports are ordinal-encoded. The other
models, and those called "prepared", get imputed, scaled and one-hot encoded features.
"""

import ast
import importlib.util
import os
import re
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from skdnn import DeepBinaryClassifier, DeepRegressor

MOST_CATEGORIES = 255  # supported by HistGradientBoosting


def ours(estimator, **parameters):
    return estimator(device="cpu", random_state=0, **parameters)


def prepared(model):
    """Return a pipeline that imputes, scales and one-hot encodes before a model."""
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    categories = OneHotEncoder(
        min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    prepare = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
    )
    return dated(make_pipeline(prepare, model))


def in_days(X):
    """Return a data frame with dates as days since 1970."""
    dates = X.select_dtypes("datetime").columns
    days = {name: (X[name] - pd.Timestamp(0)) / pd.Timedelta(days=1) for name in dates}
    return X.assign(**days)


def dated(model):
    """Return a pipeline that converts dates to days before a model."""
    return make_pipeline(FunctionTransformer(in_days), model)


def few_categories(model):
    """Return a pipeline that ordinal-encodes columns of many categories before a model."""
    many = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = make_column_transformer(
        (many, lambda X: [name for name in _categories(X) if X[name].nunique() > MOST_CATEGORIES]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return dated(make_pipeline(prepare.set_output(transform="pandas"), model))


class AsText:
    """CatBoost, which requires text for missing categories."""

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
    """A model of pytabkit, which supports categories, but no missing numbers."""

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


def models_for(kind, estimator, linear, mlp, trees):
    """Return functions that make the models, by name.

    Parameters
    ----------
    kind : {"Classifier", "Regressor"}
        Suffix of the names of the peers' classes.
    estimator : type
        Of skdnn.
    linear, mlp : dict of str to callable
        Functions that make models of scikit-learn, by name.
    trees : type
        HistGradientBoosting.
    """
    return {
        "skdnn": lambda: ours(estimator),
        "skdnn prepared": lambda: prepared(ours(estimator)),
        "skdnn 5": lambda: ours(estimator, n_networks=5),
        "skdnn 5 prepared": lambda: prepared(ours(estimator, n_networks=5)),
        "skdnn 10": lambda: ours(estimator, n_networks=10),
        **linear,
        **mlp,
        "HistGradientBoosting": lambda: few_categories(
            trees(random_state=0, categorical_features="from_dtype")
        ),
        **{
            name: partial(make, kind)
            for name, (module, make) in OPTIONAL.items()
            if importlib.util.find_spec(module)
        },
    }


CLASSIFIERS = models_for(
    "Classifier",
    DeepBinaryClassifier,
    {
        "logistic regression": lambda: prepared(LogisticRegression(max_iter=1000)),
        "random forest": lambda: prepared(RandomForestClassifier(random_state=0)),
    },
    {"MLPClassifier": lambda: prepared(MLPClassifier(random_state=0))},
    HistGradientBoostingClassifier,
)
REGRESSORS = models_for(
    "Regressor",
    DeepRegressor,
    {"RidgeCV": lambda: prepared(RidgeCV())},
    {
        "MLPRegressor": lambda: prepared(
            TransformedTargetRegressor(MLPRegressor(random_state=0), transformer=StandardScaler())
        )
    },
    HistGradientBoostingRegressor,
)
PHOTOGRAPH_CLASSIFIERS = {
    "skdnn": lambda: ours(DeepBinaryClassifier),
    "skdnn 5": lambda: ours(DeepBinaryClassifier, n_networks=5),
    "logistic regression": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(C=0.001, max_iter=1000)
    ),
    "MLPClassifier": lambda: make_pipeline(
        StandardScaler(), MLPClassifier(early_stopping=True, random_state=0)
    ),
}


def find_model(models, estimator, name):
    """Return a function that makes a model.

    Parameters
    ----------
    models : dict of str to callable
    estimator : type
        Of skdnn.
    name : str
        A key of `models`, or for example ``skdnn(n_networks=5, dropout=0.1)``. A suffix after @ is
        ignored.
    """
    name = name.split("@")[0].strip()
    with_parameters = re.fullmatch(r"skdnn\((.*)\)", name)
    if with_parameters is None:
        return models[name]
    call = ast.parse(f"f({with_parameters[1]})", mode="eval").body
    return partial(ours, estimator, **{k.arg: ast.literal_eval(k.value) for k in call.keywords})
