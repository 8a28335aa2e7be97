"""Warnings point to the user's own line, and name the column that they are about."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdnn import DeepBinaryClassifier

M = 100
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"width": RNG.normal(size=M), "kind": ["a", "b"] * (M // 2)})
Y = FRAME["width"] > 0
IDS = FRAME.assign(name=[f"row {i}" for i in range(M)])
SHORT = DeepBinaryClassifier(2, 4, max_iter=2, tol=0.0, random_state=0)
CALLS = {
    "fit": lambda: SHORT.fit(FRAME, Y),
    "a pipeline": lambda: make_pipeline(FunctionTransformer(), SHORT).fit(FRAME, Y),
    "a search": lambda: cross_val_score(SHORT, FRAME, Y, cv=2),
    "partial_fit": lambda: DeepBinaryClassifier().partial_fit(IDS, Y, classes=[False, True]),
    "predict": lambda: fitted.predict_proba(FRAME.assign(kind="c")),
}
fitted = DeepBinaryClassifier(n_units=4, random_state=0).fit(FRAME, Y)


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_points_to_the_line_that_called(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[name]()
    assert caught
    here = CALLS[name].__code__.co_firstlineno
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, here)}


def test_a_column_whose_levels_are_all_rare_is_named():
    with pytest.warns(UserWarning, match="column 'name' levels that are nearly all rare, 100%"):
        clf = DeepBinaryClassifier(n_units=4, max_iter=2).fit(IDS, Y)
    assert [len(levels) for levels in clf.categories_] == [2, 0]


@pytest.mark.parametrize("column", [["1.5"] * 3 + ["?"], ["2020-01-01", "2020-01-02"]], ids=str)
def test_numbers_and_dates_as_text_are_named(column):
    values = [f"{text}{i}" for i, text in enumerate((column * M)[:M])]
    with pytest.warns(UserWarning, match="column 'text'.*Give numbers and dates as such"):
        DeepBinaryClassifier(n_units=4, max_iter=2).fit(FRAME.assign(text=values), Y)


def test_unseen_levels_are_named_where_they_are_nearly_all():
    for level in ("c", None):
        with pytest.warns(UserWarning, match="column 'kind' levels that are nearly all unseen"):
            fitted.predict(FRAME.assign(kind=level))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(FRAME.assign(kind=["c"] * 50 + ["a"] * 50))
        fitted.predict(FRAME.assign(kind="c")[:10])  # too few to tell


def test_rows_of_weight_zero_do_not_count():
    weight = np.repeat([1.0, 0.0], M // 2)
    names = ["a", "b"] * (M // 4) + [f"row {i}" for i in range(M // 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        DeepBinaryClassifier(max_iter=2).fit(FRAME.assign(name=names), Y, sample_weight=weight)
