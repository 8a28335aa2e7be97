"""Invariants of fit, predict, pickle and clone for any valid parameters and data."""

import pickle
import warnings

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn.base import clone

from skdnn import DeepBinaryClassifier
from skdnn.network import ACTIVATIONS, LOSSES


@st.composite
def layers(draw):
    """Draw the parameters of the layers, each for all layers or for each layer."""
    n_hidden = draw(st.integers(0, 3))

    def for_each(strategy):
        return strategy | st.tuples(*[strategy] * n_hidden)

    return {
        "n_layers": n_hidden + 1,
        "n_units": draw(for_each(st.integers(1, 6))),
        "activation": draw(for_each(st.sampled_from([*ACTIVATIONS, torch.sin, torch.nn.Softplus]))),
        "dropout": draw(for_each(st.floats(0, 0.9))),
    }


@st.composite
def parameters(draw):
    optimizer = draw(
        st.sampled_from(["adam", "adamw", "sgd", "lbfgs", torch.optim.RMSprop, torch.optim.Adagrad])
    )
    has_steps = optimizer != "lbfgs"
    return {
        **draw(layers()),
        "optimizer": optimizer,
        "init_scale": draw(st.sampled_from(["auto", 0.0, 0.01, 1.0])),
        "learning_rate": draw(st.floats(1e-6, 1e-2)),
        "learning_rate_schedule": draw(
            st.sampled_from(["auto", "constant", "invscaling", "cosine", "warmup_cosine"])
        ),
        "momentum": draw(st.floats(0, 0.95)),
        "nesterovs_momentum": draw(st.booleans()),
        "weight_decay": draw(st.sampled_from(["auto", 0.0, 0.1])),
        "max_grad_norm": draw(st.none() | st.floats(1e-3, 10)) if has_steps else None,
        "weight_averaging": draw(st.sampled_from([0.0, 0.5, 0.99])) if has_steps else 0.0,
        "loss": draw(st.sampled_from([*LOSSES])),
        "shuffle": draw(st.booleans()),
        "batch_size": draw(st.sampled_from(["auto", None, 1, 7, 1000])),
        "max_iter": draw(st.integers(1, 4)),
        "tol": draw(st.floats(0, 0.1)),
        "n_iter_no_change": draw(st.integers(1, 3)),
        "early_stopping": draw(st.sampled_from(["auto", True, False])),
        "scoring": draw(st.sampled_from([None, "roc_auc", "neg_log_loss"])),
        "validation_fraction": draw(st.floats(0.2, 0.6)),
        "standardize": draw(st.booleans()),
        "class_weight": draw(st.sampled_from([None, "balanced"])),
        "dtype": draw(st.sampled_from(["auto", "float32", "float64"])),
        "n_threads": draw(st.sampled_from([None, 1, 2])),
        "random_state": draw(st.integers(0, 2**32 - 1)),
    }


@st.composite
def examples(draw):
    """Draw X in any container with ties and constant columns, any two labels, and weights."""
    m, n = draw(st.integers(12, 40)), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int16]))
    X = draw(arrays(dtype, (m, n), elements=st.integers(-9, 9).map(dtype)))
    X = X * draw(st.sampled_from([1, 3]))
    container = draw(st.sampled_from([np.asarray, sparse.csr_array, torch.from_numpy, list]))
    labels = draw(st.sampled_from([(0, 1), ("no", "yes"), (False, True), (-1.0, 7.0)]))
    y = np.array(labels)[(np.arange(m) % draw(st.integers(2, 3)) == 0).astype(int)]
    weight = draw(st.none() | arrays(np.float64, m, elements=st.floats(0.1, 10)))
    return container(X), y, weight


@given(parameters(), examples())
@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
def test_invariants_hold_for_any_parameters_and_data(parameters, examples):
    X, y, weight = examples
    clf = DeepBinaryClassifier(device="cpu", **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of saturated outputs and max_iter, which are valid
        clf.fit(X, y, sample_weight=weight)
        twin = clone(clf).fit(X, y, sample_weight=weight)
    P = clf.predict_proba(X)
    assert P.shape == (len(y), 2)
    assert ((P >= 0) & (P <= 1)).all()
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-6)
    assert set(clf.predict(X)) <= set(y)
    assert len(clf.loss_curve_) == clf.n_iter_ <= parameters["max_iter"]
    np.testing.assert_array_equal(twin.predict_proba(X), P)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), P)
    assert again.get_params().keys() == clf.get_params().keys()
