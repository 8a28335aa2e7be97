"""A typed program that uses skdnn; checked by mypy, never run."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from skdnn import (
    Checkpoint,
    DeepBinaryClassifier,
    DeepRegressor,
    ImageVectorizer,
    LossCurveDisplay,
    NetworkDisplay,
)

if TYPE_CHECKING:
    from typing import assert_type


def right(X: np.ndarray, y: list[int]) -> None:
    clf = DeepBinaryClassifier(
        3,
        (8, 4),
        activation=("relu", torch.tanh),
        optimizer=torch.optim.RMSprop,
        learning_rate_schedule=lambda epoch, max_iter: 1 - epoch / max_iter,
        class_weight={0: 2.0},
        dtype=torch.float32,
        checkpoint=Checkpoint("fit.ckpt", every_epochs=10),
    )
    assert_type(
        clf.fit(X, y, sample_weight=[1.0] * 4, X_val=X, y_val=y, sample_weight_val=[2] * 4),
        DeepBinaryClassifier,
    )
    assert_type(clf.partial_fit(torch.zeros(4, 2), y, classes=[0, 1]), DeepBinaryClassifier)
    assert_type(clf.predict_proba(X), np.ndarray)
    assert_type(clf.to_module(), torch.nn.Sequential)
    assert_type(LossCurveDisplay.from_estimator(clf), LossCurveDisplay)
    assert_type(NetworkDisplay.from_estimator(clf, max_units=5).plot(), NetworkDisplay)
    reg = DeepRegressor(loss="quantile", quantile=0.9, n_networks=5)
    assert_type(reg.fit(X, [1.5, -2.0]), DeepRegressor)
    assert_type(reg.partial_fit(X, X), DeepRegressor)
    assert_type(reg.predict(X), np.ndarray)
    assert_type(reg.score(X, y), float)
    assert_type(ImageVectorizer(size=(60, 40)).fit([X]).transform([X]), np.ndarray)


def wrong() -> None:
    DeepBinaryClassifier(n_units="wide")  # type: ignore[arg-type]
    DeepBinaryClassifier(loss="hinge")  # type: ignore[arg-type]
    DeepRegressor(loss="log_loss")  # type: ignore[arg-type]
    DeepRegressor(class_weight="balanced")  # type: ignore[call-arg]
    DeepBinaryClassifier().predict()  # type: ignore[call-arg]
