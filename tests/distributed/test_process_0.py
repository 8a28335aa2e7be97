"""Tests that process 0 prints, saves checkpoints and calls callbacks for all processes."""

import contextlib
import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
import ranks

from skdnn import Checkpoint, DeepBinaryClassifier
from skdnn.distributed import data_parallel

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5))
Y = (X[:, 0] > X[:, 1]).astype(int)


def make(**parameters):
    settings = {"n_units": 4, "max_iter": 8, "tol": 0.0, "random_state": 0, **parameters}
    return DeepBinaryClassifier(dtype="float64", early_stopping=False, **settings)


def fit(rank, **parameters):
    warnings.simplefilter("ignore")
    with data_parallel():
        return make(**parameters).fit(X, Y)


def printed(rank):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        fit(rank, verbose=1)
    return text.getvalue()


def test_process_0_prints_for_all(two):
    first, second = two.results(printed)
    assert first.startswith("epoch 1/8")
    assert second == ""


class Stop:
    """A callback that counts epochs and stops after the third one."""

    n_epochs = 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.n_epochs += context.task_name == "epoch"
        return self.n_epochs == 3


def fit_with_stopping_callback(rank):
    stop, clf = Stop(), make()
    with data_parallel():
        clf.set_callbacks(stop).fit(X, Y)
    return clf.n_iter_, stop.n_epochs


def test_all_processes_stop_if_a_callback_stops_process_0(two):
    pytest.importorskip("sklearn.callback")
    assert two.results(fit_with_stopping_callback) == [(3, 3), (3, 0)]


def save(rank, path):
    return fit(rank, checkpoint=Checkpoint(path, every_epochs=3))


def test_process_0_saves_a_checkpoint_that_a_single_process_can_resume(two, tmp_path):
    path = tmp_path / "fit.ckpt"
    first, second = two.results(save, path)
    again = make(checkpoint=path, n_threads=None).fit(X, Y)
    for clf in (first, second):
        np.testing.assert_array_equal(clf.coefs_[0], again.coefs_[0])
    assert [found.name for found in tmp_path.iterdir() if found.suffix == ".ckpt"] == ["fit.ckpt"]


SCRIPT = """
import numpy as np
from skdnn import DeepBinaryClassifier
from skdnn.distributed import data_parallel

rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 5))
y = X[:, 0] * X[:, 1] > 0
with data_parallel(rows="part") as communicator:
    mine = slice(communicator.rank, None, communicator.size)
    clf = DeepBinaryClassifier(max_iter=10, random_state=0).fit(X[mine], y[mine])
if communicator.rank == 0:
    print(communicator.size, clf.score(X, y))
"""


def test_torchrun_runs_a_program(tmp_path):
    program = tmp_path / "flowers.py"
    program.write_text(SCRIPT, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    run = subprocess.run(
        [*torchrun, "--nproc-per-node=2", str(program)],
        capture_output=True, text=True, encoding="utf-8", timeout=ranks.SECONDS, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    n_processes, score = run.stdout.split()
    assert int(n_processes) == 2
    assert float(score) > 0.9
