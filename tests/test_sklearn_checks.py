"""All estimator checks of scikit-learn pass, without expected failures."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from skdnn import DeepBinaryClassifier, DeepRegressor


@pytest.fixture(autouse=True)
def _global_state_stays():
    """Override the fixture of conftest: some checks draw from NumPy's global state."""


# Ten epochs are enough for the checks, and take half as long.
@parametrize_with_checks([DeepBinaryClassifier(max_iter=10), DeepRegressor(max_iter=10)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("default")  # the check asserts on warnings itself
@pytest.mark.parametrize("estimator_class", [DeepBinaryClassifier, DeepRegressor])
def test_data_frame_column_names_are_checked(estimator_class):
    check_dataframe_column_names_consistency(estimator_class.__name__, estimator_class())
