"""Seconds an epoch and memory of a fit of a Parquet file, beside the same fit in memory.

    python benchmarks/scale.py           # 10 million rows, 1.2 GB, and 1.7 GB of disk
    python benchmarks/scale.py --rows 1000000 --groups 65536

The rows are 30 numbers of 32 bits and a label; the network has two hidden layers of 128 units and
steps of 2,048 rows, and one thread. Each fit runs in a process of its own. Memory is its peak above
what a process holds that has imported the package and fitted four rows; so that of a fit of a file
has the import of PyArrow in it, and that of one in memory the rows themselves.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from skdnn import DeepBinaryClassifier

# PyArrow is imported where it is needed, so that it counts as memory of the fit that needs it.

N_COLUMNS = 30
ROWS_WRITTEN_AT_ONCE = 2**16
PLACES = ("memory", "file")


def write(path, n_rows, rows_of_a_group):
    """Write rows in groups of so many."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    w = rng.normal(size=N_COLUMNS)
    names = [f"x{j}" for j in range(N_COLUMNS)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("y", pa.int8())])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, n_rows, rows_of_a_group):
            n = min(rows_of_a_group, n_rows - start)
            X = rng.standard_normal((n, N_COLUMNS), dtype=np.float32)
            y = (X @ w + 2 * rng.normal(size=n) > 0).astype(np.int8)
            table = pa.table([*X.T, y], schema=schema)
            writer.write_table(table, row_group_size=rows_of_a_group)


def read(path):
    """Return X and y of a file as arrays."""
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    n_rows, start = file.metadata.num_rows, 0
    X, y = np.empty((n_rows, N_COLUMNS), np.float32), np.empty(n_rows, np.int8)
    for batch in file.iter_batches(ROWS_WRITTEN_AT_ONCE):
        rows = slice(start, start + len(batch))
        for j in range(N_COLUMNS):
            X[rows, j] = batch.column(j)
        y[rows] = batch.column(N_COLUMNS)
        start = rows.stop
    return X, y


def peak():
    """Return the most memory that this process has had, in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000


class Clock:
    """The callable learning rate schedule of a fit, which notes when its epochs begin and end."""

    def __init__(self):
        self.times = []

    def __call__(self, epoch, max_iter):
        if epoch == len(self.times):
            self.times.append(time.perf_counter())
        self.last = time.perf_counter()
        return 1.0


def measure(place, path, n_epochs):
    """Fit, and print seconds before the first epoch, seconds an epoch and MB."""
    warnings.simplefilter("ignore")
    DeepBinaryClassifier(max_iter=1).fit(np.eye(4), [0, 1, 0, 1])
    before, clock = peak(), Clock()
    data = read(path) if place == "memory" else (path, "y")
    clf = DeepBinaryClassifier(
        batch_size=2048,
        numeric_embedding=None,
        max_iter=n_epochs,
        tol=0,
        learning_rate_schedule=clock,
        n_threads=1,
        device="cpu",
        random_state=0,
    )
    start = time.perf_counter()
    clf.fit(*data)
    seconds = (clock.last - clock.times[0]) / n_epochs
    print(clock.times[0] - start, seconds, peak() - before, clf.best_validation_score_)


def row(place, path, n_epochs):
    """Return the cells of a row of the table, measured in a process of its own."""
    command = [sys.executable, __file__, "--measure", place, str(path), "--epochs", str(n_epochs)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    first, seconds, memory, score = map(float, found)
    return f"{first:.1f} | {seconds:.1f} | {memory:,.0f} | {score:.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--groups", type=int, nargs="+", default=[2**16, 2**20])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", help="for the file, which is deleted afterwards")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure, options.epochs)
        return
    print(f"{options.rows:,} rows\n")
    print(
        "| rows | first, s | an epoch, s | above the start, MB | accuracy |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "rows.parquet")
        for k, rows_of_a_group in enumerate(options.groups):
            write(path, options.rows, rows_of_a_group)
            for place in PLACES[k > 0 :]:
                name = place if place == "memory" else f"in groups of {rows_of_a_group:,}"
                print(f"| {name} | {row(place, path, options.epochs)} |", flush=True)


if __name__ == "__main__":
    main()
