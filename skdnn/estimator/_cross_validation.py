"""Cross-validation of the epoch to keep, for so few rows that none can be spared.

A stack of networks is trained, all from different weights: one for each of 5 folds, which it holds
out, and a last one on all rows. The weights of the last one are kept after the epoch in which the
others predict their folds best. For a classifier, overconfident logits are divided by a number
above 1, the temperature [1]_, that is best for the same predictions; so the cost of an epoch does
not depend on how large its logits have grown.

References
----------
.. [1] C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML
       2017.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from skdnn.network import Network, cost
from skdnn.training import TrainingResult, epoch_raw_predictions

from ._plan import Plan
from ._split import Split

# Weights of the first epochs rank rows badly, whatever their cost is.
FRACTION_BEFORE_KEPT = 1 / 16
_TEMPERATURES = np.logspace(0, 1, 25).tolist()


def cost_of_folds(plan: Plan, split: Split, network: Network, members: Sequence[int]) -> np.ndarray:
    """Return the cost of all folds, each predicted by the network that holds it out.

    It is the same for all networks, so that they keep the weights of the same epoch.
    """
    return np.full(len(members), _cost_and_temperature(plan, split, network)[0])


def temperature_of_folds(plan: Plan, split: Split, network: Network) -> float:
    """Return the number by which the logits of the folds are divided; 1 for regression."""
    return _cost_and_temperature(plan, split, network)[1]


def _cost_and_temperature(plan: Plan, split: Split, network: Network) -> tuple[float, float]:
    rows = split.validation.epoch()  # type: ignore[union-attr]  # there is one
    tensors = epoch_raw_predictions(network, rows), rows.y, rows.weight
    # The folds side by side, as the examples of one network; without the network of all rows.
    Z, y, weight = (each[:-1].movedim(0, -2).flatten(-2).double() for each in tensors)
    temperatures = _TEMPERATURES if plan.task.is_classification else [1.0]
    T = torch.tensor(temperatures, dtype=Z.dtype, device=Z.device)[:, None, None]
    costs = cost(plan.loss, Z / T, y.expand(len(T), *y.shape), weight.expand(len(T), *weight.shape))
    return costs.min().item(), temperatures[int(costs.argmin())]


def of_all_rows(
    plan: Plan, split: Split, network: Network, result: TrainingResult
) -> tuple[Split, Network, TrainingResult]:
    """Return the network that is trained on all rows, with the mean curves of the folds."""
    last = network.part(len(network.theta) - 1)
    temperature = temperature_of_folds(plan, split, network)
    for parameter in (last.W[-1], last.b[-1]):
        parameter.div_(temperature)
    curves = {
        name: curve[:, :-1].mean(axis=1, keepdims=True)
        for name in ("validation_cost_curve", "validation_score_curve")
        if (curve := getattr(result, name)) is not None
    }
    own = {name: getattr(result, name)[-1:] for name in ("n_iter", "best_iter", "endings")}
    result = replace(
        result, theta=last.theta, cost_curve=result.cost_curve[:, -1:], **own, **curves
    )
    encoder = split.member_encoders[-1] if split.member_encoders else split.encoder
    return replace(split, encoder=encoder, member_encoders=()), last, result
