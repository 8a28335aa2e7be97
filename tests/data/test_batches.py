"""Batches: every row once an epoch, its label and weight with it, in bounded memory."""

import numpy as np
import pytest
import torch
from scipy import sparse

from skdnn.data import Batches, hold_out, identity_encoder, make_rows

M = 23
X = np.arange(M * 2, dtype=float).reshape(M, 2)
Y = np.arange(M) % 2
WEIGHT = np.arange(1.0, M + 1)


def make(data=X, weight=WEIGHT, **options):
    rows = make_rows(data, np.arange(M), identity_encoder(2), torch.float64, torch.device("cpu"))
    return Batches(rows, Y, weight, torch.float64, **options)


def generators(n):
    return [torch.Generator().manual_seed(k) for k in range(n)]


def flat(epoch):
    """Return the X, y and share of all slabs of an epoch, one after the other, a row each."""
    # A copy, since the X of one step may be where that of the step before was.
    slabs = [(X().clone(), y, share) for step in epoch.steps for X, y, share in step]
    return [torch.cat(parts, dim=-1).mT for parts in zip(*slabs, strict=True)]


@pytest.mark.parametrize("copy_size", [0, 2**22], ids=["gathered", "copied"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_an_epoch_has_every_row_once_with_its_label_and_weight(convert, copy_size, monkeypatch):
    monkeypatch.setattr("skdnn.data._batches._COPY_SIZE", copy_size)
    batches = make(convert(X), batch_size=5, generators=generators(1))
    rows, y, share = flat(batches.epoch())
    order = (rows[:, 0] / 2).long()
    assert sorted(order.tolist()) == list(range(M))
    assert order.tolist() != list(range(M))
    np.testing.assert_array_equal(y[:, 0], Y[order])
    np.testing.assert_allclose(share[:, 0], WEIGHT[order] / WEIGHT.mean() / 5)


def test_epochs_are_shuffled_anew_and_repeat_with_the_seed():
    first, second = make(batch_size=5, generators=generators(1)), None
    orders = [flat(first.epoch())[0] for _ in range(2)]
    assert not torch.equal(*orders)
    second = make(batch_size=5, generators=generators(1))
    for order in orders:
        assert torch.equal(flat(second.epoch())[0], order)


def test_batches_have_the_size_asked_for():
    sizes = [sum(X().shape[-1] for X, *_ in step) for step in make(batch_size=5).epoch().steps]
    assert sizes == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("batch_size", [None, M, 1000])
def test_a_full_batch_is_never_shuffled(batch_size):
    batches = make(batch_size=batch_size, generators=generators(1))
    rows, *_ = flat(batches.epoch())
    np.testing.assert_array_equal(rows, np.column_stack([X, np.ones(M)]))
    assert batches.n_steps == 1


def test_shares_of_the_full_batch_sum_to_one_however_weights_are_scaled():
    for scale in (1e-30, 1.0, 1e30):
        assert make(weight=scale * WEIGHT).share.sum().item() == pytest.approx(1)


def test_networks_of_a_stack_see_their_own_order():
    batches = make(batch_size=5, generators=generators(3))
    rows, y, _ = flat(batches.epoch())
    assert rows.shape == (3, M, 3)
    for k in range(3):
        alone = make(batch_size=5, generators=[generators(3)[k]])
        expected_rows, expected_y, _ = flat(alone.epoch())
        assert torch.equal(rows[k], expected_rows)
        assert torch.equal(y[k], expected_y)


def test_large_batches_come_in_slabs(monkeypatch):
    monkeypatch.setattr("skdnn.data._batches._SLAB_ROWS", 4)
    steps = list(make(batch_size=10).epoch().steps)
    assert [[X().shape[-1] for X, *_ in step] for step in steps] == [[4, 4, 2], [4, 4, 2], [3]]


def test_slabs_are_made_one_at_a_time_and_are_those_of_the_steps(monkeypatch):
    monkeypatch.setattr("skdnn.data._batches._SLAB_ROWS", 4)
    batches, made = make(), []
    take = type(batches.rows).__getitem__
    monkeypatch.setattr(
        type(batches.rows), "__getitem__", lambda rows, i: made.append(i) or take(rows, i)
    )
    slabs = iter(batches.epoch().slabs)
    first = next(slabs)[0]()
    assert first.shape == (3, 4)
    assert len(made) == 1
    (step,) = batches.epoch().steps
    expected = torch.cat([X().clone() for X, *_ in step], dim=-1)
    assert torch.equal(torch.cat([first, *(X() for X, *_ in slabs)], dim=-1), expected)


@pytest.mark.parametrize("n", [1, 2])
def test_gathered_slabs_that_are_needed_at_a_time_are_in_different_memory(n, monkeypatch):
    monkeypatch.setattr("skdnn.data._batches._COPY_SIZE", 0)
    monkeypatch.setattr("skdnn.data._batches._SLAB_ROWS", 4)
    batches = make(batch_size=12, generators=generators(1)).in_slabs(n)
    expected = flat(make(batch_size=12, generators=generators(1)).epoch())[0]
    (step, _) = batches.epoch().steps
    assert len(step) == 3
    first, *others = [X for X, *_ in step]
    kept = [first()]
    kept += [others.pop(0)() for _ in range(n - 1)]  # all that n threads need now
    assert torch.equal(torch.cat(kept, dim=-1).mT, expected[: 4 * n])
    assert len({X.data_ptr() for X in [*kept, *(X() for X in others)]}) == n  # and no more


def test_held_out_rows_keep_the_share_of_each_class():
    y = np.array([0] * 80 + [1] * 20)
    training, held_out = hold_out(len(y), 0.25, seed=3, strata=y)
    assert sorted([*training, *held_out]) == list(range(100))
    assert y[held_out].sum() == 5
    assert hold_out(len(y), 0.25, seed=3, strata=y)[1].tolist() == held_out.tolist()
    assert hold_out(len(y), 0.25, seed=4, strata=y)[1].tolist() != held_out.tolist()


def test_too_few_rows_to_hold_out_is_an_error_with_a_cure():
    with pytest.raises(ValueError, match=r"early_stopping must find rows.*early_stopping=False"):
        hold_out(5, 0.2, seed=0, strata=np.array([0, 0, 0, 0, 1]))
