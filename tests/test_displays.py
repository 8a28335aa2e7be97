"""Contents of plots; `pytest --basetemp=pictures` keeps the images."""

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

from skdnn import (
    ActivationDisplay,
    DecisionBoundariesDisplay,
    DeepBinaryClassifier,
    ImageVectorizer,
    LossCurveDisplay,
    NetworkDisplay,
    WeightImagesDisplay,
)
from skdnn.network import ACTIVATIONS

X, Y = make_moons(200, noise=0.2, random_state=0)


@pytest.fixture(autouse=True)
def _no_window_and_none_left():
    backend = matplotlib.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(backend)


def fit(**parameters):
    parameters = {"n_units": (8, 9, 3), "max_iter": 5, "random_state": 0, **parameters}
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


def test_training_and_validation_curves_are_drawn(tmp_path):
    clf = fit(early_stopping=True)
    display = LossCurveDisplay.from_estimator(clf)
    training, validation = display.lines_
    np.testing.assert_array_equal(training.get_ydata(), clf.loss_curve_)
    np.testing.assert_array_equal(validation.get_ydata(), clf.validation_loss_curve_)
    np.testing.assert_array_equal(training.get_xdata(), np.arange(1, clf.n_iter_ + 1))
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["training", "validation", f"weights kept (epoch {clf.best_iter_})"]
    save(display, tmp_path, "curves")


def test_only_the_training_curve_is_drawn_without_validation():
    display = LossCurveDisplay.from_estimator(
        fit(early_stopping=False), color="black", label="deep"
    )
    (line,) = display.lines_
    assert (line.get_color(), line.get_label()) == ("black", "deep")


@pytest.mark.parametrize("display_class", [LossCurveDisplay, NetworkDisplay])
def test_displays_draw_on_the_given_axes(display_class):
    figure, ax = plt.subplots()
    display = display_class.from_estimator(fit(), ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)
    assert display.plot() is display
    assert display.ax_ is not ax


# -- networks ---------------------------------------------------------------------------------


def test_each_unit_is_a_circle_and_each_weight_an_arrow(tmp_path):
    display = NetworkDisplay.from_estimator(fit())
    assert circles(display) == 2 + 8 + 9 + 3 + 1
    assert texts(display).count("") == 2 * 8 + 8 * 9 + 9 * 3 + 3 * 1
    assert {"$x_{1}$", "$a^{[2]}_{9}$", r"$\hat{y}$"} <= set(texts(display))
    assert "$n^{[3]} = 3$\nlayer 3\nrelu" in texts(display)
    assert "$n^{[4]} = 1$\nlayer 4\nsigmoid" in texts(display)
    save(display, tmp_path, "network")


def test_text_fits_into_the_circles():
    sizes = []
    for columns in (1, 2, 4):
        ax = plt.subplots(1, columns, squeeze=False)[1][0, 0]
        display = NetworkDisplay((2, 3, 3, 1), ["relu"] * 2).plot(ax=ax)
        sizes.append({text.get_fontsize() for text in display.ax_.texts if text.get_text()})
    assert [len(size) for size in sizes] == [1, 1, 1]
    assert min(sizes[0]) > min(sizes[1]) > min(sizes[2])


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
def test_layers_have_at_most_max_units_circles(max_units):
    display = NetworkDisplay((50, 40, 1), ["tanh"], max_units=max_units).plot()
    assert circles(display) == 2 * max_units + 1


def torch_sin(Z):
    return Z.sin()


def test_custom_activations_are_named():
    display = NetworkDisplay.from_estimator(fit(activation=torch_sin, n_units=2))
    assert any("torch_sin" in text for text in texts(display))
    display = NetworkDisplay.from_estimator(fit(activation=partial(torch_sin), n_units=2))
    assert any("partial" in text for text in texts(display))


# -- activations ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [*ACTIVATIONS, torch_sin])
def test_the_derivative_curve_is_the_slope_of_the_activation(activation):
    display = ActivationDisplay.from_activation(activation, limits=(-2.5, 2), n_points=1000)
    z, slope = display.Z, np.gradient(display.A, display.Z)
    smooth = np.abs(z) > 0.01  # ReLU has no derivative at 0
    np.testing.assert_allclose(display.derivative[smooth], slope[smooth], atol=5e-3)
    assert (z[0], z[-1]) == (-2.5, 2)
    for line, curve in zip(display.lines_, (display.A, display.derivative), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), curve)


def test_the_title_is_the_name_of_the_activation(tmp_path):
    display = ActivationDisplay.from_activation("logistic", color="green")
    assert display.ax_.get_title() == "sigmoid"
    assert [line.get_color() for line in display.lines_] == ["green", "green"]
    save(display, tmp_path, "sigmoid")
    with pytest.raises(ValueError, match="activation must be one of"):
        ActivationDisplay.from_activation("step")


# -- boundaries -------------------------------------------------------------------------------


def test_decision_boundaries_are_drawn_side_by_side(tmp_path):
    models = {"a line": LogisticRegression().fit(X, Y), "a curve": fit()}
    display = DecisionBoundariesDisplay.from_estimators(models, X, Y, grid_resolution=20)
    assert [ax.get_title() for ax in display.axes_] == list(models)
    assert display.is_positive.sum() == (Y == 1).sum()
    for name, model in models.items():
        corner = [[display.xx0[0, -1], display.xx1[0, -1]]]
        np.testing.assert_allclose(
            display.probabilities[name][0, -1], model.predict_proba(corner)[0, 1], rtol=1e-12
        )
    assert (display.xx0.min(), display.xx1.max()) < (X[:, 0].min(), X[:, 1].max() + 1)
    save(display, tmp_path, "boundaries")


@pytest.mark.parametrize(("n", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3))])
def test_a_row_has_at_most_three_plots(n, shape):
    names = [str(k) for k in range(n)]
    display = DecisionBoundariesDisplay.from_estimators(dict.fromkeys(names, fit()), X, Y)
    assert [ax.get_title() for ax in display.figure_.axes] == names
    assert {ax.get_gridspec().get_geometry() for ax in display.axes_} == {shape}
    assert display.figure_.get_figwidth() < 7


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_keeps_its_columns(library):
    data = pytest.importorskip(library).DataFrame(dict(zip(["length", "width"], X.T, strict=True)))
    labels = np.where(Y == 1, "yes", "no")
    clf = DeepBinaryClassifier(1, max_iter=3, random_state=0).fit(data, labels)
    display = DecisionBoundariesDisplay.from_estimators({"": clf}, data, labels, grid_resolution=9)
    np.testing.assert_array_equal(display.is_positive, Y == 1)
    np.testing.assert_array_equal(display.points, X)


def test_decision_boundaries_are_drawn_on_the_given_axes():
    figure, axes = plt.subplots(1, 2)
    models = {"1": fit(n_layers=1, n_units=3), "2": fit(n_layers=2, n_units=3)}
    display = DecisionBoundariesDisplay.from_estimators(models, X, Y, axes=axes, grid_resolution=9)
    assert display.axes_ == list(axes)
    assert display.figure_ is figure


@pytest.mark.parametrize("columns", [1, 3])
def test_decision_boundaries_require_two_features(columns):
    with pytest.raises(ValueError, match=r"X must have two columns, got shape \(200, [13]\)"):
        DecisionBoundariesDisplay.from_estimators({"": fit()}, np.ones((200, columns)), Y)


def test_decision_boundaries_require_titles_and_one_axes_each():
    with pytest.raises(TypeError, match=r"estimators must be a dict .* got DeepBinaryClassifier"):
        DecisionBoundariesDisplay.from_estimators(fit(), X, Y)
    axes = plt.subplots(1, 3)[1]
    with pytest.raises(ValueError, match="axes must be one for each of 1 classifiers, got 3"):
        DecisionBoundariesDisplay.from_estimators({"": fit()}, X, Y, axes=axes)


# -- weights as images ------------------------------------------------------------------------


def photographs(mode="RGB"):
    """Return small images that are bright on the left or right, and whether on the left."""
    images = np.random.default_rng(0).integers(0, 60, size=(60, 6, 8, 3), dtype=np.uint8)
    is_left = np.arange(60) % 2 == 0
    images[is_left, :, :4] += 150
    images[~is_left, :, 4:] += 150
    return images if mode == "RGB" else images[..., 0], is_left


def image_model(mode="RGB", **parameters):
    parameters = {"n_layers": 1, "standardize": True, "random_state": 0, **parameters}
    return make_pipeline(ImageVectorizer(None, mode), DeepBinaryClassifier(**parameters))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_large_positive_weights_are_bright(tmp_path, mode):
    images, is_left = photographs(mode)
    display = WeightImagesDisplay.from_estimator(image_model(mode).fit(images, is_left))
    assert display.images.shape == (1, *images.shape[1:])
    assert display.images[0, :, :4].mean() > 128 > display.images[0, :, 4:].mean()
    save(display, tmp_path, f"weights {mode}")


@pytest.mark.parametrize(("order", "scale"), [("planes", "unit"), ("interleaved", None)])
def test_weights_have_the_layout_of_the_pixels(order, scale):
    images, is_left = photographs()
    model = image_model().set_params(imagevectorizer__order=order, imagevectorizer__scale=scale)
    W = model.fit(images, is_left)[-1].coefs_[0][:, 0]
    W = W.reshape(3, 6, 8).transpose(1, 2, 0) if order == "planes" else W.reshape(6, 8, 3)
    shown = WeightImagesDisplay.from_estimator(model).images[0]
    np.testing.assert_allclose(shown, 127.5 + 127.5 * W / np.abs(W).max(), atol=0.51)


def test_image_shape_is_required_without_an_image_vectorizer():
    images, is_left = photographs("L")
    search = GridSearchCV(DeepBinaryClassifier(2, 3), {"n_units": [5]}, cv=2)
    search.fit(images.reshape(60, 48), is_left)
    assert WeightImagesDisplay.from_estimator(search, image_shape=(6, 8)).images.shape == (5, 6, 8)
    with pytest.raises(ValueError, match="image_shape must be given unless a pipeline"):
        WeightImagesDisplay.from_estimator(search)
    with pytest.raises(ValueError, match=r"one input for each of 49 .* got 48 inputs\."):
        WeightImagesDisplay.from_estimator(search, image_shape=(7, 7))
    with pytest.raises(ValueError, match=r"must be \(height, width\) or .* got 48"):
        WeightImagesDisplay.from_estimator(search, image_shape=48)
    with pytest.raises(ValueError, match="max_units must be at least 1, got 0"):
        WeightImagesDisplay.from_estimator(search, image_shape=(6, 8), max_units=0)


def test_the_units_of_several_networks_with_the_largest_weights_are_drawn():
    images, is_left = photographs("L")
    model = image_model("L", n_layers=2, n_units=4, n_networks=3, numeric_embedding=None)
    model.fit(images, is_left)
    size = np.square(model[-1].coefs_[0]).sum(axis=1).ravel()
    display = WeightImagesDisplay.from_estimator(model, max_units=5)
    every = WeightImagesDisplay.from_estimator(model).images
    assert len(every) == 12
    np.testing.assert_array_equal(display.images, every[np.sort(np.argsort(size)[-5:])])


def test_weights_of_zero_are_grey():
    images, is_left = photographs("L")
    model = image_model("L", n_layers=2, n_units=2, init_scale=0.0, activation="tanh", max_iter=1)
    with pytest.warns(UserWarning, match="init_scale"):
        model.fit(images, is_left)
    assert set(WeightImagesDisplay.from_estimator(model).images.ravel()) == {128}


# -- what they take ---------------------------------------------------------------------------


def test_the_network_in_a_pipeline_or_search_is_drawn():
    model = make_pipeline(StandardScaler(), DeepBinaryClassifier(n_units=3, max_iter=3))
    search = GridSearchCV(model, {"deepbinaryclassifier__n_layers": [2]}, cv=2).fit(X, Y)
    assert circles(NetworkDisplay.from_estimator(search)) == 2 + 3 + 1
    assert len(LossCurveDisplay.from_estimator(model.fit(X, Y)).loss_curve) == 3


@pytest.mark.parametrize("display_class", [LossCurveDisplay, NetworkDisplay, WeightImagesDisplay])
def test_anything_but_a_fitted_network_is_an_error(display_class):
    with pytest.raises(TypeError, match=r"must be a DeepBinaryClassifier or .* got LogisticReg"):
        display_class.from_estimator(LogisticRegression().fit(X, Y))
    with pytest.raises(NotFittedError):
        display_class.from_estimator(DeepBinaryClassifier())


def test_max_units_that_is_too_small_is_an_error():
    with pytest.raises(ValueError, match="max_units must be at least 2, got 1"):
        NetworkDisplay.from_estimator(fit(), max_units=1)


class Endless:
    best_estimator_ = property(lambda self: self)


MOONS = make_moons(100, random_state=0)
FITTED = DeepBinaryClassifier(2, 3, random_state=0).fit(*MOONS)
IMAGES = np.zeros((2, 3, 4), np.uint8)
GRID = np.meshgrid([0.0, 1.0], [0.0, 1.0])
BAD_ARGUMENTS = [
    (lambda: LossCurveDisplay(["a"]).plot(), "loss_curve must be an array of numbers"),
    (lambda: LossCurveDisplay([]).plot(), "loss_curve must be a non-empty array"),
    (lambda: LossCurveDisplay([1.0], [[1.0]]).plot(), "validation_loss_curve must be a non-empty"),
    (lambda: LossCurveDisplay([1.0], best_iter="a").plot(), "best_iter must be an integer"),
    (lambda: LossCurveDisplay([1.0]).plot(ax="x"), "ax must be matplotlib Axes or None, got str"),
    (lambda: LossCurveDisplay.from_estimator(Endless()), "must be a DeepBinaryClassifier"),
    (lambda: NetworkDisplay((2, 3, 1), []).plot(), "activations must be one for each of 1 hidden"),
    (lambda: NetworkDisplay((2, -3, 1), ["relu"]).plot(), "each of layer_sizes must be at least 1"),
    (lambda: NetworkDisplay((2, 3, 1), ["relu"], 2.5).plot(), "max_units must be an integer"),
    (lambda: ActivationDisplay.from_activation("relu", limits=None), "limits must be two finite"),
    (lambda: ActivationDisplay.from_activation("relu", limits=(1, 1)), "limits must be two finite"),
    (lambda: ActivationDisplay.from_activation("relu", limits=(10**400, 1)), "limits must be two"),
    (lambda: ActivationDisplay.from_activation("relu", n_points=1.5), "n_points must be an integ"),
    (
        lambda: WeightImagesDisplay(IMAGES[:0]).plot(),
        "images must be a non-empty array of 3 or 4 axes",
    ),
    (lambda: WeightImagesDisplay(None).plot(), "images must be"),
    (
        lambda: WeightImagesDisplay.from_estimator(FITTED, image_shape=(2.0, 1)),
        "each of image_shape must be an integer",
    ),
    (
        lambda: boundaries(y=MOONS[1] + 5),
        r"y must contain one of \[.*0.*1.*\] for each of 100 rows",
    ),
    (lambda: boundaries(y=None), "y must contain one of"),
    (lambda: LossCurveDisplay([1j, 2.0]).plot(), "loss_curve must be an array of numbers"),
    (lambda: LossCurveDisplay([10**400, 1.0]).plot(), "loss_curve must be an array of numbers"),
    (lambda: ActivationDisplay([1j], [1.0], [1.0]).plot(), "Z must be an array of numbers"),
    (
        lambda: DecisionBoundariesDisplay(*GRID, {"a": GRID[0]}, np.array([[0.5, 0.2]]), 3).plot(),
        r"points must have shape \(n, 2\), got \(1, 2\)",
    ),
    (
        lambda: DecisionBoundariesDisplay(*GRID, {"a": [1]}, np.ones((1, 2)), np.ones(1)).plot(),
        r"probabilities\['a'\] must have shape \(2, 2\)",
    ),
    (lambda: boundaries(y=MOONS[1][:5]), "for each of 100 rows"),
    (lambda: boundaries(estimators={}), "estimators must contain at least one"),
    (lambda: boundaries(estimators={"a": "x"}), r"estimators\['a'\] must be a fitted classifier"),
    (lambda: boundaries(grid_resolution=1), "grid_resolution must be at least 2, got 1"),
    (lambda: boundaries(axes=[None]), "axes must be matplotlib Axes or None, got NoneType"),
]


def boundaries(estimators=None, y=MOONS[1], **options):
    estimators = {"a": FITTED} if estimators is None else estimators
    return DecisionBoundariesDisplay.from_estimators(estimators, MOONS[0], y, **options)


@pytest.mark.parametrize(("call", "message"), BAD_ARGUMENTS)
def test_invalid_arguments_are_errors_that_name_them(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_very_large_layer_is_drawn_quickly():
    assert len(NetworkDisplay((10**9, 4, 1), ["relu"]).plot().ax_.patches) == 10 + 4 + 1


def test_displays_that_are_not_drawn_do_not_import_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = NetworkDisplay((3, 1), [])
    with pytest.raises(ImportError, match=r"pip install 'skdnn\[plot\]'"):
        display.plot()


def test_decision_boundary_display_of_scikit_learn_works(tmp_path):
    display = DecisionBoundaryDisplay.from_estimator(fit(n_units=32), X)
    display.ax_.scatter(*X.T, c=Y, edgecolor="black")
    display.ax_.figure.savefig(tmp_path / "boundary.png")
    assert display.response.min() < 0.3
    assert display.response.max() > 0.7
