"""Shuffle buffers: each row is in one buffer, and each buffer represents the whole file."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skdnn.data.streaming._shuffling import draw_buffers, make_strata, uniform_draws

SIZES = st.lists(st.integers(0, 60), min_size=1, max_size=40).filter(any)


def rows_of(ranges):
    return [(chunk, row) for chunk, start, stop in ranges for row in range(start, stop)]


@given(sizes=SIZES, n_buffers=st.integers(1, 12), seed=st.integers(0, 99))
def test_each_row_is_in_exactly_one_buffer(sizes, n_buffers, seed):
    sizes, rng = np.array(sizes), np.random.default_rng(seed)
    all_rows = rows_of((chunk, 0, size) for chunk, size in enumerate(sizes))
    strata = make_strata(sizes, rng.normal(size=len(sizes)))
    for buffers in (
        draw_buffers(sizes, strata, n_buffers, rng),
        draw_buffers(sizes, strata, n_buffers, None),
    ):
        assert len(buffers) == n_buffers
        assert sorted(row for ranges in buffers for row in rows_of(ranges)) == all_rows


@given(sizes=SIZES, n_buffers=st.integers(1, 12))
def test_buffers_have_equally_many_rows_of_each_stratum(sizes, n_buffers):
    sizes = np.array(sizes)
    strata = make_strata(sizes, np.arange(len(sizes)))
    buffers = draw_buffers(sizes, strata, n_buffers, np.random.default_rng(0))
    for chunks in strata:
        counts = [sum(chunk in chunks for chunk, _ in rows_of(ranges)) for ranges in buffers]
        assert max(counts) - min(counts) <= 1


def test_without_a_generator_rows_stay_in_order():
    buffers = draw_buffers(np.array([5, 0, 7]), [], 3, None)
    assert buffers == [[(0, 0, 4)], [(0, 4, 5), (2, 0, 3)], [(2, 3, 7)]]


def test_a_rare_label_at_the_end_of_the_file_is_in_every_buffer():
    sizes, means = np.full(100, 50), np.repeat([0.0, 1.0], [97, 3])
    buffers = draw_buffers(sizes, make_strata(sizes, means), 20, np.random.default_rng(0))
    fractions = [np.mean([means[chunk] for chunk, _ in rows_of(ranges)]) for ranges in buffers]
    assert min(fractions) > 0.02
    assert max(fractions) < 0.04


def test_the_generator_decides_which_buffers_are_drawn():
    sizes = np.full(20, 10)
    strata = make_strata(sizes, np.arange(20.0))
    first, again, other = (
        draw_buffers(sizes, strata, 3, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert first == again != other


@given(chunk=st.integers(0, 2**20), first=st.integers(0, 2**20), n_rows=st.integers(0, 50))
def test_the_draw_of_a_row_depends_only_on_its_number(chunk, first, n_rows):
    wider = uniform_draws(1, chunk, max(0, first - 7), n_rows + 7)
    some = uniform_draws(1, chunk, first, n_rows)
    assert np.array_equal(some, wider[min(first, 7) :][:n_rows])


def test_draws_are_uniform_and_independent():
    by_seed = [
        np.concatenate([uniform_draws(seed, k, 0, 500) for k in range(40)]) for seed in (1, 2)
    ]
    for numbers in by_seed:
        counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
        assert np.abs(counts - 1000).max() < 150
    assert abs(np.corrcoef(*by_seed)[0, 1]) < 0.03
    assert abs(np.corrcoef(by_seed[0][1:], by_seed[0][:-1])[0, 1]) < 0.03
