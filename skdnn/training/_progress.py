"""Where a training stands after an epoch: curves, the weights kept, whether it goes on."""

import math

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
    n_steps : int
        Steps of an epoch.
    has_validation : bool
        Whether there are validation rows.
    fails_apart : bool, default=False
        Whether a network that diverges leaves the others, instead of failing them all.

    Attributes
    ----------
    epoch : int
        Epochs trained, 0 before the first.
    costs, validation_costs, scores : lists of arrays of shape (M,)
        One entry an epoch, NaN for a network that has stopped before; the last two stay empty
        without validation rows.
    kept : tensor of the shape of theta
        The weights to keep, as `stopping` chooses.
    failed : dict of int to ValueError
        The networks that have diverged.
    """

    def __init__(
        self,
        network,
        optimizer,
        stopping,
        generators,
        max_iter,
        n_steps,
        has_validation,
        fails_apart=False,
    ):
        self.network, self.optimizer, self.stopping = network, optimizer, stopping
        self.generators, self.max_iter = list(dict.fromkeys(generators)), max_iter
        self.n_steps, self.has_validation = n_steps, has_validation
        self.kept = network.theta.clone()
        self.costs, self.validation_costs, self.scores = [], [], []
        self.fails_apart, self.failed = fails_apart, {}

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
        return not self.stopping.is_active(self.epoch + 1).any()

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
        validation = cost
        if self.stopping.keep_best:
            validation = -score if by_score else validation_cost
        self._keep(self.stopping.update(epoch, validation))

    def result(self, ending="max_iter"):
        """Return the TrainingResult as of now.

        Parameters
        ----------
        ending : str, default="max_iter"
            Why networks that have not stopped are not trained any further.
        """
        stopping = self.stopping
        is_idle = stopping.without_improvement >= stopping.n_iter_no_change
        stopped = np.where(is_idle, "no_improvement", "stopped")
        return TrainingResult(
            theta=self.kept,
            n_iter=stopping.n_iter,
            best_iter=stopping.best_iter,
            cost_curve=self._curve(self.costs),
            validation_cost_curve=self._curve(self.validation_costs) if self.scores else None,
            validation_score_curve=self._curve(self.scores) if self.scores else None,
            endings=np.where(stopping.running, ending, stopped),
            interrupted=ending == "interrupted",
            failed=self.failed,
        )

    def state(self):
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

    def restore(self, state):
        """Go on from a state; of one that cannot be that of this training, take nothing.

        Parameters
        ----------
        state : dict
            As `state` returns it. In place of an array may stand what has its shape and dtype, and
            becomes one when asked; errors name the `source` of a state that has one.

        Raises
        ------
        ValueError
            If names, dtypes, shapes or values are none that this training can have.
        """
        n_epochs = _n_rows(state, "costs")
        if n_epochs > self.max_iter:
            raise ValueError(
                f"checkpoint must be of at most max_iter={self.max_iter} epochs, but "
                f"{_source(state)} has been trained for {n_epochs}. Raise max_iter, or name "
                "another file."
            )
        _refuse(state, _misfits(state, self._wanted(n_epochs)))
        found = _in_memory(state)
        _refuse(state, self._contradictions(found))
        self.network.theta.copy_(torch.from_numpy(found["theta"]))
        self.kept.copy_(torch.from_numpy(found["kept"]))
        self.optimizer.restore(found["optimizer"])  # after theta, which it may know better
        self.stopping.restore(found["stopping"])
        for generator, drawn in self._drawn(found):
            generator.set_state(drawn)
        for name in CURVES:
            setattr(self, name, list(found[name]))

    def _wanted(self, n_epochs):
        """Return the tree of dtypes and shapes of this training after so many epochs."""
        n_validation = n_epochs if self.has_validation else 0
        n_networks = len(self.stopping.n_iter)
        curves = {
            name: (np.dtype(float), (n_rows, n_networks))
            for name, n_rows in zip(CURVES, (n_epochs, n_validation, n_validation), strict=True)
        }
        return {**_declared(self.state()), **curves}

    def _contradictions(self, state):
        """Yield what cannot be in a state of the right names, dtypes and shapes."""
        n_epochs, n_iter = len(state["costs"]), state["stopping"]["n_iter"]
        yield from self.stopping.contradictions(state["stopping"], n_epochs)
        was_running = np.arange(1, n_epochs + 1)[:, np.newaxis] <= n_iter
        for name in CURVES:
            if not np.isfinite(state[name][was_running[: len(state[name])]]).all():
                yield f"{name} that are not finite"
        if not np.isfinite(state["kept"]).all():
            yield "kept weights that are not finite"
        moving = {"theta": state["theta"], **state["optimizer"]}
        for name, value in _leaves(moving):
            yield from self._impossible(name, value, n_epochs, n_iter == n_epochs)
        if not all(_accepts(generator, drawn) for generator, drawn in self._drawn(state)):
            yield "generators that torch does not take"

    def _impossible(self, name, value, n_epochs, running):
        """Yield what cannot be of theta, or of what an optimizer keeps beside it."""
        if isinstance(value, int):
            if value != n_epochs * self.n_steps:
                yield f"{name} {value} after {n_epochs} epochs"
            return
        # What is still updated of a network that has stopped is of no more use.
        numbers = value.reshape(len(running), -1)[running]
        if not np.isfinite(numbers).all():
            yield f"{name} that is not finite"
        if name == "square" and (numbers < 0).any():
            yield "negative squares"

    def _drawn(self, state):
        """Return each generator with its part of a state, as a tensor."""
        sizes = [len(generator.get_state()) for generator in self.generators]
        parts = torch.from_numpy(state["generators"]).split(sizes)
        # Of a tensor inside another one, torch 2.13 reads beyond the end.
        return [(g, part.clone()) for g, part in zip(self.generators, parts, strict=True)]

    def _curve(self, numbers):
        n_iter = self.stopping.n_iter  # an interruption may have left part of one more epoch
        return np.reshape(numbers[: n_iter.max()], (-1, len(n_iter)))

    def check_weights(self):
        """Raise a ValueError if a network that is still trained has a weight without a square."""
        theta = self.network.theta
        largest = theta.abs().amax(dim=-1).cpu().numpy().reshape(-1)  # norms take ten times as long
        is_small = largest < math.sqrt(torch.finfo(theta.dtype).max)
        found = np.where(np.isnan(largest), np.nan, np.where(is_small, 0.0, np.inf))
        self._check_finite(found, self.epoch + 1, "A weight")

    def _check_finite(self, costs, epoch, what="The cost"):
        diverged = ~np.isfinite(costs) & self.stopping.is_active(epoch)
        for member in np.flatnonzero(diverged).tolist():
            self._fail(
                member,
                f"{what} became {costs[member]} in epoch {epoch}: the training diverged. "
                "Try a smaller learning_rate, or standardize=True where the features are large.",
            )

    def _fail(self, member, message):
        """Raise a ValueError, or where networks fail apart, let this one leave the others."""
        if not self.fails_apart:
            raise ValueError(message)
        self.failed[member] = ValueError(message)
        self.stopping.running[member] = False

    def _keep(self, mask):
        if mask.all():
            self.kept.copy_(self.network.theta)
            return
        mask = torch.from_numpy(mask).to(self.kept.device)
        if self.kept.ndim == 2:
            mask = mask.unsqueeze(-1)
        torch.where(mask, self.network.theta, self.kept, out=self.kept)


def _refuse(state, faults):
    for fault in faults:
        raise ValueError(
            f"checkpoint must be a state of this training, but {_source(state)} has {fault}. "
            "Delete it to start anew, or name another file."
        )


def _source(state):
    return getattr(state, "source", "the one given")


def _n_rows(state, name):
    """Return how many rows a curve says that it has."""
    shape = getattr(state.get(name), "shape", ())
    return shape[0] if shape else 0


def _declared(tree):
    """Return dtype and shape of what is in a tree, without reading it."""
    if isinstance(tree, dict):
        return {name: _declared(part) for name, part in tree.items()}
    array = tree if hasattr(tree, "shape") else np.asarray(tree)
    return array.dtype, tuple(array.shape)


def _misfits(found, wanted, name="state"):
    """Yield where a tree says to have other names, dtypes or shapes than those wanted."""
    if not isinstance(wanted, dict):
        declared = None if isinstance(found, dict) else _declared(found)
        if declared != wanted:
            yield f"{name} of another shape or dtype"
    elif not isinstance(found, dict) or found.keys() != wanted.keys():
        yield f"a {name} of other parts"
    else:
        for part in wanted:
            yield from _misfits(found[part], wanted[part], part)


def _in_memory(tree):
    if isinstance(tree, dict):
        return {name: _in_memory(part) for name, part in tree.items()}
    array = np.array(tree)
    return array if array.ndim else array.item()


def _leaves(tree):
    for name, part in tree.items():
        if isinstance(part, dict):
            yield from _leaves(part)
        else:
            yield name, part


def _accepts(generator, drawn):
    """Tell whether a generator would take a state; it stays as it is."""
    try:
        torch.Generator(generator.device).set_state(drawn)
    except RuntimeError:
        return False
    return True
