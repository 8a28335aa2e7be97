"""Checkpoints: manipulated files, special files, full disks and concurrent fits."""

import errno
import gc
import hashlib
import json
import math
import os
import sys
import threading
import tracemalloc

import fresh
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from special_files import KINDS, unix

from skdnn import Checkpoint, DeepBinaryClassifier
from skdnn.checkpoints import CheckpointFile, open_checkpoint
from skdnn.checkpoints._locked_file import _register_fork_hook
from skdnn.training import EarlyStopping

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


class Killed(Exception):
    """Raised to interrupt a fit."""


class ScorerWithAction:
    """A ROC AUC scorer that first calls `action` with the number of finished epochs."""

    def __init__(self, action=lambda n_epochs: None):
        self.action, self.n_epochs = action, 0

    def __call__(self, clf, X, y):
        self.action(self.n_epochs)
        self.n_epochs += 1
        return roc_auc_score(y, clf.predict_proba(X)[:, 1])

    def __repr__(self):
        return "ScorerWithAction"


def fit(path, action=lambda n_epochs: None, **parameters):
    clf = DeepBinaryClassifier(
        n_layers=2, n_units=4, max_iter=5, batch_size=16, n_iter_no_change=9, dropout=0.1,
        weight_averaging=0.9, early_stopping=True, scoring=ScorerWithAction(action), random_state=0,
        checkpoint=path, n_threads=1, **parameters,
    )  # fmt: skip
    return clf.fit(X, Y)


def kill(n_epochs):
    if n_epochs == 3:
        raise Killed


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Return the checkpoint of a fit that was interrupted in its fourth epoch, as bytes."""
    path = tmp_path_factory.mktemp("killed") / "fit.ckpt"
    with pytest.raises(Killed):
        fit(Checkpoint(path, every_epochs=1), kill)
    return path.read_bytes()


# -- manipulated files with valid digests --------------------------------------------------------


def unpacked(content):
    """Return the header of a checkpoint, with [dtype, shape, bytes] for each array."""
    _, _, header, numbers = content.split(b"\n", 3)

    def unpack(tree):
        nonlocal numbers
        if isinstance(tree, dict):
            return {name: unpack(part) for name, part in tree.items()}
        size = math.prod(tree[1]) * np.dtype(tree[0]).itemsize
        part, numbers = numbers[:size], numbers[size:]
        return [*tree[:2], part]

    notes = json.loads(header)
    return {**notes, "state": unpack(notes["state"])}


def packed(notes):
    parts = []

    def pack(tree):
        if isinstance(tree, dict):
            return {name: pack(part) for name, part in tree.items()}
        if isinstance(tree, list) and isinstance(tree[-1], bytes):
            parts.append(tree[-1])
            return [*tree[:-1], hashlib.sha256(tree[-1]).hexdigest()]
        return tree

    header = json.dumps(pack(notes), separators=(",", ":")).encode()
    return with_header(header, b"".join(parts))


def with_header(header, numbers=b""):
    digest = hashlib.sha256(header + b"\n").hexdigest().encode()
    return b"\n".join([b"skdnn checkpoint 3", digest, header, numbers])


def put(path, value):
    """Return a function that sets the value at a path in a tree, or deletes it."""

    def change(notes):
        *folders, name = path.split("/")
        for folder in folders:
            notes = notes[folder]
        if value is None:
            del notes[name]
        else:
            notes[name] = value

    return change


def put_number(path, position, value):
    """Return a function that changes one number of an array."""

    def change(notes):
        branch = notes["state"]
        for name in path.split("/"):
            branch = branch[name]
        dtype, _, numbers = branch
        array = np.frombuffer(numbers, dtype).copy()
        array[position] = value
        branch[2] = array.tobytes()

    return change


def array(values, dtype=float):
    values = np.array(values, dtype)
    return [values.dtype.name, list(values.shape), values.tobytes()]


MANIPULATIONS = {
    "no origin": put("origin", None),
    "origin of a list": put("origin", ["data"]),
    "origin of numbers": put("origin/data", 3),
    "no seed": put("seed", None),
    "seed of a float": put("seed", 1.0),
    "seed of a bool": put("seed", True),
    "negative seed": put("seed", -1),
    "huge seed": put("seed", 2**64),
    "an additional entry": put("version", "3"),
    "no state": put("state", None),
    "state of a list": put("state", [[], []]),
    "a missing array": put("state/kept", None),
    "an additional array": put("state/more", array([1.0])),
    "an array instead of a dict": put("state/stopping", array([1.0])),
    "a dict instead of an array": put("state/theta", {"theta": array([1.0])}),
    "theta of another shape": put("state/theta", array([1.0])),
    "theta of another dtype": put("state/theta", array(np.zeros(21), np.float32)),
    "theta of objects": put("state/theta", ["object", [21], b"\0" * 168]),
    "theta without shape": put("state/theta", ["float64", None, b""]),
    "theta of a negative shape": put("state/theta", ["float64", [-21], b""]),
    "NaN in theta": put_number("theta", 3, np.nan),
    "infinity in kept": put_number("kept", 3, np.inf),
    "NaN in the average": put_number("optimizer/average", 0, np.nan),
    "infinity in the mean": put_number("optimizer/rule/mean", 0, np.inf),
    "negative square": put_number("optimizer/rule/square", 0, -1.0),
    "negative steps": put_number("optimizer/rule/n_steps", 0, -1),
    "generator that torch refuses": put_number("generators", slice(None), 255),
    "shorter generator": put("state/generators", array([0] * 5055, np.uint8)),
    "NaN in costs": put_number("costs", 1, np.nan),
    "infinite score": put_number("scores", 1, np.inf),
    "shorter costs": put("state/costs", array([[0.5], [0.5]])),
    "no scores": put("state/scores", array(np.zeros((0, 1)))),
    "costs of more epochs": put("state/costs", array(np.ones((6, 1)))),
    "costs of two networks": put("state/costs", array(np.ones((3, 2)))),
    "negative n_iter": put_number("stopping/n_iter", 0, -1),
    "n_iter of more epochs": put_number("stopping/n_iter", 0, 4),
    "best_iter after n_iter": put_number("stopping/best_iter", 0, 4),
    "no best_iter": put_number("stopping/best_iter", 0, 0),
    "NaN for the best": put_number("stopping/best", 0, np.nan),
    "running as a number": put("state/stopping/running", array([1])),
    "negative without_improvement": put_number("stopping/without_improvement", 0, -1),
}


@pytest.mark.parametrize("manipulation", MANIPULATIONS)
def test_impossible_content_is_rejected_and_the_file_not_changed(tmp_path, content, manipulation):
    path = tmp_path / "fit.ckpt"
    notes = unpacked(content)
    MANIPULATIONS[manipulation](notes)
    path.write_bytes(packed(notes))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^checkpoint.*fit\.ckpt"):
        fit(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["fit.ckpt"]


def test_pack_inverts_unpack_and_the_file_is_accepted(tmp_path, content):
    assert packed(unpacked(content)) == content
    path = tmp_path / "fit.ckpt"
    path.write_bytes(content)
    seen = []
    assert fit(path, seen.append).n_iter_ == 5
    assert len(seen) == 2  # the remaining epochs


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{}",
        b"null",
        b"\xff\xfe{",
        b'{"origin":{},"origin":{},"seed":0,"state":{}}',
        b'{"origin":{},"seed":' + b"9" * 5000 + b',"state":{}}',
        b'{"origin":{},"seed":NaN,"state":{}}',
    ],
    ids=lambda header: header[:20].decode("latin-1"),
)
def test_an_invalid_header_is_rejected(tmp_path, header):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(with_header(header))
    with pytest.raises(ValueError, match=r"^checkpoint=.* is damaged"):
        fit(path)


@pytest.mark.parametrize("shape", [[2**31, 2**31], [2**36], [2**62], [2**63], [2**62] * 33])
@pytest.mark.parametrize("name", ["theta", "costs", "generators"])
def test_declared_sizes_are_not_allocated(tmp_path, content, name, shape):
    path = tmp_path / "fit.ckpt"
    notes = unpacked(content)
    dtype, _, numbers = notes["state"][name]
    notes["state"][name][1] = shape
    path.write_bytes(packed(notes))
    size = path.stat().st_size - len(numbers) + math.prod(shape) * np.dtype(dtype).itemsize
    if size < 2**40:  # a sparse file of the declared size
        os.truncate(path, size)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"^checkpoint.*fit\.ckpt"):
        fit(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_a_file_of_another_version_is_rejected(tmp_path):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(b"skdnn checkpoint 1\nand the rest")
    with pytest.raises(ValueError, match=r"was written by another version of skdnn"):
        fit(path)


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_state_of_early_stopping_is_consistent(keep_best):
    rng = np.random.default_rng(0)
    stopping = EarlyStopping(20, tol=0.01, n_iter_no_change=3, keep_best=keep_best)
    for epoch in range(1, 30):
        assert not list(stopping.contradictions(stopping.state(), epoch - 1))
        stopping.update(epoch, rng.random(20))
        if not stopping.running.any():
            break
    assert not list(stopping.contradictions(stopping.state(), epoch))
    assert len(set(stopping.n_iter)) > 3


# -- special files, links and permissions --------------------------------------------------------


@unix
@pytest.mark.parametrize("name", ["fit", "fit.lock", "fit.partial"])
@pytest.mark.parametrize("kind", KINDS)
def test_devices_pipes_and_sockets_are_rejected_before_training(tmp_path, monkeypatch, kind, name):
    monkeypatch.chdir(tmp_path)
    KINDS[kind](name)
    before, seen = os.stat(name), []
    with pytest.raises(ValueError, match=f"cannot be written: .*it is {kind}"):
        fit("fit", seen.append)
    assert os.listdir() == [name]
    assert (os.stat(name), seen) == (before, [])


@unix
def test_a_link_to_itself_is_rejected(tmp_path):
    (tmp_path / "fit").symlink_to(tmp_path / "fit")
    with pytest.raises(ValueError, match=r"fit' cannot be written"):
        fit(tmp_path / "fit")
    assert [file.name for file in tmp_path.iterdir()] == ["fit"]


@unix
def test_the_mode_of_the_file_is_kept(tmp_path, content):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(content)
    path.chmod(0o600)
    fit(path)
    assert path.read_bytes() != content
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
@pytest.mark.parametrize("path", ["/proc/fit", "fit" * 83, "fit" * 999])
def test_an_unwritable_path_is_rejected_before_training(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    seen = []
    with pytest.raises(ValueError, match=r"checkpoint=.* cannot be written: "):
        fit(path, seen.append)
    assert seen == list(tmp_path.iterdir()) == []


def test_a_link_is_kept_and_its_target_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "fit")
    fit(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert [file.name for file in (tmp_path / "far").iterdir()] == ["fit"]


def test_files_left_by_a_killed_fit_are_reused_without_following_links(tmp_path):
    (tmp_path / "fit.lock").touch()
    (tmp_path / "diary").write_text("Dear diary", encoding="utf-8")
    (tmp_path / "fit.partial").symlink_to(tmp_path / "diary")
    fit(tmp_path / "fit")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["diary", "fit"]
    assert (tmp_path / "diary").read_text(encoding="utf-8") == "Dear diary"


def test_a_lock_file_with_content_is_not_deleted(tmp_path):
    (tmp_path / "poetry.lock").write_text("numpy", encoding="utf-8")
    fit(tmp_path / "poetry")
    assert (tmp_path / "poetry.lock").read_text(encoding="utf-8") == "numpy"


# -- full disks ----------------------------------------------------------------------------------


def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_a_warning_and_later_saves_succeed(tmp_path, monkeypatch, call):
    path, saved = tmp_path / "fit.ckpt", []

    def fill(n_epochs):
        saved.append(path.read_bytes() if path.exists() else None)
        if n_epochs == 2:
            monkeypatch.setattr(os, call, full)
        if n_epochs == 4:
            monkeypatch.undo()
            assert [file.name for file in tmp_path.iterdir() if file.suffix != ".lock"] == [
                "fit.ckpt"
            ]

    with pytest.warns(UserWarning, match=r"fit\.ckpt' could not be saved: .*No space") as warned:
        clf = fit(Checkpoint(path, every_epochs=1), fill)
    assert len([w for w in warned if "could not be saved" in str(w.message)]) == 1
    assert saved[2] == saved[3] == saved[4] != saved[1]
    seen = []
    assert fit(path, seen.append).loss_curve_ == clf.loss_curve_
    assert seen == []  # the finished fit was saved


def test_a_file_above_the_size_limit_leaves_nothing_behind(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.warns(UserWarning, match="could not be saved: .*too large"):
            fit(tmp_path / "fit.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


# -- concurrent fits -----------------------------------------------------------------------------

IN_USE = "is in use by another fit"


def test_a_nested_fit_is_rejected_under_any_name_of_the_file(tmp_path):
    path, other = tmp_path / "fit.ckpt", tmp_path / "link"
    other.symlink_to(path)

    def again(n_epochs):
        for name in (path, other, str(tmp_path / "." / "fit.ckpt")):
            with pytest.raises(ValueError, match=IN_USE):
                fit(name)

    assert fit(Checkpoint(path, every_epochs=1), again).n_iter_ == 5


def test_a_fit_in_another_thread_is_rejected(tmp_path):
    errors = []

    def attempt():
        with pytest.raises(ValueError, match=IN_USE) as caught:
            fit(tmp_path / "fit.ckpt")
        errors.append(caught)

    def again(n_epochs):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    fit(tmp_path / "fit.ckpt", again)
    assert len(errors) == 5


def hold(path, connection):
    """Hold the lock of a checkpoint in another process."""
    with open_checkpoint(path):
        connection.send("locked")
        connection.recv()


@pytest.mark.slow
def test_a_fit_in_another_process_is_rejected_until_that_process_ends(tmp_path):
    path = tmp_path / "fit.ckpt"
    here, there = fresh.CONTEXT.Pipe()
    process = fresh.CONTEXT.Process(target=hold, args=(path, there))
    process.start()
    assert here.recv() == "locked"
    with pytest.raises(ValueError, match=IN_USE):
        fit(path)
    process.kill()
    process.join()
    assert (tmp_path / "fit.ckpt.lock").exists()
    fit(path)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.ckpt"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_neither_holds_nor_releases_the_lock(tmp_path):
    path = Checkpoint(tmp_path / "fit.ckpt")
    checkpoint_file = CheckpointFile(path)
    child = os.fork()
    if child == 0:
        try:
            checkpoint_file.close()
        finally:
            os._exit(checkpoint_file.file.is_locked)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(ValueError, match=IN_USE):
        CheckpointFile(path)
    checkpoint_file.close()
    CheckpointFile(path).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="needs fork")
def test_the_fork_hook_is_registered_once_when_a_file_is_locked(tmp_path, monkeypatch):
    hooks = []
    monkeypatch.setattr(os, "register_at_fork", lambda after_in_child: hooks.append(after_in_child))
    _register_fork_hook.cache_clear()
    try:
        CheckpointFile(None)
        assert hooks == []
        for name in ("a.ckpt", "b.ckpt"):
            CheckpointFile(Checkpoint(tmp_path / name)).close()
        assert len(hooks) == 1
    finally:
        _register_fork_hook.cache_clear()


def test_the_lock_is_released_on_close_block_end_and_deletion(tmp_path):
    path = Checkpoint(tmp_path / "fit.ckpt")
    with pytest.raises(Killed), open_checkpoint(path):
        raise Killed
    checkpoint_file = CheckpointFile(path)
    with pytest.raises(ValueError, match=IN_USE):
        CheckpointFile(path)
    del checkpoint_file
    gc.collect()
    closed = CheckpointFile(path)
    closed.close()
    closed.close()
    CheckpointFile(path).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
def test_file_descriptors_are_not_leaked(tmp_path, content):
    path, bad = tmp_path / "fit.ckpt", tmp_path / "bad"
    bad.write_bytes(content[:-1])

    def use():
        CheckpointFile(Checkpoint(path)).close()
        with pytest.raises(ValueError, match="is damaged"):
            CheckpointFile(Checkpoint(bad))

    use()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        use()
    assert len(os.listdir("/proc/self/fd")) == before
