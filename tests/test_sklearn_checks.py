"""scikit-learn's own checks of an estimator, all of them, none expected to fail."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from skdnn import DeepBinaryClassifier, DeepRegressor


@pytest.fixture(autouse=True)
def _global_state_stays():
    """Replace the fixture of this name: some checks draw from NumPy's global state themselves."""


# Ten epochs are enough for what is checked, and take half as long.
@parametrize_with_checks([DeepBinaryClassifier(max_iter=10), DeepRegressor(max_iter=10)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("default")  # the check asserts on warnings itself
@pytest.mark.parametrize("face", [DeepBinaryClassifier, DeepRegressor])
def test_data_frame_column_names_are_checked(face):
    check_dataframe_column_names_consistency(face.__name__, face())
