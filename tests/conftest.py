"""Fixtures of all tests: a check of the global state, and real data."""

import gc
import os
import re
import signal
from importlib.util import find_spec

# One thread for this process and those that tests start, so that tests do not wait for OpenMP's
# threads on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings
from process_state import global_state
from sklearn.datasets import load_breast_cancer

# No time limits for the examples of hypothesis.
settings.register_profile("any time", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any time")
torch.set_num_threads(1)  # a test that needs more threads sets and restores them
# Only for this process: in programs that tests start, torch itself would cause warnings.
os.environ.pop("PYTHONWARNDEFAULTENCODING", None)
# A shell may start background jobs with Ctrl-C ignored, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path, config):
    """Skip the tests of the built documentation unless -m docs selects them."""
    is_asked_for = "docs" in config.option.markexpr
    return True if collection_path.name == "test_docs.py" and not is_asked_for else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the pages of the guide as slow, and skip those that need a missing library."""
    for item in items:
        if item.path.suffix == ".rst":
            item.add_marker("slow")
            text = item.path.read_text(encoding="utf-8")
            for name in re.findall(r"^>>> (?:import|from) (\w+)", text, re.MULTILINE):
                if find_spec(name) is None:
                    item.add_marker(pytest.mark.skip(reason=f"could not import {name!r}"))


def pytest_collection_finish():
    """Exclude imported objects from garbage collection."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _global_state_stays():
    """Check in every test that the global state is unchanged afterwards."""
    before = global_state()
    yield
    after = global_state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"changed by the test: {changed}"


@pytest.fixture(scope="session")
def cancer():
    """Return X of shape (569, 30) and y of the breast cancer data."""
    return load_breast_cancer(return_X_y=True)
