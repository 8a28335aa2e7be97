"""Fitted attributes: NumPy arrays and plain Python values, without tensors.

Pickles stay small, and a model fitted on CUDA predicts on a machine without it.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skdnn.data.frames import Schema
from skdnn.network import Network
from skdnn.training import TrainingResult, epoch_raw_predictions

from ._cross_validation import of_all_rows, temperature_of_folds
from ._examples import Examples
from ._initialized_network import InitializedNetwork, frozen_parameters, partial_fit_state
from ._plan import Plan
from ._split import Split


@contextmanager
def restored_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the attributes of an estimator if the block raises."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def set_attributes(estimator: BaseEstimator, fitted: dict[str, Any]) -> None:
    """Replace the fitted attributes of an estimator; without names of columns it has none."""
    vars(estimator).pop("feature_names_in_", None)
    vars(estimator).update(fitted)


def fitted_attributes(
    plan: Plan,
    examples: Examples,
    split: Split,
    initialized: InitializedNetwork,
    result: TrainingResult,
) -> dict[str, Any]:
    """Return all fitted attributes by name.

    Parameters
    ----------
    plan : Plan
    examples : Examples
    split : Split
    initialized : InitializedNetwork
        After training.
    result : TrainingResult
    """
    name, from_raw_predictions = plan.task.out_of_fold
    out_of_fold = None
    if split.held_out is not None and split.validation is not None:
        Z = epoch_raw_predictions(initialized.network, split.validation.epoch()).mT.cpu().numpy()
        is_row = split.held_out >= 0
        if plan.cross_validates:
            Z /= temperature_of_folds(plan, split, initialized.network)
        raw = np.full((len(examples.y), Z.shape[-1]), np.nan)  # NaN where no network held a row out
        raw[split.held_out[is_row]] = split.target.restored(Z[is_row])
        out_of_fold = from_raw_predictions(raw)
    return {
        **learned_attributes(plan, examples.schema, split, initialized.network, result),
        "_partial_fit_state": partial_fit_state(plan, initialized) if plan.is_partial_fit else None,
        name: out_of_fold,
    }


def learned_attributes(
    plan: Plan, schema: Schema, split: Split, network: Network, result: TrainingResult
) -> dict[str, Any]:
    """Return the fitted attributes that exist after every epoch.

    Costs and scores are means over the networks; the curves of an earlier fit are continued.
    """
    if plan.cross_validates:
        split, network, result = of_all_rows(plan, split, network, result)
    earlier = {} if plan.previous is None else vars(plan.previous)
    curves: dict[str, Any] = {
        "loss_curve_": result.cost_curve,
        "validation_loss_curve_": result.validation_cost_curve,
        "validation_scores_": result.validation_score_curve,
    }
    means: dict[str, list[float] | None] = {}
    for name, curve in curves.items():
        if curve is None:
            means[name] = None
            continue
        is_trained = np.arange(len(curve))[:, np.newaxis] < result.n_iter
        curves[name] = curve = np.where(is_trained, curve, np.nan)
        means[name] = (earlier.get(name) or []) + np.nanmean(curve, axis=1).tolist()
    costs, validation_costs, scores = curves.values()
    monitored = costs if validation_costs is None else validation_costs
    best_score = None
    if scores is not None and (result.best_iter > 0).all():
        best_score = float(np.take_along_axis(scores, result.best_iter[None] - 1, axis=0).mean())
    n_iter = earlier.get("n_iter_", 0)
    best_iter = (n_iter + result.best_iter).tolist()
    return {
        **network_attributes(plan, schema, split, network),
        **means,
        "n_iter_": n_iter + int(result.n_iter.max()),
        "best_iter_": best_iter[0] if len(best_iter) == 1 else best_iter,
        "t_": earlier.get("t_", 0) + int(result.n_iter.sum()) * split.training.n_rows,
        "loss_": float(np.nanmean(costs[-1])) if len(costs) else math.nan,
        "best_loss_": float(np.nanmin(monitored, axis=0).mean()) if len(monitored) else math.nan,
        "best_validation_score_": best_score,
        "_frozen_parameters": frozen_parameters(plan),
    }


def network_attributes(
    plan: Plan, schema: Schema, split: Split, network: Network, member: int | None = None
) -> dict[str, Any]:
    """Return the fitted attributes that predictions depend on.

    Parameters
    ----------
    plan : Plan
    schema : Schema
    split : Split
    network : Network
    member : int or None, default=None
        Index of one network of several; None for all of them.
    """
    encoder = split.encoder
    if member is not None and split.member_encoders:
        encoder = split.member_encoders[member]
    coefs, intercepts = network.arrays(member)
    dtype = coefs[0].dtype
    coefs[-1], intercepts[-1] = split.target.merge(coefs[-1], intercepts[-1])
    has_more_inputs = encoder.is_categorical.any() or encoder.n_outputs > plan.n_columns
    is_encoded = plan.parameters.standardize is not False or has_more_inputs
    return {
        **schema.attributes(),
        **split.target.attributes(),
        "layer_sizes_": network.layer_sizes,
        "n_layers_": network.n_layers,
        "n_outputs_": split.target.n_outputs,
        "out_activation_": network.output.out_activation,
        "activations_": plan.activations,
        "device_": str(plan.device),
        "coefs_": [coef.astype(dtype, copy=False) for coef in coefs],
        "intercepts_": [intercept.astype(dtype, copy=False) for intercept in intercepts],
        "input_encoding_": encoder.state if is_encoded else None,
        "_embedding": _trained_embedding(network, member),
    }


def _trained_embedding(network: Network, member: int | None) -> tuple[Any, np.ndarray]:
    """Return the embedding, or None, and the array of its parameters."""
    embedding, parameters = network.embedding, network.embedding_parameters
    if embedding is not None and member is not None and network.n_networks is not None:
        embedding, parameters = embedding.part(member), parameters[member]
        if not embedding.is_user:
            embedding, parameters = None, parameters[:0]
    if embedding is not None:
        embedding = embedding.for_predictions("cpu")
    return embedding, parameters.clone().cpu().numpy()
