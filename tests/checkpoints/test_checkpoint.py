"""Checkpoints: resumed fits give bit-identical results, and other files are not touched."""

import copy
import signal
import time

import fresh
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import make_moons
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV

from skdnn import Checkpoint, DeepBinaryClassifier
from skdnn.checkpoints._fingerprint import describe

X, Y = make_moons(300, noise=0.2, random_state=0)

# Everything that has a state: shuffling, dropout, weight averaging, a validation set, a score.
BUSY = {
    "n_units": 8, "max_iter": 12, "batch_size": 100, "dropout": 0.2, "weight_averaging": 0.9,
    "early_stopping": True, "scoring": "roc_auc", "tol": 0.0,
}  # fmt: skip


class Killed(Exception):
    """Raised to interrupt a fit."""


class KillAfter:
    """A scorer that interrupts the fit after a number of epochs."""

    def __init__(self, epochs):
        self.left = epochs

    def __call__(self, clf, X, y):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return roc_auc_score(y, clf.predict_proba(X)[:, 1])

    def __repr__(self):
        return "KillAfter"


class Unprintable:
    """Raises an error when its path or repr is asked for."""

    def __fspath__(self):
        raise RuntimeError

    def __repr__(self):
        raise RuntimeError


def fit(checkpoint=None, X=X, y=Y, sample_weight=None, random_state=0, **parameters):
    clf = DeepBinaryClassifier(
        checkpoint=checkpoint, random_state=random_state, **{**BUSY, **parameters}
    )
    return clf.fit(X, y, sample_weight=sample_weight)


def assert_same(clf, expected):
    for name in ("coefs_", "intercepts_", "loss_curve_", "validation_scores_"):
        for got, wanted in zip(getattr(clf, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert (clf.n_iter_, clf.best_iter_, clf.t_) == (
        expected.n_iter_, expected.best_iter_, expected.t_,
    )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_resumed_fit_is_bit_identical(tmp_path, optimizer, dtype):
    path = Checkpoint(tmp_path / "fit.ckpt", every_epochs=2)
    options = {"optimizer": optimizer, "momentum": 0.9, "dtype": dtype}
    expected = fit(scoring=KillAfter(99), **options)
    with pytest.raises(Killed):
        fit(path, scoring=KillAfter(7), **options)
    seen = KillAfter(99)
    clf = fit(path, scoring=seen, **options)
    assert_same(clf, expected)
    assert 99 - seen.left == expected.n_iter_ - 6  # epochs before the checkpoint are not repeated


def fit_and_save(checkpoint, result):
    """Fit in another process, and save the result."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 5))
    clf = DeepBinaryClassifier(
        n_units=16, max_iter=100, tol=0.0, dropout=0.1, early_stopping=True, n_iter_no_change=100,
        checkpoint=checkpoint, random_state=0, n_threads=1,
    )  # fmt: skip
    clf.fit(X, X[:, 0] * X[:, 1] > 0)
    np.savez(result, *clf.coefs_, *clf.intercepts_, clf.loss_curve_)


@pytest.mark.slow
def test_a_fit_whose_process_is_killed_repeatedly_is_bit_identical(tmp_path):
    path, exits = tmp_path / "fit.ckpt", []

    def start(checkpoint, result):
        process = fresh.CONTEXT.Process(target=fit_and_save, args=(checkpoint, tmp_path / result))
        process.start()
        return process

    def modified():
        return path.stat().st_mtime_ns if path.exists() else 0

    whole = start(None, "whole.npz")
    for pause in (0.05, 0.2, 0.011, 0.13, 0.003):
        before, process = modified(), start(Checkpoint(path, every_epochs=1), "killed.npz")
        while process.is_alive() and modified() == before:
            time.sleep(0.002)
        time.sleep(pause)
        process.kill()
        process.join()
        exits.append(process.exitcode)
    last = start(Checkpoint(path, every_epochs=1), "killed.npz")
    for process in (whole, last):
        process.join()
        assert process.exitcode == 0
    assert -signal.SIGKILL in exits  # on a busy machine, some may finish first
    whole, killed = np.load(tmp_path / "whole.npz"), np.load(tmp_path / "killed.npz")
    for name in whole.files:
        np.testing.assert_array_equal(killed[name], whole[name])


def test_a_fit_without_a_seed_is_resumed_with_the_drawn_seed(tmp_path):
    path = tmp_path / "fit.ckpt"
    first = fit(Checkpoint(path, every_epochs=1), random_state=None)
    again = fit(path, random_state=None)
    assert_same(again, first)
    path.unlink()
    assert fit(path, random_state=None).loss_curve_ != first.loss_curve_


def test_a_warm_started_fit_is_resumed(tmp_path):
    path = Checkpoint(tmp_path / "fit.ckpt", every_epochs=1)
    clf = DeepBinaryClassifier(**{**BUSY, "scoring": None}, warm_start=True, random_state=0)
    clf.fit(X, Y)
    with pytest.raises(Killed):
        clf.set_params(checkpoint=path, scoring=KillAfter(3)).fit(X, Y)
    assert clf.n_iter_ == 12
    clf.set_params(scoring=KillAfter(99)).fit(X, Y)
    assert clf.n_iter_ == 24 == len(clf.loss_curve_)


@pytest.mark.parametrize("container", [sparse.csr_array, torch.from_numpy, pd.DataFrame])
def test_fits_of_any_container_are_resumed(tmp_path, container):
    data = container(X)
    with pytest.raises(Killed):
        fit(Checkpoint(tmp_path / "a", every_epochs=1), X=data, scoring=KillAfter(3))
    clf = fit(tmp_path / "a", X=data, scoring=KillAfter(99))
    assert_same(clf, fit(X=data, scoring=KillAfter(99)))


def test_the_file_has_no_pickle_and_temporary_files_are_removed(tmp_path):
    path = tmp_path / "fit.ckpt"
    fit(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert arrays.pop("header.json").startswith(b'{"format": "skdnn checkpoint 4"')
    assert arrays["theta"].shape == (3 * 8 + 9 * 8 + 9,)  # of three layers
    assert {array.dtype.kind for array in arrays.values()} <= set("biuf")
    assert [file.name for file in tmp_path.iterdir()] == ["fit.ckpt"]


def test_intervals_decide_how_often_a_fit_is_saved(tmp_path, monkeypatch):
    written = []
    write = "skdnn.checkpoints._checkpoint.write_archive"
    monkeypatch.setattr(write, lambda file, header, state: written.append(1))
    constant = {"early_stopping": False, "scoring": None}
    for every, expected in (
        ({"every_epochs": 5}, 3),  # after 5, 10 and at the end
        ({"every_epochs": 1}, 12),
        ({"every_seconds": 1e-9}, 12),
        ({"every_seconds": None}, 1),
        ({}, 1),
    ):
        written.clear()
        (tmp_path / "fit.ckpt").unlink(missing_ok=True)
        fit(Checkpoint(tmp_path / "fit.ckpt", **every), **constant)
        assert len(written) == expected


# -- another max_iter -------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["constant", "inverse_scaling"])
@pytest.mark.parametrize("n_networks", [1, 5])
def test_a_larger_max_iter_continues_a_finished_fit_bit_identically(tmp_path, schedule, n_networks):
    options = {"learning_rate_schedule": schedule, "n_networks": n_networks}
    fit(tmp_path / "fit.ckpt", max_iter=5, **options)
    continued = fit(tmp_path / "fit.ckpt", max_iter=12, **options)
    assert_same(continued, fit(max_iter=12, **options))
    assert continued.n_iter_ == 12
    again = fit(tmp_path / "fit.ckpt", max_iter=12, **options)
    assert_same(again, continued)


@pytest.mark.parametrize("max_iter", [6, 8, 20])
def test_max_iter_of_an_interrupted_fit_may_change(tmp_path, max_iter):
    options = {"learning_rate_schedule": "constant"}
    path = Checkpoint(tmp_path / "fit.ckpt", every_epochs=1)
    with pytest.raises(Killed):
        fit(path, max_iter=12, scoring=KillAfter(6), **options)
    clf = fit(path, max_iter=max_iter, scoring=KillAfter(99), **options)
    assert_same(clf, fit(max_iter=max_iter, scoring=KillAfter(99), **options))


def test_max_iter_auto_equals_its_value(tmp_path):
    first = fit(tmp_path / "fit.ckpt", max_iter="auto")
    assert_same(fit(tmp_path / "fit.ckpt", max_iter=50), first)


def test_a_schedule_gets_the_new_max_iter_from_the_next_epoch_on(tmp_path):
    asked = []

    def schedule(epoch, max_iter):
        asked.append((epoch, max_iter))
        return 1 - epoch / max_iter

    options = {"learning_rate_schedule": schedule, "batch_size": None}
    fit(tmp_path / "fit.ckpt", max_iter=3, **options)
    fit(tmp_path / "fit.ckpt", max_iter=5, **options)
    assert asked == [(0, 3), (1, 3), (2, 3), (3, 5), (4, 5)]


def test_a_cosine_schedule_rises_again_after_a_finished_fit(tmp_path):
    options = {"learning_rate_schedule": "cosine", "dropout": 0.0}
    first = fit(tmp_path / "fit.ckpt", max_iter=5, **options)
    continued = fit(tmp_path / "fit.ckpt", max_iter=12, **options)
    assert continued.n_iter_ == 12
    assert continued.loss_curve_[:5] == first.loss_curve_
    assert continued.loss_curve_ != fit(max_iter=12, **options).loss_curve_


@pytest.mark.parametrize("n_networks", [1, 5])
def test_an_early_stopped_fit_stays_finished(tmp_path, capsys, n_networks):
    options = {"n_iter_no_change": 2, "tol": 1.0, "n_networks": n_networks}
    first = fit(tmp_path / "fit.ckpt", **options)
    assert first.n_iter_ == 3
    again = fit(tmp_path / "fit.ckpt", max_iter=100, verbose=1, **options)
    assert_same(again, first)
    finished, stopped = capsys.readouterr().out.splitlines()
    assert finished == f"The fit of {tmp_path / 'fit.ckpt'} is already finished"
    assert "no improvement of the validation roc_auc for 2 epochs; weights of " in stopped


def test_early_stopped_networks_stay_finished_while_others_continue(tmp_path):
    options = {
        "n_networks": 5, "n_iter_no_change": 2, "tol": 0.01, "scoring": None,
        "learning_rate_schedule": "constant", "learning_rate": 0.1,
    }  # fmt: skip
    expected = fit(max_iter=20, **options)
    fit(tmp_path / "fit.ckpt", max_iter=8, **options)
    continued = fit(tmp_path / "fit.ckpt", max_iter=20, **options)
    assert_same(continued, expected)
    assert min(expected.best_iter_) + 2 < 8 < max(expected.best_iter_)


def test_max_iter_below_the_trained_epochs_is_an_error(tmp_path):
    path = tmp_path / "fit.ckpt"
    fit(path)
    before = path.read_bytes()
    message = (
        r"at most max_iter=11 epochs, but '.*fit.ckpt' has been trained for 12. Raise max_iter"
    )
    with pytest.raises(ValueError, match=message):
        fit(path, max_iter=11)
    assert path.read_bytes() == before


def test_verbose_prints_the_epoch_of_the_checkpoint(tmp_path, capsys):
    path = Checkpoint(tmp_path / "fit.ckpt", every_epochs=2)
    with pytest.raises(Killed):
        fit(path, scoring=KillAfter(7))
    fit(path, scoring=KillAfter(99), verbose=1)
    fit(path, scoring=KillAfter(99), verbose=1)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"Resumed from epoch 6 of {path.path}"
    assert printed[1].startswith("epoch 7/12: cost ")
    assert printed[-3].startswith("Stopped after epoch 12: max_iter=12 reached; weights of epoch ")
    assert printed[-2:] == [f"The fit of {path.path} is already finished", printed[-3]]


def test_verbose_prints_nothing_about_a_new_checkpoint(tmp_path, capsys):
    fit(tmp_path / "fit.ckpt", verbose=1)
    assert capsys.readouterr().out.startswith("epoch 1/12: cost ")


# -- files of other fits ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0.1}, "has learning_rate='auto' instead of 0.1"),
        ({"n_units": (8, 9)}, r"has n_units=8 instead of \(8, 9\)"),
        ({"activation": torch.tanh}, "has activation='relu' instead of "),
        ({"scoring": make_scorer(roc_auc_score)}, "has scoring='roc_auc' instead of "),
        ({"random_state": 1}, "has random_state=0 instead of 1"),
        ({"X": X + 1e-12}, "has data="),
        ({"X": X.astype(np.float32)}, "has data="),
        ({"y": 1 - Y}, "has data="),
        ({"sample_weight": np.linspace(1, 2, 300)}, "has data="),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_fit_is_rejected_and_not_changed(tmp_path, changed, message):
    path = tmp_path / "fit.ckpt"
    fit(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint=.* belongs to a fit with other .*{message}"):
        fit(path, **changed)
    assert path.read_bytes() == before


def test_parameters_without_effect_on_the_result_may_change(tmp_path, capsys):
    path = tmp_path / "fit.ckpt"
    first = fit(path)
    assert_same(fit(Checkpoint(path, every_epochs=3), verbose=1), first)


def test_equal_parameters_of_other_types_are_accepted(tmp_path):
    path = tmp_path / "fit.ckpt"
    first = fit(path, class_weight={0: 1, 1: 2}, learning_rate=1.0)
    again = fit(
        path, random_state=np.int64(0), n_units=np.int32(8), dropout=np.float64(0.2),
        scoring=np.str_("roc_auc"), early_stopping=np.True_, learning_rate=np.float32(1),
        class_weight={np.int64(1): 2.0, np.int64(0): 1.0},
    )  # fmt: skip
    assert_same(again, first)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (range(10_000), [*range(9_999), 0]),
        ("x" * 10_000, "x" * 9_999 + "y"),
        (1, "1"),
        (True, 1),
        (np.nan, "nan"),
        ((1, 2), (2, 1)),
        (np.zeros(2000), np.r_[np.zeros(1000), 1, np.zeros(999)]),
        ({0: 1, 1: 2}, {0: 2, 1: 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_descriptions_are_short_and_distinct(one, other):
    one, other = (list(v) if isinstance(v, range) else v for v in (one, other))
    assert describe(one) == describe(copy.copy(one)) != describe(other)
    assert max(len(describe(one)), len(describe(other))) < 200


def test_objects_without_a_repr_are_described_by_type():
    assert describe([Unprintable(), np.random.RandomState(0)]) == "(Unprintable, RandomState)"


@pytest.mark.parametrize("size", [0.0, 0.3, 0.999])
def test_a_truncated_checkpoint_is_rejected_and_not_changed(tmp_path, size):
    path = tmp_path / "fit.ckpt"
    fit(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(size * len(content))])
    with pytest.raises(ValueError, match=r"is damaged|is not a checkpoint file"):
        fit(path)
    assert path.read_bytes() == content[: int(size * len(content))]


def test_another_file_is_rejected_and_not_changed(tmp_path):
    path = tmp_path / "diary.txt"
    path.write_text("Dear diary", encoding="utf-8")
    with pytest.raises(ValueError, match=r"'.*diary\.txt' is not a checkpoint file of this"):
        fit(path)
    assert path.read_text(encoding="utf-8") == "Dear diary"


def test_a_file_created_during_the_fit_is_not_overwritten(tmp_path):
    path = tmp_path / "fit.ckpt"

    def intrude(clf, X, y):
        path.write_text("someone else's", encoding="utf-8")
        return 0.5

    with pytest.raises(ValueError, match="was changed or deleted by another program"):
        fit(path, scoring=intrude)
    assert path.read_text(encoding="utf-8") == "someone else's"


@pytest.mark.parametrize("place", ["nowhere/fit.ckpt", "."])
def test_a_path_without_a_folder_is_rejected_before_training(tmp_path, place):
    with pytest.raises(ValueError, match="checkpoint must be a file in a folder that exists"):
        fit(tmp_path / place)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"checkpoint": 3}, "checkpoint must be None, a path or a skdnn.Checkpoint"),
        ({"checkpoint": "x", "optimizer": "lbfgs"}, "optimizer must be one of 'sgd', 'adam', "),
        ({"checkpoint": "x", "optimizer": torch.optim.Adam}, "optimizer must be one of 'sgd', "),
    ],
)
def test_invalid_checkpoint_parameters_are_rejected(parameters, message):
    with pytest.raises(ValueError, match=message):
        DeepBinaryClassifier(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_epochs": 0}, "every_epochs must be an integer of at least 1 or None, got 0"),
        ({"every_epochs": 2.0}, r"every_epochs must be .*, got 2\.0"),
        ({"every_epochs": True}, "every_epochs must be .*, got True"),
        ({"every_epochs": "3"}, "every_epochs must be .*, got '3'"),
        ({"every_epochs": np.array([3])}, r"every_epochs must be .*, got array\(\[3\]\)"),
        ({"every_seconds": -1.0}, r"every_seconds must be a finite number above 0 or None, got -1"),
        ({"every_seconds": np.nan}, "every_seconds must be .*, got nan"),
        ({"every_seconds": np.inf}, "every_seconds must be .*, got inf"),
        ({"every_seconds": 10**400}, "every_seconds must be .*, got 1000"),
        ({"every_seconds": -(10**5000)}, "every_seconds must be .*, got a int"),
        ({"every_seconds": True}, "every_seconds must be .*, got True"),
        ({"every_seconds": 1j}, "every_seconds must be .*, got 1j"),
        ({"path": 3}, "path must be a str or os.PathLike that can name the file .*, got 3"),
        ({"path": b"fit.ckpt"}, "path must be .*, got b'fit.ckpt'"),
        ({"path": ""}, "path must be .*, got ''"),
        ({"path": "fit\0"}, r"path must be .*, got 'fit\\x00'"),
        ({"path": "fit\ud800"}, r"path must be .*, got 'fit\\ud800'"),
        ({"path": Unprintable()}, "path must be .*, got a Unprintable"),
    ],
)
def test_invalid_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint(**{"path": "fit.ckpt", **arguments})


def test_intervals_may_be_numpy_numbers():
    checkpoint = Checkpoint("fit.ckpt", every_epochs=np.int64(3), every_seconds=np.float32(0.5))
    assert checkpoint == Checkpoint("fit.ckpt", every_epochs=3, every_seconds=0.5)


def test_partial_fit_rejects_a_checkpoint(tmp_path):
    clf = DeepBinaryClassifier(checkpoint=tmp_path / "fit.ckpt")
    with pytest.raises(ValueError, match="checkpoint must be None for partial_fit"):
        clf.partial_fit(X, Y, classes=[0, 1])


def test_fits_of_a_grid_search_cannot_share_a_checkpoint(tmp_path):
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, checkpoint=tmp_path / "fit.ckpt")
    search = GridSearchCV(clf, {"n_layers": [1, 2]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="belongs to a fit with other parameters"):
        search.fit(X, Y)
