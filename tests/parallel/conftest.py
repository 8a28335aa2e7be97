"""Fixtures that record which fits are trained together."""

import pytest

import skdnn.parallel._scheduler


@pytest.fixture
def record_trainings(monkeypatch):
    """Return a function that makes a list to which each training adds a value.

    The function takes a function from the requests that are trained as one stack to that value.
    Fits wait long enough for others that the stacks do not depend on the speed of the machine.
    """
    monkeypatch.setattr(skdnn.parallel._scheduler, "ARRIVAL_TIMEOUT", 60.0)

    def record(describe):
        recorded, train_stack = [], skdnn.parallel._scheduler.train_stack

        def recording_train_stack(requests, *arguments):
            recorded.append(describe(requests))
            return train_stack(requests, *arguments)

        monkeypatch.setattr(skdnn.parallel._scheduler, "train_stack", recording_train_stack)
        return recorded

    return record


@pytest.fixture
def stacks(record_trainings):
    """Return a list to which each training adds the number of fits in its stack."""
    return record_trainings(len)
