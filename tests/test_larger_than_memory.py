"""Files larger than the memory limit of the process: NumPy files, and Parquet as in the README."""

import os
import re
import sys
import warnings
from pathlib import Path

import fresh
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skdnn import DeepBinaryClassifier
from skdnn.data.streaming import _file_statistics

N_ROWS, N_FEATURES = 300_000, 64  # 154 MB in float64, too large to copy
MEBIBYTE = 2**20
ALLOWED = 80 * MEBIBYTE  # beyond the imports; X in float32 would take more than 78
# Parquet needs more, for PyArrow's buffers and the memory of another thread.
N_COLUMNS, ALLOWED_FOR_PARQUET = 8, 120 * MEBIBYTE

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


def run(program, folder, allowed=ALLOWED):
    """Run a program under the limit in a new process, and return its variable `answer`."""
    return fresh.call(run_within_the_limit, program, folder, allowed)


def run_within_the_limit(program, folder, allowed):
    import resource

    warnings.simplefilter("ignore")
    os.chdir(folder)
    # The default pool reserves gigabytes of addresses at once, and the limit counts addresses.
    pa.set_memory_pool(pa.system_memory_pool())
    _file_statistics._BUFFER_BYTES, _file_statistics._SAMPLE_BYTES = 4 * MEBIBYTE, MEBIBYTE
    DeepBinaryClassifier(max_iter=1, n_units=8).fit(np.eye(2), [0, 1])
    pq.write_table(pa.table({"x": np.arange(80.0), "is_flower": [0, 1] * 40}), "few.parquet")
    clf = DeepBinaryClassifier(max_iter=1, n_units=8).fit("few.parquet", "is_flower")
    clf.write_predictions("few.parquet", "answers.parquet")
    # RLIMIT_DATA counts private memory of the process, but not the pages of a mapped file.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    most = 1024 * int(re.search(r"VmData:\s+(\d+)", status)[1]) + allowed
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    names = {}
    exec(program, names)
    return names["answer"]


def test_the_limit_is_effective(folder):
    with pytest.raises(MemoryError):
        run("import numpy as np; np.array(np.load('X.npy', mmap_mode='r'))", folder)


FIT = """
import numpy as np
from skdnn import DeepBinaryClassifier

X, y = np.load("X.npy", mmap_mode="r"), np.load("y.npy")
clf = DeepBinaryClassifier(n_units=16, max_iter=1, batch_size=1024, random_state=0)
answer = clf.fit(X, y).score(X, y)
"""


def test_fit_of_a_mapped_file_stays_within_the_limit(folder):
    assert run(FIT, folder) > 0.9


def write_parquet(path, n_rows, n_columns, rows_of_a_group):
    """Write a file with n_columns float32 columns and a label."""
    names = [f"x{j}" for j in range(n_columns)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("is_flower", pa.bool_())])
    X = np.random.default_rng(0).random((n_rows, n_columns), dtype=np.float32)
    table = pa.table([*X.T, X[:, 0] + X[:, 1] > 1], schema=schema)
    pq.write_table(table, path, row_group_size=rows_of_a_group)


@pytest.mark.parametrize(
    ("n_rows", "rows_of_a_group"),
    [(6_000_000, 2**14), (6_000_000, 6_000_000)],
    ids=["many groups", "one group"],
)
def test_fit_of_a_parquet_file_stays_within_the_limit(
    tmp_path, pytestconfig, n_rows, rows_of_a_group
):
    write_parquet(tmp_path / "flowers.parquet", n_rows, N_COLUMNS, rows_of_a_group)
    assert n_rows * N_COLUMNS * 4 > 1.5 * ALLOWED_FOR_PARQUET
    readme = (pytestconfig.rootpath / "README.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"<!-- larger than memory -->\n```python\n(.*?)```", readme, re.DOTALL)
    small = "random_state=0, max_iter=1, n_units=8, batch_size=16384, numeric_embedding=None"
    recipe = recipe.replace("random_state=0", f"{small}, early_stopping=True")
    recipe += "\nanswer = clf.t_, clf.best_validation_score_"
    n_seen, score = run(recipe, tmp_path, ALLOWED_FOR_PARQUET)
    assert 0.9 * n_rows < n_seen < n_rows
    assert score > 0.8
    answers = pq.read_table(tmp_path / "answers.parquet")
    assert answers.column_names == ["is_flower", "False", "True"]
    predicted = answers["True"].to_numpy() > 0.5
    assert (predicted == answers["is_flower"].to_numpy()).mean() > 0.8
