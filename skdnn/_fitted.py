"""A fitted network at rest: NumPy arrays, without torch and without a device.

That is what keeps a pickle small, and what lets a model that was fitted on CUDA predict anywhere.
Tensors are made of the arrays when they are needed: to predict, to train on, to hand over a module.
"""

import math
from contextlib import contextmanager

import numpy as np
import torch

from skdnn._assembly import empty_network, make_network, with_more_inputs
from skdnn.data import Encoder
from skdnn.network import Network, get_activation


def learnt_attributes(plan, classes, split, before, network, result):
    """Return the fitted attributes by name: arrays, lists and plain values.

    Parameters
    ----------
    plan : Plan
    classes : array of shape (2,)
    split : Split
    before : DeepBinaryClassifier or None
        Fitted before, where training went on.
    network : Network
        Trained.
    result : TrainingResult
    """
    return {
        **network_attributes(plan, classes, split, network),
        **_training_record(result, split.training.n_rows, before),
        "_settled": settled(plan.parameters),
    }


def network_attributes(plan, classes, split, network, member=None):
    """Return those of them that predictions depend on, of all networks or of one member."""
    return {
        "classes_": classes,
        "layer_sizes_": network.layer_sizes,
        "n_layers_": network.n_layers,
        "n_outputs_": 1,
        "out_activation_": "logistic",
        "activations_": plan.activations,
        "device_": str(plan.device),
        **_fitted_weights(plan, network, split.encoder, member),
    }


def _fitted_weights(plan, network, encoder, member):
    """Return the attributes that hold the weights, and what goes before them.

    An encoder that only standardises is folded into the first layer, unless the network's dtype
    would lose by it, or the weights of a column that may yet begin to vary.
    """
    coefs, intercepts = network.arrays(member)
    dtype = coefs[0].dtype
    waits = plan.is_incremental and not encoder.inverse_scale.all()
    folds = encoder.folds_exactly(dtype) and not waits
    if folds:
        W, b = encoder.fold(coefs[0], intercepts[0])
        coefs[0], intercepts[0] = W.astype(dtype), b.astype(dtype)
    state = encoder.state()
    return {
        "coefs_": coefs,
        "intercepts_": intercepts,
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
    costs, watched, scores = curves.values()
    best_iters = (record.get("n_iter_", 0) + result.best_iter).tolist()
    return {
        **{name: _longer(record.get(name), curve) for name, curve in curves.items()},
        "n_iter_": record.get("n_iter_", 0) + int(result.n_iter.max()),
        "best_iter_": best_iters[0] if len(best_iters) == 1 else best_iters,
        "t_": record.get("t_", 0) + int(result.n_iter.sum()) * n_rows,
        "loss_": float(np.nanmean(costs[-1])) if len(costs) else math.nan,
        "best_loss_": _mean_of_best(costs if watched is None else watched),
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


def start_network(plan, classes, split, before):
    """Return the network to train: with new weights, or those of an estimator fitted before.

    Raises
    ------
    ValueError
        If the parameters or classes are no longer those of the fitted network.
    """
    if before is None:
        return make_network(plan, split.training)
    return _fitted_network(before, plan, classes, split.encoder)


def _fitted_network(fitted, plan, classes, encoder):
    """Return the network of a fitted estimator, for rows that this encoder encodes."""
    stack = fitted.coefs_[0].shape[:-2]
    n_networks = stack[0] if stack else 1
    network = empty_network(plan, encoder.n_outputs)
    for what, before, now in (
        ("number of networks", n_networks, plan.n_networks or 1),
        ("layer sizes", fitted.layer_sizes_[1:], network.layer_sizes[1:]),
        ("activations", fitted.activations_, plan.activations),
        ("classes", fitted.classes_.tolist(), classes.tolist()),
        *_settled_pairs(fitted, plan.parameters),
    ):
        if before != now:
            raise ValueError(
                f"warm_start and partial_fit must find the {what} of the previous fit, {before}, "
                f"got {now}."
            )
    coefs, intercepts = list(fitted.coefs_), list(fitted.intercepts_)
    if fitted.input_encoding_ is None:
        coefs[0], intercepts[0] = encoder.unfold(coefs[0], intercepts[0])
    places = known_encoder(fitted).outputs_in(encoder)
    W = with_more_inputs(coefs[0].swapaxes(-2, -1), places, encoder.n_outputs)
    coefs[0] = W.swapaxes(-2, -1)
    network.load(coefs, intercepts)
    return network


def settled(parameters):
    """Return the parameters that the first fit settles, since its encoder stays, by name."""
    return {name: getattr(parameters, name) for name in ("standardize", "categorical_features")}


def _settled_pairs(fitted, parameters):
    now = settled(parameters)
    return [(name, before, now[name]) for name, before in fitted._settled.items()]


def known_encoder(fitted):
    """Return the Encoder of a fitted estimator, or None for None."""
    return None if fitted is None else Encoder(**fitted._encoding)


def fitted_module(fitted):
    """Return a fitted estimator's network as a torch.nn.Sequential from X to P(y = 1)."""
    dtype = getattr(torch, fitted.coefs_[0].dtype.name)
    activations = [get_activation(activation) for activation in fitted.activations_]
    n_networks = len(fitted.coefs_[0]) if fitted.coefs_[0].ndim == 3 else None
    network = Network(fitted.layer_sizes_, activations, n_networks=n_networks, dtype=dtype)
    network.load(fitted.coefs_, fitted.intercepts_)
    module = network.to_module()
    if fitted.input_encoding_ is not None:
        module.insert(0, known_encoder(fitted).to_module(dtype))
    return module.eval()


@contextmanager
def restored_on_error(estimator):
    """Give an estimator back the attributes that it had, should the block fail."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
