"""A fitted network at rest: NumPy arrays, without torch and without a device.

That is what keeps a pickle small, and what lets a model that was fitted on CUDA predict anywhere.
Tensors are made of the arrays when they are needed: to predict, to train on, to hand over a module.
"""

import math
from contextlib import contextmanager

import numpy as np
import torch

from skdnn._assembly import empty_network, make_network
from skdnn.data import Standardizer, identity_standardizer, tensor_chunks
from skdnn.network import Network, compute_logits, get_activation
from skdnn.training import threads_for


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
    }


def network_attributes(plan, classes, split, network):
    """Return those of them that predictions depend on."""
    return {
        "classes_": classes,
        "layer_sizes_": network.layer_sizes,
        "n_layers_": network.n_layers,
        "n_outputs_": 1,
        "out_activation_": "logistic",
        "activations_": plan.activations,
        "device_": str(plan.device),
        **_fitted_weights(network, split.standardizer),
    }


def _fitted_weights(network, standardizer):
    """Return the attributes that hold the weights.

    The standardizer is folded into the first layer, unless the network's dtype would lose by it.
    """
    coefs, intercepts = network.arrays()
    dtype = coefs[0].dtype
    folds = standardizer.folds_exactly(dtype)
    if folds:
        W, b = standardizer.fold(coefs[0], intercepts[0])
        coefs[0], intercepts[0] = W.astype(dtype), b.astype(dtype)
    return {
        "coefs_": coefs,
        "intercepts_": intercepts,
        "input_mean_": None if folds else standardizer.mean,
        "input_scale_": None if folds else standardizer.scale,
    }


def _training_record(result, n_rows, before):
    """Return the attributes that tell how training went."""
    record = {} if before is None else vars(before)
    curves = {
        name: _longer(record.get(name), curve)
        for name, curve in (
            ("loss_curve_", result.cost_curve),
            ("validation_loss_curve_", result.validation_cost_curve),
            ("validation_scores_", result.validation_score_curve),
        )
    }
    n_iter, best_iter = int(result.n_iter[0]), int(result.best_iter[0])
    costs, scores = curves["loss_curve_"] or [math.nan], result.validation_score_curve
    has_best = scores is not None and best_iter > 0
    return {
        **curves,
        "n_iter_": record.get("n_iter_", 0) + n_iter,
        "best_iter_": record.get("n_iter_", 0) + best_iter,
        "t_": record.get("t_", 0) + n_iter * n_rows,
        "loss_": costs[-1],
        "best_loss_": min(curves["validation_loss_curve_"] or costs),
        "best_validation_score_": float(scores[best_iter - 1, 0]) if has_best else None,
    }


def _longer(earlier, curve):
    return None if curve is None else (earlier or []) + curve[:, 0].tolist()


def start_network(plan, classes, split, before):
    """Return the network to train: with new weights, or those of an estimator fitted before.

    Raises
    ------
    ValueError
        If the parameters or classes are no longer those of the fitted network.
    """
    if before is None:
        return make_network(plan, split.training)
    return _fitted_network(before, plan, classes, split.standardizer)


def _fitted_network(fitted, plan, classes, standardizer):
    """Return the network of a fitted estimator, for rows standardised anew."""
    for what, before, now in (
        ("layer sizes", fitted.layer_sizes_, plan.layer_sizes),
        ("activations", fitted.activations_, plan.activations),
        ("classes", fitted.classes_.tolist(), classes.tolist()),
    ):
        if before != now:
            raise ValueError(
                f"warm_start and partial_fit must find the {what} of the previous fit, {before}, "
                f"got {now}."
            )
    coefs, intercepts = list(fitted.coefs_), list(fitted.intercepts_)
    before = _input_standardizer(fitted) or identity_standardizer(len(coefs[0]))
    coefs[0], intercepts[0] = standardizer.unfold(*before.fold(coefs[0], intercepts[0]))
    network = empty_network(plan)
    network.load(coefs, intercepts)
    return network


def fitted_module(fitted):
    """Return a fitted estimator's network as a torch.nn.Sequential from X to P(y = 1)."""
    dtype = getattr(torch, fitted.coefs_[0].dtype.name)
    activations = [get_activation(activation) for activation in fitted.activations_]
    network = Network(fitted.layer_sizes_, activations, dtype=dtype)
    network.load(fitted.coefs_, fitted.intercepts_)
    module = network.to_module()
    standardizer = _input_standardizer(fitted)
    if standardizer is not None:
        module.insert(0, standardizer.to_module(dtype))
    return module.eval()


def fitted_logits(fitted, X):
    """Return the logits of a fitted estimator for checked X, an array of shape (n_samples,)."""
    device = _device_at_hand(fitted.device_)
    W = [None, *[_to_tensor(coef, device) for coef in fitted.coefs_]]
    b = [None, *[_to_tensor(intercept, device) for intercept in fitted.intercepts_]]
    activations = [None, *map(get_activation, fitted.activations_)]
    operations = 2 * X.shape[0] * sum([coef.size for coef in fitted.coefs_])
    with torch.no_grad(), threads_for(operations, fitted.n_threads):
        chunks = tensor_chunks(X, _input_standardizer(fitted), W[1].dtype, device)
        Z = [compute_logits(chunk, W, b, activations).cpu() for chunk in chunks]
    return (Z[0] if len(Z) == 1 else torch.cat(Z)).numpy()[:, 0]


def is_plainly_valid(fitted, X):
    """Tell whether X is an array that scikit-learn's checks would find nothing to say about.

    For one row they take longer than the network, so such an array goes without.
    """
    if type(X) is not np.ndarray or hasattr(fitted, "feature_names_in_"):
        return False
    if X.ndim != 2 or len(X) == 0 or X.shape[1] != fitted.n_features_in_ or X.dtype.kind != "f":
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(X.sum())  # not finite: a number is not, or the sum is too large


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


def _input_standardizer(fitted):
    if fitted.input_mean_ is None:
        return None
    return Standardizer(fitted.input_mean_, 1 / fitted.input_scale_)


def _device_at_hand(device):
    """Return the device of the fit, or the CPU where there is no such device any more."""
    device = torch.device(device)
    if device.type == "cpu" or (device.index or 0) < torch.cuda.device_count():
        return device
    return torch.device("cpu")


def _to_tensor(array, device):
    # Arrays loaded with joblib's mmap_mode are read-only, which torch warns of; those are copied.
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor if device.type == "cpu" else tensor.to(device)
