"""Parameters in the user guide; its programs run as doctests."""

import inspect
import re

import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skdnn import DeepBinaryClassifier, DeepRegressor

PARAMETERS = {
    name
    for face in (DeepBinaryClassifier, DeepRegressor)
    for name in inspect.signature(face).parameters
}


@pytest.fixture(scope="module")
def guide(pytestconfig):
    folder = pytestconfig.rootpath / "docs" / "guide"
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.rst")}


def test_every_page_is_in_the_index(guide):
    listed = re.findall(r"^   (\w+)$", guide["index"], flags=re.MULTILINE)
    assert sorted(listed) == sorted(set(guide) - {"index"})


@pytest.mark.parametrize("theirs", [MLPClassifier, MLPRegressor])
def test_every_parameter_of_scikit_learns_networks_has_its_row(guide, theirs):
    table = guide["migrating"].split("From skorch")[0]
    old_names = " ".join(re.findall(r"^   \* - (.*)$", table, flags=re.MULTILINE))
    missing = set(inspect.signature(theirs).parameters) - set(re.findall(r"\w+", old_names))
    assert missing == set()


def test_every_parameter_has_one_place_in_the_list_by_subject(pytestconfig):
    api = (pytestconfig.rootpath / "docs" / "api.rst").read_text(encoding="utf-8")
    by_subject = api.partition("None has to be set.")[2].partition("What they cost")[0]
    assert sorted(re.findall(r"``(\w+)``", by_subject)) == sorted(PARAMETERS)


@pytest.mark.parametrize("page", ["depth", "accuracy", "training", "numbers", "data", "gpu"])
def test_every_parameter_named_exists(guide, page):
    named = set(re.findall(r"``(\w+)=", guide[page]))
    assert named
    assert named <= PARAMETERS
