"""Tests that a fit which is trained together with others ends with what it reaches alone."""

import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from skdnn import DeepBinaryClassifier, DeepRegressor, together

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(230, 6, n_informative=4, flip_y=0.2, random_state=0)
SMALL = {"n_units": 8, "max_iter": 12, "batch_size": 32, "dtype": "float64", "random_state": 0}
CLASSIFIER = DeepBinaryClassifier(**SMALL)
REGRESSOR = DeepRegressor(**SMALL)


def fitted(model, arguments):
    """Return a fitted clone, or what its fit raised."""
    try:
        return clone(model).fit(*arguments[:2], **(arguments[2] if len(arguments) > 2 else {}))
    except ValueError as error:
        return error


def fits_alone_and_together(models, arguments):
    """Return the fitted models, fitted one after another and in a meeting."""
    jobs = [(model, given) for model, given in zip(models, arguments, strict=True)]
    alone = [fitted(*job) for job in jobs]
    with together():
        met = Parallel()(delayed(fitted)(*job) for job in jobs)
    return alone, met


def assert_equal_fits(alone, met):
    """Assert that two fitted models have learnt the same, on the same way."""
    assert vars(alone).keys() == vars(met).keys()
    learned = [name for name in vars(alone) if name.endswith("_")]
    assert {"coefs_", "n_iter_", "best_iter_", "t_", "loss_curve_", "best_loss_"} <= set(learned)
    for name in learned:
        assert_equal_values(getattr(alone, name), getattr(met, name), name)


def assert_equal_values(alone, met, name):
    """Assert that two fitted attributes are equal, floats up to rounding."""
    if isinstance(alone, dict):
        assert alone.keys() == met.keys()
        assert_equal_values([*alone.values()], [*met.values()], name)
    elif isinstance(alone, list | tuple):
        for pair in zip(alone, met, strict=True):
            assert_equal_values(*pair, name)
    elif isinstance(alone, float) or getattr(alone, "dtype", None) == np.float64:
        assert_allclose(met, alone, rtol=1e-9, atol=1e-11, err_msg=name)
    else:
        assert np.array_equal(alone, met), name


def variants(model, **grid):
    """Return the model with each of the values of a parameter, or of several in step."""
    names, rows = list(grid), zip(*grid.values(), strict=True)
    return [clone(model).set_params(**dict(zip(names, row, strict=True))) for row in rows]


DIFFERENCES = {
    "seed": {"random_state": [0, 1, 2]},
    "learning rate": {"learning_rate": [1e-3, 1e-2, 1e-2]},
    "schedule": {"learning_rate_schedule": ["constant", "cosine", "warmup_cosine"]},
    "own schedule": {
        "learning_rate_schedule": ["constant", lambda epoch, n: 1 / (1 + epoch), "cosine"]
    },
    "momentum": {
        "optimizer": ["sgd"] * 4,
        "momentum": [0.0, 0.9, 0.5, 0.9],
        "learning_rate": [0.1, 0.03, 0.1, 0.1],
    },
    "Nesterov's momentum": {
        "optimizer": ["sgd"] * 4,
        "momentum": [0.5, 0.9, 0.5, 0.9],
        "nesterovs_momentum": [True, True, False, False],
    },
    "weight decay": {"weight_decay": [0.0, 0.1, 0.01]},
    "decoupled weight decay": {"optimizer": ["adamw"] * 3, "weight_decay": [0.0, 0.1, 0.01]},
    "averaging": {"weight_averaging": [0.0, 0.9, 0.99]},
    "clipping": {"max_grad_norm": [None, 0.1, 1.0]},
    "max_iter": {"max_iter": [3, 12, 7]},
    "patience": {
        "max_iter": [40] * 3,
        "n_iter_no_change": [2, 3, 10],
        "tol": [1e-3, 0.05, 1e-4],
        "early_stopping": [True] * 3,
    },
    "class weight": {"class_weight": [None, "balanced", {0: 1, 1: 5}]},
    "standardisation": {"standardize": [True, False, "smooth_clip"]},
    "scorer": {"scoring": ["roc_auc", "accuracy", "neg_log_loss"], "early_stopping": [True] * 3},
    "initial scale": {"init_scale": ["auto", 0.01, 0.1]},
    "dropout": {"dropout": [0.3] * 3, "random_state": [0, 1, 2]},
    "full batch": {"batch_size": [None] * 3, "learning_rate": [0.01, 0.1, 0.03]},
    "order": {"shuffle": [True, False, False], "random_state": [0, 1, 2]},
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_fits_that_differ_end_as_alone(difference, stacks):
    models = variants(CLASSIFIER, **DIFFERENCES[difference])
    n_alone = 2 * (difference == "Nesterov's momentum")
    pairs = fits_alone_and_together(models, [(X, Y)] * len(models))
    assert sorted(stacks) == ([2, 2] if n_alone else [len(models)])
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_rows_may_differ_by_one_and_folds_be_any(early_stopping, stacks):
    model = clone(CLASSIFIER).set_params(early_stopping=early_stopping, max_iter=20)
    rows = [np.arange(200), np.arange(10, 209), np.arange(30, 230), np.arange(5, 203)]
    pairs = fits_alone_and_together([model] * 4, [(X[part], Y[part]) for part in rows])
    assert stacks == [4]
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)


def test_weights_and_rows_to_watch_are_each_ones_own(stacks):
    weights = [np.random.default_rng(k).uniform(0.1, 3, len(Y)) for k in range(3)]
    watched = [{"X_val": X[k::7], "y_val": Y[k::7], "sample_weight": w} for k, w in
               enumerate(weights)]  # fmt: skip
    pairs = fits_alone_and_together([CLASSIFIER] * 3, [(X, Y, options) for options in watched])
    assert stacks == [3]
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)


def test_encodings_are_each_ones_own(stacks):
    frame = pd.DataFrame(X).rename(columns=str)
    frame["colour"] = pd.Categorical(np.random.default_rng(0).choice(["red", "blue"], len(Y)))
    frame.loc[::5, "0"] = np.nan
    pairs = fits_alone_and_together([CLASSIFIER] * 3, [(frame[k:], Y[k:]) for k in (0, 1, 2)])
    assert stacks == [3]
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("n_networks", [1, 3])
def test_numbers_are_learnt_as_alone(n_networks, early_stopping, stacks):
    options = {"n_networks": [n_networks] * 3, "early_stopping": [early_stopping] * 3}
    models = variants(REGRESSOR, learning_rate=[1e-3, 1e-2, 3e-2], **options)
    y = X[:, 0] + X[:, 1] ** 2
    pairs = fits_alone_and_together(models, [(X[:, 1:], y)] * 3)
    assert stacks == [3]
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)


def test_quantiles_are_learnt_as_alone(stacks):
    models = variants(
        REGRESSOR, loss=["quantile"] * 3, quantile=[0.9] * 3, learning_rate=[1e-3, 1e-2, 3e-2]
    )
    pairs = fits_alone_and_together(models, [(X[:, 1:], X[:, 0])] * 3)
    assert stacks == [3]
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)


def test_several_networks_of_several_fits_are_one_stack(stacks):
    models = variants(CLASSIFIER, random_state=[0, 1, 2], n_networks=[4] * 3, max_iter=[30] * 3)
    pairs = fits_alone_and_together(models, [(X, Y)] * 3)
    assert stacks == [3]
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)
        assert_allclose(alone.oob_proba_, met.oob_proba_, rtol=1e-9)


def test_float32_ends_close_to_alone(stacks):
    models = variants(CLASSIFIER, learning_rate=[1e-3, 1e-2, 3e-3], dtype=["float32"] * 3)
    pairs = fits_alone_and_together(models, [(X, Y)] * 3)
    assert stacks == [3]
    for alone, met in zip(*pairs, strict=True):
        assert alone.coefs_[0].dtype == met.coefs_[0].dtype == np.float32
        assert_allclose(met.predict_proba(X), alone.predict_proba(X), atol=1e-4)


def test_a_fit_that_diverges_raises_as_alone_and_leaves_the_others(stacks):
    models = variants(CLASSIFIER, optimizer=["sgd"] * 3, learning_rate=[0.1, 1e200, 0.01])
    alone, met = fits_alone_and_together(models, [(X, Y)] * 3)
    assert stacks == [3]
    assert str(met[1]) == str(alone[1])
    for k in (0, 2):
        assert_equal_fits(alone[k], met[k])


UNFIT = {
    "L-BFGS": {"optimizer": "lbfgs"},
    "an optimizer of torch's": {"optimizer": torch.optim.RMSprop},
    "threads asked for": {"n_threads": 2},
    "lines": {"verbose": 1},
    "a function of the user's": {"activation": lambda Z: Z / (1 + Z.abs().max())},
    "a checkpoint": {"checkpoint": "fit.ckpt"},
}


@pytest.mark.parametrize("reason", UNFIT)
def test_what_no_stack_has_is_trained_by_itself_and_the_others_together(
    reason, stacks, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    models = [CLASSIFIER, clone(CLASSIFIER).set_params(**UNFIT[reason]), CLASSIFIER]
    alone, met = fits_alone_and_together(models, [(X, Y)] * 3)
    assert sorted(stacks) == [1, 2]
    for pair in zip(alone, met, strict=True):
        assert_equal_fits(*pair)


def test_a_schedule_that_fails_fails_its_own_fit_alone(stacks):
    def failing(epoch, max_iter):
        return -1 if epoch > 2 else 1

    models = variants(CLASSIFIER, learning_rate_schedule=["cosine", failing, "constant"])
    alone, met = fits_alone_and_together(models, [(X, Y)] * 3)
    assert stacks == [3, 1, 1, 1]
    assert str(met[1]) == str(alone[1])
    for k in (0, 2):
        assert_equal_fits(alone[k], met[k])


def test_other_shapes_are_other_stacks(stacks):
    models = variants(CLASSIFIER, n_layers=[1, 2, 3, 1, 2, 3], random_state=range(6))
    pairs = fits_alone_and_together(models, [(X, Y)] * 6)
    assert stacks == [2, 2, 2]
    for alone, met in zip(*pairs, strict=True):
        assert_equal_fits(alone, met)


def test_the_same_warnings_reach_the_user():
    models = variants(CLASSIFIER, random_state=[0, 1, 2])
    with pytest.warns(ConvergenceWarning) as record, together():
        Parallel()(delayed(clone(model).fit)(X, Y) for model in models)
    assert len(record) == 3


def test_nothing_is_left_behind():
    filters, threads = list(warnings.filters), threading.active_count()
    found = torch.get_num_threads(), torch.is_grad_enabled()
    fits_alone_and_together([CLASSIFIER] * 3, [(X, Y)] * 3)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == found
    assert list(warnings.filters) == filters
    assert threading.active_count() == threads
