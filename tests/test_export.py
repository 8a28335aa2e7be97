"""Exporting a fitted network: torch.export, ONNX, skops."""

import warnings

import numpy as np
import pandas as pd
import pytest
import reference
import torch

from skdnn import DeepBinaryClassifier
from skdnn.network import ACTIVATIONS

RNG = np.random.default_rng(0)
# One feature has a large mean: in float32 its standardisation is not merged into the first layer.
X = RNG.normal(size=(200, 3)) * [1.0, 5.0, 0.1] + [0.0, 1e6, 3.0]
Y = np.where(X[:, 0] > 0, "flower", "none")


def fitted(dtype="float32", **parameters):
    clf = DeepBinaryClassifier(
        n_units=8, max_iter=8, dtype=dtype, random_state=0, dropout=0.1, **parameters
    )
    return clf.fit(X.astype(dtype), Y)


def probabilities(clf):
    return clf.predict_proba(X.astype(clf.coefs_[0].dtype))[:, 1]


def tensor(clf, rows=slice(None)):
    return torch.from_numpy(X.astype(clf.coefs_[0].dtype)[rows])


def any_number_of_rows():
    return ({0: torch.export.Dim("n_samples")},)


@pytest.mark.parametrize(
    ("dtype", "standardize", "activation"),
    [
        ("float32", True, ("gelu", "tanh")),
        ("float32", False, "relu"),
        ("float64", True, "relu"),
        ("float64", False, torch.nn.Softplus),
    ],
)
@pytest.mark.filterwarnings("ignore:The output starts saturated")  # because of the large mean
def test_torch_export_computes_the_same_without_skdnn(tmp_path, dtype, standardize, activation):
    clf = fitted(dtype, activation=activation, standardize=standardize)
    program = torch.export.export(
        clf.to_module(), (tensor(clf),), dynamic_shapes=any_number_of_rows()
    )
    torch.export.save(program, tmp_path / "clf.pt2")
    module = torch.export.load(tmp_path / "clf.pt2").module()
    for rows in (slice(None), slice(7)):
        P = module(tensor(clf, rows)).detach().numpy()
        np.testing.assert_allclose(P, probabilities(clf)[rows], atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, about optional modules
@pytest.mark.parametrize(
    ("dtype", "activation"), [("float32", ("gelu", "tanh")), ("float64", "relu")]
)
def test_onnx_runtime_computes_the_same(tmp_path, dtype, activation):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    clf = fitted(dtype, activation=activation)
    torch.onnx.export(
        clf.to_module(), (tensor(clf),), tmp_path / "clf.onnx", input_names=["X"],
        dynamic_shapes=any_number_of_rows(), dynamo=True, verbose=False,
    )  # fmt: skip
    session = runtime.InferenceSession(tmp_path / "clf.onnx")
    for rows in (slice(None), slice(7)):
        (P,) = session.run(None, {"X": tensor(clf, rows).numpy()})
        np.testing.assert_allclose(P, probabilities(clf)[rows], atol=1e-5)


class EveryActivation(torch.nn.Module):
    """All built-in activations of the same input, stacked."""

    def __init__(self):
        super().__init__()
        self.each = torch.nn.ModuleList(g.module() for g in ACTIVATIONS.values())

    def forward(self, Z):
        return torch.stack([module(Z) for module in self.each])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_onnx_runtime_supports_every_activation(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    Z = torch.linspace(-5, 5, 41)
    torch.onnx.export(
        EveryActivation(), (Z,), tmp_path / "g.onnx", input_names=["Z"], dynamo=True, verbose=False
    )
    (A,) = runtime.InferenceSession(tmp_path / "g.onnx").run(None, {"Z": Z.numpy()})
    for name, a in zip(ACTIVATIONS, A, strict=True):
        g = reference.ACTIVATIONS[ACTIVATIONS[name].name][0]
        np.testing.assert_allclose(a, [g(z) for z in Z.tolist()], atol=1e-5, err_msg=name)


CASTS = {
    "float": (lambda module: module.float(), torch.float32, 1e-5),
    "double": (lambda module: module.double(), torch.float64, 1e-6),
    "half": (lambda module: module.half(), torch.float16, 5e-3),
    "bfloat16": (lambda module: module.to(torch.bfloat16), torch.bfloat16, 5e-2),
}
NEAR = X - X.mean(axis=0)
FRAME = pd.DataFrame(NEAR, columns=list("abc")).assign(kind=list("uv") * 100)


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("parameters", [{}, {"n_networks": 2}, {"standardize": True}], ids=str)
def test_the_module_can_be_cast(cast, dtype, parameters):
    change, to_dtype, tolerance = CASTS[cast]
    clf = fitted_on_frame(dtype, **parameters)
    codes = FRAME.assign(kind=[0.0, 1.0] * 100).to_numpy()
    P = change(clf.to_module())(torch.from_numpy(codes).to(to_dtype))
    assert P.dtype == to_dtype
    expected = clf.predict_proba(FRAME)[:, 1]
    np.testing.assert_allclose(P.detach().double().numpy(), expected, atol=tolerance)


def fitted_on_frame(dtype, **parameters):
    clf = DeepBinaryClassifier(n_units=8, max_iter=8, dtype=dtype, random_state=0, **parameters)
    return clf.fit(FRAME, Y)


@pytest.mark.parametrize("outlier", [1e4, 1e30, np.inf])
def test_the_module_in_half_precision_clips_outliers(outlier):
    clf = DeepBinaryClassifier(n_units=8, max_iter=3, random_state=0).fit(NEAR, Y)
    row = torch.tensor([[outlier, 0.0, 0.0]], dtype=torch.float64).half()
    expected = clf.to_module()(torch.tensor([[1e30, 0.0, 0.0]], dtype=torch.float64))
    assert clf.to_module().half()(row).item() == pytest.approx(expected.item(), abs=1e-2)


def test_the_module_is_in_evaluation_mode():
    module = fitted().to_module()
    assert not module.training
    assert isinstance(module, torch.nn.Sequential)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_skops_loads_the_estimator_if_its_class_is_trusted(tmp_path, dtype):
    skops = pytest.importorskip("skops.io")
    clf = fitted(dtype, class_weight={"flower": 2.0}, scoring="roc_auc", early_stopping=True)
    skops.dump(clf, tmp_path / "clf.skops")
    trusted = ["skdnn.classifier.DeepBinaryClassifier"]
    assert skops.get_untrusted_types(file=tmp_path / "clf.skops") == trusted
    again = skops.load(tmp_path / "clf.skops", trusted=trusted)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert again.get_params() == clf.get_params()
    assert again.loss_curve_ == clf.loss_curve_


def test_skops_saves_the_state_of_partial_fit(tmp_path):
    skops = pytest.importorskip("skops.io")
    trusted = ["skdnn.classifier.DeepBinaryClassifier"]
    clf = DeepBinaryClassifier(n_units=8, weight_averaging=0.9, random_state=0)
    clf.partial_fit(X[:100], Y[:100], classes=["flower", "none"])
    again = skops.loads(skops.dumps(clf), trusted=trusted)
    for estimator in (clf, again):
        estimator.partial_fit(X[100:], Y[100:])
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_skops_rejects_an_untrusted_class(tmp_path):
    skops = pytest.importorskip("skops.io")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = skops.dumps(fitted())
    with pytest.raises(Exception, match=r"skdnn\.classifier\.DeepBinaryClassifier"):
        skops.loads(content)
