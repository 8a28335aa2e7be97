"""Tests of everything that runs fits through joblib: same results, no deadlocks, no leftovers."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from contextvars import ContextVar
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend
from numpy.testing import assert_allclose
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdnn.parallel._request
import skdnn.parallel._scheduler
from skdnn import DeepBinaryClassifier, DeepRegressor, ImageVectorizer, together
from skdnn.parallel._backend import TogetherBackend

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(160, 6, n_informative=4, flip_y=0.1, random_state=0)
CLF = DeepBinaryClassifier(
    n_units=8, max_iter=6, batch_size=32, dtype="float64", early_stopping=False, random_state=0
)
FOREST = RandomForestClassifier(5, random_state=0)
CHOSEN = ContextVar("chosen", default="nothing")
GRID = {"learning_rate": [1e-3, 1e-2], "n_layers": [1, 2]}


def search(model=CLF, grid=GRID, **options):
    return GridSearchCV(model, grid, **{"cv": 3, "scoring": "neg_log_loss", **options})


def scores(fitted):
    """Return the score of every fit of a search."""
    names = sorted(n for n in fitted.cv_results_ if n.startswith("split") and n.endswith("score"))
    return np.array([fitted.cv_results_[name] for name in names])


USERS_OF_JOBLIB = {
    "GridSearchCV": lambda: scores(search().fit(X, Y)),
    "GridSearchCV of two jobs": lambda: scores(search(n_jobs=2).fit(X, Y)),
    "GridSearchCV of all jobs": lambda: scores(search(n_jobs=-1, pre_dispatch=4).fit(X, Y)),
    "RandomizedSearchCV": lambda: scores(
        RandomizedSearchCV(CLF, GRID, n_iter=3, cv=3, random_state=0).fit(X, Y)
    ),
    "HalvingGridSearchCV": lambda: scores(
        HalvingGridSearchCV(CLF, GRID, cv=2, random_state=0, min_resources=40).fit(X, Y)
    ),
    "cross_validate": lambda: cross_validate(CLF, X, Y, cv=4)["test_score"],
    "cross_val_score": lambda: cross_val_score(CLF, X, Y, cv=4, scoring="roc_auc"),
    "cross_val_predict": lambda: cross_val_predict(CLF, X, Y, method="predict_proba"),
    "learning_curve": lambda: learning_curve(CLF, X, Y, cv=2, train_sizes=[0.3, 0.6, 1.0])[2],
    "learning_curve with partial_fit": lambda: learning_curve(
        CLF, X, Y, cv=2, train_sizes=[0.5, 1.0], exploit_incremental_learning=True
    )[2],
    "permutation_test_score": lambda: permutation_test_score(
        CLF, X, Y, cv=2, n_permutations=5, scoring="roc_auc", random_state=0
    )[1],
    "BaggingClassifier": lambda: (
        BaggingClassifier(CLF, n_estimators=5, random_state=0).fit(X, Y).predict_proba(X)
    ),
    "VotingClassifier": lambda: (
        VotingClassifier([("a", CLF), ("b", CLF), ("c", LogisticRegression())], voting="soft")
        .fit(X, Y)
        .predict_proba(X)
    ),
    "StackingClassifier": lambda: (
        StackingClassifier([("net", CLF), ("log", LogisticRegression())], cv=3)
        .fit(X, Y)
        .predict_proba(X)
    ),
    "OneVsRestClassifier": lambda: (
        OneVsRestClassifier(CLF).fit(X, np.digitize(X[:, 0], [-1, 0, 1])).predict_proba(X)
    ),
    "MultiOutputClassifier": lambda: np.array(
        MultiOutputClassifier(CLF).fit(X, np.c_[Y, X[:, 0] > 0]).predict_proba(X)
    ),
    "RFECV": lambda: (
        RFECV(
            CLF,
            cv=2,
            step=2,
            importance_getter=lambda fitted: np.abs(fitted.coefs_[0]).sum(axis=1),
        )
        .fit(X, Y)
        .cv_results_["mean_test_score"]
    ),
    "a pipeline": lambda: scores(
        search(
            make_pipeline(StandardScaler(), CLF),
            {"deepbinaryclassifier__learning_rate": [1e-3, 1e-2]},
        ).fit(X, Y)
    ),
    "a pipeline of different estimators": lambda: scores(
        search(
            make_pipeline(StandardScaler(), CLF),
            {"deepbinaryclassifier": [CLF, LogisticRegression(), FOREST]},
        ).fit(X, Y)
    ),
    "a search in a cross-validation": lambda: cross_val_score(search(), X, Y, cv=3),
    "forests in a cross-validation of two jobs": lambda: cross_val_score(
        clone(FOREST).set_params(n_jobs=2), X, Y, cv=3
    ),
    "a regressor": lambda: cross_val_predict(
        DeepRegressor(n_units=8, max_iter=6, random_state=0, dtype="float64"), X[:, 1:], X[:, 0]
    ),
    "images": lambda: cross_val_predict(
        make_pipeline(ImageVectorizer(size=(3, 2)), CLF),
        list(np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)),
        np.arange(40) % 2,
        method="predict_proba",
        cv=3,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", USERS_OF_JOBLIB)
def test_results_are_those_without_together(name):
    expected = USERS_OF_JOBLIB[name]()
    with together():
        found = USERS_OF_JOBLIB[name]()
    assert_allclose(found, expected, rtol=1e-9)


def test_joblib_knows_the_backend_by_name():
    expected = cross_val_score(CLF, X, Y)
    with joblib.parallel_config("skdnn"):
        assert_allclose(cross_val_score(CLF, X, Y), expected)
    with joblib.parallel_config("skdnn", max_tasks=2, n_jobs=3):
        assert_allclose(cross_val_score(CLF, X, Y), expected)
    assert_allclose(Parallel(backend="skdnn")([delayed(abs)(-1), delayed(abs)(-2)]), [1, 2])


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
def test_compatible_fits_are_one_stack_for_any_n_jobs(n_jobs, stacks):
    grid = {"learning_rate": [1e-3, 3e-3, 1e-2]}
    with together():
        search(CLF, grid, n_jobs=n_jobs, refit=False).fit(X, Y)
    assert stacks == [9]


def test_searches_within_a_cross_validation_are_trained_together(stacks):
    with together():
        cross_val_score(search(CLF, {"learning_rate": [1e-3, 1e-2]}, cv=2), X, Y, cv=3)
    assert stacks == [12, 3]  # the fits of all searches, then their refits


def test_max_tasks_limits_the_number_of_tasks(monkeypatch):
    running, n_running = [], []

    class Recorded(BaseEstimator, ClassifierMixin):
        def fit(self, X, y):
            running.append(self)
            n_running.append(len(running))
            self.classes_, self.inner_ = np.unique(y), clone(CLF).fit(X, y)
            running.remove(self)
            return self

        def predict(self, X):
            return self.inner_.predict(X)

    with together(max_tasks=3):
        cross_val_score(Recorded(), X, Y, cv=10)
    assert max(n_running) == 3


def test_memory_limit_limits_the_size_of_stacks(stacks):
    bytes_of_one = 144 * 8 * (7 + 6 * skdnn.parallel._request.COPIES_OF_ROWS)
    with together(memory_limit=4 * bytes_of_one):
        cross_val_score(CLF, X, Y, cv=10)
    assert max(stacks) <= 3  # because networks need memory as well
    assert sum(stacks) == 10


def test_equal_rows_are_in_memory_once(record_trainings):
    n_arrays = record_trainings(lambda requests: len({id(each.batches.rows) for each in requests}))
    with together():
        search(CLF, {"learning_rate": [1e-3, 3e-3, 1e-2]}, cv=4, refit=False).fit(X, Y)
    assert n_arrays == [4]


class Failing(DeepBinaryClassifier):
    """A classifier that raises before or after its training, as `verbose` says."""

    def fit(self, X, y):
        if self.verbose == 2:
            raise RuntimeError("before")
        super().fit(X, y)
        if self.verbose == 3:
            raise RuntimeError("after")
        return self


def failing(verbose):
    parameters = {"verbose": verbose, "n_units": 8, "max_iter": 6, "random_state": 0}
    return Failing(**{**parameters, "dtype": "float64"})


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("verbose", [2, 3])
def test_a_task_that_raises_ends_its_call_and_the_next_call_works(verbose, n, capsys):
    models = [CLF] * 5 + [failing(verbose)] * n + [CLF] * 5
    with together():
        with pytest.raises(RuntimeError, match="before" if verbose == 2 else "after"):
            Parallel()(delayed(clone(model).fit)(X, Y) for model in models)
        assert len(cross_val_score(CLF, X, Y)) == 5


def test_a_search_gives_failed_fits_its_error_score():
    grid = {"learning_rate": [1e-2, -1.0], "n_layers": [1, 2]}
    with together(), pytest.warns(FitFailedWarning, match="6 fits failed"):
        fitted = search(CLF, grid, error_score=-9.0).fit(X, Y)
    assert (scores(fitted) == -9.0).sum() == 6
    with together(), pytest.raises(ValueError, match="learning_rate"):
        search(CLF, grid, error_score="raise").fit(X, Y)


def test_tasks_see_the_configuration_and_context_variables_of_the_caller():
    def found():
        return get_config()["transform_output"], torch.get_num_threads(), CHOSEN.get()

    CHOSEN.set("chosen")
    n_threads = torch.get_num_threads()
    with together(), config_context(transform_output="pandas"):
        fits = [delayed(cross_val_score)(CLF, X, Y, cv=2) for _ in range(10)]
        results = Parallel()([task for fit in fits for task in (fit, delayed(found)())])
    assert set(results[1::2]) == {("pandas", n_threads, "chosen")}


def test_a_task_may_fit_several_times_and_tasks_end_at_different_times(stacks):
    def fit_some(n):
        return [clone(CLF).fit(X, Y).n_iter_ for _ in range(n)]

    with together():
        found = Parallel()(delayed(fit_some)(n) for n in (0, 1, 3, 2))
    assert [len(each) for each in found] == [0, 1, 3, 2]
    assert stacks == [3, 2, 1]


def test_a_task_that_waits_for_the_fit_of_another_task_causes_no_deadlock():
    has_fitted = threading.Event()

    def fit_and_notify():
        clone(CLF).fit(X, Y)
        has_fitted.set()

    def wait():
        assert has_fitted.wait(30)

    with together():
        Parallel()([delayed(fit_and_notify)(), delayed(fit_and_notify)(), delayed(wait)()])


def test_waiting_fits_are_not_trained_while_others_arrive(stacks, monkeypatch):
    monkeypatch.setattr(skdnn.parallel._scheduler, "ARRIVAL_TIMEOUT", 0.01)
    # By this clock the last request has always just arrived.
    monkeypatch.setattr(skdnn.parallel._scheduler, "monotonic", lambda: 0.0)

    def prepare_and_fit(k):
        time.sleep(0.05 * k)
        return clone(CLF).fit(X, Y)

    with together():
        Parallel()(delayed(prepare_and_fit)(k) for k in range(6))
    assert stacks == [6]


def score_by_fits(*_):
    return float(np.mean(cross_val_score(clone(CLF).set_params(max_iter=1), X, Y, cv=2)))


@pytest.mark.parametrize(
    "parameters",
    [
        {"scoring": lambda *_: score_by_fits(), "early_stopping": True},
        {"learning_rate_schedule": score_by_fits},
    ],
)
def test_scorers_and_schedules_may_fit_networks(parameters):
    model = clone(CLF).set_params(max_iter=2, **parameters)
    expected = cross_val_score(model, X, Y, cv=3)
    with together():
        assert_allclose(cross_val_score(model, X, Y, cv=3), expected)


def test_the_iterator_of_tasks_may_call_parallel():
    def tasks():
        for k in range(4):
            assert len(cross_val_score(CLF, X, Y)) == 5
            yield delayed(clone(CLF).set_params(random_state=k).fit)(X, Y)

    with together():
        assert len(Parallel()(tasks())) == 4


def test_a_generator_returns_results_one_by_one(stacks):
    with together():
        results = Parallel(return_as="generator")(delayed(clone(CLF).fit)(X, Y) for _ in range(6))
        first = next(results)
        assert len([first, *results]) == 6
    assert stacks == [6]


@pytest.mark.parametrize("n_networks", [1, 2])
def test_a_result_is_returned_when_its_own_fit_ends(n_networks, stacks):
    short = clone(CLF).set_params(n_networks=n_networks, early_stopping=True, max_iter=2)
    endless = clone(short).set_params(max_iter=10**6, n_iter_no_change=10**6)
    with together():
        results = Parallel(return_as="generator")(
            delayed(clone(model).fit)(X, Y) for model in (short, endless, short)
        )
        first = next(results)
        with pytest.warns(UserWarning, match="cancelled"):
            results.close()
    assert stacks == [3]
    expected = clone(short).fit(X, Y)
    assert_allclose(first.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
    assert_allclose(first.loss_curve_, expected.loss_curve_, rtol=1e-9)
    assert_no_threads_are_left()


def test_a_result_is_kept_if_the_rest_of_its_stack_fails_later(stacks):
    class FailsLate:
        __name__ = "fails_late"

        def __init__(self):
            self.n_calls = 0

        def __call__(self, clf, X, y):
            self.n_calls += 1
            if clf.learning_rate == 0.02 and self.n_calls > 12:
                raise RuntimeError("late")
            return 0.5

    model = clone(CLF).set_params(early_stopping=True, scoring=FailsLate(), n_iter_no_change=99)
    models = [
        clone(model).set_params(learning_rate=rate, max_iter=max_iter)
        for rate, max_iter in ((0.01, 2), (0.02, 30))
    ]
    with together():
        results = Parallel(return_as="generator")(delayed(model.fit)(X, Y) for model in models)
        assert next(results).n_iter_ == 2
        with pytest.raises(RuntimeError, match="late"):
            next(results)
    assert stacks == [2, 1]


def raise_in_scorer(*_):
    raise RuntimeError("of the user")


def raise_in_schedule(epoch, max_iter):
    raise RuntimeError("of the user")


def raise_in_activation(Z):
    if Z.numel() > 40:  # not when the parameter is validated
        raise RuntimeError("of the user")
    return Z


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"scoring": raise_in_scorer, "early_stopping": True}, "raise_in_scorer"),
        ({"learning_rate_schedule": raise_in_schedule}, "raise_in_schedule"),
        ({"activation": raise_in_activation}, "raise_in_activation"),
    ],
)
@pytest.mark.parametrize("depth", [1, 2])
def test_an_error_of_a_task_has_the_traceback_of_the_task(parameters, name, depth):
    model = clone(CLF).set_params(**parameters)
    for _ in range(depth):
        model = search(model, {}, error_score="raise", cv=2)
    with together(), pytest.raises(RuntimeError, match="of the user") as caught:
        model.fit(X, Y)
    assert caught.traceback[-1].name == name
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_tasks_that_raise_one_object_do_not_share_its_traceback(return_as):
    error = RuntimeError("one object")

    def fail():
        raise error

    with together(), pytest.raises(RuntimeError) as caught:
        list(Parallel(return_as=return_as)(delayed(fail)() for _ in range(5)))
    assert [entry.name for entry in caught.traceback].count("fail") == 1


def make_recursive_task(make_parallel, block):
    def task():
        n_threads.append(threading.active_count())
        with block():
            make_parallel()(delayed(task)() for _ in range(2))

    n_threads = []
    return task, n_threads


@pytest.mark.parametrize(
    ("make_parallel", "block"),
    [
        (Parallel, nullcontext),
        (Parallel, together),
        (Parallel, partial(joblib.parallel_config, "skdnn")),
        (partial(Parallel, backend="skdnn"), nullcontext),
        (lambda: Parallel(backend=TogetherBackend()), nullcontext),
        (partial(Parallel, n_jobs=2), nullcontext),
    ],
    ids=["nested", "together", "parallel_config", "by name", "an object", "n_jobs"],
)
def test_endless_recursion_ends_with_few_threads(make_parallel, block):
    task, n_threads = make_recursive_task(make_parallel, block)
    n_before = threading.active_count()
    with together(), pytest.raises(RecursionError):
        task()
    assert max(n_threads) - n_before <= 20
    assert_no_threads_are_left()


@pytest.mark.parametrize("n_fits", [1, 3])
def test_a_scorer_has_the_nesting_level_of_its_fit(n_fits, stacks):
    levels = []

    def score(*_):
        levels.append(get_active_backend()[0].nesting_level)
        with together():
            levels.append(get_active_backend()[0].nesting_level)
        return 0.5

    model = clone(CLF).set_params(scoring=score, early_stopping=True, max_iter=2)
    with together():
        Parallel()(delayed(clone(model).fit)(X, Y) for _ in range(n_fits))
    assert stacks == [n_fits]
    assert set(levels) == {1}


@pytest.mark.parametrize(
    "block", [together, partial(joblib.parallel_config, "skdnn")], ids=["together", "by name"]
)
def test_tasks_that_open_blocks_of_their_own_are_trained_together(block, stacks):
    def task():
        with block():
            return cross_val_score(CLF, X, Y, cv=2)

    with together():
        found = Parallel()(delayed(task)() for _ in range(3))
    assert stacks == [6]
    assert_allclose(found, [cross_val_score(CLF, X, Y, cv=2)] * 3)


def test_parallel_may_be_called_several_times_and_closed_early():
    with together(), Parallel() as parallel:
        assert len(parallel(delayed(clone(CLF).fit)(X, Y) for _ in range(3))) == 3
        assert len(parallel(delayed(clone(CLF).fit)(X, Y) for _ in range(3))) == 3
    with together():
        results = Parallel(return_as="generator", pre_dispatch=2)(
            delayed(clone(CLF).fit)(X, Y) for _ in range(6)
        )
        next(results)
        with pytest.warns(UserWarning, match="cancelled"):
            results.close()
    assert_no_threads_are_left()


def test_the_timeout_of_joblib_ends_the_fits():
    slow = clone(CLF).set_params(max_iter=100_000, n_iter_no_change=100_000)
    with together(), pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.3)(delayed(clone(slow).fit)(X, Y) for _ in range(4))
    assert_no_threads_are_left()


class CtrlC:
    """A constant schedule that presses Ctrl-C once."""

    def __init__(self):
        self.is_pressed = False

    def __call__(self, epoch, max_iter):
        if epoch > 5 and not self.is_pressed:
            self.is_pressed = True
            os.kill(os.getpid(), signal.SIGINT)
        return 1.0

    def __sklearn_clone__(self):
        return self


@pytest.mark.parametrize("nested", [False, True])
def test_ctrl_c_ends_all_tasks(nested):
    slow = clone(CLF).set_params(
        max_iter=100_000, n_iter_no_change=100_000, learning_rate_schedule=CtrlC()
    )
    run = partial(cross_val_score, slow, X, Y)
    if nested:
        run = partial(cross_val_score, search(slow), X, Y, cv=3)
    with together(), pytest.raises(KeyboardInterrupt):
        run()
    assert_no_threads_are_left()
    with together():
        assert len(cross_val_score(CLF, X, Y)) == 5


def assert_no_threads_are_left():
    """Assert that the threads of all tasks end soon."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        left = [each for each in threading.enumerate() if each.name.startswith("skdnn-task")]
        if not left:
            return
        time.sleep(0.02)
    raise AssertionError(left)


def test_the_switch_interval_is_restored():
    found = sys.getswitchinterval()
    with together():
        cross_val_score(CLF, X, Y)
    assert sys.getswitchinterval() == found


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"max_tasks": 0}, ValueError, "max_tasks must be above 0, got 0"),
        ({"max_tasks": 2.5}, TypeError, "max_tasks must be a whole number"),
        ({"max_tasks": True}, TypeError, "max_tasks must be a whole number"),
        ({"memory_limit": -1}, ValueError, "memory_limit must be above 0, got -1"),
        ({"memory_limit": "1G"}, TypeError, "memory_limit must be a number"),
        ({"memory_limit": float("nan")}, ValueError, "memory_limit must be above 0, got nan"),
    ],
)
def test_invalid_parameters_raise(parameters, error, message):
    with pytest.raises(error, match=message):
        together(**parameters)
    with pytest.raises(error, match=message):
        joblib.parallel_config("skdnn", **parameters)


def test_n_jobs_of_0_raises():
    with together(), pytest.raises(ValueError, match="n_jobs"):
        cross_val_score(CLF, X, Y, n_jobs=0)


@pytest.mark.timeout(60)
def test_fits_do_not_hang_if_the_training_of_their_stack_raises(monkeypatch):
    def train_stack(*arguments):
        raise RecursionError("too deep")

    monkeypatch.setattr("skdnn.parallel._scheduler.train_stack", train_stack)
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    with together(), pytest.raises(RecursionError, match="too deep"):
        Parallel()(delayed(DeepBinaryClassifier(n_units=2).fit)(X, y) for _ in range(3))
