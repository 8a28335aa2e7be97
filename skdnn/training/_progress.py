"""Where a training stands after an epoch: curves, the weights kept, whether it goes on."""

import numpy as np
import torch

from ._result import TrainingResult

CURVES = ("costs", "validation_costs", "scores")


class Progress:
    """The curves and the weights kept so far; observers are shown it after each epoch.

    Parameters
    ----------
    network : Network
    optimizer : update rule
    stopping : Stopping
    generators : sequence of torch.Generator
        All that the training draws from.
    max_iter : int
        Epochs at the most.

    Attributes
    ----------
    epoch : int
        Epochs trained, 0 before the first.
    costs, validation_costs, scores : lists of arrays of shape (M,)
        One entry an epoch; the last two stay empty without validation rows.
    kept : tensor of the shape of theta
        The weights to keep, as `stopping` chooses.
    """

    def __init__(self, network, optimizer, stopping, generators, max_iter):
        self.network, self.optimizer, self.stopping = network, optimizer, stopping
        self.generators, self.max_iter = generators, max_iter
        self.kept = network.theta.clone()
        self.costs, self.validation_costs, self.scores = [], [], []

    @property
    def epoch(self):
        """Epochs trained."""
        return len(self.costs)

    @property
    def is_stopped(self):
        """Whether training ends here, however many epochs are left."""
        return not self.stopping.running.any()

    @property
    def is_last(self):
        """Whether no epoch follows."""
        return self.is_stopped or self.epoch >= self.max_iter

    def stop(self):
        """Let this epoch be the last."""
        self.stopping.running[:] = False

    def add(self, cost, validation_cost=None, score=None, *, by_score=False):
        """Take what was measured after an epoch, arrays of shape (M,), and keep what is best.

        Raises
        ------
        ValueError
            If a number is not finite.
        """
        epoch = self.epoch + 1
        self._check_finite(cost, epoch)
        if validation_cost is not None:
            self._check_finite(validation_cost, epoch)
            self.validation_costs.append(validation_cost)
            self.scores.append(score)
        self.costs.append(cost)
        watched = cost
        if self.stopping.keep_best:
            watched = -score if by_score else validation_cost
        self._keep(self.stopping.update(epoch, watched))

    def result(self, converged=False, interrupted=False):
        """Return the TrainingResult as of now."""
        return TrainingResult(
            theta=self.kept,
            n_iter=self.stopping.n_iter,
            best_iter=self.stopping.best_iter,
            cost_curve=self._curve(self.costs),
            validation_cost_curve=self._curve(self.validation_costs) if self.scores else None,
            validation_score_curve=self._curve(self.scores) if self.scores else None,
            converged=np.atleast_1d(converged),
            interrupted=interrupted,
        )

    def state(self):
        """Return all that the rest of the training depends on: arrays and numbers, in dicts."""
        drawn = [generator.get_state().numpy() for generator in self.generators]
        return {
            "theta": self.network.theta.cpu().numpy(),
            "kept": self.kept.cpu().numpy(),
            "optimizer": self.optimizer.state(),
            "stopping": self.stopping.state(),
            "generators": dict(zip(map(str, range(len(drawn))), drawn, strict=True)),
            **{name: np.array(getattr(self, name)) for name in CURVES},
        }

    def restore(self, state):
        """Go on from a state."""
        self.network.theta.copy_(torch.from_numpy(state["theta"]))
        self.kept.copy_(torch.from_numpy(state["kept"]))
        self.optimizer.restore(state["optimizer"])  # after theta, which it may know better
        self.stopping.restore(state["stopping"])
        for generator, drawn in zip(self.generators, state["generators"].values(), strict=True):
            generator.set_state(torch.from_numpy(drawn))
        for name in CURVES:
            setattr(self, name, list(state[name]))

    def _curve(self, numbers):
        n_iter = self.stopping.n_iter  # an interruption may have left part of one more epoch
        return np.reshape(numbers[: n_iter.max()], (-1, len(n_iter)))

    def _check_finite(self, costs, epoch):
        diverged = ~np.isfinite(costs) & self.stopping.running
        if diverged.any():
            raise ValueError(
                f"The cost became {costs[diverged][0]} in epoch {epoch}: the training diverged. "
                "Try a smaller learning_rate, or standardize=True where the features are large."
            )

    def _keep(self, mask):
        mask = torch.from_numpy(mask).to(self.kept.device)
        if self.kept.ndim == 2:
            mask = mask.unsqueeze(-1)
        torch.where(mask, self.network.theta, self.kept, out=self.kept)
