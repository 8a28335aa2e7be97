"""Settings of torch and NumPy do not change results, and fits do not change the settings."""

import os
import pickle
import re
import signal
import sys
import warnings
from contextlib import contextmanager

import fresh
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from process_state import global_state
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import (
    ActivationDisplay,
    DecisionBoundariesDisplay,
    DeepBinaryClassifier,
    DeepRegressor,
    LossCurveDisplay,
    NetworkDisplay,
    WeightImagesDisplay,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
FRAME = pd.DataFrame(X, columns=list("abc")).assign(kind=RNG.choice(["u", "v"], 120))
Y = X[:, 0] > 0


@contextmanager
def default(change, value, before):
    """Set a default of torch inside the block."""
    change(value)
    try:
        yield
    finally:
        change(before)


STATES = {
    # None instead of "cpu": once a device is set, torch intercepts every call of its functions.
    "default device": lambda: default(torch.set_default_device, "meta", None),
    "default dtype": lambda: default(torch.set_default_dtype, torch.float16, torch.float32),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "errors of NumPy": lambda: np.errstate(all="raise"),
}
MODELS = {
    "default": {},
    "several": {"n_networks": 5, "dropout": 0.1, "weight_averaging": 0.5, "max_grad_norm": 1.0},
    "own activation": {"activation": torch.sin, "early_stopping": True, "scoring": "roc_auc"},
    "one layer": {"n_layers": 1, "optimizer": "lbfgs", "standardize": True},
    "of torch": {"optimizer": torch.optim.RMSprop, "standardize": "robust"},
}


DATA = {"array": X, "frame": FRAME}


def raw_predict(model, data):
    parameters = {"n_units": 4, "max_iter": 3, "random_state": 0, **MODELS[model]}
    clf = DeepBinaryClassifier(**parameters).fit(DATA[data], Y)
    module = clf.to_module()
    return clf.predict_proba(DATA[data]), module


@pytest.fixture(scope="module")
def expected():
    """Return the predictions of every model in the default state."""
    return {(model, data): raw_predict(model, data)[0] for model in MODELS for data in DATA}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("state", STATES)
def test_settings_do_not_change_predictions(state, model, data, expected):
    expected = expected[model, data]
    with STATES[state]():
        P, module = raw_predict(model, data)
    np.testing.assert_array_equal(P, expected)
    if data == "array":
        found = module(torch.from_numpy(X)).detach().numpy()
        np.testing.assert_allclose(found, expected[:, 1], rtol=1e-5)


@pytest.mark.parametrize("state", STATES)
def test_settings_do_not_change_partial_fit(state):
    def fit():
        clf = DeepBinaryClassifier(n_units=4, random_state=0)
        for rows in (slice(0, 60), slice(60, 120)):
            clf.partial_fit(X[rows], Y[rows], classes=[False, True])
        return clf.predict_proba(X)

    expected = fit()
    with STATES[state]():
        np.testing.assert_array_equal(fit(), expected)


def test_labels_and_weights_may_be_bfloat16_tensors():
    labels, weight = torch.from_numpy(Y).bfloat16(), torch.ones(120, dtype=torch.bfloat16)
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, random_state=0)
    P = clf.fit(X, labels, sample_weight=weight).predict_proba(X)
    np.testing.assert_array_equal(P, clf.fit(X, Y).predict_proba(X))


# -- the state of the process is unchanged --------------------------------------------------------


def state_of_the_process():
    return global_state() | {"environment": dict(os.environ)}


def unchanged(call, *arguments):
    """Return the result of a call, and check that the state of the process is unchanged."""
    before = state_of_the_process()
    result = call(*arguments)
    after = state_of_the_process()
    assert after == before, (call, [key for key in before if before[key] != after[key]])
    return result


def call_methods_and_check_the_state():
    """Call every method in a fresh process."""
    warnings.simplefilter("ignore")
    torch.set_default_dtype(torch.float64)
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = (X[:, 0] > 0).astype(int)
    for activation, optimizer in (
        ("relu", "adam"), (torch.tanh, "lbfgs"), (torch.nn.Softplus, torch.optim.Adam),
    ):  # fmt: skip
        clf = DeepBinaryClassifier(
            activation=activation, optimizer=optimizer, dropout=0.1, max_iter=30,
            early_stopping=True, n_units=8, tol=0.01, n_iter_no_change=3,
        )  # fmt: skip
        unchanged(clf.fit, X, y)
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            unchanged(getattr(clf, method), X)
        unchanged(clf.score, X, y)
        unchanged(clf.to_module)
        unchanged(pickle.loads, unchanged(pickle.dumps, clf))
    before = state_of_the_process()
    with pytest.raises(ValueError, match="diverged"):
        DeepBinaryClassifier(activation="identity", optimizer="sgd", learning_rate=1e300).fit(X, y)
    assert state_of_the_process() == before


@pytest.mark.slow
def test_global_state_is_unchanged_after_every_call_in_a_fresh_process():
    fresh.call(call_methods_and_check_the_state)


def halved_product(Z):  # autocast computes its product in bfloat16
    return torch.tanh(Z @ torch.eye(Z.shape[-1], dtype=Z.dtype, device="cpu"))


NESTED = {
    "estimator": lambda clf: clf,
    "pipeline": lambda clf: make_pipeline(StandardScaler(), clf),
    "search": lambda clf: GridSearchCV(clf, {"n_units": [3]}, cv=2),
    "one-vs-rest": OneVsRestClassifier,
    "calibrated": lambda clf: CalibratedClassifierCV(clf, cv=2),
    "voting": lambda clf: VotingClassifier([("a", clf), ("b", clf)]),
}


@pytest.mark.parametrize("activation", [halved_product, torch.nn.Softsign])
@pytest.mark.parametrize("name", NESTED)
def test_the_html_is_the_same_in_every_state(name, activation):
    clf = DeepBinaryClassifier(n_units=3, activation=activation, max_iter=2, random_state=0)
    model = NESTED[name](clf).fit(X, Y)
    expected = re.sub(r"sk-[\w-]+", "", model._repr_html_())
    for state in STATES.values():
        with state():
            found = re.sub(r"sk-[\w-]+", "", model._repr_html_())
        assert found == expected


@pytest.mark.parametrize("activation", [halved_product, torch.nn.Softsign, "relu"])
def test_displays_are_the_same_in_every_state(activation):
    clf = DeepBinaryClassifier(n_units=3, activation=activation, max_iter=2, random_state=0)
    clf.fit(X[:, :2], Y)

    def drawn():
        curves = ActivationDisplay.from_activation(activation)
        planes = DecisionBoundariesDisplay.from_estimators(
            {"a": clf}, X[:, :2], Y, grid_resolution=5
        )
        network = NetworkDisplay.from_estimator(clf)
        images = WeightImagesDisplay.from_estimator(clf, image_shape=(1, 2))
        loss = LossCurveDisplay.from_estimator(clf)
        texts = [text.get_text() for text in network.ax_.texts]
        plt.close("all")
        arrays = curves.A, curves.derivative, planes.probabilities["a"], images.images
        return texts, [*map(np.asarray, arrays), np.asarray(loss.loss_curve)]

    texts, arrays = drawn()
    for state in STATES.values():
        with state():
            texts_found, found = drawn()
        assert texts_found == texts
        for pair in zip(found, arrays, strict=True):
            np.testing.assert_array_equal(*pair)


# -- no threads of OpenMP are started, so that the process can be forked --------------------------


def call_every_method(**parameters):
    """Call every method with few and with many rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 20))
    y = (X[:, 0] > 0).astype(int)
    for estimator in (DeepBinaryClassifier, DeepRegressor):
        for n_networks in (1, 5):
            fitted = estimator(n_networks=n_networks, max_iter=1, random_state=0, **parameters)
            fitted.fit(X, y, X_val=X[:100], y_val=y[:100])
            for n_rows in (1, 5, 100, 2_000):
                fitted.predict(X[:n_rows])
                fitted.score(X[:n_rows], y[:n_rows])
                fitted.predict(pd.DataFrame(X[:n_rows]))
        classes = {"classes": [0, 1]} if estimator is DeepBinaryClassifier else {}
        estimator(**parameters).partial_fit(X, y, **classes)


def count_new_threads():
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    before = len(os.listdir("/proc/self/task"))
    call_every_method(n_threads=1)
    call_every_method()
    ours = len(os.listdir("/proc/self/task")) - before
    torch.rand(300, 300) @ torch.rand(300, 300)
    return ours, len(os.listdir("/proc/self/task")) - before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc lists the threads of a process")
def test_no_call_starts_a_thread_of_openmp():
    ours, with_products_of_torch = fresh.call(count_new_threads)
    assert ours == 0
    assert with_products_of_torch > 0, "this test does not detect threads of OpenMP"


def fork_after_calls():
    """Return the exit status of a child process that calls every method after its parent did."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    call_every_method()
    child = os.fork()
    if child == 0:
        signal.alarm(50)  # ends a child that waits forever
        call_every_method()
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork processes")
def test_a_forked_process_fits_and_predicts():
    assert fresh.call(fork_after_calls) == 0
