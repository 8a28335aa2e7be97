"""What users set in torch around fit and predict changes no answer."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch

from skdnn import DeepBinaryClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
FRAME = pd.DataFrame(X, columns=list("abc")).assign(kind=RNG.choice(["u", "v"], 120))
Y = X[:, 0] > 0


@contextmanager
def default(name, value):
    """Set a default of torch's for a while."""
    before = getattr(torch, f"get_default_{name}")()
    change = getattr(torch, f"set_default_{name}")
    change(value)
    try:
        yield
    finally:
        change(before)


STATES = {
    "default device": lambda: default("device", "meta"),
    "default dtype": lambda: default("dtype", torch.float16),
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


def answers(model, data):
    clf = DeepBinaryClassifier(**{"n_units": 4, "max_iter": 3, "random_state": 0, **model})
    clf.fit(data, Y)
    module = clf.to_module()
    return clf.predict_proba(data), module


@pytest.mark.parametrize("data", [X, FRAME], ids=["array", "frame"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("state", STATES)
def test_it_changes_no_answer(state, model, data):
    expected, _ = answers(MODELS[model], data)
    with STATES[state]():
        P, module = answers(MODELS[model], data)
    np.testing.assert_array_equal(P, expected)
    if data is X:
        answer = module(torch.from_numpy(X)).detach().numpy()
        np.testing.assert_allclose(answer, expected[:, 1], rtol=1e-5)


@pytest.mark.parametrize("state", STATES)
def test_it_changes_nothing_of_going_on(state):
    def learn():
        clf = DeepBinaryClassifier(n_units=4, random_state=0)
        for rows in (slice(0, 60), slice(60, 120)):
            clf.partial_fit(X[rows], Y[rows], classes=[False, True])
        return clf.predict_proba(X)

    expected = learn()
    with STATES[state]():
        np.testing.assert_array_equal(learn(), expected)


def test_labels_and_weights_may_be_tensors_that_numpy_has_no_dtype_for():
    labels, weight = torch.from_numpy(Y).bfloat16(), torch.ones(120, dtype=torch.bfloat16)
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, random_state=0)
    P = clf.fit(X, labels, sample_weight=weight).predict_proba(X)
    np.testing.assert_array_equal(P, clf.fit(X, Y).predict_proba(X))
