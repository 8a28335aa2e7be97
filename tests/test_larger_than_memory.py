"""Files larger than the memory that a process may have: README's recipe, and a plain fit."""

import os
import re
import sys
import warnings
from pathlib import Path

import fresh
import numpy as np
import pytest

from skdnn import DeepBinaryClassifier

N_ROWS, N_FEATURES = 300_000, 64  # 154 MB in float64, more than is worth copying
MEBIBYTE = 2**20
ALLOWED = 80 * MEBIBYTE  # beside what the imports take; the file in float32 would be 78 and more

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    X = np.lib.format.open_memmap(
        folder / "X.npy", mode="w+", dtype=np.float64, shape=(N_ROWS, N_FEATURES)
    )
    rng = np.random.default_rng(0)
    for start in range(0, N_ROWS, 50_000):
        X[start : start + 50_000] = rng.normal(size=(50_000, N_FEATURES))
    np.save(folder / "y.npy", (X[:, 0] + X[:, 1] > 0).astype(np.int8))
    return folder


def run(program, folder):
    """Run a program under the limit, in a process of its own; return its answer."""
    return fresh.call(run_within_the_limit, program, folder)


def run_within_the_limit(program, folder):
    import resource

    warnings.simplefilter("ignore")
    os.chdir(folder)
    DeepBinaryClassifier(max_iter=1, n_units=8).fit(np.eye(2), [0, 1])
    # RLIMIT_DATA counts memory that belongs to the process, and not the pages of a mapped file.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    most = 1024 * int(re.search(r"VmData:\s+(\d+)", status)[1]) + ALLOWED
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    names = {}
    exec(program, names)
    return names["answer"]


def test_the_limit_is_one(folder):
    with pytest.raises(MemoryError):
        run("import numpy as np; np.array(np.load('X.npy', mmap_mode='r'))", folder)


def test_the_recipe_of_the_readme_learns_within_the_limit(folder, pytestconfig):
    readme = (pytestconfig.rootpath / "README.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"<!-- larger than memory -->\n```python\n(.*?)```", readme, re.DOTALL)
    recipe = recipe.replace("range(5)", "range(1)")
    score, rows = run(recipe + "\nanswer = clf.score(X[-5000:], y[-5000:]), clf.t_", folder)
    assert score > 0.97
    assert rows == N_ROWS


FIT = """
import numpy as np
from skdnn import DeepBinaryClassifier

X, y = np.load("X.npy", mmap_mode="r"), np.load("y.npy")
clf = DeepBinaryClassifier(n_units=16, max_iter=1, batch_size=1024, random_state=0)
answer = clf.fit(X, y).score(X, y)
"""


def test_fit_reads_the_file_within_the_limit(folder):
    assert run(FIT, folder) > 0.9
