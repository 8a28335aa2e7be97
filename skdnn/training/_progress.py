"""The progress of a training: curves, the weights kept so far, and the state to resume it from."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from skdnn.network import Network

from ._early_stopping import EarlyStopping
from ._optimizer import Optimizer
from ._result import TrainingResult

CURVES = ("costs", "validation_costs", "scores", "criteria")


class Progress:
    """The curves and the weights kept so far; observers are called with it after each epoch.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
    stopping : EarlyStopping
    generators : iterable of torch.Generator
        All generators that the training draws from.
    max_iter : int
        Epochs at the most.
    n_steps : int
        Steps of an epoch.
    has_validation : bool
        Whether there is a validation set.
    drop_diverged : bool, default=False
        Whether a network that diverges is removed from the stack, instead of raising an error.

    Attributes
    ----------
    epoch : int
        Epochs trained, 0 before the first.
    costs, validation_costs, scores, criteria : lists of arrays of shape (M,)
        One entry for each epoch, NaN for networks that had stopped. `validation_costs` and `scores`
        are empty without a validation set; `criteria` are those of early stopping.
    kept : tensor of the shape of theta
        The weights to keep, as `stopping` chooses.
    failed : dict of int to ValueError
        The networks that have diverged.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        stopping: EarlyStopping,
        generators: Iterable[torch.Generator],
        max_iter: int,
        n_steps: int,
        has_validation: bool,
        drop_diverged: bool = False,
    ) -> None:
        self.network, self.optimizer, self.stopping = network, optimizer, stopping
        self.generators, self.max_iter = list(dict.fromkeys(generators)), max_iter
        self.n_steps, self.has_validation = n_steps, has_validation
        self.kept = network.theta.clone()
        self.epoch = 0
        self.costs: list[np.ndarray] = []
        self.validation_costs: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []
        self.criteria: list[np.ndarray] = []
        self.drop_diverged = drop_diverged
        self.failed: dict[int, ValueError] = {}

    @property
    def is_last(self) -> bool:
        """Whether no epoch follows."""
        return not self.stopping.is_active(self.epoch + 1).any()

    def stop(self) -> None:
        """End the training after this epoch."""
        self.stopping.running[:] = False

    def check_weights(self) -> None:
        """Raise a ValueError if the square of a weight of an active network is not finite."""
        theta = self.network.theta
        largest = theta.abs().amax(dim=-1).cpu().numpy().reshape(-1)  # norms take ten times as long
        is_small = largest < math.sqrt(torch.finfo(theta.dtype).max)
        found = np.where(np.isnan(largest), np.nan, np.where(is_small, 0.0, np.inf))
        self._check_finite(found, self.epoch + 1, "A weight")

    def add(
        self,
        cost: np.ndarray,
        validation_cost: np.ndarray | None = None,
        score: np.ndarray | None = None,
        *,
        by_score: bool = False,
        criteria: np.ndarray | None = None,
    ) -> None:
        """Record what was measured after an epoch, arrays of shape (M,), and keep the best weights.

        The best are those of the lowest criteria: by default of the lowest validation cost, or of
        the highest score.

        Raises
        ------
        ValueError
            If a cost is not finite.
        """
        epoch, criterion = self.epoch + 1, cost
        self._check_finite(cost, epoch)
        if validation_cost is not None and score is not None:
            self._check_finite(validation_cost, epoch)
            self.validation_costs.append(validation_cost)
            self.scores.append(score)
            if self.stopping.keep_best:
                criterion = -score if by_score else validation_cost
        criterion = criterion if criteria is None else criteria
        self.costs.append(cost)
        self.criteria.append(criterion)
        self.epoch = epoch
        is_kept = self.stopping.update(epoch, criterion)
        if is_kept.all():
            self.kept.copy_(self.network.theta)
        else:
            mask = torch.from_numpy(is_kept).to(self.kept.device)
            mask = mask.unsqueeze(-1) if self.kept.ndim == 2 else mask
            torch.where(mask, self.network.theta, self.kept, out=self.kept)

    def _check_finite(self, costs: np.ndarray, epoch: int, what: str = "The cost") -> None:
        """Raise a ValueError for the first network that has diverged, or remove all that have."""
        diverged = ~np.isfinite(costs) & self.stopping.is_active(epoch)
        for member in np.flatnonzero(diverged).tolist():
            error = ValueError(
                f"{what} became {costs[member]} in epoch {epoch}: the training diverged. "
                "Try a smaller learning_rate, or standardize=True where the features are large."
            )
            if not self.drop_diverged:
                raise error
            self.failed[member] = error
            self.stopping.running[member] = False

    def result(self, ending: str = "max_iter") -> TrainingResult:
        """Return the TrainingResult as of now.

        Parameters
        ----------
        ending : str, default="max_iter"
            Why the networks that have not stopped are not trained any further.
        """
        stopping = self.stopping
        has_converged = stopping.without_improvement >= stopping.n_iter_no_change
        stopped = np.where(has_converged, "no_improvement", "stopped")
        # An interruption may have left a part of one more epoch.
        n_epochs, n_networks = stopping.n_iter.max(), len(stopping.n_iter)
        cost_curve, validation_cost_curve, validation_score_curve = (
            np.reshape(curve[:n_epochs], (-1, n_networks))
            for curve in (self.costs, self.validation_costs, self.scores)
        )
        return TrainingResult(
            theta=self.kept,
            n_iter=stopping.n_iter,
            best_iter=stopping.best_iter,
            cost_curve=cost_curve,
            validation_cost_curve=validation_cost_curve if self.scores else None,
            validation_score_curve=validation_score_curve if self.scores else None,
            endings=np.where(stopping.running, ending, stopped),
            interrupted=ending == "interrupted",
            failed=self.failed,
        )

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on: arrays and numbers, in dicts."""
        drawn = enumerate(self.generators)
        n_networks = len(self.stopping.n_iter)
        return {
            "theta": self.network.theta.cpu().numpy(),
            "kept": self.kept.cpu().numpy(),
            "optimizer": self.optimizer.state(),
            "running": self.stopping.running.copy(),
            "generators": {str(k): generator.get_state().numpy() for k, generator in drawn},
            **{name: np.reshape(getattr(self, name), (-1, n_networks)) for name in CURVES},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the state to one that `state` returned, before the first epoch of the same training.

        `skdnn.checkpoints` checks the states that it reads from files.
        """
        self.network.theta.copy_(torch.from_numpy(state["theta"]))
        self.kept.copy_(torch.from_numpy(state["kept"]))
        self.optimizer.restore(state["optimizer"])  # after theta, which it may set as well
        drawn = state["generators"].values()
        for generator, generator_state in zip(self.generators, drawn, strict=True):
            generator.set_state(torch.from_numpy(generator_state))
        for name in CURVES:
            setattr(self, name, list(state[name]))
        self.epoch = len(self.costs)
        for epoch, criterion in enumerate(self.criteria, start=1):
            self.stopping.update(epoch, criterion)
        self.stopping.running &= state["running"]  # an observer may have ended the training
