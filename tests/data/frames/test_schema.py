"""The Schema: what a fit knows of the columns of X."""

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pandas as pd
import pytest

from skdnn import DeepBinaryClassifier
from skdnn.data.frames import Schema, read_columns

FRAME = pd.DataFrame(
    {"colour": ["red", "blue"] * 20, "width": np.arange(40.0), "size": [1, 2, 2, 1] * 10}
)
Y = np.arange(40) % 4 < 2
CHOSEN = ("colour", "size")


def partially_fitted():
    model = DeepBinaryClassifier(n_layers=1, random_state=0, categorical_features=CHOSEN)
    return model.partial_fit(FRAME, Y, classes=[False, True])


def test_a_schema_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Schema(3).n_features = 4


def test_the_schema_of_fitted_attributes_is_that_of_the_fit():
    schema = Schema.from_attributes(vars(partially_fitted()))
    assert schema.n_features == 3
    assert schema.names.tolist() == ["colour", "width", "size"]
    assert schema.kinds == ["category", "number", "category"]
    assert [list(column) for column in schema.categories] == [["blue", "red"], [1, 2]]
    assert schema.n_frequent.tolist() == [2, 2]
    assert schema.kinds_of_categories == [{"category"}, {"number"}]
    assert schema.is_categorical.tolist() == [True, False, True]
    again = Schema.from_attributes(schema.attributes())
    for field in fields(Schema):
        assert getattr(again, field.name) is getattr(schema, field.name)


def test_a_schema_of_numbers_has_no_names_kinds_or_categories():
    model = DeepBinaryClassifier(n_layers=1, random_state=0, max_iter=1)
    with pytest.warns(UserWarning, match="max_iter"):
        model.fit(FRAME[["width"]].to_numpy(), Y)
    attributes = Schema.from_attributes(vars(model)).attributes()
    assert "feature_names_in_" not in attributes
    assert attributes["n_features_in_"] == 1
    for name in ("column_kinds_", "is_categorical_", "categories_"):
        assert attributes[name] is None


def test_columns_are_named_or_numbered_in_messages():
    assert Schema(2).column_name(np.int64(1)) == "1"
    assert Schema(2, np.array(["a", "b"], dtype=object)).column_name(1) == "'b'"


def test_numbers_in_place_of_text_raise():
    schema = Schema(1, kinds=["category"], kinds_of_categories=[{"category"}])
    schema.check_kinds_of_categories(read_columns(FRAME[["colour"]], ["category"]))
    with pytest.raises(ValueError, match="X must hold text in column 0, as in fit, got numbers"):
        schema.check_kinds_of_categories(read_columns(FRAME[["size"]], ["category"]))


def test_partial_fit_extends_the_schema_and_a_failed_call_does_not():
    model = partially_fitted()
    before = vars(model).copy()
    new = FRAME.assign(colour="green")
    with pytest.raises(ValueError, match="y must hold"):
        model.partial_fit(new, ["other"] * 40)
    with pytest.raises(ValueError, match="layer sizes of the previous fit"):
        model.set_params(n_layers=2).partial_fit(new, Y)
    model.set_params(n_layers=1)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items() if name[-1] == "_")
    model.partial_fit(new, Y)
    assert [list(column) for column in model.categories_] == [["blue", "red", "green"], [1, 2]]
    assert [list(column) for column in before["categories_"]] == [["blue", "red"], [1, 2]]


def test_names_of_an_earlier_fit_do_not_remain():
    model = partially_fitted()
    model.set_params(categorical_features=None, optimizer="lbfgs", weight_decay=0.1)
    model.fit(FRAME[["width", "size"]].to_numpy(), Y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 2
