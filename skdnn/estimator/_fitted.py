"""The fitted attributes: NumPy arrays and plain values, without torch and without a device.

That is what keeps a pickle small, and what lets a model that was fitted on CUDA predict anywhere.
Tensors are made of the arrays when they are needed: to predict, to train on, to hand over a module.
"""

import math

import numpy as np

from skdnn.training import epoch_raw_predictions

from ._initialized_network import frozen, partial_fit_state


def fitted_attributes(plan, examples, split, initialized, result):
    """Return all fitted attributes by name: arrays, lists and plain values.

    Parameters
    ----------
    plan : Plan
    examples : Examples
    split : Split
    initialized : Start
        Trained.
    result : TrainingResult
    """
    name, made_of_answers = plan.task.out_of_fold
    predictions = _out_of_fold(initialized.network, split, len(examples.y))
    return {
        **learned_attributes(plan, split, initialized.network, result),
        "_partial_fit_state": partial_fit_state(plan, initialized) if plan.is_partial_fit else None,
        name: None if predictions is None else made_of_answers(predictions),
    }


def learned_attributes(plan, split, network, result):
    """Return those of them that an epoch changes."""
    return {
        **network_attributes(plan, split, network),
        **_training_record(result, split.training.n_rows, plan.before),
        "_frozen_parameters": frozen(plan.parameters),
    }


def network_attributes(plan, split, network, member=None):
    """Return those of them that predictions depend on, of all networks or of one member."""
    return {
        **split.target.attributes(),
        "layer_sizes_": network.layer_sizes,
        "n_layers_": network.n_layers,
        "n_outputs_": split.target.n_outputs,
        "out_activation_": network.output.name,
        "activations_": plan.activations,
        "device_": str(plan.device),
        **_fitted_weights(plan, split, network, member),
    }


def _fitted_weights(plan, split, network, member):
    """Return the attributes that hold the weights, and what goes before them.

    An encoder that only standardises is folded into the first layer, unless the network's dtype
    would lose by it, or the weights of a column that may yet begin to vary.
    """
    encoder = split.encoder_of(member)
    coefs, intercepts = network.arrays(member)
    dtype = coefs[0].dtype
    waits = plan.is_partial_fit and not encoder.inverse_scale.all()
    folds = encoder.merges_exactly(dtype) and not waits
    if folds:
        coefs[0], intercepts[0] = encoder.merge(coefs[0], intercepts[0])
    coefs[-1], intercepts[-1] = split.target.merge(coefs[-1], intercepts[-1])
    state = vars(encoder).copy()
    return {
        "coefs_": [coef.astype(dtype, copy=False) for coef in coefs],
        "intercepts_": [intercept.astype(dtype, copy=False) for intercept in intercepts],
        "input_encoding_": None if folds else state,
        "_encoding": state,
    }


def _training_record(result, n_rows, before):
    """Return the attributes that tell how training went; of a stack, means over its networks."""
    record = {} if before is None else vars(before)
    curves = {
        "loss_curve_": result.cost_curve,
        "validation_loss_curve_": result.validation_cost_curve,
        "validation_scores_": result.validation_score_curve,
    }
    curves = {name: _while_running(curve, result.n_iter) for name, curve in curves.items()}
    costs, validation, scores = curves.values()
    best_iters = (record.get("n_iter_", 0) + result.best_iter).tolist()
    return {
        **{name: _longer(record.get(name), curve) for name, curve in curves.items()},
        "n_iter_": record.get("n_iter_", 0) + int(result.n_iter.max()),
        "best_iter_": best_iters[0] if len(best_iters) == 1 else best_iters,
        "t_": record.get("t_", 0) + int(result.n_iter.sum()) * n_rows,
        "loss_": float(np.nanmean(costs[-1])) if len(costs) else math.nan,
        "best_loss_": _mean_of_best(costs if validation is None else validation),
        "best_validation_score_": _mean_of_kept(scores, result.best_iter),
    }


def _while_running(curve, n_iter):
    """Return a curve of shape (epochs, M) with NaN after the end of each network."""
    if curve is None:
        return None
    return np.where(np.arange(len(curve))[:, None] < n_iter, curve, np.nan)


def _longer(earlier, curve):
    return None if curve is None else (earlier or []) + np.nanmean(curve, axis=1).tolist()


def _mean_of_best(curve):
    return float(np.nanmin(curve, axis=0).mean()) if len(curve) else math.nan


def _mean_of_kept(curve, best_iter):
    if curve is None or (best_iter == 0).any():
        return None
    return float(np.take_along_axis(curve, best_iter[None] - 1, axis=0).mean())


def _out_of_fold(network, split, n_samples):
    """Return what networks answer for the rows that they held out, or None where they held none.

    Of shape (n_samples, n_outputs), NaN where no network held a row out.
    """
    if split.held_out is None:
        return None
    Z = epoch_raw_predictions(network, split.validation.epoch()).mT.cpu().numpy()
    is_row = split.held_out >= 0
    predictions = np.full((n_samples, Z.shape[-1]), np.nan)
    predictions[split.held_out[is_row]] = split.target.restored(Z[is_row])
    return predictions
