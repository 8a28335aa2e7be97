"""What all tests share: the global state they must find unchanged, and real data."""

import gc
import os
import re
from importlib.util import find_spec

# One thread for each process that tests start, and below for this one: tests then take as long on a
# busy machine as their work does, and not as long as OpenMP's threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings
from process_state import global_state
from sklearn.datasets import load_breast_cancer

# An example may take any time, and be drawn in any time.
settings.register_profile("any time", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any time")
torch.set_num_threads(1)  # a test that needs more sets them, and restores this
# Is for this process alone: programs that tests start would be warned of what torch opens.
os.environ.pop("PYTHONWARNDEFAULTENCODING", None)


def pytest_ignore_collect(collection_path, config):
    """Leave the built documentation alone where nobody asks for it with -m docs."""
    is_asked_for = "docs" in config.option.markexpr
    return True if collection_path.name == "test_docs.py" and not is_asked_for else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the pages of the guide as slow, and skip those that import what is not installed."""
    for item in items:
        if item.path.suffix == ".rst":
            item.add_marker("slow")
            text = item.path.read_text(encoding="utf-8")
            for name in re.findall(r"^>>> (?:import|from) (\w+)", text, re.MULTILINE):
                if find_spec(name) is None:
                    item.add_marker(pytest.mark.skip(reason=f"could not import {name!r}"))


def pytest_collection_finish():
    """Spare the garbage collector what imports have made: it stays until the end."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _global_state_stays():
    """Every test is also a test that global state is as it was before."""
    before = global_state()
    yield
    after = global_state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"changed by the test: {changed}"


@pytest.fixture(scope="session")
def cancer():
    """Return X of shape (569, 30) and y of the breast cancer data."""
    return load_breast_cancer(return_X_y=True)
