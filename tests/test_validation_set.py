"""X_val and y_val: weights of the validation set, and the warning if it was not transformed."""

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from scipy import sparse
from sklearn import config_context
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from skdnn import DeepBinaryClassifier, DeepRegressor, together

RNG = np.random.default_rng(0)
X, X_VAL = RNG.normal(size=(200, 4)), RNG.normal(size=(60, 4))
WEIGHT = RNG.integers(0, 4, 60)  # some are 0
LABELS, LABELS_VAL = X[:, 0] > 0, X_VAL[:, 0] + RNG.normal(size=60) > 0
NUMBERS, NUMBERS_VAL = 10 * X[:, :2] + 30, 10 * X_VAL[:, :2] + RNG.normal(size=(60, 2)) + 30
QUICK = {"n_units": 8, "max_iter": 5, "tol": 0.0, "dtype": "float64", "random_state": 0}


def repeated(values):
    """Return each row as many times as its weight."""
    return np.repeat(values, WEIGHT, axis=0)


def assert_same_validation(weighted, repeated):
    assert weighted.best_iter_ == repeated.best_iter_
    for name in ("validation_loss_curve_", "validation_scores_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9)


def accuracy_without_weights(clf, X, y):
    """Return the accuracy; the scorer takes no sample_weight."""
    return np.mean(clf.predict(X) == y)


# -- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_networks": 3},
        {"optimizer": "lbfgs"},
        {"early_stopping": False},
        {"scoring": "roc_auc"},
        {"scoring": "roc_auc", "n_networks": 2},
        {"class_weight": "balanced"},
        {"class_weight": {True: 3.0}, "scoring": "neg_log_loss"},
    ],
    ids=str,
)
def test_validation_weights_equal_repeated_rows(parameters):
    clf = DeepBinaryClassifier(**QUICK, **parameters)
    weighted = clf.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=WEIGHT)
    clf = DeepBinaryClassifier(**QUICK, **parameters)
    assert_same_validation(
        weighted, clf.fit(X, LABELS, X_val=repeated(X_VAL), y_val=repeated(LABELS_VAL))
    )


@pytest.mark.parametrize("parameters", [{}, {"n_networks": 2}, {"scoring": "r2"}], ids=str)
def test_validation_weights_of_a_regressor_equal_repeated_rows(parameters):
    validation = {"X_val": X_VAL, "y_val": NUMBERS_VAL, "sample_weight_val": WEIGHT}
    weighted = DeepRegressor(**QUICK, **parameters).fit(X, NUMBERS, **validation)
    reg = DeepRegressor(**QUICK, **parameters)
    reg.fit(X, NUMBERS, X_val=repeated(X_VAL), y_val=repeated(NUMBERS_VAL))
    assert_same_validation(weighted, reg)


def test_weighted_cost_and_score_equal_those_of_scikit_learn():
    weight = RNG.random(60)
    clf = DeepBinaryClassifier(**QUICK, scoring="roc_auc")
    clf.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=weight)
    P = clf.predict_proba(X_VAL)[:, 1]
    k = clf.best_iter_ - 1
    expected = log_loss(LABELS_VAL, P, sample_weight=weight)
    assert clf.validation_loss_curve_[k] == pytest.approx(expected, rel=1e-9)
    expected = roc_auc_score(LABELS_VAL, P, sample_weight=weight)
    assert clf.validation_scores_[k] == pytest.approx(expected, rel=1e-9)


def test_a_scorer_without_weights_gets_no_rows_of_weight_zero():
    weight = np.minimum(WEIGHT, 1)
    clf = DeepBinaryClassifier(**QUICK, scoring=accuracy_without_weights)
    clf.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=weight)
    rows = weight > 0
    expected = DeepBinaryClassifier(**QUICK, scoring=accuracy_without_weights)
    assert_same_validation(clf, expected.fit(X, LABELS, X_val=X_VAL[rows], y_val=LABELS_VAL[rows]))


def test_validation_weights_do_not_change_the_training_cost():
    clf, other = (DeepBinaryClassifier(**QUICK, early_stopping=False) for _ in range(2))
    clf.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL)
    other.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=WEIGHT)
    assert clf.loss_curve_ == other.loss_curve_
    assert clf.validation_loss_curve_ != other.validation_loss_curve_


def test_validation_weights_beside_a_file(tmp_path):
    pytest.importorskip("pyarrow")
    path, names = tmp_path / "rows.parquet", list("abcd")
    pd.DataFrame(X, columns=names).assign(y=LABELS).to_parquet(path, index=False)
    X_val, rows = (pd.DataFrame(values, columns=names) for values in (X_VAL, repeated(X_VAL)))
    clf, other = DeepBinaryClassifier(**QUICK), DeepBinaryClassifier(**QUICK)
    clf.fit(path, "y", X_val=X_val, y_val=LABELS_VAL, sample_weight_val=WEIGHT)
    assert_same_validation(clf, other.fit(path, "y", X_val=rows, y_val=repeated(LABELS_VAL)))


def test_fits_that_are_trained_together_keep_their_own_validation_weights():
    def fit(weight):
        clf = DeepBinaryClassifier(**QUICK)
        return clf.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=weight)

    weights = [WEIGHT, WEIGHT[::-1], None]
    with together():
        fitted = Parallel()(delayed(fit)(weight) for weight in weights)
    for clf, weight in zip(fitted, weights, strict=True):
        assert_same_validation(clf, fit(weight))


def test_metadata_routing_passes_validation_weights():
    net = DeepBinaryClassifier(**QUICK)
    with config_context(enable_metadata_routing=True):
        net.set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        model = Pipeline([("scale", StandardScaler()), ("net", net)], transform_input=["X_val"])
        model.fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=WEIGHT)
    scaler = StandardScaler().fit(X)
    expected = DeepBinaryClassifier(**QUICK).fit(
        scaler.transform(X),
        LABELS,
        X_val=scaler.transform(repeated(X_VAL)),
        y_val=repeated(LABELS_VAL),
    )
    assert_same_validation(model["net"], expected)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([0] * 60, "sample_weight_val must hold a weight above zero"),
        ([1] * 59, r"sample_weight_val must have shape \(60,\), got \(59,\)"),
        ([-1] + [1] * 59, "sample_weight_val must not be negative"),
        ([np.nan] + [1] * 59, "sample_weight_val must be finite"),
        ("w", "sample_weight_val must be numbers, got 'w'"),
    ],
)
@pytest.mark.parametrize("estimator_class", [DeepBinaryClassifier, DeepRegressor])
def test_invalid_validation_weights_are_an_error(estimator_class, weight, message):
    with pytest.raises(ValueError, match=message):
        estimator_class().fit(X, LABELS, X_val=X_VAL, y_val=LABELS_VAL, sample_weight_val=weight)


@pytest.mark.parametrize("estimator_class", [DeepBinaryClassifier, DeepRegressor])
def test_validation_weights_without_a_validation_set_are_an_error(estimator_class):
    estimator = estimator_class()
    with pytest.raises(ValueError, match="sample_weight_val must be given with X_val and y_val"):
        estimator.fit(X, LABELS, sample_weight_val=WEIGHT)
    assert not hasattr(estimator, "coefs_")


# -- a validation set that was not transformed ------------------------------------------------


CANCER, DIAGNOSIS = load_breast_cancer(return_X_y=True, as_frame=True)
TRAIN, REST = CANCER.index % 3 != 0, CANCER.index % 3 == 0
FAR = "X_val lies far outside the range of X"


def scaled(scaler=None):
    """Return X and X_val, both scaled."""
    scaler = (scaler or StandardScaler()).set_output(transform="pandas").fit(CANCER[TRAIN])
    return scaler.transform(CANCER[TRAIN]), scaler.transform(CANCER[REST])


def fit(estimator, X, X_val, y=DIAGNOSIS, **options):
    return estimator.fit(X, y[TRAIN], X_val=X_val, y_val=y[REST], **options)


def untransformed():
    """Return X scaled, and X_val not scaled."""
    return scaled()[0], CANCER[REST]


@pytest.mark.parametrize(
    "estimator",
    [
        DeepBinaryClassifier(),
        DeepBinaryClassifier(n_networks=2),
        DeepBinaryClassifier(standardize=False),
        DeepBinaryClassifier(optimizer="lbfgs", n_layers=1),
        DeepBinaryClassifier(early_stopping=False, class_weight="balanced"),
        DeepRegressor(),
        DeepRegressor(loss="absolute_error", n_networks=2),
    ],
    ids=str,
)
def test_an_unscaled_validation_set_is_warned_of(estimator):
    estimator.set_params(max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match=f"{FAR}: column 'mean .*' is from -.* in X and from"):
        fit(estimator, *untransformed())
    fit(estimator, *scaled())  # a warning would fail the test


@pytest.mark.parametrize("scaler", [MinMaxScaler(), RobustScaler()], ids=str)
def test_other_scalers_are_warned_of_too(scaler):
    with pytest.warns(UserWarning, match=f"{FAR}.*first epoch was .*transform_input"):
        fit(DeepBinaryClassifier(max_iter=1, random_state=0), scaled(scaler)[0], CANCER[REST])


def with_categories(frame):
    return frame.assign(kind=pd.Categorical(np.arange(len(frame)) % 2))


@pytest.mark.parametrize(
    "container",
    [with_categories, lambda frame: torch.tensor(frame.to_numpy()), sparse.csr_matrix],
    ids=["categories", "tensor", "sparse"],
)
def test_an_unscaled_validation_set_in_other_containers_is_warned_of(container):
    X, X_val = map(container, untransformed())
    with pytest.warns(UserWarning, match=FAR):
        fit(DeepBinaryClassifier(max_iter=1, random_state=0), X, X_val)


def test_an_unscaled_validation_set_beside_a_file_is_warned_of(tmp_path):
    pytest.importorskip("pyarrow")
    X, X_val = untransformed()
    X.assign(y=DIAGNOSIS[TRAIN]).to_parquet(tmp_path / "rows.parquet", index=False)
    clf = DeepBinaryClassifier(max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match=FAR):
        clf.fit(tmp_path / "rows.parquet", "y", X_val=X_val, y_val=DIAGNOSIS[REST])


def test_x_val_passed_to_the_last_step_of_a_pipeline_is_warned_of():
    clf = DeepBinaryClassifier(max_iter=1, random_state=0)
    model = Pipeline([("scale", StandardScaler()), ("clf", clf)])
    X, X_val = CANCER[TRAIN].to_numpy(), CANCER[REST].to_numpy()
    with pytest.warns(UserWarning, match=FAR):
        model.fit(X, DIAGNOSIS[TRAIN], clf__X_val=X_val, clf__y_val=DIAGNOSIS[REST])


@pytest.mark.parametrize("column", CANCER.columns[:4])
def test_a_validation_set_with_the_upper_half_of_a_feature_is_not_warned_of(column):
    is_low = CANCER[column] <= CANCER[column].median()
    clf = DeepBinaryClassifier(max_iter=1, random_state=0)
    clf.fit(CANCER[is_low], DIAGNOSIS[is_low], X_val=CANCER[~is_low], y_val=DIAGNOSIS[~is_low])
    reg = DeepRegressor(max_iter=1, random_state=0)
    reg.fit(CANCER[is_low], DIAGNOSIS[is_low], X_val=CANCER[~is_low], y_val=DIAGNOSIS[~is_low])


def test_a_high_cost_by_a_high_learning_rate_is_not_warned_of():
    clf = fit(DeepBinaryClassifier(learning_rate=3.0, max_iter=2, random_state=0), *scaled())
    assert clf.validation_loss_curve_[0] > 10


def test_one_far_column_is_not_warned_of_if_predictions_are_good():
    X, X_val = scaled()
    clf = fit(
        DeepBinaryClassifier(max_iter=1, random_state=0), X, X_val.assign(**{"mean area": 99})
    )
    assert clf.validation_loss_curve_[0] < 1


def test_far_rows_of_weight_zero_are_not_warned_of():
    (X, X_val), (_, far) = scaled(), untransformed()
    clf = DeepBinaryClassifier(max_iter=1, random_state=0)
    weight = np.repeat([0.0, 1.0], len(far))
    y_val = pd.concat([DIAGNOSIS[REST]] * 2)
    clf.fit(
        X, DIAGNOSIS[TRAIN], X_val=pd.concat([far, X_val]), y_val=y_val, sample_weight_val=weight
    )
