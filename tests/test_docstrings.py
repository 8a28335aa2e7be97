"""Every public name is documented by scikit-learn's rules."""

import importlib.util
import inspect
from pathlib import Path

import pytest

import skdnn
from skdnn.network import ACTIVATIONS, LINEAR_LOSSES, LOSSES

validation = pytest.importorskip("numpydoc.validate")

# As in scikit-learn: the position of the summary and names of returned objects are free.
FREE = {"GL01", "GL02", "RT02"}
# Required only for a class: an extended summary, "See Also", an example.
OF_CLASSES = {"ES01", "SA01", "EX01"}
# Documented by scikit-learn.
INHERITED = {"get_metadata_routing", "set_callbacks"}


def public():
    for name in skdnn.__all__:
        found = getattr(skdnn, name)
        yield f"{found.__module__}.{name}", False
        for method in dir(found):
            if not method.startswith("_") and callable(getattr(found, method)):
                is_request = method.startswith("set_") and method.endswith("_request")
                if not is_request and method not in INHERITED:
                    yield f"{found.__module__}.{name}.{method}", True


PUBLIC = dict(public())
# Public, but not exported by skdnn itself.
BESIDE = {"skdnn.distributed.data_parallel": False}


@pytest.mark.parametrize("path", PUBLIC | BESIDE)
def test_docstring_passes_numpydoc(path):
    free = FREE | OF_CLASSES if PUBLIC.get(path) else FREE
    errors = validation.validate(path)["errors"]
    assert [error for error in errors if error[0] not in free] == []


@pytest.mark.parametrize("name", skdnn.__all__)
def test_public_names_have_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(skdnn, name))


@pytest.mark.parametrize(
    ("estimator", "parameter", "names"),
    [
        (skdnn.DeepBinaryClassifier, "activation", ACTIVATIONS),
        (skdnn.DeepRegressor, "activation", ACTIVATIONS),
        (skdnn.DeepBinaryClassifier, "loss", LOSSES),
        (skdnn.DeepRegressor, "loss", LINEAR_LOSSES),
    ],
)
def test_parameters_of_names_document_each_name(estimator, parameter, names):
    lines = inspect.getdoc(estimator).split("\n")
    start = next(k for k, line in enumerate(lines) if line.startswith(f"{parameter} : "))
    stop = next(k for k in range(start + 1, len(lines)) if not lines[k].startswith(" "))
    text = " ".join(lines[start:stop])
    assert [name for name in names if f'"{name}"' not in text] == []


def test_all_public_names_are_checked():
    assert {path.split(".")[-1] for path, is_method in PUBLIC.items() if not is_method} == set(
        skdnn.__all__
    )
    assert {"fit", "partial_fit", "predict_proba", "to_module", "from_estimator", "plot"} <= {
        path.split(".")[-1] for path in PUBLIC
    }


def test_descriptions_of_common_parameters_are_equal():
    root = Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location("share", root / "docs" / "share_docstrings.py")
    fraction = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fraction)
    classifier, regressor = (
        (root / "skdnn" / f"{name}.py").read_text(encoding="utf-8")
        for name in ("classifier", "regressor")
    )
    start, stop = fraction.class_docstring(regressor)
    names = {entry["name"] for entry in fraction.ENTRY.finditer(regressor[start:stop])}
    parameters = set(inspect.signature(skdnn.DeepRegressor).parameters)
    assert parameters <= names, "an entry of the docstring that the pattern misses"
    assert names >= fraction.OWN
    assert fraction.shared(classifier, regressor) == regressor, "run docs/share_docstrings.py"
