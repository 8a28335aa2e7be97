"""Threads: as many as pay off, set for the calling thread only."""

import os
import threading

import pytest
import torch

from skdnn.training import _threads, threads_for
from skdnn.training._threads import OneThread, ThreadPool, flushed_denormals


def threads_of_a_new_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("operations", "expected"), [(1e3, 1), (1e12, 2)])
def test_small_work_has_one_thread_and_large_work_as_many_as_torch(operations, expected):
    with threads_for(operations) as threads:
        assert threads.n == expected
        assert threads.worth(1e12) == expected
        assert threads.worth(1e3) == 1
        assert threads.map(lambda _: torch.get_num_threads(), range(expected)) == [1] * expected
    assert torch.get_num_threads() == 2


def test_more_work_is_worth_more_threads():
    threads = ThreadPool(n=16)
    worth = [threads.worth(operations, least=100) for operations in (0, 99, 100, 150, 500, 1e9)]
    assert worth == [1, 1, 2, 3, 10, 16]
    assert ThreadPool(n=16, is_requested=True).worth(0) == 16
    assert ThreadPool().worth(1e12) == 1


def test_threads_of_the_pool_have_the_state_of_this_thread():
    barrier, tiny = threading.Barrier(2, timeout=60), torch.full((1,), 1e-40)

    def look(number):
        barrier.wait()  # returns only if both threads run
        return number, torch.is_grad_enabled(), (tiny * 1.0).item()

    with torch.no_grad(), flushed_denormals(), threads_for(1e3, n_threads=2) as threads:
        assert threads.map(look, [5, 6]) == [(5, False, 0.0), (6, False, 0.0)]
    assert torch.is_grad_enabled()


def test_a_thread_that_starts_meanwhile_has_the_usual_number_of_threads():
    with threads_for(1e12, n_threads=1):
        assert torch.get_num_threads() == 1
        assert threads_of_a_new_thread() == 2
    assert threads_of_a_new_thread() == 2


def test_a_thread_that_started_meanwhile_keeps_its_number_of_threads():
    is_over, seen = threading.Event(), []

    def work():
        torch.get_num_threads()  # initialises the thread in torch
        is_over.wait()
        seen.append(torch.get_num_threads())

    with threads_for(1e3):
        thread = threading.Thread(target=work)
        thread.start()
    is_over.set()
    thread.join()
    assert seen == [2]


@pytest.mark.parametrize("has_setters", [True, False])
def test_one_thread_is_set_for_the_calling_thread_only(monkeypatch, has_setters):
    if not has_setters:  # as on Windows
        monkeypatch.setattr(_threads, "_setters_of_this_thread", lambda: None)
    with OneThread() as before:
        assert (before, torch.get_num_threads(), threads_of_a_new_thread()) == (2, 1, 2)
        with OneThread() as before_inner:
            assert (before_inner, torch.get_num_threads()) == (2, 1)
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), threads_of_a_new_thread()) == (2, 2)


def test_n_threads_is_limited_to_the_cpus_of_the_machine():
    with threads_for(1e3, n_threads=1000) as threads:
        assert threads.n == max(2, os.cpu_count())
