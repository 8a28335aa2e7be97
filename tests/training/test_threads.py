"""Threads: as many as the work is worth, for this thread alone."""

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
def test_small_work_has_one_thread_and_large_work_what_was_found(operations, expected):
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


def test_workers_compute_as_this_thread_does_at_the_same_time():
    scheduler, tiny = threading.Barrier(2, timeout=60), torch.full((1,), 1e-40)

    def look(number):
        scheduler.wait()  # passes only if both are here
        return number, torch.is_grad_enabled(), (tiny * 1.0).item()

    with torch.no_grad(), flushed_denormals(), threads_for(1e3, n_threads=2) as threads:
        assert threads.map(look, [5, 6]) == [(5, False, 0.0), (6, False, 0.0)]
    assert torch.is_grad_enabled()


def test_a_thread_that_begins_meanwhile_keeps_all_of_its_threads():
    with threads_for(1e12, n_threads=1):
        assert torch.get_num_threads() == 1
        assert threads_of_a_new_thread() == 2
    assert threads_of_a_new_thread() == 2


def test_a_thread_that_began_meanwhile_keeps_them_afterwards():
    go_on, seen = threading.Event(), []

    def work():
        torch.get_num_threads()  # from here on torch knows this thread
        go_on.wait()
        seen.append(torch.get_num_threads())

    with threads_for(1e3):
        thread = threading.Thread(target=work)
        thread.start()
    go_on.set()
    thread.join()
    assert seen == [2]


@pytest.mark.parametrize("can_set_one_thread", [True, False])
def test_one_thread_is_set_for_this_thread_alone(monkeypatch, can_set_one_thread):
    if not can_set_one_thread:  # as on Windows
        monkeypatch.setattr(_threads, "_setters_of_this_thread", lambda: None)
    with OneThread() as found:
        assert (found, torch.get_num_threads(), threads_of_a_new_thread()) == (2, 1, 2)
        with OneThread() as found_inside:
            assert (found_inside, torch.get_num_threads()) == (2, 1)
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), threads_of_a_new_thread()) == (2, 2)


def test_more_threads_than_the_machine_has_are_all_it_has():
    with threads_for(1e3, n_threads=1000) as threads:
        assert threads.n == max(2, os.cpu_count())
