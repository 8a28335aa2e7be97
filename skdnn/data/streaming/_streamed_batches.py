"""Mini-batches of rows that are in a file: mixes of it, of which one is read ahead.

`_shuffling` chooses the rows of a mix. While these are trained on, in blocks that are encoded one
after another, another thread reads the next mix. Rows that fill no step wait for the next mix, so
that each step but the last has as many as it should.
"""

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import numpy as np
import torch

from skdnn.data.batches import DenseRows, Epoch, OnDemandRows, micro_batch_sizes, outputs, pieces

from ._shuffling import buffers_in_order, draw_buffers, make_strata

# Of the thread, which must not compute with torch: that has settings for each thread.
READER = "skdnn reads ahead"
# Encoded numbers of a block.
_BLOCK_SIZE = 2**20


class StreamedBatches:
    """Rows, y and weights of a file; answers the same questions as `Batches` of one network.

    Parameters
    ----------
    file : TrainingFile
    summary : Summary
        Of the rows to train on.
    encoder : Encoder
    target : TwoClasses or RealNumbers
        That has learned of all of them.
    some : Rows
        From which a network may be started: X of any of the rows, y and weights that together have
        the same answer as all of them.
    dtype : torch.dtype
    device : torch.device
    batch_size : int or None
        None for all rows, where they are few.
    generators : sequence of torch.Generator
        One, or none where the rows stay in their order.
    """

    def __init__(
        self, file, summary, encoder, target, some, dtype, device, *,
        batch_size, generators,
    ):  # fmt: skip
        self.file, self.encoder, self.target = file, encoder, target
        self.dtype, self.device = dtype, device
        self.n_rows, self.n_inputs = summary.n_rows, encoder.n_outputs
        self.batch_size, self.generators = min(batch_size or self.n_rows, self.n_rows), generators
        self.weight_of_a_row = summary.weight / summary.n_rows
        self.rows = OnDemandRows(some.X, np.arange(len(some.X)), encoder, dtype, device)
        self.y = outputs(target.standardized(some.y), 1, dtype, device)
        self.weight = self._weights(some.weight)
        self.sizes = file.statistics.sizes
        self.strata = make_strata(self.sizes, file.statistics.means(file.target))
        self._n_at_once = 1

    @property
    def n_steps(self):
        """Steps of an epoch."""
        return -(-self.n_rows // self.batch_size)

    @property
    def most_rows(self):
        """Rows of an epoch that are encoded at a time."""
        steps = max(1, _BLOCK_SIZE // (self.n_inputs + 1) // self.batch_size)
        return min(self.n_rows, steps * self.batch_size)

    @property
    def rows_of_a_step(self):
        """Rows that a step has."""
        return self.batch_size

    def in_micro_batches(self, n):
        """Return the same batches, each in n slabs at least, of which n are needed at a time."""
        cut = copy.copy(self)
        cut._n_at_once = n
        return cut

    def parts(self):
        """Yield the epoch block by block, shuffled, of which one is encoded at a time.

        Raises
        ------
        ValueError
            If the file has changed.
        """
        rng, n_seen = self._rng(), 0
        buffers, is_over = self._buffers(rng), Event()
        quietly = partial(np.seterr, all="ignore")
        with ThreadPoolExecutor(1, READER, initializer=quietly) as reader:
            try:
                coming = reader.submit(self.file.read, buffers[0], None, is_over)
                for later in [*buffers[1:], None]:
                    rows = coming.result()
                    order = np.arange(len(rows)) if rng is None else rng.permutation(len(rows))
                    n = len(rows)
                    if later is not None:
                        n -= n % self.batch_size
                        left = rows.take(order[n:])
                        coming = reader.submit(self.file.read, later, left, is_over)
                    n_seen += n
                    for start in range(0, n, self.most_rows):
                        yield self._block(rows, order[start : min(n, start + self.most_rows)])
            finally:
                is_over.set()
        if n_seen != self.n_rows:
            raise ValueError(
                f"X must stay as it is while it is read, but of {self.n_rows} rows to train on "
                f"{n_seen} are left."
            )

    def _rng(self):
        """Return what an epoch draws from, seeded by the batches' generator; None for no order."""
        if not self.generators:
            return None
        seed = torch.randint(2**62, (), generator=self.generators[0], device="cpu")
        return np.random.default_rng(seed.item())

    def _buffers(self, rng):
        n_buffers = -(-int(self.sizes.sum()) // self.file.statistics.buffer_rows)
        if rng is None:
            return buffers_in_order(self.sizes, n_buffers)
        return draw_buffers(self.sizes, self.strata, n_buffers, rng)

    def _block(self, rows, index):
        X = DenseRows(rows.X, index, self.encoder, self.dtype, self.device)[:]
        y = outputs(self.target.standardized(rows.y[index]), 1, self.dtype, self.device)
        steps = pieces(len(index), self.batch_size)
        sizes = micro_batch_sizes(steps, self._n_at_once, self.n_inputs + 1)
        return Epoch.of_views(X, y, self._weights(rows.weight[index]), sizes)

    def _weights(self, weight):
        weight = torch.from_numpy(weight / self.weight_of_a_row / self.batch_size)
        return weight.to(self.device, self.dtype).unsqueeze(0)
