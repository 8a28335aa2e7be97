"""Mini-batches of the rows of a file, which are shuffled in buffers.

While the network is trained on the rows of one buffer, encoded block by block, a thread reads the
rows of the next one. Rows that do not fill a batch are moved to the next buffer, so that all
batches except the last one have the same size.
"""

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import numpy as np
import torch

from skdnn.data.batches import (
    DenseRows,
    Epoch,
    OnDemandRows,
    micro_batch_sizes,
    row_tensor,
    split_sizes,
)
from skdnn.data.encoding import Encoder
from skdnn.data.targets import Target

from ._file_statistics import Rows, TrainingFile
from ._shuffling import draw_buffers, make_strata
from ._summary import Summary

# Name of the thread. It must not use torch, which has settings for each thread.
READER = "skdnn reads ahead"
# Numbers in an encoded block.
_BLOCK_SIZE = 2**20


class StreamedBatches:
    """Batches of the rows of a file, with the interface of `Batches` of one network.

    Parameters
    ----------
    file : TrainingFile
    summary : Summary
        Of the training rows.
    encoder : Encoder
    target : Target
        Fitted to all training rows.
    initial_rows : Rows
        Rows from which the network is initialised: any of the training rows as X, and y and weights
        that have the same best constant prediction as all training rows.
    dtype : torch.dtype
    device : torch.device
    batch_size : int or None
        None uses all rows in each step. This is only possible if they fit into memory.
    generators : sequence of torch.Generator
        One, or none to keep the order of the rows.
    """

    def __init__(
        self,
        file: TrainingFile,
        summary: Summary,
        encoder: Encoder,
        target: Target,
        initial_rows: Rows,
        dtype: torch.dtype,
        device: torch.device,
        *,
        batch_size: int | None,
        generators: Sequence[torch.Generator],
    ) -> None:
        self.file, self.encoder, self.target = file, encoder, target
        self.dtype, self.device = dtype, device
        self.n_rows, self.n_inputs = summary.n_rows, encoder.n_outputs
        self.batch_size, self.generators = min(batch_size or self.n_rows, self.n_rows), generators
        self.n_steps = -(-self.n_rows // self.batch_size)  # in an epoch
        self.rows_per_step = self.batch_size
        steps_of_a_block = max(1, _BLOCK_SIZE // (self.n_inputs + 1) // self.batch_size)
        self.n_rows_in_memory = min(
            self.n_rows, steps_of_a_block * self.batch_size
        )  # encoded at a time
        self.mean_weight = summary.weight / summary.n_rows
        X, index = initial_rows.X, np.arange(len(initial_rows.X))
        self.rows = OnDemandRows(X, index, encoder, dtype, device)
        self.y = row_tensor(target.standardized(initial_rows.y), 1, dtype, device)
        self.weight = self._weight_tensor(initial_rows.weight)
        self.sizes = file.statistics.sizes
        self.strata = make_strata(self.sizes, file.statistics.means(file.target))
        self._n_at_once = 1

    def in_micro_batches(self, n: int) -> "StreamedBatches":
        """Return the same batches, each split into n or more micro-batches for n threads."""
        cut = copy.copy(self)
        cut._n_at_once = n
        return cut

    def parts(self) -> Iterator[Epoch]:
        """Yield the rows of an epoch, shuffled, block by block.

        Raises
        ------
        ValueError
            If the file has changed since the first pass.
        """
        rng = None
        if self.generators:
            seed = torch.randint(2**62, (), generator=self.generators[0], device="cpu")
            rng = np.random.default_rng(int(seed))
        n_buffers = -(-int(self.sizes.sum()) // self.file.statistics.buffer_rows)
        buffers = draw_buffers(self.sizes, self.strata, n_buffers, rng)
        n_seen, is_cancelled = 0, Event()
        ignore_overflow = partial(np.seterr, all="ignore")
        with ThreadPoolExecutor(1, READER, initializer=ignore_overflow) as reader:
            try:
                future = reader.submit(self.file.read, buffers[0], None, is_cancelled)
                for next_buffer in [*buffers[1:], None]:
                    rows = future.result()
                    n = len(rows)
                    order = np.arange(n) if rng is None else rng.permutation(n)
                    if next_buffer is not None:
                        n -= n % self.batch_size
                        left_over = rows.take(order[n:])
                        future = reader.submit(self.file.read, next_buffer, left_over, is_cancelled)
                    n_seen += n
                    for start in range(0, n, self.n_rows_in_memory):
                        yield self._block(
                            rows, order[start : min(n, start + self.n_rows_in_memory)]
                        )
            finally:
                is_cancelled.set()
        if n_seen != self.n_rows:
            raise ValueError(
                f"X has changed while it was read: {n_seen} of {self.n_rows} training rows were "
                "found."
            )

    def _block(self, rows: Rows, index: np.ndarray) -> Epoch:
        """Return some rows encoded, as tensors cut into steps and micro-batches."""
        X = DenseRows(rows.X, index, self.encoder, self.dtype, self.device)[:]
        y = row_tensor(self.target.standardized(rows.y[index]), 1, self.dtype, self.device)
        steps = split_sizes(len(index), self.batch_size)
        sizes = micro_batch_sizes(steps, self._n_at_once, self.n_inputs + 1)
        return Epoch.of_views(X, y, self._weight_tensor(rows.weight[index]), sizes)

    def _weight_tensor(self, weight: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(weight / self.mean_weight / self.batch_size)
        return tensor.to(self.device, self.dtype).unsqueeze(0)
