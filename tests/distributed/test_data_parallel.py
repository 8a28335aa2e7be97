"""Tests that a fit shared by several processes equals the fit of one process with all rows."""

import importlib
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import ranks
import torch
import torch.distributed as dist
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.distributed import data_parallel

pytestmark = pytest.mark.slow

N = 900
# The edges of the rows of each process, by the number of processes: unequal, one without rows.
CUTS = {2: [0, 130, N], 3: [0, 610, 610, N]}


def numbers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 6)) * [1, 10, 0.1, 1, 1, 1] + [0, 100, 0, 0, 0, 0]
    y = (X[:, 0] * X[:, 3] + 0.3 * rng.normal(size=N) > 0).astype(int)
    return X, y


def with_missing():
    X, y = numbers()
    X[::7, 2] = np.nan
    X[850, 1] = 1e9  # an outlier
    X[:, 5] = np.maximum(X[:, 5], 0).round(1)  # a frequent value
    return X, y


def sorted_labels():
    X, y = numbers()
    order = np.argsort(y, kind="stable")
    return X[order], np.array(["no", "yes"])[y[order]]


def a_frame():
    X, y = numbers()
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame["colour"] = np.where(np.arange(N) < 300, "red", rng.choice(["blue", "green"], N))
    frame["town"] = np.char.add("t", rng.integers(0, 150, N).astype(str))
    frame["flag"] = pd.array(np.where(np.arange(N) % 11, X[:, 0] > 0, None), dtype="boolean")
    frame["empty at first"] = np.where(np.arange(N) < 620, None, rng.choice(["x", "y"], N))
    frame["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 99, N), unit="D")
    return frame, y


def sparse_numbers():
    X, y = numbers()
    return sparse.csr_array(np.where(np.abs(X) < 0.5, 0, X)), y


def in_float32():
    X, y = numbers()
    return torch.from_numpy(X).float(), y


def one_number():
    X, _ = numbers()
    return X, 1000 + 30 * X[:, 0] * X[:, 3]


def two_numbers():
    X, _ = numbers()
    return X, np.column_stack([X[:, 0] * X[:, 3], 5 - X[:, 4]])


def weights():
    return np.random.default_rng(2).integers(0, 3, N) * 0.5


CASES = {
    "by default": (numbers, {}, {}),
    "full batch": (numbers, {"optimizer": "sgd", "batch_size": None, "learning_rate": 0.3}, {}),
    "momentum, in order": (numbers, {"optimizer": "sgd", "momentum": 0.9, "shuffle": False}, {}),
    "L-BFGS": (numbers, {"optimizer": "lbfgs", "weight_decay": 0.01}, {}),
    "a class of torch": (numbers, {"optimizer": torch.optim.RMSprop, "learning_rate": 0.01}, {}),
    "weights": (numbers, {"batch_size": 50}, {"sample_weight": weights()}),
    "balanced": (sorted_labels, {"class_weight": "balanced", "n_layers": 1}, {}),
    "a weight for a label": (sorted_labels, {"class_weight": {"yes": 3}}, {}),
    "robust": (with_missing, {"standardize": "robust", "batch_size": 64}, {}),
    "missing values, an outlier and piecewise-linear encoding": (
        with_missing,
        {"numeric_embedding": "piecewise_linear"},
        {},
    ),
    "clipping and averaging": (numbers, {"max_grad_norm": 0.1, "weight_averaging": 0.9}, {}),
    "early stopping": (
        with_missing,
        {"early_stopping": True, "n_iter_no_change": 2, "tol": 0.0},
        {},
    ),
    "validation set": (numbers, {"early_stopping": True}, {"X_val": 1, "y_val": 1}),
    "weights of the validation set": (numbers, {"early_stopping": True}, {"sample_weight_val": 1}),
    "data frame": (a_frame, {"early_stopping": True}, {}),
    "target encoding": (a_frame, {"target_encoding": True, "early_stopping": False}, {}),
    "sparse": (sparse_numbers, {}, {}),
    "several threads": (numbers, {"n_threads": 2}, {}),
    "regression": (one_number, {}, {}),
    "several outputs": (two_numbers, {"early_stopping": True}, {"sample_weight": weights()}),
    "absolute error": (one_number, {"loss": "absolute_error"}, {}),
    "float32": (in_float32, {}, {}),
}


def make(case):
    data, parameters, options = CASES[case]
    X, y = data()
    kind = DeepRegressor if data in (one_number, two_numbers) else DeepBinaryClassifier
    settings = {"n_units": 12, "max_iter": 6, "random_state": 3, **parameters}
    if data is not in_float32:
        settings["dtype"] = "float64"
    if "X_val" in options or "sample_weight_val" in options:
        weight = {"sample_weight_val": np.arange(len(y))[::3] % 4} if len(options) == 1 else {}
        options = {"X_val": X[::3], "y_val": y[::3], **weight}
    return kind(**settings), X, y, options


def raw_predict(estimator, X):
    """Return probabilities or predicted numbers."""
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def rows_of(values, rows):
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]


def fit_in_processes(rank, case, rows, cuts):
    warnings.simplefilter("ignore", ConvergenceWarning)
    estimator, X, y, options = make(case)
    if rows == "part":
        part = slice(cuts[rank], cuts[rank + 1])
        X, y = rows_of(X, part), y[part]
        of_part = {"sample_weight": part, "X_val": slice(rank, None, len(cuts) - 1)}
        of_part["y_val"] = of_part["sample_weight_val"] = of_part["X_val"]
        options = {name: rows_of(value, of_part[name]) for name, value in options.items()}
    with data_parallel(rows):
        return estimator.fit(X, y, **options)


@pytest.mark.parametrize("case", CASES)
def test_every_process_ends_with_the_estimator_of_a_single_process(two, three, case):
    single, X, y, options = make(case)
    single.fit(X, y, **options)
    fitted = two.results(fit_in_processes, case, "all", CUTS[2])
    fitted += three.results(fit_in_processes, case, "part", CUTS[3])
    tolerance = 2e-5 if case == "float32" else 1e-9
    for estimator in fitted:
        assert estimator.n_iter_ == single.n_iter_
        assert estimator.best_iter_ == single.best_iter_
        for name in ("loss_curve_", "validation_loss_curve_", "validation_scores_"):
            expected = getattr(single, name)
            if expected is not None:
                np.testing.assert_allclose(getattr(estimator, name), expected, atol=tolerance)
        mine = estimator.coefs_ + estimator.intercepts_
        for got, expected in zip(mine, single.coefs_ + single.intercepts_, strict=True):
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(
            raw_predict(estimator, X), raw_predict(single, X), rtol=10 * tolerance
        )
    for estimator, first in zip(fitted, [*fitted[:1] * 2, *fitted[2:3] * 3], strict=True):
        for got, expected in zip(estimator.coefs_, first.coefs_, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("rows", ["all", "part"])
def test_one_process_gives_the_result_of_an_ordinary_fit(monkeypatch, rows):
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_PORT", str(ranks.free_port()))
    clf, X, y, _ = make("early stopping")
    single = clone(clf).fit(X, y)
    with data_parallel(rows) as communicator:
        clf.fit(X, y)
    assert (communicator.rank, communicator.size) == (0, 1)
    for got, expected in zip(clf.coefs_, single.coefs_, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_an_error_says_that_there_is_no_launcher():
    with pytest.raises(RuntimeError, match="a launcher such as torchrun"), data_parallel():
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "some"}, "rows must be 'all' or 'part', got 'some'"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0, got 0"),
        ({"timeout": True}, "timeout must be"),
    ],
)
def test_invalid_arguments_raise(options, message):
    with pytest.raises(ValueError, match=message), data_parallel(**options):
        pass


def fit_twice_without_random_state(rank):
    clf, X, y, _ = make("float32")
    clf.random_state = None
    with data_parallel():
        return [clone(clf).fit(X, y) for _ in range(2)]


def test_process_0_draws_the_seed_without_a_random_state(two):
    mine, others = two.results(fit_twice_without_random_state)
    for ours, theirs in zip(mine, others, strict=True):
        np.testing.assert_array_equal(ours.coefs_[0], theirs.coefs_[0])
    assert not np.array_equal(mine[0].coefs_[0], mine[1].coefs_[0])


def search(rank):
    clf, X, y, _ = make("float32")
    with data_parallel():
        found = GridSearchCV(clf, {"n_layers": [1, 2]}, cv=2).fit(X.numpy(), y)
    return found.cv_results_["mean_test_score"]


def test_a_search_shares_each_of_its_fits(two):
    single = search_in_one_process()
    for scores in two.results(search):
        np.testing.assert_allclose(scores, single)


def search_in_one_process():
    clf, X, y, _ = make("float32")
    found = GridSearchCV(clf, {"n_layers": [1, 2]}, cv=2).fit(X.numpy(), y)
    return found.cv_results_["mean_test_score"]


def drop_units(rank):
    clf, X, y, _ = make("by default")
    with data_parallel():
        return clf.set_params(dropout=0.3, max_iter=20).fit(X, y)


def test_all_processes_have_the_same_weights_with_dropout(two):
    mine, others = two.results(drop_units)
    np.testing.assert_array_equal(mine.coefs_[0], others.coefs_[0])
    assert mine.loss_ < mine.loss_curve_[0]


def fit_beside_the_default_group(rank):
    dist.init_process_group("gloo", init_method="env://", rank=rank, world_size=2)
    try:
        clf, X, y, _ = make("by default")
        with data_parallel():
            clf.fit(X, y)
        tensor = torch.ones(1)
        dist.all_reduce(tensor)
        return clf, tensor.item()
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("by", ["torchrun", "srun"])
def test_torchs_default_process_group_stays(by):
    clf, X, y, _ = make("by default")
    clf.fit(X, y)
    with ranks.started(2, by) as processes:
        for fitted, n_processes in processes.results(fit_beside_the_default_group):
            np.testing.assert_allclose(fitted.coefs_[0], clf.coefs_[0], rtol=1e-9, atol=1e-9)
            assert n_processes == 2


def test_the_result_is_an_ordinary_estimator(two):
    clf, *_ = two.results(fit_in_processes, "by default", "all", CUTS[2])
    single, X, y, _ = make("by default")
    assert vars(clf).keys() == vars(single.fit(X, y)).keys()
    assert b"distributed" not in pickle.dumps(clf)
    clf.fit(X, y)  # in this process only
    np.testing.assert_array_equal(clf.coefs_[0], single.coefs_[0])


def quantiles_of_thinned_columns(rank, fractions, cut):
    statistics = importlib.import_module("skdnn.data.encoding._statistics")
    X = np.random.default_rng(0).gamma(1.0, size=(N, 1))
    mine = [X[:cut], X[cut:]][rank]
    before, statistics._MOST_VALUES = statistics._MOST_VALUES, 128
    try:
        with data_parallel("part") as communicator:
            weight = np.ones(len(mine))
            columns = statistics.WeightedColumns(mine, weight, processes=communicator)
            (found,) = columns.quantiles(fractions)
    finally:
        statistics._MOST_VALUES = before
    return found


@pytest.mark.parametrize("cut", [100, 0])
def test_quantiles_of_very_many_values_are_approximate(two, cut):
    fractions = np.linspace(0.05, 0.95, 19)
    found, same = two.results(quantiles_of_thinned_columns, fractions, cut)
    np.testing.assert_array_equal(found, same)
    X = np.sort(np.random.default_rng(0).gamma(1.0, size=(N, 1)).ravel())
    below = np.searchsorted(X, found, side="right") / N
    assert 0 < np.abs(below - fractions).max() < 2 / 128


def fit_rows_of_two_kinds(rank):
    X, y = sparse_numbers()
    clf, *_ = make("sparse")
    with data_parallel("part"):
        return clf.fit(
            X[:200] if rank == 0 else X[200:].toarray(), y[:200] if rank == 0 else y[200:]
        )


def test_rows_may_be_sparse_in_one_process_and_dense_in_another(two):
    single, X, y, _ = make("sparse")
    single.fit(X, y)
    for fitted in two.results(fit_rows_of_two_kinds):
        np.testing.assert_allclose(fitted.coefs_[0], single.coefs_[0], rtol=1e-9, atol=1e-9)
