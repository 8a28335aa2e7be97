"""Explanations of to_module(), as the guide describes them, with SHAP if it is installed."""

import re
from doctest import DocTestParser

import numpy as np
import pandas as pd
import pytest
import torch

from skdnn import DeepBinaryClassifier

RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.normal(size=(200, 3)), columns=list("abc"))
FRAME = NUMBERS.assign(kind=RNG.choice(["u", "v", "w"], size=200))
FRAME.loc[::9, "a"] = np.nan
Y = NUMBERS["b"] + (FRAME["kind"] == "u") + RNG.normal(size=200) > 0
VARIANTS = [
    {},
    {"standardize": True},
    {"standardize": "robust", "activation": "tanh"},
    {"numeric_embedding": "piecewise_linear"},
    {"n_networks": 2},
    {"n_layers": 1},
]
# Activations supported by DeepExplainer.
KNOWN = ["relu", "leaky_relu", "tanh", "sigmoid", "elu", "selu", "gelu"]


def fitted(X, **parameters):
    clf = DeepBinaryClassifier(n_units=8, max_iter=30, early_stopping=False, random_state=0)
    return clf.set_params(learning_rate=0.01, **parameters).fit(X, Y)


def as_numbers(X):
    """Return the frame as a tensor with the index of each category."""
    categories = {"kind": X["kind"].map({"u": 0.0, "v": 1.0, "w": 2.0})} if "kind" in X else {}
    return torch.tensor(X.assign(**categories).to_numpy(dtype=float))


def column_of_answers(module):
    return torch.nn.Sequential(module, torch.nn.Unflatten(0, (-1, 1)))


def sums(network, rows, n_background=50):
    """Return the expected sum of the attributions of each row."""
    P = network(rows).detach().numpy()[:, 0]
    return P[n_background:] - P[:n_background].mean()


@pytest.mark.parametrize("X", [NUMBERS, FRAME], ids=["numbers", "frame"])
@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_unflatten_makes_a_column_of_the_predictions(X, parameters):
    clf = fitted(X, **parameters)
    answers = column_of_answers(clf.to_module())(as_numbers(X))
    assert answers.shape == (200, 1)
    np.testing.assert_allclose(answers.detach(), clf.predict_proba(X)[:, 1:], atol=1e-6)


@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_every_relevant_number_has_a_gradient(parameters):
    module = fitted(FRAME, **parameters).to_module()
    rows = as_numbers(FRAME.dropna())[:20].requires_grad_()
    (slope,) = torch.autograd.grad(module(rows).sum(), rows)
    assert torch.isfinite(slope).all()
    assert (slope[:, :3].abs().amax(dim=0) > 0).all()
    assert (slope[:, 3] == 0).all()  # an index of a category is not a quantity


@pytest.mark.slow
@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_integrated_gradients_sum_to_the_difference_of_predictions(parameters):
    module = fitted(NUMBERS, **parameters).to_module()
    rows = as_numbers(NUMBERS)
    fractions = integrated_gradients(module, rows[1:], rows[:1])
    expected = (module(rows[1:]) - module(rows[:1])).detach()
    assert expected.abs().max() > 0.3
    torch.testing.assert_close(fractions.sum(dim=1), expected, atol=0.01, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("parameters", VARIANTS, ids=str)
def test_integrated_gradients_after_the_encoding_do_so_with_categories_and_missing_values(
    parameters,
):
    module = fitted(FRAME, **parameters).to_module()
    encode, network = module[0], module[1:]
    inputs = encode(as_numbers(FRAME)).detach()
    fractions = integrated_gradients(network, inputs[1:], inputs[:1])
    expected = (network(inputs[1:]) - network(inputs[:1])).detach()
    assert expected.abs().max() > 0.3
    torch.testing.assert_close(fractions.sum(dim=1), expected, atol=0.01, rtol=0)


def integrated_gradients(module, rows, baseline, n_steps=1000):
    """Return (row - baseline) times the mean gradient between baseline and row."""
    total = torch.zeros_like(rows)
    for step in range(n_steps):
        point = baseline + (step + 0.5) / n_steps * (rows - baseline)
        point.requires_grad_()
        total += torch.autograd.grad(module(point).sum(), point)[0]
    return (rows - baseline) * total / n_steps


# -- SHAP -------------------------------------------------------------------------------------


@pytest.fixture
def shap():
    before = np.random.get_state()  # noqa: NPY002
    yield pytest.importorskip("shap")
    np.random.set_state(before)  # noqa: NPY002 - the explainers seed it


@pytest.mark.filterwarnings("ignore")  # shap does not know Unflatten, and warns about itself
def test_attributions_of_the_programs_of_the_guide_sum_to_the_prediction(shap, pytestconfig):
    page = (pytestconfig.rootpath / "docs/guide/explaining.rst").read_text(encoding="utf-8")
    names = {}
    for example in DocTestParser().get_examples(page):
        exec(example.source, names)
    P = names["clf"].predict_proba(names["X_test"])[:, 1]
    programs = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", page)
    assert len(programs) == 2
    for program in programs:
        exec(re.sub("^   ", "", program, flags=re.MULTILINE), names)
        assert names["shares"].shape == (10, 3)
        np.testing.assert_allclose(
            names["shares"].sum(axis=1), P[100:110] - P[:100].mean(), atol=1e-5
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "parameters",
    [
        *(variant for variant in VARIANTS if "n_networks" not in variant),
        {"n_networks": 2, "numeric_embedding": "piecewise_linear"},
        *({"activation": g} for g in KNOWN),
    ],
    ids=str,
)
def test_deep_explainer_after_the_encoding_sums_to_the_prediction(shap, parameters):
    module = fitted(FRAME, **parameters).to_module()
    inputs, network = module[0](as_numbers(FRAME)), column_of_answers(module[1:])
    fractions = shap.DeepExplainer(network, inputs[:50]).shap_values(inputs[50:])[:, :, 0]
    np.testing.assert_allclose(fractions.sum(axis=1), sums(network, inputs), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "parameters",
    [*({"activation": g} for g in ("silu", "mish", torch.cos)), {"n_networks": 2}],
    ids=["silu", "mish", "cos", "n_networks"],  # workers must agree on the names of tests
)
def test_deep_explainer_warns_where_its_sum_differs(shap, parameters):
    module = fitted(FRAME, **parameters).to_module()
    inputs, network = module[0](as_numbers(FRAME)), column_of_answers(module[1:])
    with pytest.raises(AssertionError, match="do not sum up"):
        shap.DeepExplainer(network, inputs[:50]).shap_values(inputs[50:])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("standardize", [True, False])
def test_deep_explainer_accepts_a_module_without_encoding(shap, standardize):
    clf = fitted(NUMBERS, standardize=standardize)
    module = clf.to_module()
    assert isinstance(module[0], torch.nn.Linear)
    rows, network = as_numbers(NUMBERS), column_of_answers(module)
    fractions = shap.DeepExplainer(network, rows[:50]).shap_values(rows[50:])[:, :, 0]
    np.testing.assert_allclose(fractions.sum(axis=1), sums(network, rows), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("activation", ["relu", "mish"])
def test_gradient_explainer_sums_to_the_prediction_up_to_sampling(shap, activation):
    module = fitted(FRAME, activation=activation).to_module().float()
    inputs, network = module[0](as_numbers(FRAME)), column_of_answers(module[1:])
    explainer = shap.GradientExplainer(network, inputs[:50])
    fractions = explainer.shap_values(inputs[50:60], nsamples=2000, rseed=0)[:, :, 0]
    np.testing.assert_allclose(fractions.sum(axis=1), sums(network, inputs[:60]), atol=0.05)
