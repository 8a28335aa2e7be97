"""The HTML representation: scikit-learn's box and the table of layers."""

import re
from functools import partial
from html.parser import HTMLParser
from importlib.metadata import metadata

import pytest
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, DeepRegressor, ImageVectorizer

pytestmark = pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_params_html"), reason="needs scikit-learn 1.7 or later"
)

X, Y = make_moons(100, noise=0.2, random_state=0)
VOID = {"br", "img", "input", "meta", "link", "hr"}


class Tags(HTMLParser):
    """Checks that tags are nested correctly, and collects the cells of the table of layers."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th", "caption"):
            self.cells.append(data)


def network(model):
    """Return the cells of the only table of layers."""
    html = model._repr_mimebundle_()["text/html"]
    (table,) = re.findall('<table class="skdnn-network".*?</table>', html, flags=re.DOTALL)
    return Tags(table).cells


def test_layers_sizes_parameters_and_epochs_are_shown():
    clf = DeepBinaryClassifier(n_units=(4, 3), activation=("tanh", torch.sin), max_iter=1)
    cells = network(clf.fit(X, Y))
    assert cells[0] == (
        f"3 layers, 31 parameters (float64), 1 epoch, weights of epoch 1, cost {clf.best_loss_:.4g}"
    )
    assert cells[1:6] == ["layer", "inputs", "units", "activation", "parameters"]
    assert cells[6:] == [
        "1", "2", "4", "tanh", "12", "2", "4", "3", "sin", "15", "3", "3", "1", "sigmoid", "4",
    ]  # fmt: skip


def test_one_layer_is_in_the_singular():
    cells = network(DeepBinaryClassifier(1, max_iter=3, tol=0.0).fit(X, Y))
    assert cells[0].startswith("1 layer, 3 parameters (float64), 3 epochs, ")


def test_names_of_activations_are_escaped():
    def g(Z):
        return Z.tanh()

    g.__name__ = "<script>"
    html = DeepBinaryClassifier(activation=g, max_iter=1).fit(X, Y)._repr_html_()
    assert "&lt;script&gt;</td>" in html


def test_a_function_without_a_name_is_shown_by_its_type():
    clf = DeepBinaryClassifier(activation=partial(torch.clamp, min=0), max_iter=1)
    assert network(clf.fit(X, Y)).count("partial") == 2


@pytest.mark.parametrize("fitted", [False, True])
def test_scikit_learns_box_is_still_shown(fitted):
    clf = DeepBinaryClassifier(max_iter=1, random_state=0)
    if fitted:
        clf.fit(X, Y)
    html = clf._repr_html_()
    assert re.search(r"sk-container-id-\d+", html)
    assert ("skdnn-network" in html) == fitted


@pytest.mark.parametrize("outer", ["pipeline", "search"])
def test_the_table_is_shown_in_pipelines_and_searches(outer):
    model = make_pipeline(StandardScaler(), DeepBinaryClassifier(max_iter=1, random_state=0))
    if outer == "search":
        model = GridSearchCV(model, {"deepbinaryclassifier__n_units": [5]}, cv=2)
    fitted = model.fit(X, Y)
    estimator = fitted.best_estimator_[-1] if outer == "search" else fitted[-1]
    assert network(fitted) == network(estimator)


@pytest.mark.parametrize("estimator_class", [DeepBinaryClassifier, DeepRegressor, ImageVectorizer])
def test_the_documentation_link_is_that_of_the_class(estimator_class):
    urls = dict(url.split(", ") for url in metadata("skdnn").get_all("Project-URL"))
    link = f"{urls['Documentation']}generated/skdnn.{estimator_class.__name__}.html"
    assert estimator_class()._get_doc_link() == link
    assert f'href="{link}"' in estimator_class()._repr_html_()


def test_display_text_shows_no_html():
    clf = DeepBinaryClassifier(1, max_iter=1).fit(X, Y)
    assert repr(clf) == "DeepBinaryClassifier(max_iter=1, n_layers=1)"
    with config_context(display="text"):
        assert not hasattr(clf, "_repr_html_")
