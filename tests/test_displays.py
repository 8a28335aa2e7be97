"""What pictures show. `pytest --basetemp=pictures` keeps them, to be looked at."""

import sys
from functools import partial

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.exceptions import NotFittedError
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, LossCurveDisplay, NetworkDisplay

X, Y = make_moons(200, noise=0.2, random_state=0)


@pytest.fixture(autouse=True)
def _no_window_and_none_left():
    backend = matplotlib.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(backend)


def fit(**parameters):
    parameters = {"n_units": (8, 9, 3), "max_iter": 20, "random_state": 0, **parameters}
    return DeepBinaryClassifier(**parameters).fit(X, Y)


def circles(display):
    return len(display.ax_.patches)


def texts(display):
    return [text.get_text() for text in display.ax_.texts]


def save(display, tmp_path, name):
    path = tmp_path / f"{name}.png"
    display.figure_.savefig(path)
    picture = plt.imread(path)
    assert picture.std() > 0.01  # not empty
    return path


# -- curves -----------------------------------------------------------------------------------


def test_curves_of_training_and_validation(tmp_path):
    clf = fit(early_stopping=True)
    display = LossCurveDisplay.from_estimator(clf)
    training, validation = display.lines_
    np.testing.assert_array_equal(training.get_ydata(), clf.loss_curve_)
    np.testing.assert_array_equal(validation.get_ydata(), clf.validation_loss_curve_)
    np.testing.assert_array_equal(training.get_xdata(), np.arange(1, clf.n_iter_ + 1))
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["training", "validation", f"weights kept (epoch {clf.best_iter_})"]
    save(display, tmp_path, "curves")


def test_curve_of_training_alone():
    display = LossCurveDisplay.from_estimator(
        fit(early_stopping=False), color="black", label="deep"
    )
    (line,) = display.lines_
    assert (line.get_color(), line.get_label()) == ("black", "deep")


@pytest.mark.parametrize("display_class", [LossCurveDisplay, NetworkDisplay])
def test_displays_draw_where_they_are_told(display_class):
    figure, ax = plt.subplots()
    display = display_class.from_estimator(fit(), ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)
    assert display.plot() is display
    assert display.ax_ is not ax


# -- networks ---------------------------------------------------------------------------------


def test_a_circle_for_each_unit_and_an_arrow_for_each_weight(tmp_path):
    display = NetworkDisplay.from_estimator(fit())
    assert circles(display) == 2 + 8 + 9 + 3 + 1
    assert texts(display).count("") == 2 * 8 + 8 * 9 + 9 * 3 + 3 * 1
    assert {"$x_{1}$", "$a^{[2]}_{9}$", r"$\hat{y}$"} <= set(texts(display))
    assert "$n^{[3]} = 3$\nlayer 3\nrelu" in texts(display)
    assert "$n^{[4]} = 1$\nlayer 4\nsigmoid" in texts(display)
    save(display, tmp_path, "network")


def test_large_layers_are_abbreviated(tmp_path):
    display = NetworkDisplay((7200, 20, 7, 5, 1), ["relu", "leaky_relu", "tanh"]).plot()
    assert circles(display) == 10 + 10 + 7 + 5 + 1
    assert texts(display).count("⋮") == 2
    assert {"$x_{1}$", "$x_{7200}$", "$a^{[1]}_{20}$"} <= set(texts(display))
    save(display, tmp_path, "photographs")


@pytest.mark.parametrize("n_layers", [1, 2, 7])
def test_networks_of_any_depth(tmp_path, n_layers):
    display = NetworkDisplay.from_estimator(fit(n_layers=n_layers, n_units=3), max_units=4)
    assert circles(display) == 2 + 3 * (n_layers - 1) + 1
    save(display, tmp_path, f"depth {n_layers}")


@pytest.mark.parametrize("max_units", [2, 3, 5])
def test_layers_have_as_many_circles_as_allowed(max_units):
    display = NetworkDisplay((50, 40, 1), ["tanh"], max_units=max_units).plot()
    assert circles(display) == 2 * max_units + 1


def torch_sin(Z):
    return Z.sin()


def test_own_activations_are_named():
    display = NetworkDisplay.from_estimator(fit(activation=torch_sin, n_units=2))
    assert any("torch_sin" in text for text in texts(display))
    display = NetworkDisplay.from_estimator(fit(activation=partial(torch_sin), n_units=2))
    assert any("partial" in text for text in texts(display))


# -- what they take ---------------------------------------------------------------------------


def test_the_network_is_found_in_pipelines_and_searches():
    model = make_pipeline(StandardScaler(), DeepBinaryClassifier(n_units=3, max_iter=3))
    search = GridSearchCV(model, {"deepbinaryclassifier__n_layers": [2]}, cv=2).fit(X, Y)
    assert circles(NetworkDisplay.from_estimator(search)) == 2 + 3 + 1
    assert len(LossCurveDisplay.from_estimator(model.fit(X, Y)).loss_curve) == 3


@pytest.mark.parametrize("display_class", [LossCurveDisplay, NetworkDisplay])
def test_what_is_no_fitted_network_is_an_error(display_class):
    with pytest.raises(TypeError, match=r"must be a DeepBinaryClassifier, .* got LogisticReg"):
        display_class.from_estimator(LogisticRegression().fit(X, Y))
    with pytest.raises(NotFittedError):
        display_class.from_estimator(DeepBinaryClassifier())


def test_too_few_circles_are_an_error():
    with pytest.raises(ValueError, match="max_units must be at least 2, got 1"):
        NetworkDisplay.from_estimator(fit(), max_units=1)


def test_displays_that_were_never_drawn_need_no_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = NetworkDisplay((3, 1), [])
    with pytest.raises(ImportError, match=r"pip install 'skdnn\[plot\]'"):
        display.plot()


def test_decision_boundary_display_works_as_it_is(tmp_path):
    display = DecisionBoundaryDisplay.from_estimator(fit(n_units=32), X)
    display.ax_.scatter(*X.T, c=Y, edgecolor="black")
    display.ax_.figure.savefig(tmp_path / "boundary.png")
    assert display.response.min() < 0.3
    assert display.response.max() > 0.7
