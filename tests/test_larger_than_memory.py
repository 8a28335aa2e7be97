"""Files larger than the memory that a process may have: README's recipe, and a plain fit."""

import re
import subprocess
import sys

import numpy as np
import pytest

N_ROWS, N_FEATURES = 400_000, 64  # 205 MB in float64
MEBIBYTE = 2**20
ALLOWED = 144 * MEBIBYTE  # beside what the imports take

# RLIMIT_DATA counts memory that belongs to the process, and not the pages of a mapped file.
LIMIT = f"""
import resource
import numpy as np, torch
from skdnn import DeepBinaryClassifier
DeepBinaryClassifier(max_iter=1, n_units=8).fit(np.eye(2), [0, 1])
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + {ALLOWED}, used + {ALLOWED}))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA")


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


def run(script, folder):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIMIT + script],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_limit_is_one(folder):
    result = run("X = np.array(np.load('X.npy', mmap_mode='r'))", folder)
    assert "MemoryError" in result.stderr


def test_the_recipe_of_the_readme_learns_within_the_limit(folder, pytestconfig):
    readme = (pytestconfig.rootpath / "README.md").read_text()
    (recipe,) = re.findall(r"<!-- larger than memory -->\n```python\n(.*?)```", readme, re.DOTALL)
    recipe = recipe.replace("range(5)", "range(1)")
    result = run(recipe + "\nprint(clf.score(X[-5000:], y[-5000:]), clf.t_)", folder)
    assert result.stderr == ""
    score, rows = result.stdout.split()
    assert float(score) > 0.97
    assert int(rows) == N_ROWS


FIT = """
X, y = np.load("X.npy", mmap_mode="r"), np.load("y.npy")
clf = DeepBinaryClassifier(n_units=16, max_iter=1, batch_size=2048, random_state=0)
print(clf.fit(X, y).score(X, y))
"""


def test_fit_reads_the_file_within_the_limit(folder):
    result = run(FIT, folder)
    assert result.stderr == ""
    assert float(result.stdout) > 0.9
