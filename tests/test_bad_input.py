"""Invalid parameters and data: the errors of both estimators."""

from contextlib import suppress
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from sklearn.base import clone

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.network import LINEAR_LOSSES, LOSSES

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.5]])
Y = np.array([0, 1, 0, 1])

MIXED = pd.DataFrame({"width": [1.0, 2.0, 3.0, 4.0], "colour": ["red", "blue"] * 2})

ESTIMATORS = {"classifier": DeepBinaryClassifier, "regressor": DeepRegressor}

BAD_PARAMETERS = [
    ({"n_layers": 0}, r"n_layers must be an int in the range \[1, 10000\] or None, got 0"),
    ({"n_layers": -2}, "n_layers must be an int"),
    ({"n_layers": 2.0}, r"n_layers must be .*got 2\.0"),
    ({"n_layers": "3"}, "n_layers must be .*got '3'"),
    ({"n_layers": True}, "n_layers must be .*got True"),
    ({"n_layers": 2, "n_units": (4, 4)}, "n_units must have one entry for each hidden layer, 1 "),
    ({"n_layers": 1, "n_units": (4,)}, "n_units must have one entry for each hidden layer, 0 "),
    ({"n_units": 0}, r"n_units must be an int in the range \[1, "),
    ({"n_units": (8, 0)}, r"n_units must be .*got \(8, 0\)"),
    ({"n_units": 8.5}, "n_units must be"),
    ({"n_units": "128"}, "n_units must be"),
    ({"n_units": None}, "n_units must be"),
    ({"n_units": {8}}, "n_units must be"),
    ({"activation": "rleu"}, "activation must be one of .*'relu'.*got 'rleu'"),
    ({"activation": None}, "activation must be one of"),
    ({"activation": ("relu",)}, "activation must have one entry for each hidden layer, 2 "),
    ({"activation": ("relu", 3)}, "activation must be one of"),
    ({"activation": torch.nn.PReLU}, "activation must have no parameters of its own"),
    ({"activation": lambda Z: Z[:1]}, "activation must return a tensor of the shape"),
    ({"init_scale": -0.01}, r"init_scale must be a float in the range \[0, inf\) or 'auto'"),
    ({"init_scale": "he"}, "init_scale must be .*got 'he'"),
    ({"init_scale": float("nan")}, "init_scale must be .*got nan"),
    ({"optimizer": "adamax"}, "optimizer must be one of 'sgd', 'adam', 'adamw', 'lbfgs'"),
    ({"optimizer": torch.nn.Linear}, "optimizer must be one of"),
    ({"optimizer": None}, "optimizer must be one of"),
    (
        {"learning_rate": 0},
        r"learning_rate must be a float in the range \(0, inf\) or 'auto', got 0",
    ),
    ({"learning_rate": -1e-3}, "learning_rate must be"),
    ({"learning_rate": float("inf")}, "learning_rate must be"),
    ({"learning_rate": "fast"}, "learning_rate must be"),
    ({"learning_rate_schedule": "linear"}, "learning_rate_schedule must be one of"),
    ({"momentum": 1.0}, r"momentum must be a float in the range \[0, 1\), got 1.0"),
    ({"momentum": -0.1}, "momentum must be"),
    ({"nesterovs_momentum": "yes"}, "nesterovs_momentum must be one of True, False"),
    ({"weight_decay": -1}, "weight_decay must be"),
    ({"weight_decay": [0.1]}, "weight_decay must be"),
    ({"dropout": 1.0}, r"dropout must be a float in the range \[0, 1\)"),
    ({"dropout": (0.1,)}, "dropout must have one entry for each hidden layer, 2 "),
    ({"shuffle": 1}, "shuffle must be one of True, False, got 1"),
    ({"batch_size": 0}, r"batch_size must be an int in the range \[1, 2\*\*32\), 'auto' or None"),
    ({"batch_size": 32.0}, "batch_size must be"),
    ({"batch_size": "full"}, "batch_size must be"),
    ({"max_iter": 0}, r"max_iter must be an int in the range \[1, "),
    ({"max_iter": None}, "max_iter must be"),
    ({"tol": -1e-4}, r"tol must be a float in the range \[0, inf\)"),
    ({"n_iter_no_change": 0}, r"n_iter_no_change must be an int in the range \[1, "),
    (
        {"early_stopping": "yes"},
        "early_stopping must be one of True, False, 'auto', 'cross_validation', got 'yes'",
    ),
    ({"early_stopping": 1}, "early_stopping must be"),
    ({"scoring": "auc"}, r"scoring must be None, a name of .*got 'auc'"),
    ({"scoring": ["roc_auc", "f1"]}, r"scoring must be .*got \['roc_auc', 'f1'\]"),
    ({"scoring": 1}, "scoring must be None, a name"),
    ({"max_grad_norm": 0}, r"max_grad_norm must be a float in the range \(0, inf\) or None, got 0"),
    ({"max_grad_norm": "1"}, "max_grad_norm must be"),
    (
        {"max_grad_norm": 1, "optimizer": "lbfgs"},
        "max_grad_norm must be None for optimizer='lbfgs'",
    ),
    ({"weight_averaging": 1}, r"weight_averaging must be a float in the range \[0, 1\)"),
    ({"weight_averaging": -0.5}, "weight_averaging must be"),
    ({"weight_averaging": None}, "weight_averaging must be"),
    ({"weight_averaging": 0.9, "optimizer": "lbfgs"}, "weight_averaging must be 0 for optimizer="),
    (
        {"n_threads": 0},
        r"n_threads must be an int in the range \[1, 1024\] or None",
    ),
    ({"n_threads": "all"}, "n_threads must be"),
    ({"n_threads": 100_000}, r"n_threads must be .* 1024\] or None, got 100000"),
    ({"n_layers": 2**20}, r"n_layers must be .* 10000\] or None, got 1048576"),
    ({"n_networks": 2**31}, r"n_networks must be an int in the range \[1, 10000\]"),
    ({"n_units": torch.empty(2, device="meta")}, r"n_units must be an int in the range \[1, "),
    ({"categorical_features": [{}]}, "categorical_features must be names or indices"),
    (
        {"activation": lambda Z: Z @ torch.eye(3, dtype=Z.dtype)},
        "activation must be a differentiable",
    ),
    ({"n_threads": -1}, "n_threads must be"),
    ({"checkpoint": 3}, "checkpoint must be None, a path or a skdnn.Checkpoint, got 3"),
    ({"checkpoint": "/nowhere/fit"}, "checkpoint must be a file in a folder that exists"),
    (
        {"validation_fraction": 0},
        r"validation_fraction must be a float in the range \(0, 1\), got 0",
    ),
    ({"validation_fraction": 1.0}, "validation_fraction must be"),
    ({"standardize": "minmax"}, "standardize must be one of True, False, 'smooth_clip', 'robust'"),
    (
        {"categorical_features": "all"},
        "categorical_features must be one of 'from_dtype', None or a",
    ),
    ({"categorical_features": [2]}, "categorical_features must be .* of the 2 columns of X"),
    ({"categorical_features": ["colour"]}, r"which have no names, got \['colour'\]"),
    ({"categorical_features": [True]}, "categorical_features must be"),
    ({"target_encoding": "mean"}, "target_encoding must be one of True, False, 'auto'"),
    ({"target_encoding": None}, "target_encoding must be one of True, False, 'auto', got None"),
    (
        {"numeric_embedding": "fourier"},
        "numeric_embedding must be one of 'auto', None, 'piecewise_linear'",
    ),
    ({"n_networks": 0}, r"n_networks must be an int in the range \[1, 10000\], got 0"),
    ({"n_networks": "5"}, r"n_networks must be an int in the range \[1, 10000\], got '5'"),
    ({"device": "gpu"}, "device must be"),
    ({"device": "cuda:99"}, "device='cuda:99' was requested, but "),
    ({"device": torch.device("meta")}, "device must be"),
    ({"device": 0}, "device must be"),
    ({"dtype": "float16"}, "dtype must be one of 'auto', 'float32', 'float64', got 'float16'"),
    ({"dtype": int}, "dtype must be"),
    ({"dtype": 64}, "dtype must be"),
    ({"warm_start": None}, "warm_start must be"),
    ({"verbose": -1}, r"verbose must be an int in the range \[0, "),
    ({"random_state": "zero"}, "random_state must be"),
    ({"random_state": -1}, "random_state must be"),
    ({"random_state": np.random.default_rng(0)}, "random_state must be"),
    ({"loss": "hinge"}, "loss must be one of .*'squared_error'.*, got 'hinge'"),
    ({"loss": None}, "loss must be one of"),
]

BAD_PARAMETERS_OF_ONE = [
    (
        "classifier",
        {"loss": "hinge"},
        f"loss must be one of {', '.join(map(repr, LOSSES))}, got 'hinge'",
    ),
    ("classifier", {"class_weight": {pd.NA: 1.0}}, "class_weight must have labels of y as keys"),
    ("classifier", {"early_stopping": True}, "early_stopping must find rows of each class"),
    (
        "classifier",
        {"class_weight": "even"},
        "class_weight must be one of None, 'balanced' or a dict",
    ),
    ("classifier", {"class_weight": {0: -1}}, "class_weight must be"),
    ("classifier", {"class_weight": {0: 0, 1: 0}}, "class_weight times sample_weight must hold"),
    ("classifier", {"class_weight": {2: 1}}, "class_weight must have labels of y as keys"),
    (
        "regressor",
        {"loss": "log_loss"},
        f"loss must be one of {', '.join(map(repr, LINEAR_LOSSES))}, got 'log_loss'",
    ),
    (
        "regressor",
        {"loss": "quantile"},
        "quantile must be a number above 0 and below 1 for loss='qu",
    ),
    (
        "regressor",
        {"quantile": 0},
        r"quantile must be a float in the range \(0, 1\) or None, got",
    ),
    ("regressor", {"quantile": 1.0}, "quantile must be"),
    ("regressor", {"quantile": "0.5"}, "quantile must be"),
    ("regressor", {"quantile": np.nan}, "quantile must be .*got nan"),
]

BAD_DATA = [
    ({"X": X[:, 0]}, "Expected 2D array, got 1D array"),
    ({"X": X[None]}, "Found array with dim 3"),
    ({"X": np.where(X == 2, np.inf, X)}, "Input X contains infinity"),
    ({"X": np.empty((0, 2)), "y": []}, r"0 sample\(s\)"),
    ({"X": np.empty((4, 0))}, r"0 feature\(s\)"),
    ({"X": X.astype(complex)}, "Complex data not supported"),
    ({"X": [["a", "b"]] * 4}, "could not convert string to float|dtype='numeric'"),
    ({"X": MIXED.assign(width=[1, 2, np.inf, 4])}, "Input X contains infinity"),
    ({"X": MIXED.iloc[:0], "y": []}, r"0 sample\(s\)"),
    ({"X": MIXED.iloc[:3]}, "inconsistent numbers of samples"),
    ({"X": MIXED, "X_val": MIXED[["colour", "width"]], "y_val": Y}, "feature names should match"),
    (
        {"X": MIXED, "X_val": MIXED.assign(width=list("abcd")), "y_val": Y},
        "numbers in column 'width', got 'a'",
    ),
    ({"X": None}, r"X must be rows of numbers.* Expected 2D array, got NoneType"),
    ({"X": {"a": [1, 2, 3, 4]}}, r"X must be rows of numbers.* got dict"),
    ({"X": "text"}, r"X must be the path of a Parquet file.* 'text' does not exist"),
    ({"X": [[1, 2], [3], [4, 5], [6, 7]]}, "X must be rows of numbers, all of one length"),
    ({"X": torch.ones(4, 2, device="meta")}, "X must hold numbers, got a tensor of torch.float32"),
    ({"X": np.ma.array(X, mask=X > 2).astype(complex)}, "Complex data not supported"),
    ({"X": pd.DataFrame({"a": [1, 2, 3, np.inf]})}, "infinity in column 'a'"),
    ({"X": pd.DataFrame({"a": [[1], [2], [3], [4]]})}, "in column 'a': an argument must be"),
    ({"X_val": X, "y_val": [0, 1, None, 1]}, "Input y_val contains NaN"),
    ({"groups": np.ones((4, 2))}, r"groups must have one axis, got shape \(4, 2\)"),
    ({"sample_weight": np.full(4, 1e308)}, "sample_weight must have a sum that is neither 0 nor"),
    ({"sample_weight": np.ma.array(np.ones(4), mask=[1, 0, 0, 0])}, "sample_weight must be finite"),
    ({"sample_weight": np.arange(4).astype("M8[D]")}, "sample_weight must be numbers"),
    ({"sample_weight": [1j] * 4}, "sample_weight must be numbers"),
    ({"X": sparse.csr_array(np.where(X == 2, np.nan, X))}, "Input X contains NaN in column 0"),
    ({"X": sparse.csr_array(np.where(X == 2, np.inf, X))}, "Input X contains infinity in column 0"),
    ({"X": ["abc"] * 4}, "Expected 2D array, got 1D array of str"),
    ({"X_val": np.full_like(X, np.inf), "y_val": Y}, "X_val and y_val must be like X and y"),
    ({"groups": [0, 1]}, r"groups must have one entry for each row, .* \[4, 2\]"),
    ({"X": X[:3]}, "inconsistent numbers of samples"),
    ({"y": None}, "requires y to be passed"),
    ({"X": np.array([["a", "1"]] * 4)}, "in column 0, got .*name it in categorical_features"),
    ({"y": Y[:3]}, "inconsistent numbers of samples"),
    ({"sample_weight": [1, 1]}, r"sample_weight must have shape \(4,\), got \(2,\)"),
    ({"sample_weight": [1, -1, 1, 1]}, "sample_weight must not be negative"),
    ({"sample_weight": [1, np.nan, 1, 1]}, "sample_weight must be finite"),
    ({"sample_weight": np.zeros(4)}, "sample_weight must hold a weight above zero"),
    ({"sample_weight": "balanced"}, "sample_weight must be numbers"),
    ({"X_val": X}, "X_val and y_val must be given together"),
    ({"y_val": Y}, "X_val and y_val must be given together"),
    ({"X_val": X[:, :1], "y_val": Y}, "1 features, but .* expecting 2 features"),
    ({"X_val": X[:2], "y_val": Y}, "inconsistent numbers of samples"),
    ({"X_val": np.full_like(X, np.inf), "y_val": Y}, "contains infinity"),
]
with suppress(ValueError):  # not available before SciPy 1.15
    BAD_DATA.append(({"X": sparse.coo_array(np.ones((2, 2, 2)))}, "Found array with dim 3"))

BAD_DATA_OF_ONE = [
    ("classifier", {"X": MIXED, "y": [0, 1, 2, 1]}, "Only binary classification is supported"),
    ("classifier", {"y": [0, 1, pd.NA, 1]}, "Input y contains NaN: 1 of 4 labels are missing"),
    ("classifier", {"y": pd.Series([0, 1, None, 1], dtype="Int64")}, "1 of 4 labels are missing"),
    ("classifier", {"y": np.ma.array(Y, mask=[0, 0, 1, 0])}, "1 of 4 labels are missing"),
    (
        "classifier",
        {"y": pd.Series(["a", "b", None, "b"], dtype="string")},
        "1 of 4 labels are missing",
    ),
    (
        "classifier",
        {"y": pd.Series([1, "a", 1, "a"], dtype=object)},
        "y must hold labels that can be told apart",
    ),
    ("classifier", {"y": torch.empty(4, device="meta")}, "y must hold one label for each row"),
    (
        "classifier",
        {"groups": ["a", None, "b", "c"]},
        "Input groups contains NaN: 1 of 4 labels are missing",
    ),
    ("classifier", {"y": [0, 1, 2, 1]}, "Only binary classification is supported"),
    ("classifier", {"y": [[0, 1]] * 4}, r"y should be a 1d array.*\(4, 2\).*MultiOutputClassifier"),
    ("classifier", {"y": [0.1, 0.4, 0.3, 0.9]}, "continuous"),
    ("classifier", {"y": [1, 1, 1, 1]}, "two classes, got one class"),
    ("classifier", {"y": [0, 1, np.nan, 1]}, "Input y contains NaN"),
    ("classifier", {"y": [0, 1, None, 1]}, "y contains NaN|must be|NoneType|unknown"),
    ("classifier", {"y": np.stack([Y, Y], axis=1)}, "y should be a 1d array"),
    ("classifier", {"y": [{0}, {1}, {0}, {1}]}, "y|set"),
    ("classifier", {"sample_weight": [1, 0, 1, 0]}, "2 classes with a weight above zero"),
    ("classifier", {"X_val": X, "y_val": [0, 1, 2, 1]}, "y_val must hold only the classes"),
    ("regressor", {"y": [0, 1, pd.NA, 1]}, "Input y contains NaN: 1 of 4 numbers are missing"),
    ("regressor", {"y": [0, 1, np.inf, 1]}, "Input y contains infinity"),
    ("regressor", {"y": list("abab")}, r"y must hold real numbers, got 'a' \(str\)"),
    ("regressor", {"y": ["1", "2", "3", "4"]}, r"y must hold real numbers, got '1' \(str\)"),
    ("regressor", {"y": pd.date_range("2020", periods=4)}, "y must hold real numbers, got dates"),
    ("regressor", {"y": np.arange(4).astype("m8[D]")}, "y must hold real numbers, got durations"),
    ("regressor", {"y": [1j, 2, 3, 4]}, "Complex data not supported"),
    ("regressor", {"y": [{0}, {1}, {0}, {1}]}, r"y must hold real numbers, got \{0\} \(set\)"),
    ("regressor", {"y": np.zeros((4, 2, 2))}, "Found array with dim 3"),
    (
        "regressor",
        {"y": np.empty((4, 0))},
        r"y must hold one number for each row, got shape \(4, 0\)",
    ),
    ("regressor", {"y": sparse.csr_array(X)}, "y must be dense"),
    ("regressor", {"y": 3.0}, r"y must hold one number for each row, got 3\.0 \(float\)"),
    ("regressor", {"y": torch.empty(4, device="meta")}, "y must hold one number for each row"),
    ("regressor", {"X_val": X, "y_val": [0, 1, None, 1]}, "Input y_val contains NaN"),
    (
        "regressor",
        {"X_val": X, "y_val": X},
        "y_val must have as many numbers a row as y had, 1",
    ),
    ("regressor", {"X": MIXED, "y": list("abab")}, "y must hold real numbers"),
]


@pytest.fixture(params=ESTIMATORS)
def estimator_class(request):
    return ESTIMATORS[request.param]


def fitted(estimator_class=DeepBinaryClassifier):
    return estimator_class(max_iter=2, random_state=0).fit(X, Y)


def for_both(shared, of_one):
    """Return rows (estimator, invalid input, message)."""
    return [(name, *row) for name in ESTIMATORS for row in shared] + of_one


@pytest.mark.parametrize(
    ("name", "parameters", "message"), for_both(BAD_PARAMETERS, BAD_PARAMETERS_OF_ONE)
)
def test_an_invalid_parameter_raises_with_its_constraint(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        ESTIMATORS[name](**parameters).fit(X, Y)


@pytest.mark.parametrize(("name", "data", "message"), for_both(BAD_DATA, BAD_DATA_OF_ONE))
def test_invalid_data_raise(name, data, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ESTIMATORS[name]().fit(**{"X": X, "y": Y, **data})


@pytest.mark.parametrize(
    "failing",
    [
        lambda clf: clf.fit(np.ones((4, 7)), ["n", None, "n", "y"]),
        lambda clf: clf.set_params(learning_rate=-1).fit(np.ones((4, 7)), Y),
        lambda clf: clf.set_params(
            optimizer="sgd", activation="identity", learning_rate=1e30, dtype="float32"
        ).fit(X, Y),
        lambda clf: clf.fit(pd.DataFrame(X, columns=["a", "b"]), Y, sample_weight=np.zeros(4)),
    ],
)
def test_a_failed_fit_leaves_the_estimator_unchanged(failing, estimator_class):
    clf = fitted(estimator_class)
    before, learned = clf.predict(X), sorted(vars(clf))
    with pytest.raises(ValueError):  # noqa: PT011
        failing(clf)
    assert sorted(vars(clf)) == learned
    assert clf.n_features_in_ == 2
    np.testing.assert_array_equal(clf.predict(X), before)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((2, 3)), "3 features, but Deep(BinaryClassifier|Regressor) is expecting 2"),
        (np.full((2, 2), np.inf), "Input X contains infinity"),
        (np.ones(2), "Expected 2D array"),
        (np.empty((0, 2)), r"0 sample\(s\)"),
    ],
)
def test_invalid_data_for_predict_raise(data, message, estimator_class):
    fit = fitted(estimator_class)
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        if hasattr(fit, name):
            with pytest.raises(ValueError, match=message):
                getattr(fit, name)(data)


NUMBERS = pd.DataFrame(X, columns=["a", "b"])
NOT_TWO_AXES = {
    "row of numbers": (NUMBERS.iloc[0], "1D array"),
    "row": (MIXED.iloc[0], "1D array of (float|float64)"),
    "column": (NUMBERS["a"], "1D array"),
    "column of text": (MIXED["colour"], "1D array of str"),
    "column of categories": (MIXED["colour"].astype("category"), "1D array of str"),
    "PyArrow": (pa.chunked_array([[1.0, 2.0]]), "1D array"),
    "text of PyArrow": (pa.array(["a", "b"]), "1D array of (str|StringScalar)"),
    "array": (X[0], "1D array"),
    "objects": (np.array(["a", 1.0], dtype=object), "1D array of str"),
    "tensor": (torch.ones(2), "1D array"),
    "list": ([1.0, 2.0], "1D array"),
    "list of dicts": ([{"a": 1}], "1D array of dict"),
    "sparse": (sparse.coo_array(np.ones(2)), "1D array"),
    "number": (1.0, "scalar array"),
    "array without axes": (np.array(1.0), "scalar array"),
    "tensor without axes": (torch.tensor(1.0), "scalar array"),
    "dict": ({"a": 1.0, "b": 2.0}, "dict"),
}
if find_spec("polars"):
    import polars as pl

    NOT_TWO_AXES |= {
        "row of polars": (pl.from_pandas(MIXED).row(0), "1D array of float"),
        "Series of polars": (pl.Series([1.0, 2.0]), "1D array"),
        "text of polars": (pl.Series(["a", "b"]), "1D array of str"),
    }


@pytest.mark.parametrize("fitted_on", [X, MIXED], ids=["numbers", "mixed"])
@pytest.mark.parametrize("name", NOT_TWO_AXES)
def test_data_without_two_axes_raise_and_suggest_reshaping(
    name, fitted_on, estimator_class, tmp_path
):
    data, got = NOT_TWO_AXES[name]
    model = estimator_class(n_units=2, max_iter=2)
    message = (
        rf"Expected 2D array, got {got} instead\. Reshape your data either using array\.reshape"
        r"\(-1, 1\) if .* single feature or array\.reshape\(1, -1\) if .* a single sample"
    )
    classes = {"classes": [0, 1]} if estimator_class is DeepBinaryClassifier else {}
    fit = clone(model).fit(fitted_on, Y)
    calls = [
        lambda: clone(model).fit(data, Y[:2]),
        lambda: clone(model).partial_fit(data, Y[:2], **classes),
        lambda: clone(model).fit(fitted_on, Y, X_val=data, y_val=Y[:2]),
        lambda: fit.predict(data),
        lambda: fit.score(data, Y[:1]),
        lambda: fit.write_predictions(data, tmp_path / "predictions.parquet"),
    ]
    if estimator_class is DeepBinaryClassifier:
        calls += [lambda: fit.predict_proba(data), lambda: fit.decision_function(data)]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match=message):
            call()


@pytest.mark.parametrize(
    ("device", "n_devices", "cuda", "message"),
    [
        ("cuda", 0, "12.8", r"device='cuda' was requested, but no CUDA device is available\. Use"),
        ("cuda", 0, None, r"available, since PyTorch .+ is built without CUDA\. Use device='cpu'"),
        (torch.device("cuda", 1), 0, None, "device='cuda:1' was requested, but no CUDA device is"),
        ("cuda:3", 2, "12.8", r"device='cuda:3' was .* but the last CUDA device is 'cuda:1'\."),
    ],
)
def test_a_missing_device_raises(estimator_class, device, n_devices, cuda, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(ValueError, match=message):
        estimator_class(device=device).fit(X, Y)


def test_a_polars_lazy_frame_raises():
    X = pytest.importorskip("polars").LazyFrame({"a": [1, 2, 3, 4]})
    with pytest.raises(TypeError, match=r"X must hold its rows in memory or .* X\.collect\(\)"):
        DeepBinaryClassifier().fit(X, Y)


def test_the_tables_of_cases_are_complete():
    assert len(BAD_PARAMETERS) >= 40
    assert len(BAD_DATA) >= 25
    for rows, least in ((BAD_PARAMETERS_OF_ONE, 5), (BAD_DATA_OF_ONE, 15)):
        for name in ESTIMATORS:
            assert sum(row[0] == name for row in rows) >= least
