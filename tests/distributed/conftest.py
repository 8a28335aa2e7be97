"""Processes that are started once for all tests that call them."""

from pathlib import Path

import pytest
import ranks

SECONDS = 60  # for a test: processes that wait for each other would wait for long


def pytest_collection_modifyitems(items):
    """Give each test of this folder a time limit."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def two():
    with ranks.started(2) as processes:
        yield processes


@pytest.fixture(scope="session")
def three():
    with ranks.started(3) as processes:
        yield processes
