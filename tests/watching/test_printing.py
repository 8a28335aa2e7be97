"""The lines of verbose: what they say, and not too many of them."""

import re
from functools import partial

import pytest
from sklearn.datasets import make_moons, make_regression
from sklearn.metrics import brier_score_loss, f1_score, make_scorer, zero_one_loss

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.watching import EpochLines

LINE = re.compile(
    r"epoch (\d+)/(\d+): cost \d\.\d{6}"
    r"(, validation cost \d\.\d{6}, validation accuracy \d\.\d{4})?, "
    r"\d+\.\d s, [\d,]+ rows/s"
)


class Epoch:
    """What a line is made of."""

    validation_costs, scores, max_iter = [], [], 20

    def __init__(self, epoch):
        self.epoch, self.costs, self.is_last = epoch, [[0.5]] * epoch, epoch == 20


def test_few_lines_a_second_but_the_first_and_the_last(capsys):
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
def test_verbose_tells_of_cost_validation_time_and_rate(capsys, early_stopping):
    X, y = make_moons(200, random_state=0)
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, verbose=1, early_stopping=early_stopping)
    clf.fit(X, y)
    printed = capsys.readouterr().out.splitlines()
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
def test_the_score_is_named(capsys, name):
    clf = DeepBinaryClassifier(n_units=4, max_iter=1, verbose=1, scoring=SCORERS[name])
    clf.fit(*make_moons(200, random_state=0))
    assert f", validation {name} {clf.validation_scores_[0]:.4f}, " in capsys.readouterr().out


def test_the_score_of_numbers_is_named(capsys):
    reg = DeepRegressor(n_units=4, max_iter=1, verbose=1, early_stopping=True)
    reg.fit(*make_regression(200, random_state=0))
    assert f", validation r2 {reg.validation_scores_[0]:.4f}, " in capsys.readouterr().out


def test_silent_by_default(capsys):
    DeepBinaryClassifier(n_units=4, max_iter=3).fit(*make_moons(50, random_state=0))
    assert capsys.readouterr().out == ""
