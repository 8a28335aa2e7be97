"""DeepRegressor with notebooks, displays, callbacks, exports and scikit-learn's tools."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingRegressor, StackingRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_predict
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import (
    ActivationDisplay,
    DeepRegressor,
    LossCurveDisplay,
    NetworkDisplay,
    WeightImagesDisplay,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)) * [1.0, 5.0, 0.1] + [0.0, 10.0, 3.0]
ONE = 20 * X[:, 0] - 4 * X[:, 1] - 100
TWO = np.column_stack([ONE, 0.01 * X[:, 2]])
FRAME = pd.DataFrame(X, columns=list("abc")).assign(kind=list("uv") * 100)


def fitted(y=ONE, X=X, **parameters):
    options = {"n_units": 8, "max_iter": 8, "random_state": 0, **parameters}
    return DeepRegressor(**options).fit(X, y)


@pytest.mark.parametrize("y", [ONE, TWO], ids=["one", "two"])
@pytest.mark.parametrize("parameters", [{}, {"n_networks": 3}, {"standardize": True}], ids=str)
def test_the_module_predicts_as_the_estimator(y, parameters):
    reg = fitted(y, **parameters)
    predictions = reg.to_module()(torch.from_numpy(X)).detach().numpy()
    assert predictions.shape == y.shape
    np.testing.assert_allclose(predictions, reg.predict(X), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_module_takes_categories_as_indices(dtype):
    reg = fitted(TWO, FRAME, dtype=dtype)
    codes = FRAME.assign(kind=[0.0, 1.0] * 100).to_numpy()
    tensor = torch.from_numpy(codes).to(getattr(torch, dtype))
    predictions = reg.to_module()(tensor).detach().numpy()
    np.testing.assert_allclose(predictions / TWO.std(0), reg.predict(FRAME) / TWO.std(0), atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, about optional modules
def test_onnx_runtime_computes_the_same(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    reg = fitted(TWO, n_networks=2, dtype="float32")
    torch.onnx.export(
        reg.to_module(), (torch.from_numpy(X).float(),), tmp_path / "reg.onnx", input_names=["X"],
        dynamic_shapes=({0: torch.export.Dim("n_samples")},), dynamo=True, verbose=False,
    )  # fmt: skip
    session = runtime.InferenceSession(tmp_path / "reg.onnx")
    for rows in (slice(None), slice(7)):
        (predictions,) = session.run(None, {"X": X[rows].astype(np.float32)})
        expected = reg.predict(X[rows])
        np.testing.assert_allclose(predictions / TWO.std(0), expected / TWO.std(0), atol=1e-4)


def test_skops_loads_the_estimator_if_its_class_is_trusted(tmp_path):
    skops = pytest.importorskip("skops.io")
    reg = fitted(TWO, loss="quantile", quantile=0.3, n_networks=2)
    trusted = ["skdnn.regressor.DeepRegressor"]
    skops.dump(reg, tmp_path / "reg.skops")
    assert skops.get_untrusted_types(file=tmp_path / "reg.skops") == trusted
    again = skops.load(tmp_path / "reg.skops", trusted=trusted)
    np.testing.assert_array_equal(again.predict(X), reg.predict(X))
    partly = DeepRegressor(n_units=8, random_state=0).partial_fit(X, TWO)
    again = skops.loads(skops.dumps(partly), trusted=trusted)
    for estimator in (partly, again):
        estimator.partial_fit(X, TWO)
    np.testing.assert_array_equal(again.predict(X), partly.predict(X))


def test_a_notebook_shows_the_linear_output():
    if not hasattr(BaseEstimator, "_get_params_html"):
        pytest.skip("needs scikit-learn 1.7 or later")
    html = fitted(TWO)._repr_mimebundle_()["text/html"]
    table = html.partition('<table class="skdnn-network"')[2].partition("</table>")[0]
    assert "identity" in table
    assert "sigmoid" not in table


def test_displays_draw_a_regressor():
    pytest.importorskip("matplotlib")
    for y, labels in ((ONE, {r"$\hat{y}$"}), (TWO, {r"$\hat{y}_{1}$", r"$\hat{y}_{2}$"})):
        reg = make_pipeline(StandardScaler(), fitted(y)).fit(X, y)
        assert LossCurveDisplay.from_estimator(reg).ax_.get_ylabel() == "cost"
        texts = {text.get_text() for text in NetworkDisplay.from_estimator(reg).ax_.texts}
        assert labels <= texts
        assert any("identity" in text for text in texts)
        assert not any("sigmoid" in text for text in texts)
    ActivationDisplay.from_activation("identity")
    digits, numbers = load_digits(n_class=3, return_X_y=True)
    reg = fitted(numbers, digits, numeric_embedding=None)
    assert WeightImagesDisplay.from_estimator(reg, image_shape=(8, 8)).images.shape == (8, 8, 8)


def test_callbacks_see_every_epoch():
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    monitor = callback.ScoringMonitor(scoring="r2")
    options = {"n_units": 8, "max_iter": 4, "early_stopping": False, "random_state": 0}
    reg = DeepRegressor(**options).set_callbacks(monitor).fit(X, ONE)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 4
    assert rows[-1]["r2"] == pytest.approx(r2_score(ONE, reg.predict(X)))


def test_verbose_prints_progress_lines(capsys):
    fitted(verbose=1, early_stopping=True)
    assert "validation cost" in capsys.readouterr().out


@pytest.mark.parametrize(
    "around",
    [
        lambda reg: BaggingRegressor(reg, n_estimators=2, random_state=0),
        lambda reg: StackingRegressor([("net", reg), ("ridge", Ridge())], cv=2),
    ],
    ids=["bagging", "stacking"],
)
def test_meta_estimators_accept_it(around):
    reg = around(DeepRegressor(max_iter=20, random_state=0))
    assert reg.fit(X, ONE, sample_weight=np.ones(200)).score(X, ONE) > 0.8


def test_several_outputs_are_learned_together_or_separately():
    reg = DeepRegressor(n_layers=1, random_state=0)
    apart = MultiOutputRegressor(reg).fit(X, TWO)
    assert r2_score(TWO, apart.predict(X)) > 0.9
    assert r2_score(TWO, reg.fit(X, TWO).predict(X)) > 0.9


def test_permutation_importance_and_cross_val_predict_work():
    reg = fitted(max_iter=40)
    importance = permutation_importance(reg, X, ONE, n_repeats=2, random_state=0)
    assert importance.importances_mean.argmin() == 2
    assert cross_val_predict(reg, X, TWO, cv=2).shape == TWO.shape
