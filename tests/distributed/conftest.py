"""Processes that are started once and used by many tests."""

import pytest
import ranks


@pytest.fixture(scope="session")
def two():
    with ranks.started(2) as processes:
        yield processes


@pytest.fixture(scope="session")
def three():
    with ranks.started(3) as processes:
        yield processes
