"""Tests that the rows of a step in all processes are those of a single process."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skdnn.data.batches import Batches, make_rows
from skdnn.data.encoding import identity_encoder
from skdnn.processes import SingleProcess


class GivenSums(SingleProcess):
    """A communicator that returns given sums."""

    def __init__(self, total_weight, n_rows):
        self.sums = iter([n_rows, total_weight])

    def allreduce(self, values):
        return np.broadcast_to(next(self.sums), np.shape(values))


def steps_of(batches):
    """Return for each step a dict from the number in a row to its weight and label."""
    epoch = batches.epoch()
    return [
        {
            int(x): (float(w), float(label))
            for X, y, fraction in micro_batches
            for x, w, label in zip(X()[0], fraction[0], y[0], strict=True)
        }
        for micro_batches in epoch.steps
    ]


@st.composite
def rows_and_owners(draw):
    n_rows = draw(st.integers(1, 60))
    owners = draw(st.lists(st.integers(0, 3), min_size=n_rows, max_size=n_rows))
    return n_rows, np.array(owners)


@given(
    rows_and_owners(),
    st.one_of(st.none(), st.integers(1, 70)),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from([1, 10**6]),
)
@settings(deadline=None, max_examples=150)
def test_the_rows_of_all_ranks_partition_every_step(
    rows, batch_size, shuffles, n_micro_batches, copied_size
):
    n_rows, owners = rows
    X, y = np.arange(n_rows, dtype=float)[:, None], np.arange(n_rows) % 2
    weight = 1.0 + np.arange(n_rows) % 3

    def make(index, **options):
        tensors = make_rows(X, index, identity_encoder(1), torch.float64, torch.device("cpu"))
        generators = [torch.Generator().manual_seed(5)] if shuffles else ()
        made = Batches(
            tensors, y[index], weight[index], torch.float64, batch_size=batch_size,
            generators=generators, **options,
        )  # fmt: skip
        return made.in_micro_batches(n_micro_batches)

    whole = make(np.arange(n_rows))
    parts = []
    for rank in range(4):
        index = np.flatnonzero(owners == rank)
        processes = GivenSums(weight.sum(), n_rows)
        parts.append(make(index, numbers=index, processes=processes))
    for _ in range(2):
        expected, found = steps_of(whole), [steps_of(part) for part in parts]
        for step, of_ranks in zip(expected, zip(*found, strict=True), strict=True):
            assert sum(map(len, of_ranks)) == len(step)
            joined = {row: values for of_rank in of_ranks for row, values in of_rank.items()}
            assert joined.keys() == step.keys()
            for row, values in step.items():
                np.testing.assert_allclose(joined[row], values, rtol=1e-12)
