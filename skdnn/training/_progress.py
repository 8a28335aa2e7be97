"""The progress of a training: curves, the weights kept so far, and the state to resume it from."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skdnn.network import Network

from ._early_stopping import EarlyStopping
from ._optimizer import Optimizer
from ._result import TrainingResult

CURVES = ("costs", "validation_costs", "scores")


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
    costs, validation_costs, scores : lists of arrays of shape (M,)
        One entry for each epoch, NaN for networks that had stopped; the last two are empty without
        a validation set.
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
    ) -> None:
        """Record what was measured after an epoch, arrays of shape (M,), and keep the best weights.

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
        self.costs.append(cost)
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
            np.reshape(getattr(self, name)[:n_epochs], (-1, n_networks)) for name in CURVES
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
        none = torch.empty(0, dtype=torch.uint8, device="cpu")
        drawn = [none, *[generator.get_state() for generator in self.generators]]
        n_networks = len(self.stopping.n_iter)
        return {
            "theta": self.network.theta.cpu().numpy(),
            "kept": self.kept.cpu().numpy(),
            "optimizer": self.optimizer.state(),
            "stopping": self.stopping.state(),
            "generators": torch.cat(drawn).numpy(),
            **{name: np.reshape(getattr(self, name), (-1, n_networks)) for name in CURVES},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a state; if it cannot be one of this training, change nothing.

        Parameters
        ----------
        state : dict
            As `state` returns it. Instead of an array, an entry may be an object with its shape and
            dtype that NumPy converts to it. Errors name the state's attribute `source`, if any.

        Raises
        ------
        ValueError
            If the names, dtypes, shapes or values are impossible in this training.
        """
        source = getattr(state, "source", "the one given")
        shape = getattr(state.get("costs"), "shape", ())
        n_epochs = shape[0] if shape else 0
        if n_epochs > self.max_iter:
            raise ValueError(
                f"checkpoint must be of at most max_iter={self.max_iter} epochs, but "
                f"{source} has been trained for {n_epochs}. Raise max_iter, or name "
                "another file."
            )
        n_networks, n_validation = len(self.stopping.n_iter), n_epochs if self.has_validation else 0
        expected = self.state()
        for name, n_rows in zip(CURVES, (n_epochs, n_validation, n_validation), strict=True):
            expected[name] = np.broadcast_to(0.0, (n_rows, n_networks))  # takes no memory
        fault = next(_misfits(state, expected), None)
        if fault is None:  # only now the arrays are read
            found = _in_memory(state)
            fault = next(self._contradictions(found), None)
        if fault is not None:
            raise ValueError(
                f"checkpoint must be a state of this training, but {source} has {fault}. "
                "Delete it to start anew, or name another file."
            )
        self.network.theta.copy_(torch.from_numpy(found["theta"]))
        self.kept.copy_(torch.from_numpy(found["kept"]))
        self.optimizer.restore(found["optimizer"])  # after theta, which it may set as well
        self.stopping.restore(found["stopping"])
        for generator, drawn in self._drawn(found):
            generator.set_state(drawn)
        for name in CURVES:
            setattr(self, name, list(found[name]))
        self.epoch = n_epochs

    def _contradictions(self, state: dict[str, Any]) -> Iterator[str]:
        """Yield what is impossible in a state of the right names, dtypes and shapes."""
        n_epochs, n_iter = len(state["costs"]), state["stopping"]["n_iter"]
        yield from self.stopping.contradictions(state["stopping"], n_epochs)
        was_running = np.arange(1, n_epochs + 1)[:, np.newaxis] <= n_iter
        for name in CURVES:
            if not np.isfinite(state[name][was_running[: len(state[name])]]).all():
                yield f"{name} that are not finite"
        if not np.isfinite(state["kept"]).all():
            yield "kept weights that are not finite"
        is_running = n_iter == n_epochs
        if not np.isfinite(state["theta"].reshape(len(is_running), -1)[is_running]).all():
            yield "theta that is not finite"
        n_steps = n_epochs * self.n_steps
        yield from self.optimizer.contradictions(state["optimizer"], n_steps, is_running)
        for generator, drawn in self._drawn(state):
            try:
                torch.Generator(generator.device).set_state(drawn)
            except RuntimeError:
                yield "generators that torch does not take"

    def _drawn(self, state: dict[str, Any]) -> list[tuple[torch.Generator, Tensor]]:
        """Return each generator with its part of a state."""
        sizes = [len(generator.get_state()) for generator in self.generators]
        parts = torch.from_numpy(state["generators"]).split(sizes)
        # Clones, because torch 2.13 reads beyond the end of a tensor inside another one.
        return [(g, part.clone()) for g, part in zip(self.generators, parts, strict=True)]


def _misfits(found: Any, expected: Any, name: str = "state") -> Iterator[str]:
    """Yield where a tree has other names, dtypes or shapes than expected, without reading it."""
    if isinstance(expected, dict):
        if not isinstance(found, dict) or found.keys() != expected.keys():
            yield f"a {name} of other parts"
            return
        for part in expected:
            yield from _misfits(found[part], expected[part], part)
    elif isinstance(found, dict) or _dtype_and_shape(found) != _dtype_and_shape(expected):
        yield f"{name} of another shape or dtype"


def _dtype_and_shape(value: Any) -> tuple[np.dtype, tuple[int, ...]]:
    array = value if hasattr(value, "shape") else np.asarray(value)
    return array.dtype, tuple(array.shape)


def _in_memory(tree: Any) -> Any:
    """Return a tree with arrays and numbers in place of what NumPy converts to them."""
    if isinstance(tree, dict):
        return {name: _in_memory(part) for name, part in tree.items()}
    array = np.array(tree)
    return array if array.ndim else array.item()
