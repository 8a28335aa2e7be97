"""Tests that fits which are trained together give the results of separate fits."""

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


def fit(model, arguments):
    """Return a fitted clone, or the error of its fit."""
    try:
        return clone(model).fit(*arguments[:2], **(arguments[2] if len(arguments) > 2 else {}))
    except ValueError as error:
        return error


def fit_separately_and_together(models, arguments):
    """Return the models, fitted one after another and fitted together."""
    jobs = [(model, given) for model, given in zip(models, arguments, strict=True)]
    separate = [fit(*job) for job in jobs]
    with together():
        joint = Parallel()(delayed(fit)(*job) for job in jobs)
    return separate, joint


def assert_equal_fits(separate, joint):
    """Assert that the fitted attributes of two models are equal, the learning curves included."""
    assert vars(separate).keys() == vars(joint).keys()
    learned = [name for name in vars(separate) if name.endswith("_")]
    assert {"coefs_", "n_iter_", "best_iter_", "t_", "loss_curve_", "best_loss_"} <= set(learned)
    for name in learned:
        assert_equal_values(getattr(separate, name), getattr(joint, name), name)


def assert_equal_values(separate, joint, name):
    """Assert that two fitted attributes are equal, floats up to rounding."""
    if isinstance(separate, dict):
        assert separate.keys() == joint.keys()
        assert_equal_values([*separate.values()], [*joint.values()], name)
    elif isinstance(separate, list | tuple):
        for pair in zip(separate, joint, strict=True):
            assert_equal_values(*pair, name)
    elif isinstance(separate, float) or getattr(separate, "dtype", None) == np.float64:
        assert_allclose(joint, separate, rtol=1e-9, atol=1e-11, err_msg=name)
    else:
        assert np.array_equal(separate, joint), name


def variants_of(model, **grid):
    """Return one clone of the model for each value of the parameters."""
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
def test_fits_that_differ_in_parameters_give_the_results_of_separate_fits(difference, stacks):
    models = variants_of(CLASSIFIER, **DIFFERENCES[difference])
    has_two_stacks = difference == "Nesterov's momentum"
    pairs = fit_separately_and_together(models, [(X, Y)] * len(models))
    assert sorted(stacks) == ([2, 2] if has_two_stacks else [len(models)])
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)


@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("numeric_embedding", ["auto", "periodic"])
def test_fits_with_cosines_give_the_results_of_separate_fits(numeric_embedding, n_networks, stacks):
    model = clone(CLASSIFIER).set_params(numeric_embedding=numeric_embedding, n_networks=n_networks)
    models = variants_of(model, random_state=range(4), weight_decay=[0.0, 0.01] * 2)
    rows = X.copy()
    rows[:, 3] = np.arange(len(X)) % 4
    pairs = fit_separately_and_together([*models, *models], [(X, Y)] * 4 + [(rows, Y)] * 4)
    # A column of four numbers has fewer bins, and so fewer cosines.
    has_bins = (numeric_embedding, n_networks) != ("auto", 1)
    assert stacks == [4, 4] if has_bins else [8]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)
        assert_allclose(joint._embedding[1], separate._embedding[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_fits_may_have_different_rows_and_numbers_of_rows(early_stopping, stacks):
    model = clone(CLASSIFIER).set_params(early_stopping=early_stopping, max_iter=20)
    rows = [np.arange(200), np.arange(10, 209), np.arange(30, 230), np.arange(5, 203)]
    pairs = fit_separately_and_together([model] * 4, [(X[part], Y[part]) for part in rows])
    assert stacks == [4]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)


def test_each_fit_has_its_own_weights_and_validation_set(stacks):
    weights = [np.random.default_rng(k).uniform(0.1, 3, len(Y)) for k in range(3)]
    options = [
        {"X_val": X[k::7], "y_val": Y[k::7], "sample_weight": weight}
        for k, weight in enumerate(weights)
    ]
    pairs = fit_separately_and_together([CLASSIFIER] * 3, [(X, Y, own) for own in options])
    assert stacks == [3]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)


def test_each_fit_has_its_own_encoding(stacks):
    frame = pd.DataFrame(X).rename(columns=str)
    frame["colour"] = pd.Categorical(np.random.default_rng(0).choice(["red", "blue"], len(Y)))
    frame.loc[::5, "0"] = np.nan
    pairs = fit_separately_and_together([CLASSIFIER] * 3, [(frame[k:], Y[k:]) for k in (0, 1, 2)])
    assert stacks == [3]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("n_networks", [1, 3])
def test_regressors_give_the_results_of_separate_fits(n_networks, early_stopping, stacks):
    options = {"n_networks": [n_networks] * 3, "early_stopping": [early_stopping] * 3}
    models = variants_of(REGRESSOR, learning_rate=[1e-3, 1e-2, 3e-2], **options)
    y = X[:, 0] + X[:, 1] ** 2
    pairs = fit_separately_and_together(models, [(X[:, 1:], y)] * 3)
    assert stacks == [3]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)


def test_quantile_regressors_give_the_results_of_separate_fits(stacks):
    models = variants_of(
        REGRESSOR, loss=["quantile"] * 3, quantile=[0.9] * 3, learning_rate=[1e-3, 1e-2, 3e-2]
    )
    pairs = fit_separately_and_together(models, [(X[:, 1:], X[:, 0])] * 3)
    assert stacks == [3]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)


def test_several_networks_of_several_fits_are_one_stack(stacks):
    models = variants_of(CLASSIFIER, random_state=[0, 1, 2], n_networks=[4] * 3, max_iter=[30] * 3)
    pairs = fit_separately_and_together(models, [(X, Y)] * 3)
    assert stacks == [3]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)
        assert_allclose(separate.oob_proba_, joint.oob_proba_, rtol=1e-9)


def test_results_in_float32_are_close_to_those_of_separate_fits(stacks):
    models = variants_of(CLASSIFIER, learning_rate=[1e-3, 1e-2, 3e-3], dtype=["float32"] * 3)
    pairs = fit_separately_and_together(models, [(X, Y)] * 3)
    assert stacks == [3]
    for separate, joint in zip(*pairs, strict=True):
        assert separate.coefs_[0].dtype == joint.coefs_[0].dtype == np.float32
        assert_allclose(joint.predict_proba(X), separate.predict_proba(X), atol=1e-4)


def test_a_fit_that_diverges_raises_its_usual_error_and_the_others_succeed(stacks):
    models = variants_of(CLASSIFIER, optimizer=["sgd"] * 3, learning_rate=[0.1, 1e200, 0.01])
    separate, joint = fit_separately_and_together(models, [(X, Y)] * 3)
    assert stacks == [3]
    assert str(joint[1]) == str(separate[1])
    for k in (0, 2):
        assert_equal_fits(separate[k], joint[k])


NOT_STACKABLE = {
    "L-BFGS": {"optimizer": "lbfgs"},
    "an optimizer of torch": {"optimizer": torch.optim.RMSprop},
    "a number of threads": {"n_threads": 2},
    "printed lines": {"verbose": 1},
    "an activation of the user": {"activation": lambda Z: Z / (1 + Z.abs().max())},
    "a checkpoint": {"checkpoint": "fit.ckpt"},
}


@pytest.mark.parametrize("reason", NOT_STACKABLE)
def test_a_fit_that_cannot_be_stacked_is_trained_alone(reason, stacks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = [CLASSIFIER, clone(CLASSIFIER).set_params(**NOT_STACKABLE[reason]), CLASSIFIER]
    separate, joint = fit_separately_and_together(models, [(X, Y)] * 3)
    assert sorted(stacks) == [1, 2]
    for pair in zip(separate, joint, strict=True):
        assert_equal_fits(*pair)


def test_a_schedule_that_raises_fails_only_its_own_fit(stacks):
    def failing(epoch, max_iter):
        return -1 if epoch > 2 else 1

    models = variants_of(CLASSIFIER, learning_rate_schedule=["cosine", failing, "constant"])
    separate, joint = fit_separately_and_together(models, [(X, Y)] * 3)
    assert stacks == [3, 1, 1, 1]
    assert str(joint[1]) == str(separate[1])
    for k in (0, 2):
        assert_equal_fits(separate[k], joint[k])


def test_networks_of_different_shapes_are_in_different_stacks(stacks):
    models = variants_of(CLASSIFIER, n_layers=[1, 2, 3, 1, 2, 3], random_state=range(6))
    pairs = fit_separately_and_together(models, [(X, Y)] * 6)
    assert stacks == [2, 2, 2]
    for separate, joint in zip(*pairs, strict=True):
        assert_equal_fits(separate, joint)


def test_warnings_of_all_fits_reach_the_user():
    models = variants_of(CLASSIFIER, random_state=[0, 1, 2])
    with pytest.warns(ConvergenceWarning) as record, together():
        Parallel()(delayed(clone(model).fit)(X, Y) for model in models)
    assert len(record) == 3


def test_global_state_is_restored_and_no_thread_is_left():
    filters, threads = list(warnings.filters), threading.active_count()
    found = torch.get_num_threads(), torch.is_grad_enabled()
    fit_separately_and_together([CLASSIFIER] * 3, [(X, Y)] * 3)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == found
    assert list(warnings.filters) == filters
    assert threading.active_count() == threads
