"""Errors for unknown parameters and arguments, and the guide that names the same."""

import inspect
import pickle
import re
from pathlib import Path

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.estimator._unknown_names import OTHER_NAMES

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "migrating.rst"
FACES = [DeepBinaryClassifier, DeepRegressor]
X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
each_face = pytest.mark.parametrize("face", FACES)


@each_face
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hidden_layer_sizes", r"has no parameter 'hidden_layer_sizes': use n_units=…\.$"),
        ("alpha", r"has no parameter 'alpha': use weight_decay=alpha / n_samples\.$"),
        ("eval_set", r"has no parameter 'eval_set': use fit\(…, X_val=…, y_val=…\)\.$"),
        ("n_layer", r"has no parameter 'n_layer'\. Did you mean 'n_layers'\?$"),
        ("foo", r"has no parameter 'foo'\. There are activation, batch_size, .*, weight_decay\.$"),
    ],
)
def test_an_unknown_parameter_is_an_error_that_names_ours(face, name, message):
    message = f"^{face.__name__} {message}"
    with pytest.raises(TypeError, match=message):
        face(**{name: 3})
    with pytest.raises(ValueError, match=message):
        face().set_params(**{name: 3})
    with pytest.raises(ValueError, match=message):
        make_pipeline(face()).set_params(**{f"{face.__name__.lower()}__{name}": 3})
    with pytest.raises(ValueError, match=message):
        GridSearchCV(face(), {name: [3]}, cv=2).fit(X, Y)


@each_face
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eval_set", r"use fit\(…, X_val=…, y_val=…\)\.$"),
        ("validation_data", r"use fit\(…, X_val=…, y_val=…\)\.$"),
        ("epochs", r"use max_iter=… in {}\(…\)\.$"),
        ("batch_size", r"use {}\(batch_size=…\)\.$"),
    ],
)
def test_an_unknown_argument_is_an_error_that_names_ours(face, name, message):
    message = f"^{face.__name__}.fit has no argument '{name}': {message.format(face.__name__)}"
    with pytest.raises(TypeError, match=message):
        face().fit(X, Y, **{name: 3})


def test_misspelt_arguments_of_all_methods_are_named():
    clf = DeepBinaryClassifier()
    with pytest.raises(TypeError, match=r"fit has no argument .* Did you mean 'sample_weight'\?"):
        clf.fit(X, Y, sample_weights=Y)
    with pytest.raises(TypeError, match=r"partial_fit has no argument .* Did you mean 'classes'"):
        clf.partial_fit(X, Y, class_=[0, 1])
    with pytest.raises(TypeError, match=r"score has no argument 'foo'\. There are X, "):
        clf.score(X, Y, foo=1)


@each_face
def test_the_signature_is_still_seen(face):
    names = list(inspect.signature(face).parameters)
    assert names == list(inspect.signature(face.__init__.__wrapped__).parameters)[1:]
    assert sorted(names) == face._get_param_names()
    assert clone(face(n_units=3)).n_units == pickle.loads(pickle.dumps(face(n_units=3))).n_units


def test_the_guide_has_every_name():
    guide = GUIDE.read_text(encoding="utf-8")
    written = {name for code in re.findall("``(.+?)``", guide) for name in re.findall(r"\w+", code)}
    ours = {name for face in FACES for name in inspect.signature(face).parameters}
    of_fit = set(inspect.signature(DeepBinaryClassifier.fit).parameters)
    assert set(OTHER_NAMES) - of_fit <= written
    for other in (MLPClassifier, MLPRegressor):
        assert set(inspect.signature(other).parameters) - ours <= set(OTHER_NAMES)
    assert not ours & set(OTHER_NAMES)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_what_is_advised_is_there(name):
    use = OTHER_NAMES[name]
    for advised in re.findall(r"(\w+)=", use):
        methods = [face.fit if use.startswith("fit(") else face for face in FACES]
        if advised in ("X_val", "y_val"):  # beside a parameter
            methods = [face.fit for face in FACES]
        elif advised == "class_weight":
            methods = [DeepBinaryClassifier]
        assert all(advised in inspect.signature(method).parameters for method in methods)
