"""What a notebook shows: scikit-learn's box, and the fitted network."""

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
    not hasattr(BaseEstimator, "_get_params_html"), reason="scikit-learn before 1.7 has no place"
)

X, Y = make_moons(100, noise=0.2, random_state=0)
VOID = {"br", "img", "input", "meta", "link", "hr"}


class Tags(HTMLParser):
    """Fails where a tag closes that is not the one open; keeps the cells of the network."""

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
    """Return the cells of the one network that is shown."""
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


def test_one_layer():
    cells = network(DeepBinaryClassifier(1, max_iter=3, tol=0.0).fit(X, Y))
    assert cells[0].startswith("1 layer, 3 parameters (float64), 3 epochs, ")


def test_names_of_activations_are_escaped():
    def g(Z):
        return Z.tanh()

    g.__name__ = "<script>"
    html = DeepBinaryClassifier(activation=g, max_iter=1).fit(X, Y)._repr_html_()
    assert "&lt;script&gt;</td>" in html


def test_a_function_without_a_name_is_told_by_its_kind():
    clf = DeepBinaryClassifier(activation=partial(torch.clamp, min=0), max_iter=1)
    assert network(clf.fit(X, Y)).count("partial") == 2


@pytest.mark.parametrize("fitted", [False, True])
def test_scikit_learns_box_stays(fitted):
    clf = DeepBinaryClassifier(max_iter=1, random_state=0)
    if fitted:
        clf.fit(X, Y)
    html = clf._repr_html_()
    assert re.search(r"sk-container-id-\d+", html)
    assert ("skdnn-network" in html) == fitted


@pytest.mark.parametrize("place", ["pipeline", "search"])
def test_it_is_shown_inside_what_holds_it(place):
    model = make_pipeline(StandardScaler(), DeepBinaryClassifier(max_iter=1, random_state=0))
    if place == "search":
        model = GridSearchCV(model, {"deepbinaryclassifier__n_units": [5]}, cv=2)
    fitted = model.fit(X, Y)
    alone = fitted.best_estimator_[-1] if place == "search" else fitted[-1]
    assert network(fitted) == network(alone)


@pytest.mark.parametrize("face", [DeepBinaryClassifier, DeepRegressor, ImageVectorizer])
def test_the_link_leads_to_the_page_of_the_class(face):
    urls = dict(url.split(", ") for url in metadata("skdnn").get_all("Project-URL"))
    link = f"{urls['Documentation']}generated/skdnn.{face.__name__}.html"
    assert face()._get_doc_link() == link
    assert f'href="{link}"' in face()._repr_html_()


def test_text_where_text_is_wanted():
    clf = DeepBinaryClassifier(1, max_iter=1).fit(X, Y)
    assert repr(clf) == "DeepBinaryClassifier(max_iter=1, n_layers=1)"
    with config_context(display="text"):
        assert not hasattr(clf, "_repr_html_")
