"""What the user guide says of parameters. Its programs run as doctests."""

import inspect
import re

import pytest
from sklearn.neural_network import MLPClassifier

from skdnn import DeepBinaryClassifier

PARAMETERS = set(inspect.signature(DeepBinaryClassifier).parameters)


@pytest.fixture(scope="module")
def guide(pytestconfig):
    folder = pytestconfig.rootpath / "docs" / "guide"
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.rst")}


def test_every_page_is_in_the_index(guide):
    listed = re.findall(r"^   (\w+)$", guide["index"], flags=re.MULTILINE)
    assert sorted(listed) == sorted(set(guide) - {"index"})


def test_every_parameter_of_mlp_classifier_has_its_row(guide):
    table = guide["migrating"].split("From skorch")[0]
    old_names = " ".join(re.findall(r"^   \* - (.*)$", table, flags=re.MULTILINE))
    missing = set(inspect.signature(MLPClassifier).parameters) - set(re.findall(r"\w+", old_names))
    assert missing == set()


@pytest.mark.parametrize("page", ["depth", "training", "data", "gpu"])
def test_every_parameter_named_exists(guide, page):
    named = set(re.findall(r"``(\w+)=", guide[page]))
    assert named
    assert named <= PARAMETERS
