"""What tests of meetings share: who was trained with whom."""

import pytest

import skdnn.parallel._scheduler


@pytest.fixture
def watch_trainings(monkeypatch):
    """Return the function that makes a list to which each training adds what it says of it.

    It takes a function of the requests that are trained as one. Who is trained with whom must not
    depend on how fast the machine is: fits wait for others as long as it takes.
    """
    monkeypatch.setattr(skdnn.parallel._scheduler, "ARRIVAL_TIMEOUT", 60.0)

    def watch(describe):
        seen, train_stack = [], skdnn.parallel._scheduler.train_stack

        def note(requests, *arguments):
            seen.append(describe(requests))
            return train_stack(requests, *arguments)

        monkeypatch.setattr(skdnn.parallel._scheduler, "train_stack", note)
        return seen

    return watch


@pytest.fixture
def stacks(watch_trainings):
    """Return a list to which each training adds the number of fits in its stack."""
    return watch_trainings(len)
