"""The lines that `verbose` prints: their content and their number."""

import re
import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.datasets import make_moons, make_regression
from sklearn.metrics import brier_score_loss, f1_score, make_scorer, zero_one_loss

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.callbacks import EpochLines, ending_line
from skdnn.training import TrainingResult

LINE = re.compile(
    r"epoch (\d+)/(\d+): cost \d\.\d{6}"
    r"(, validation cost \d\.\d{6}, validation accuracy \d\.\d{4})?, "
    r"\d+\.\d s, [\d,]+ rows/s"
)


class Epoch:
    """The attributes of a Progress that a line needs."""

    validation_costs, scores, max_iter = [], [], 20

    def __init__(self, epoch):
        self.epoch, self.costs, self.is_last = epoch, [[0.5]] * epoch, epoch == 20


def test_first_and_last_epoch_and_few_lines_per_second_are_printed(capsys):
    times = iter([0.0, *(k / 10 for k in range(1, 21))])
    lines = EpochLines(n_rows=300, score_name="accuracy", clock=lambda: next(times))
    for epoch in range(1, 21):
        lines(Epoch(epoch))
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("/")[0] for line in printed] == [
        f"epoch {epoch}" for epoch in (1, 4, 7, 10, 13, 16, 19, 20)
    ]
    assert printed[-1] == "epoch 20/20: cost 0.500000, 2.0 s, 3,000 rows/s"


@pytest.mark.parametrize("early_stopping", [True, False])
def test_verbose_prints_cost_validation_time_and_rate(capsys, early_stopping):
    X, y = make_moons(200, random_state=0)
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, verbose=1, early_stopping=early_stopping)
    clf.fit(X, y)
    printed = capsys.readouterr().out.splitlines()
    assert printed.pop().startswith("Stopped after epoch 3: ")
    matches = [LINE.fullmatch(line) for line in printed]
    assert all(matches)
    assert all((match[3] is not None) == early_stopping for match in matches)
    assert (matches[0][1], matches[-1][1], matches[-1][2]) == ("1", "3", "3")


def brier(estimator, X, y):
    return -brier_score_loss(y, estimator.predict_proba(X)[:, 1])


SCORERS = {
    "roc_auc": "roc_auc",
    "neg_log_loss": "neg_log_loss",
    "brier": brier,
    "f1_score": make_scorer(f1_score),
    "neg_zero_one_loss": make_scorer(zero_one_loss, greater_is_better=False),
    "partial": partial(brier),
}


@pytest.mark.parametrize("name", SCORERS)
def test_lines_name_the_scorer(capsys, name):
    clf = DeepBinaryClassifier(n_units=4, max_iter=1, verbose=1, scoring=SCORERS[name])
    clf.fit(*make_moons(200, random_state=0))
    assert f", validation {name} {clf.validation_scores_[0]:.4f}, " in capsys.readouterr().out


def test_lines_of_a_regressor_name_r2(capsys):
    reg = DeepRegressor(n_units=4, max_iter=1, verbose=1, early_stopping=True)
    reg.fit(*make_regression(200, random_state=0))
    assert f", validation r2 {reg.validation_scores_[0]:.4f}, " in capsys.readouterr().out


# -- why training stopped ----------------------------------------------------------------------


def last_line(capsys, estimator, X, y, **passed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that max_iter is reached, or that weights start equal
        estimator.fit(X, y, **passed)
    return capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "criterion"),
    [
        ({"early_stopping": False}, "training cost"),
        ({"early_stopping": True}, "validation cost"),
        ({"early_stopping": True, "scoring": "roc_auc"}, "validation roc_auc"),
        ({"early_stopping": True, "scoring": brier}, "validation brier"),
    ],
    ids=["no early stopping", "cost", "scorer by name", "scorer"],
)
@pytest.mark.parametrize(("n_iter_no_change", "patience"), [(3, "3 epochs"), (1, "1 epoch")])
def test_last_line_names_the_quantity_that_did_not_improve(
    capsys, options, criterion, n_iter_no_change, patience
):
    clf = DeepBinaryClassifier(
        n_units=4, tol=1e9, n_iter_no_change=n_iter_no_change, verbose=1, random_state=0, **options
    )
    line = last_line(capsys, clf, *make_moons(200, random_state=0))
    assert line == (
        f"Stopped after epoch {1 + n_iter_no_change}: no improvement of the {criterion} for "
        f"{patience}; weights of epoch {clf.best_iter_} kept"
    )


@pytest.mark.parametrize(
    ("early_stopping", "criterion"), [(False, "training cost"), ("auto", "validation cost")]
)
def test_last_line_with_a_validation_set_of_the_user(capsys, early_stopping, criterion):
    X, y = make_moons(200, random_state=0)
    clf = DeepBinaryClassifier(
        n_units=4, tol=1e9, n_iter_no_change=2, early_stopping=early_stopping, verbose=1
    )
    line = last_line(capsys, clf, X, y, X_val=X, y_val=y)
    assert f": no improvement of the {criterion} for 2 epochs; weights of epoch " in line


@pytest.mark.parametrize(("max_iter", "n"), [(4, 4), ("auto", 50)])
def test_last_line_when_max_iter_is_reached(capsys, max_iter, n):
    clf = DeepBinaryClassifier(
        n_units=2, max_iter=max_iter, tol=0.0, n_iter_no_change=99, verbose=1, random_state=0
    )
    line = last_line(capsys, clf, *make_moons(200, random_state=0))
    kept = clf.best_iter_
    assert line == f"Stopped after epoch {n}: max_iter={n} reached; weights of epoch {kept} kept"


def test_last_line_of_a_regressor(capsys):
    reg = DeepRegressor(
        n_units=4, tol=1e9, n_iter_no_change=2, early_stopping=True, verbose=1, random_state=0
    )
    line = last_line(capsys, reg, *make_regression(200, random_state=0))
    assert "no improvement of the validation cost for 2 epochs; weights of epoch " in line


class StopAfterThreeEpochs:
    """A callback that stops the fit after its third epoch."""

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, **passed):
        return context.task_name == "epoch" and context.task_id == 2


def test_last_line_when_a_callback_stops_the_fit(capsys):
    pytest.importorskip("sklearn.callback")
    clf = DeepBinaryClassifier(n_units=4, early_stopping=False, verbose=1)
    clf.set_callbacks(StopAfterThreeEpochs())
    line = last_line(capsys, clf, *make_moons(50, random_state=0))
    assert line == "Stopped after epoch 3: a callback stopped it; weights of epoch 3 kept"


def test_last_line_after_ctrl_c(capsys):
    def interrupt(epoch, max_iter):
        if epoch >= 2:
            raise KeyboardInterrupt
        return 1.0

    clf = DeepBinaryClassifier(
        n_units=4, early_stopping=False, learning_rate_schedule=interrupt, verbose=1
    )
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*make_moons(50, random_state=0))
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Stopped after epoch 2: interrupted by Ctrl-C; weights of epoch 2 kept"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tol": 0.1}, "converged, no component of the gradient exceeds tol=0.1; weights of "),
        ({"tol": 0.0}, "converged, the cost decreases no further; weights of "),
        ({"tol": 0.0, "max_iter": 2}, "max_iter=2 reached; weights of epoch 2 kept"),
        ({"n_layers": 3, "init_scale": 0.0}, "exceeds tol=0.0001; initial weights kept"),
        (
            {"early_stopping": True, "n_iter_no_change": 1, "tol": 1.0},
            "no component of the gradient exceeds tol=1; ",
        ),
    ],
    ids=str,
)
def test_last_line_of_lbfgs(capsys, options, reason):
    clf = DeepBinaryClassifier(
        **{"n_layers": 1, "optimizer": "lbfgs", "weight_decay": 0.1, "verbose": 1,
           "random_state": 0, "max_iter": 500, **options}
    )  # fmt: skip
    line = last_line(capsys, clf, *make_moons(200, noise=0.2, random_state=0))
    assert line.startswith(f"Stopped after epoch {clf.n_iter_}: ")
    assert reason in line


def test_last_line_counts_the_reasons_of_several_networks():
    result = TrainingResult(
        theta=None, n_iter=np.array([37, 50, 50]), best_iter=np.array([27, 41, 50]),
        cost_curve=None, validation_cost_curve=None, validation_score_curve=None,
        endings=np.array(["no_improvement", "max_iter", "max_iter"]), interrupted=False,
    )  # fmt: skip
    assert ending_line(result, "validation cost", 50, 10, 1e-4) == (
        "Stopped after epochs 37, 50, 50: no improvement of the validation cost for 10 epochs "
        "(1 of 3 networks), max_iter=50 reached (2 of 3 networks); weights of epochs 27, 41, 50 "
        "kept"
    )
    assert result.converged.tolist() == [True, False, False]


def test_last_line_lists_the_best_epoch_of_each_network(capsys):
    clf = DeepBinaryClassifier(
        n_units=8, n_networks=5, learning_rate=0.1, tol=0.0, n_iter_no_change=99, max_iter=9,
        verbose=1, random_state=0,
    )  # fmt: skip
    line = last_line(capsys, clf, *make_moons(200, noise=0.5, random_state=0))
    assert len(set(clf.best_iter_)) > 1
    kept = ", ".join(map(str, clf.best_iter_))
    assert line == f"Stopped after epoch 9: max_iter=9 reached; weights of epochs {kept} kept"


def test_partial_fit_prints_one_line(capsys):
    X, y = make_moons(50, random_state=0)
    DeepBinaryClassifier(n_units=4, verbose=1).partial_fit(X, y, classes=[0, 1])
    (line,) = capsys.readouterr().out.splitlines()
    assert LINE.fullmatch(line)


def test_nothing_is_printed_by_default(capsys):
    DeepBinaryClassifier(n_units=4, max_iter=3).fit(*make_moons(50, random_state=0))
    assert capsys.readouterr().out == ""
