"""Each epoch has every row once, with its label and weight, in bounded memory."""

import numpy as np
import pytest
import torch
from scipy import sparse

from skdnn.data.batches import Batches, StackedBatches, TableRows, hold_out, make_folds, make_rows
from skdnn.data.batches._inputs import DenseRows, OnDemandRows
from skdnn.data.encoding import WeightedColumns, fit_encoder, identity_encoder
from skdnn.data.frames import Table

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
    """Return X, y and weight of all micro-batches of an epoch, an example in each row."""
    # A copy, since X of one step may overwrite that of the step before.
    micro_batches = [(X().clone(), y, weight) for step in epoch.steps for X, y, weight in step]
    return [torch.cat(parts, dim=-1).mT for parts in zip(*micro_batches, strict=True)]


@pytest.mark.parametrize("copy_size", [0, 2**22], ids=["gathered", "copied"])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_an_epoch_has_every_row_once_with_its_label_and_weight(convert, copy_size, monkeypatch):
    monkeypatch.setattr("skdnn.data.batches._batches._COPY_SIZE", copy_size)
    batches = make(convert(X), batch_size=5, generators=generators(1))
    rows, y, weight = flat(batches.epoch())
    order = (rows[:, 0] / 2).long()
    assert sorted(order.tolist()) == list(range(M))
    assert order.tolist() != list(range(M))
    np.testing.assert_array_equal(y[:, 0], Y[order])
    np.testing.assert_allclose(weight[:, 0], WEIGHT[order] / WEIGHT.mean() / 5)


def test_each_epoch_has_another_order_which_the_seed_determines():
    first, second = make(batch_size=5, generators=generators(1)), None
    orders = [flat(first.epoch())[0] for _ in range(2)]
    assert not torch.equal(*orders)
    second = make(batch_size=5, generators=generators(1))
    for order in orders:
        assert torch.equal(flat(second.epoch())[0], order)


def test_batches_have_batch_size_rows_and_the_last_one_the_rest():
    sizes = [sum(X().shape[-1] for X, *_ in step) for step in make(batch_size=5).epoch().steps]
    assert sizes == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("batch_size", [None, M, 1000])
def test_a_full_batch_is_never_shuffled(batch_size):
    batches = make(batch_size=batch_size, generators=generators(1))
    rows, *_ = flat(batches.epoch())
    np.testing.assert_array_equal(rows, np.column_stack([X, np.ones(M)]))
    assert batches.n_steps == 1


def test_weights_of_the_full_batch_sum_to_one_whatever_their_scale():
    for scale in (1e-30, 1.0, 1e30):
        assert make(weight=scale * WEIGHT).weight.sum().item() == pytest.approx(1)


def test_each_network_of_a_stack_has_its_own_order():
    batches = make(batch_size=5, generators=generators(3))
    rows, y, _ = flat(batches.epoch())
    assert rows.shape == (3, M, 3)
    for k in range(3):
        alone = make(batch_size=5, generators=[generators(3)[k]])
        expected_rows, expected_y, _ = flat(alone.epoch())
        assert torch.equal(rows[k], expected_rows)
        assert torch.equal(y[k], expected_y)


def test_large_batches_are_split_into_micro_batches(monkeypatch):
    monkeypatch.setattr("skdnn.data.batches._batches._MICRO_BATCH_ROWS", 4)
    steps = list(make(batch_size=10).epoch().steps)
    assert [[X().shape[-1] for X, *_ in step] for step in steps] == [[4, 4, 2], [4, 4, 2], [3]]


def test_micro_batches_are_encoded_one_at_a_time_and_equal_those_of_the_steps(monkeypatch):
    monkeypatch.setattr("skdnn.data.batches._batches._MICRO_BATCH_ROWS", 4)
    batches, made = make(), []
    take = type(batches.rows).__getitem__
    monkeypatch.setattr(
        type(batches.rows), "__getitem__", lambda rows, i: made.append(i) or take(rows, i)
    )
    micro_batches = iter(batches.epoch().micro_batches)
    first = next(micro_batches)[0]()
    assert first.shape == (3, 4)
    assert len(made) == 1
    (step,) = batches.epoch().steps
    expected = torch.cat([X().clone() for X, *_ in step], dim=-1)
    assert torch.equal(torch.cat([first, *(X() for X, *_ in micro_batches)], dim=-1), expected)


@pytest.mark.parametrize("n", [1, 2])
def test_micro_batches_needed_at_a_time_do_not_share_memory(n, monkeypatch):
    monkeypatch.setattr("skdnn.data.batches._batches._COPY_SIZE", 0)
    monkeypatch.setattr("skdnn.data.batches._batches._MICRO_BATCH_ROWS", 4)
    batches = make(batch_size=12, generators=generators(1)).in_micro_batches(n)
    expected = flat(make(batch_size=12, generators=generators(1)).epoch())[0]
    (step, _) = batches.epoch().steps
    assert len(step) == 3
    first, *others = [X for X, *_ in step]
    needed = [first()]
    needed += [others.pop(0)() for _ in range(n - 1)]  # by n threads at the same time
    assert torch.equal(torch.cat(needed, dim=-1).mT, expected[: 4 * n])
    assert len({X.data_ptr() for X in [*needed, *(X() for X in others)]}) == n  # no other memory


# -- the batches of several trainings in one stack -----------------------------------


def training_batches(n, seed=None, kind="dense", batch_size=5):
    """Return the Batches of a training with n rows of its own, shuffled if there is a seed."""
    rng = np.random.default_rng(n)
    codes = rng.integers(0, 3, (n, 1)).astype(np.uint8)
    data = {
        "dense": lambda: rng.normal(size=(n, 3)),
        "sparse": lambda: sparse.csr_array(rng.normal(size=(n, 3))),
        "table": lambda: Table(
            rng.normal(size=(n, 1)), codes, [np.array(["a", "b"])], np.array([False, True]),
            n_frequent=np.array([2]),
        ),
    }[kind]()  # fmt: skip
    encoder = (
        fit_encoder(WeightedColumns(data, np.ones(n))) if kind == "table" else identity_encoder(3)
    )
    rows = make_rows(data, np.arange(n), encoder, torch.float64, torch.device("cpu"))
    options = {} if seed is None else {"generators": [torch.Generator().manual_seed(seed)]}
    y, weight = rng.integers(0, 2, n), rng.uniform(0.5, 2, n)
    return Batches(rows, y, weight, torch.float64, batch_size=batch_size, **options)


def stack_batches(seeds=(4, 5), n=21, batch_size=5):
    """Return the Batches of a training of several networks, each with a sample of the rows."""
    rng = np.random.default_rng(7)
    data = rng.normal(size=(M, 3))
    rows = make_rows(data, np.arange(M), identity_encoder(3), torch.float64, torch.device("cpu"))
    index = rng.integers(0, M, (len(seeds), n))
    drawing = [torch.Generator().manual_seed(seed) for seed in seeds]
    return Batches(
        rows, Y[index], WEIGHT[index], torch.float64, batch_size=batch_size, generators=drawing,
        index=index,
    )  # fmt: skip


def assert_epochs_equal(stacked, alone, n_epochs=3):
    """Assert that each network has the rows of separate batches, then rows of weight zero."""
    for _ in range(n_epochs):
        together, singles = flat(stacked.epoch()), [flat(batches.epoch()) for batches in alone]
        assert len(together[0]) == len(singles)
        for k, single in enumerate(singles):
            n = len(single[0])
            for found, expected in zip(together, single, strict=True):
                assert torch.equal(found[k, :n], expected)
            assert not together[2][k, n:].any()


TRAININGS = {
    "as many rows": [{"n": 23, "seed": k} for k in range(3)],
    "rows that differ": [{"n": 23, "seed": 0}, {"n": 21, "seed": 1}, {"n": 25, "seed": 1}],
    "the same seed": [{"n": 22, "seed": 0}, {"n": 22, "seed": 0}],
    "some in order": [{"n": 23, "seed": None}, {"n": 22, "seed": 3}, {"n": 24, "seed": None}],
    "all in order": [{"n": 23}, {"n": 21}],
    "full batches": [{"n": n, "seed": 0, "batch_size": None} for n in (5, 23, 12)],
}
KINDS = {"dense": DenseRows, "sparse": OnDemandRows, "table": TableRows}


@pytest.mark.parametrize("copy_size", [0, 2**22], ids=["gathered", "copied"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TRAININGS)
def test_a_stack_has_the_batches_of_separate_trainings(name, kind, copy_size, monkeypatch):
    monkeypatch.setattr("skdnn.data.batches._batches._COPY_SIZE", copy_size)
    monkeypatch.setattr("skdnn.data.batches._inputs._TABLE_WORTH_EXPANDING", 0)
    trainings, alone = ([training_batches(kind=kind, **each) for each in TRAININGS[name]]
                        for _ in range(2))  # fmt: skip
    assert type(trainings[0].rows) is KINDS[kind]
    stacked = StackedBatches(trainings, [1] * len(trainings))
    assert stacked.n_steps == alone[0].n_steps
    assert stacked.n_rows == stacked.n_rows_in_memory == max(batches.n_rows for batches in alone)
    assert_epochs_equal(stacked, alone)
    assert_epochs_equal(stacked.in_micro_batches(2), alone)


def test_shorter_trainings_of_a_stack_are_padded_with_rows_of_weight_zero():
    trainings = [training_batches(3), stack_batches(n=5), training_batches(4)]
    stacked = StackedBatches(trainings, [1, 2, 1])
    first, several, last = trainings
    index = [[0, 1, 2, 0, 0], *several.index.tolist(), [0, 1, 2, 3, 0]]
    assert stacked.index.tolist() == index
    for name in ("y", "weight"):
        ends = [getattr(batches, name).flatten().tolist() for batches in (first, last)]
        expected = [ends[0] + [0, 0], *getattr(several, name)[:, 0].tolist(), ends[1] + [0]]
        assert getattr(stacked, name)[:, 0].tolist() == expected
    # The weights of a full batch add up to 1, as in a separate training.
    np.testing.assert_allclose(stacked.weight.sum(-1)[:, 0], [1, 1, 1, 1])


def stack_and_singles():
    """Return the batches of five networks of four trainings, stacked and separate."""
    (first, several, in_order, last), trainings = (
        [
            training_batches(23, 0),
            stack_batches((4, 5)),
            training_batches(22),
            training_batches(24, 6),
        ]
        for _ in range(2)
    )
    singles = [first, several.part(0), several.part(1), in_order, last]
    return StackedBatches(trainings, [1, 2, 1, 1]), singles


def test_all_networks_of_a_training_are_in_the_stack():
    stacked, singles = stack_and_singles()
    assert_epochs_equal(stacked, singles)


@pytest.mark.parametrize("n_before", [0, 2])
@pytest.mark.parametrize("members", [[0, 2, 3], [4, 1], [3, 2], [1, 2]])
def test_a_part_of_a_stack_continues_with_the_rows_of_its_networks(members, n_before):
    stacked, singles = stack_and_singles()
    assert_epochs_equal(stacked, singles, n_before)
    part = stacked.part(members)
    assert_epochs_equal(part, [singles[k] for k in members])
    part = part.part([1, 0])
    assert part.n_rows == max(singles[k].n_rows for k in members[:2])
    assert_epochs_equal(part, [singles[members[1]], singles[members[0]]])


@pytest.mark.parametrize("member", range(5))
def test_one_network_of_a_stack_continues_with_separate_batches(member):
    stacked, singles = stack_and_singles()
    assert_epochs_equal(stacked, singles, 1)
    for part in (stacked.part(member), stacked.part([member, 0]).part(0)):
        assert type(part) is Batches
        for _ in range(2):
            for found, expected in zip(
                flat(part.epoch()), flat(singles[member].epoch()), strict=True
            ):
                assert torch.equal(found, expected)


def test_held_out_rows_have_the_same_fraction_of_each_class():
    y = np.array([0] * 80 + [1] * 20)
    training, held_out = hold_out(len(y), 0.25, seed=3, strata=y)
    assert sorted([*training, *held_out]) == list(range(100))
    assert y[held_out].sum() == 5
    assert hold_out(len(y), 0.25, seed=3, strata=y)[1].tolist() == held_out.tolist()
    assert hold_out(len(y), 0.25, seed=4, strata=y)[1].tolist() != held_out.tolist()


def test_folds_have_the_same_fraction_of_each_of_three_classes():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    for rows in make_folds(len(y), 5, seed=0, strata=y)[1]:
        assert np.bincount(y[rows]).tolist() == [12, 6, 2]
    _, held_out = hold_out(len(y), 0.3, seed=0, strata=y)
    assert np.bincount(y[held_out]).tolist() == [18, 9, 3]


# 40 groups of unequal size, most of which have rows of one class only.
GROUPS = np.sort(np.random.default_rng(0).integers(0, 40, 300))
Y_OF_GROUPS = ((GROUPS % 3 == 0) ^ (np.random.default_rng(1).random(300) < 0.1)).astype(int)


def test_too_few_rows_to_hold_out_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"early_stopping must find rows.*early_stopping=False"):
        hold_out(5, 0.2, seed=0, strata=np.array([0, 0, 0, 0, 1]))


@pytest.mark.parametrize("strata", [None, Y_OF_GROUPS])
def test_groups_are_not_split(strata):
    for seed in range(5):
        training, held_out = hold_out(300, 0.2, seed, strata, GROUPS)
        assert not set(GROUPS[training]) & set(GROUPS[held_out])
        np.testing.assert_array_equal(np.sort([*training, *held_out]), np.arange(300))
        assert 45 <= len(held_out) <= 75
        if strata is not None:  # although most groups have one class
            assert abs(strata[held_out].mean() - strata.mean()) < 0.05
    assert hold_out(300, 0.2, 4, strata, GROUPS)[1].tolist() == held_out.tolist()


def test_classes_with_a_single_group_cannot_be_held_out():
    with pytest.raises(ValueError, match="in 2 groups is too few"):
        hold_out(20, 0.5, seed=0, strata=np.repeat([0, 1], 10), groups=np.repeat([0, 1], 10))
