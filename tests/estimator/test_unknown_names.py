"""Errors for unknown parameters and arguments; the guide lists the same names."""

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
ESTIMATORS = [DeepBinaryClassifier, DeepRegressor]
X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
each_estimator = pytest.mark.parametrize("estimator_class", ESTIMATORS)


@each_estimator
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
def test_an_unknown_parameter_raises_and_suggests_ours(estimator_class, name, message):
    message = f"^{estimator_class.__name__} {message}"
    with pytest.raises(TypeError, match=message):
        estimator_class(**{name: 3})
    with pytest.raises(ValueError, match=message):
        estimator_class().set_params(**{name: 3})
    with pytest.raises(ValueError, match=message):
        make_pipeline(estimator_class()).set_params(
            **{f"{estimator_class.__name__.lower()}__{name}": 3}
        )
    with pytest.raises(ValueError, match=message):
        GridSearchCV(estimator_class(), {name: [3]}, cv=2).fit(X, Y)


@each_estimator
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eval_set", r"use fit\(…, X_val=…, y_val=…\)\.$"),
        ("validation_data", r"use fit\(…, X_val=…, y_val=…\)\.$"),
        ("epochs", r"use max_iter=… in {}\(…\)\.$"),
        ("batch_size", r"use {}\(batch_size=…\)\.$"),
    ],
)
def test_an_unknown_argument_raises_and_suggests_ours(estimator_class, name, message):
    owner = estimator_class.__name__
    message = f"^{owner}.fit has no argument '{name}': {message.format(owner)}"
    with pytest.raises(TypeError, match=message):
        estimator_class().fit(X, Y, **{name: 3})


def test_misspelt_arguments_of_all_methods_raise():
    clf = DeepBinaryClassifier()
    with pytest.raises(TypeError, match=r"fit has no argument .* Did you mean 'sample_weight'\?"):
        clf.fit(X, Y, sample_weights=Y)
    with pytest.raises(TypeError, match=r"partial_fit has no argument .* Did you mean 'classes'"):
        clf.partial_fit(X, Y, class_=[0, 1])
    with pytest.raises(TypeError, match=r"score has no argument 'foo'\. There are X, "):
        clf.score(X, Y, foo=1)


@each_estimator
def test_the_signature_is_unchanged(estimator_class):
    names = list(inspect.signature(estimator_class).parameters)
    assert names == list(inspect.signature(estimator_class.__init__.__wrapped__).parameters)[1:]
    assert sorted(names) == estimator_class._get_param_names()
    assert (
        clone(estimator_class(n_units=3)).n_units
        == pickle.loads(pickle.dumps(estimator_class(n_units=3))).n_units
    )


def test_the_guide_lists_every_name():
    guide = GUIDE.read_text(encoding="utf-8")
    written = {name for code in re.findall("``(.+?)``", guide) for name in re.findall(r"\w+", code)}
    ours = {
        name
        for estimator_class in ESTIMATORS
        for name in inspect.signature(estimator_class).parameters
    }
    of_fit = set(inspect.signature(DeepBinaryClassifier.fit).parameters)
    assert set(OTHER_NAMES) - of_fit <= written
    for other in (MLPClassifier, MLPRegressor):
        assert set(inspect.signature(other).parameters) - ours <= set(OTHER_NAMES)
    assert not ours & set(OTHER_NAMES)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_suggested_names_exist(name):
    use = OTHER_NAMES[name]
    for advised in re.findall(r"(\w+)=", use):
        methods = [
            estimator_class.fit if use.startswith("fit(") else estimator_class
            for estimator_class in ESTIMATORS
        ]
        if advised in ("X_val", "y_val"):  # suggested with a parameter
            methods = [estimator_class.fit for estimator_class in ESTIMATORS]
        elif advised == "class_weight":
            methods = [DeepBinaryClassifier]
        assert all(advised in inspect.signature(method).parameters for method in methods)
