"""Mini-batches, shuffled anew each epoch, or the full batch; and rows held out.

A batch is what one step of the optimizer sees. Where a batch has very many rows, it comes in
several slabs, whose gradients add up, so that memory is bounded by the slab.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from ._inputs import LazyRows

_SLAB_ROWS = 4096
_SLAB_SIZE = 2**22  # numbers in X
_MADE_SLAB_SIZE = 2**18  # the same where X is made anew for each slab
# Up to this size the rows are copied in the epoch's order at once, so that batches are slices;
# above, each batch is gathered, so that there is no second copy of the data.
_COPY_SIZE = 2**22
_FEWEST_FOLDS = 5


@dataclass(frozen=True)
class Epoch:
    """The rows of a data set in the order of one epoch.

    Attributes
    ----------
    y : tensor of shape (..., m, 1)
        Labels, 0 or 1.
    share : tensor of shape (..., m, 1)
        Weight of each row in the cost of its batch: ``1 / batch_size`` where all weigh the same,
        the lecture's 1/m.
    steps : iterable of lists of (X, y, share)
        For each step its slabs; X of shape (..., rows, n_features).
    slabs : iterable of (X, y, share)
        Instead of `steps`, to hold no more than one slab at a time.
    """

    y: torch.Tensor
    share: torch.Tensor
    steps: Iterable
    slabs: Iterable


class Batches:
    """Rows, labels and weights, handed out epoch by epoch.

    Parameters
    ----------
    rows : DenseRows or LazyRows
    y : array of shape (m,)
        0 or 1.
    weight : array of shape (m,), or (M, m) for a stack of networks that weigh rows differently
    dtype : torch.dtype
    batch_size : int or None, default=None
        None for the full batch.
    generators : sequence of torch.Generator, default=()
        On the CPU, one for each network of a stack: the source of its shuffles. Without, or with a
        full batch, the order stays.
    index : array of int of shape (M, m) or None, default=None
        The rows of each network of a stack, with y and weight of that shape; None gives all of them
        to all.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skdnn.data import Batches, identity_encoder, make_rows
    >>> X, y = np.arange(10.0).reshape(5, 2), np.array([0, 1, 0, 1, 1])
    >>> rows = make_rows(X, np.arange(5), identity_encoder(2), torch.float32,
    ...                  torch.device("cpu"))
    >>> batches = Batches(rows, y, np.ones(5), torch.float32, batch_size=2)
    >>> [X.shape[0] for slabs in batches.epoch().steps for X, y, share in slabs]
    [2, 2, 1]
    """

    def __init__(self, rows, y, weight, dtype, *, batch_size=None, generators=(), index=None):
        self.rows = rows
        self.index = None if index is None else torch.from_numpy(index).to(rows.device)
        n_features = rows.shape[1]
        self.n_rows = rows.shape[0] if index is None else index.shape[1]
        self.batch_size = min(batch_size or self.n_rows, self.n_rows)
        self.generators = generators if self.batch_size < self.n_rows else ()
        self.y = _column(y, dtype, rows.device)
        # Σ share over an epoch is the number of steps, however the weights are scaled.
        mean_weight = np.mean(weight, axis=-1, keepdims=True)
        self.share = _column(weight / mean_weight / self.batch_size, dtype, rows.device)
        slab_size = _MADE_SLAB_SIZE if isinstance(rows, LazyRows) else _SLAB_SIZE
        slab = max(1, min(_SLAB_ROWS, slab_size // max(1, n_features)))
        self.slabs = [_pieces(step, slab) for step in _pieces(self.n_rows, self.batch_size)]
        self.sizes = [size for step in self.slabs for size in step]

    def epoch(self):
        """Shuffle, and return the Epoch."""
        order = self._order()
        y, share = _reorder(self.y, order), _reorder(self.share, order)
        slabs = zip(
            self._X_slabs(order), y.split(self.sizes, -2), share.split(self.sizes, -2), strict=True
        )
        steps = (list(islice(slabs, len(step))) for step in self.slabs)
        return Epoch(y, share, steps, slabs)

    def log_odds(self):
        """Return the logarithm of the odds of y = 1, weighted, of shape (...), in float64.

        0 where one of the two has no row.
        """
        share, y = self.share.double(), self.y.double()
        positive, negative = (share * y).sum((-2, -1)), (share * (1 - y)).sum((-2, -1))
        return torch.where((positive > 0) & (negative > 0), (positive / negative).log(), 0.0)

    def split(self, column):
        """Cut a tensor of shape (..., m, 1) as an epoch is cut: for each step a list of slabs."""
        slabs = iter(column.split(self.sizes, -2))
        return [list(islice(slabs, len(step))) for step in self.slabs]

    def _order(self):
        if not self.generators:
            return None
        orders = [torch.randperm(self.n_rows, generator=g, device="cpu") for g in self.generators]
        order = orders[0] if len(orders) == 1 else torch.stack(orders)
        return order.to(self.rows.device)

    def _X_slabs(self, order):
        if self.index is not None:
            order = self.index if order is None else self.index.take_along_dim(order, dim=1)
        if order is None:
            return (self.rows[a:b] for a, b in pairwise(np.cumsum([0, *self.sizes])))
        if order.numel() * self.rows.shape[1] <= _COPY_SIZE:
            return self.rows.take(order).split(self.sizes, -2)
        return (self.rows.take(index) for index in order.split(self.sizes, -1))


def _column(values, dtype, device):
    return torch.from_numpy(np.asarray(values, dtype=np.float64)).to(device, dtype).unsqueeze(-1)


def _pieces(total, size):
    """Return sizes of at most `size` that add up to `total`."""
    return [size] * (total // size) + ([total % size] if total % size else [])


def _reorder(column, order):
    if order is None:
        return column
    if column.ndim == 2:
        return column[order]
    return column.take_along_dim(order.unsqueeze(-1), dim=-2)


def count_folds(n_networks):
    """Return into how many folds the rows are cut for M networks."""
    return max(n_networks, _FEWEST_FOLDS)


def fold_out(y, n_networks, seed, groups=None):
    """Give each network another fold of the rows to watch, and the others to train on.

    Parameters
    ----------
    y : array of int of shape (m,)
        0 or 1; each fold has about the same share of both.
    n_networks : int
        M. The rows are cut into M folds, but into 5 at least.
    seed : int
    groups : array of shape (m,) or None, default=None
        Rows of the same group stay in the same fold.

    Returns
    -------
    training, held_out : arrays of int of shape (M, rows)
        Indices. Where folds differ in size, -1 fills up the shorter ones.

    Raises
    ------
    ValueError
        If there are too few rows, or groups, of a class.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data import fold_out
    >>> training, held_out = fold_out(np.array([0, 1] * 10), 5, seed=0)
    >>> training.shape, held_out.shape, sorted(held_out.ravel().tolist()) == list(range(20))
    ((5, 16), (5, 4), True)
    """
    n_folds = count_folds(n_networks)
    n_units = np.bincount(y, minlength=2) if groups is None else [len(np.unique(groups))]
    if min(n_units) < n_folds:
        what = "rows of each class" if groups is None else "groups"
        raise ValueError(
            f"n_networks={n_networks} with early stopping must find at least {n_folds} {what}, one "
            f"for each fold, got {min(n_units)}. Use early_stopping=False."
        )
    folds = StratifiedKFold if groups is None else StratifiedGroupKFold
    splits = folds(n_folds, shuffle=True, random_state=seed).split(y, y, groups)
    training, held_out = zip(*islice(splits, n_networks), strict=True)
    return _filled(training), _filled(held_out)


def _filled(rows):
    """Return index arrays of different lengths as the rows of one, filled up with -1."""
    filled = np.full((len(rows), max(map(len, rows))), -1)
    for row, index in zip(filled, rows, strict=True):
        row[: len(index)] = index
    return filled


def hold_out(y, fraction, seed):
    """Split rows at random into those to train on and those to watch, by class.

    Parameters
    ----------
    y : array of int of shape (m,)
        0 or 1.
    fraction : float
        Share of the rows to hold out.
    seed : int

    Returns
    -------
    training, held_out : arrays of int
        Sorted indices.

    Raises
    ------
    ValueError
        If a class would be missing on one side.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data import hold_out
    >>> training, held_out = hold_out(np.array([0] * 8 + [1] * 8), 0.25, seed=0)
    >>> len(training), len(held_out)
    (12, 4)
    """
    try:
        training, held_out = train_test_split(
            np.arange(len(y)), test_size=fraction, stratify=y, random_state=seed
        )
    except ValueError as error:
        raise ValueError(
            f"early_stopping must find rows of both classes to hold out, but validation_fraction="
            f"{fraction} of {len(y)} rows, {np.bincount(y, minlength=2).min()} of the rarer class, "
            f"is too few. Use early_stopping=False."
        ) from error
    return np.sort(training), np.sort(held_out)
