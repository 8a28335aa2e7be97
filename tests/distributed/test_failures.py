"""Tests that an error in one process is raised in all of them, soon, and that later fits work."""

import os
import re
import shutil
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ranks
import torch

from skdnn import Checkpoint, DeepBinaryClassifier
from skdnn.distributed import data_parallel

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 5))
Y = (X[:, 0] > X[:, 1]).astype(int)


class ActAt:
    """An activation that calls a function in one process, at its n-th call."""

    def __init__(self, rank, n, action):
        self.is_it = rank == int(os.environ["RANK"])
        self.left, self.action = n, action

    def __repr__(self):
        return "ActAt"

    def __call__(self, Z):
        self.left -= 1
        if self.is_it and self.left == 0:
            self.action()
        return torch.tanh(Z)


def raise_an_error():
    raise ZeroDivisionError("an error of the user's")


def interrupt():
    raise KeyboardInterrupt


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def fit(rank, change, rows="all", **parameters):
    """Call `change(rank, clf, X, y)`, which fits, and return its error if a second fit works."""
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, random_state=0, tol=0.0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with data_parallel(rows):  # its timeout is longer than that of a call of `ranks`
            try:
                change(rank, clf, X.copy(), Y.copy())
            except BaseException as error:
                assert not hasattr(clf, "coefs_")
                again = DeepBinaryClassifier(n_units=4, max_iter=2).fit(X, Y)
                return type(error), str(error), again.n_iter_
    return None


def infinity(rank, clf, X, y):
    X[3, 2] = np.inf if rank == 1 else 0
    clf.fit(X, y)


def another_label(rank, clf, X, y):
    clf.fit(X, y + rank)


def other_columns(rank, clf, X, y):
    clf.fit(X[:, : 5 - rank], y)


def other_names(rank, clf, X, y):
    names = [f"{name}{rank}" for name in "abcde"]
    clf.fit(pd.DataFrame(X, columns=names), y)


def another_container(rank, clf, X, y):
    clf.fit(pd.DataFrame(X) if rank == 1 else X, y)


def other_rows(rank, clf, X, y):
    clf.fit(X + rank, y)


def another_parameter(rank, clf, X, y):
    clf.set_params(n_layers=2 + rank).fit(X, y)


def a_bad_parameter(rank, clf, X, y):
    clf.set_params(n_layers=2 * (1 - rank)).fit(X, y)


def no_weight(rank, clf, X, y):
    clf.fit(X, y, np.zeros(len(y)))


def no_rows(rank, clf, X, y):
    clf.fit(X[:0], y[:0])


def raising(rank, clf, X, y):
    clf.set_params(activation=ActAt(1, 40, raise_an_error)).fit(X, y)


def raising_at_first(rank, clf, X, y):
    clf.set_params(activation=ActAt(0, 40, raise_an_error)).fit(X, y)


def interrupted(rank, clf, X, y):
    clf.set_params(activation=ActAt(1, 40, interrupt)).fit(X, y)


def partial(rank, clf, X, y):
    clf.partial_fit(X, y, classes=[0, 1])


def with_groups(rank, clf, X, y):
    clf.fit(X, y, groups=np.arange(400))


def an_ordinary_fit(rank, clf, X, y):
    clf.fit(X, y)


@pytest.mark.parametrize(
    ("change", "rows", "kind", "message", "origin"),
    [
        (infinity, "part", ValueError, "Input X contains infinity in column 2", 1),
        (infinity, "all", ValueError, "Input X contains infinity in column 2", 1),
        (another_label, "part", ValueError, "Only binary classification is supported", None),
        (other_columns, "part", ValueError, "The number of columns of X must be the same", None),
        (other_names, "part", ValueError, "The names of the columns of X must be", None),
        (another_container, "part", ValueError, "The container of X must be the same", None),
        (other_rows, "all", ValueError, "X, y and sample_weight for rows='all' must be", None),
        (another_parameter, "all", ValueError, "n_layers must be the same in all", None),
        (a_bad_parameter, "all", ValueError, "n_layers must be an int in the range [1", 1),
        (no_weight, "part", ValueError, "sample_weight must hold a weight above zero", None),
        (no_rows, "part", ValueError, "X must have a row in some process", None),
        (raising, "all", RuntimeError, "ZeroDivisionError: an error of the user's", 1),
        (raising_at_first, "all", RuntimeError, "ZeroDivisionError: an error of the user's", 0),
        (interrupted, "all", RuntimeError, "KeyboardInterrupt", 1),
        (partial, "all", ValueError, "partial_fit must be called outside", None),
        (with_groups, "all", ValueError, "groups must be None where several processes", None),
    ],
)
def test_an_error_in_one_process_is_raised_in_all(two, change, rows, kind, message, origin):
    outcomes = two.call(fit, change, rows)
    for rank, outcome in enumerate(outcomes):
        if isinstance(outcome, BaseException):
            raise outcome
        found, text, n_iter_of_the_next = outcome
        is_its_own = origin in (None, rank)
        if is_its_own and origin is not None and kind is RuntimeError:
            assert found in (ZeroDivisionError, KeyboardInterrupt)
        else:
            assert found is kind
            assert re.search(re.escape(message), text)
        assert is_its_own or text.endswith(f"(in process {origin} of 2)")
        assert n_iter_of_the_next == 2


@pytest.mark.parametrize(
    ("parameter", "value"), [("n_networks", 2), ("warm_start", True), ("scoring", "roc_auc")]
)
def test_parameters_that_need_a_single_process_raise(two, parameter, value):
    for outcome in two.results(fit_with, parameter, value):
        found, text, *_ = outcome
        assert found is ValueError
        assert text.startswith(f"{parameter} must be ")
        assert "where several processes share a fit" in text


def fit_with(rank, parameter, value):
    return fit(rank, an_ordinary_fit, **{parameter: value})


def fit_without_the_other_process(rank, path):
    with data_parallel(timeout=3.0):
        while rank == 1 and not path.exists():
            time.sleep(0.01)
        try:
            DeepBinaryClassifier(max_iter=1).fit(X, Y)
        except RuntimeError as error:
            path.touch()  # now the other process continues
            return str(error)


def test_processes_wait_no_longer_than_the_timeout(tmp_path):
    with ranks.started(2) as processes:
        message, _ = processes.results(fit_without_the_other_process, tmp_path / "over")
    assert "has not answered within 3 s" in message


def enter_with_different_rows(rank):
    """Enter with rows="all" in one process and with rows="part" in the other."""
    try:
        with data_parallel(["all", "part"][rank]):
            return None
    except ValueError as error:
        return str(error)


def test_rows_must_be_the_same_in_all_processes(two):
    first, second = two.results(enter_with_different_rows)
    message = "rows must be the same in all processes that share a fit, got "
    assert first == f"{message}all in process 0 and part in process 1."
    assert second == f"{message}part in process 1 and all in process 0."


def fail_outside_of_the_fit(rank):
    """Raise an error outside of `fit` in one process while the other one fits."""
    try:
        with data_parallel():
            if rank == 0:
                raise OSError("no such file")
            DeepBinaryClassifier(max_iter=1).fit(X, Y)
    except (OSError, RuntimeError) as error:
        return type(error), str(error)


def fit_again(rank):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with data_parallel():
            return DeepBinaryClassifier(max_iter=2, random_state=0).fit(X, Y).loss_


@pytest.mark.parametrize("by", ["torchrun", "srun"])
def test_an_error_outside_of_the_fit_ends_the_fits_of_others(by):
    with ranks.started(2, by) as processes:
        mine, others = processes.results(fail_outside_of_the_fit)
        assert mine == (OSError, "no such file")
        assert others == (RuntimeError, "OSError: no such file (in process 0 of 2)")
        one, other = processes.results(fit_again)
        assert one == other


def fit_until_a_process_is_killed(rank, path):
    clf = make_with_checkpoint(path, ActAt(1, 100, kill))
    try:
        with data_parallel():
            clf.fit(X, Y)
    except RuntimeError as error:
        return str(error)


def resume(rank, path):
    with data_parallel():
        return make_with_checkpoint(path, ActAt(1, 0, kill)).fit(X, Y)


def make_with_checkpoint(path, activation):
    checkpoint = None if path is None else Checkpoint(path, every_epochs=1)
    return DeepBinaryClassifier(
        n_units=4, max_iter=50, batch_size=100, activation=activation, checkpoint=checkpoint,
        early_stopping=False, random_state=0, dtype="float64",
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_ends_the_others_and_the_checkpoint_can_be_resumed(tmp_path, monkeypatch):
    path, copied = tmp_path / "fit.ckpt", tmp_path / "copied.ckpt"
    with ranks.started(2) as processes:
        message, killed = processes.call(fit_until_a_process_is_killed, path)
    assert killed is None
    assert "has ended" in message
    shutil.copy(path, copied)
    with ranks.started(2) as processes:
        saved = Path(path).read_bytes()
        mine, others = processes.results(resume, path)
        whole, _ = processes.results(resume, None)
    assert saved != Path(path).read_bytes()
    assert mine.n_iter_ == whole.n_iter_ == 50
    for clf in (mine, others):
        np.testing.assert_array_equal(clf.coefs_[0], whole.coefs_[0])
        np.testing.assert_array_equal(clf.loss_curve_, whole.loss_curve_)
    monkeypatch.setenv("RANK", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        single = make_with_checkpoint(copied, ActAt(1, 0, kill)).fit(X, Y)
    assert single.n_iter_ == 50
    np.testing.assert_allclose(single.coefs_[0], whole.coefs_[0], rtol=1e-9, atol=1e-9)
