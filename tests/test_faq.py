"""Parameters in the FAQ; its programs run as doctests."""

import re

import pytest

from skdnn import DeepBinaryClassifier, DeepRegressor

# Parameters of scikit-learn and of partial_fit on the page.
OTHERS = {"classes", "n_jobs", "transform_input"}


@pytest.fixture(scope="module")
def page(pytestconfig):
    return (pytestconfig.rootpath / "docs" / "faq.rst").read_text(encoding="utf-8")


def test_every_parameter_named_exists(page):
    parameters = {**DeepBinaryClassifier().get_params(), **DeepRegressor().get_params()}
    named = set(re.findall(r"``(\w+)=", page))
    assert named > OTHERS
    assert named - OTHERS <= set(parameters)


def test_every_answer_links_to_another_page(page):
    _, *parts = re.split(r"\n(.+)\n-{8,}\n", page)
    answers = dict(zip(parts[::2], parts[1::2], strict=True))
    assert len(answers) >= 25
    assert [q for q, answer in answers.items() if not re.search(r":(doc|ref):`", answer)] == []
