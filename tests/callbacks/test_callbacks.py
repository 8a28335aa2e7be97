"""scikit-learn's callbacks, on an estimator, in a pipeline and in a search."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, ImageVectorizer

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

X, Y = make_moons(200, noise=0.2, random_state=0)


def small(**parameters):
    return DeepBinaryClassifier(
        **{"n_units": 8, "max_iter": 6, "tol": 0.0, "random_state": 0, **parameters}
    )


class Recorder:
    """A callback that records its calls and stops the fit after some epochs."""

    def __init__(self, stop_after=None):
        self.stop_after, self.calls, self.estimators = stop_after, [], []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.calls.append(("end", context.task_name, context.task_id))
        if context.task_name == "epoch":
            self.estimators.append(fitted_estimator)
            self.X, self.y, self.metadata = X, y, metadata
        return self.stop_after == context.task_id + 1


def test_callbacks_see_the_begin_and_end_of_the_fit_and_of_each_epoch():
    recorder = Recorder()
    clf = small().set_callbacks(recorder).fit(X, Y)
    epochs = [(what, "epoch", k) for k in range(6) for what in ("begin", "end")]
    assert recorder.calls == [
        ("setup", "fit"), ("begin", "fit", 0), *epochs, ("end", "fit", 0), ("teardown", "fit"),
    ]  # fmt: skip
    assert clf.n_iter_ == 6


def test_callbacks_do_not_change_the_fit():
    observed = small().set_callbacks(Recorder()).fit(X, Y)
    np.testing.assert_array_equal(observed.predict_proba(X), small().fit(X, Y).predict_proba(X))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_fitted_estimator_of_an_epoch_equals_a_fit_with_that_max_iter(optimizer):
    recorder = Recorder()
    constant = {"learning_rate_schedule": "constant", "optimizer": optimizer, "weight_decay": 0.1}
    small(**constant).set_callbacks(recorder).fit(X, Y)
    for k, fitted in enumerate(recorder.estimators[:4], start=1):
        short = small(**constant, max_iter=k).fit(X, Y)
        np.testing.assert_allclose(fitted.predict_proba(X), short.predict_proba(X), rtol=1e-9)
        assert fitted.n_iter_ == k
        assert fitted.loss_curve_ == pytest.approx(short.loss_curve_)


def test_a_callback_can_stop_the_fit():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a ConvergenceWarning
        clf = small().set_callbacks(Recorder(stop_after=3)).fit(X, Y)
    assert clf.n_iter_ == len(clf.loss_curve_) == 3


def test_callbacks_get_the_data_as_passed():
    recorder, weight = Recorder(), np.ones(200)
    small().set_callbacks(recorder).fit(X.tolist(), Y, sample_weight=weight)
    assert X.tolist() == recorder.X
    assert recorder.y is Y
    assert recorder.metadata["sample_weight"] is weight


def test_scoring_monitor_scores_every_epoch():
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    clf = small(max_iter=4).set_callbacks(monitor).fit(X, Y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 4
    assert rows[-1]["accuracy"] == accuracy_score(Y, clf.predict(X))


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_scoring_monitor_in_a_pipeline_inside_a_search(n_jobs):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = small(max_iter=3).set_callbacks(monitor)
    model = make_pipeline(StandardScaler(), clf)
    grid = {"deepbinaryclassifier__n_layers": [1, 2]}
    GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(X, Y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == (2 * 2 + 1) * 3
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


@pytest.mark.parametrize("place", ["bare", "pipeline", "search"])
def test_progress_bar_shows_the_epochs(place, capsys):
    pytest.importorskip("rich")
    model = small(max_iter=3)
    if place != "bare":
        model = make_pipeline(StandardScaler(), model)
    if place == "search":
        model = GridSearchCV(model, {"deepbinaryclassifier__n_layers": [1, 2]}, cv=2)
    model.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    assert "DeepBinaryClassifier" in capsys.readouterr().out


def test_image_vectorizer_supports_callbacks_alone_and_in_a_pipeline():
    photographs = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), np.uint8)
    recorder = Recorder()
    vectors = ImageVectorizer(size=(3, 3)).set_callbacks(recorder).fit(photographs)
    assert recorder.calls == [
        ("setup", "fit"), ("begin", "fit", 0), ("end", "fit", 0), ("teardown", "fit"),
    ]  # fmt: skip
    clone(vectors).set_callbacks().fit(photographs)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = make_pipeline(ImageVectorizer(size=(3, 3)), small(max_iter=3).set_callbacks(monitor))
    bar = callback.ProgressBar(max_propagation_depth=None)
    model.set_callbacks(bar).fit(photographs, [0, 1] * 10)  # a warning would be an error
    assert len(monitor.get_logs().data) == 1 + 3


def test_callbacks_survive_clone_and_pickle():
    clf = clone(small().set_callbacks(Recorder(stop_after=2)))
    assert pickle.loads(pickle.dumps(clf)).fit(X, Y).n_iter_ == 2


def test_failed_fit_tears_down_callbacks_and_restores_the_estimator():
    recorder = Recorder()
    clf = small().set_callbacks(recorder).fit(X, Y)
    before = vars(clf).copy()
    with pytest.raises(ValueError, match="inconsistent"):
        clf.fit(X, Y[:-1])
    assert recorder.calls[-1] == ("teardown", "fit")
    assert vars(clf) == before


def test_set_callbacks_rejects_other_objects():
    with pytest.raises(TypeError, match="FitCallback"):
        small().set_callbacks(print)


def test_fit_stopped_by_a_callback_is_not_resumed_with_larger_max_iter(tmp_path, capsys):
    options = {"checkpoint": tmp_path / "fit.ckpt", "early_stopping": False}
    first = small(**options).set_callbacks(Recorder(stop_after=3)).fit(X, Y)
    again = small(max_iter=9, verbose=1, **options).fit(X, Y)
    assert first.n_iter_ == again.n_iter_ == 3
    finished, stopped = capsys.readouterr().out.splitlines()
    assert finished.endswith("fit.ckpt is already finished")
    assert stopped == "Stopped after epoch 3: a callback stopped it; weights of epoch 3 kept"
