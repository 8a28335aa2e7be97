"""Checkpoints: manipulated files, special files, full disks and concurrent fits."""

import errno
import gc
import io
import json
import os
import sys
import threading
import tracemalloc
import zipfile
from types import SimpleNamespace

import fresh
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from special_files import KINDS, unix

from skdnn import Checkpoint, DeepBinaryClassifier
from skdnn.checkpoints import open_checkpoint

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
        n_layers=2, n_units=4, batch_size=16, dropout=0.1, weight_averaging=0.9,
        early_stopping=True, scoring=ScorerWithAction(action), random_state=0, checkpoint=path,
        n_threads=1, **{"max_iter": 5, "n_iter_no_change": 9, **parameters},
    )  # fmt: skip
    return clf.fit(X, Y)


def locked(path):
    """Open a checkpoint as a fit does."""
    return open_checkpoint(SimpleNamespace(checkpoint=path, verbose=0))


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


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def npy(array, shape=None):
    """Return a .npy file of an array, which may declare another shape."""
    file = io.BytesIO()
    if shape is None:
        np.save(file, array, allow_pickle=True)
        return file.getvalue()
    array = np.asarray(array)
    declared = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, declared)
    return file.getvalue() + array.tobytes()


def unpacked(content):
    """Return the header of a checkpoint and its arrays by name."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("header.json")), arrays


def packed(header, arrays, **options):
    """Return a checkpoint of a header (or bytes in its place) and arrays (or .npy files)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        is_raw = isinstance(header, bytes)
        archive.writestr("header.json", header if is_raw else json.dumps(header))
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", array if isinstance(array, bytes) else npy(array))
    return file.getvalue()


def entry(name, value):
    """Return a function that changes an entry of the header, or deletes it."""

    def change(header, arrays):
        if value is None:
            del header[name]
        else:
            header[name] = value

    return change


def array(name, value, dtype=float):
    """Return a function that changes an array, or deletes it."""

    def change(header, arrays):
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value if isinstance(value, bytes) else np.array(value, dtype)

    return change


def number(name, position, value):
    """Return a function that changes one number of an array."""

    def change(header, arrays):
        arrays[name][position] = value

    return change


def renamed(name, new_name):
    """Return a function that renames an array."""

    def change(header, arrays):
        arrays[new_name] = arrays.pop(name)

    return change


MANIPULATIONS = {
    "no fingerprint": entry("fingerprint", None),
    "fingerprint of a list": entry("fingerprint", ["data"]),
    "fingerprint of numbers": entry("fingerprint", {"data": 3}),
    "no seed": entry("seed", None),
    "seed of a float": entry("seed", 1.0),
    "seed of a bool": entry("seed", True),
    "negative seed": entry("seed", -1),
    "huge seed": entry("seed", 2**64),
    "no n_epochs": entry("n_epochs", None),
    "n_epochs of a float": entry("n_epochs", 3.0),
    "n_epochs of more epochs": entry("n_epochs", 4),
    "n_epochs of fewer epochs": entry("n_epochs", 2),
    "negative n_epochs": entry("n_epochs", -1),
    "huge n_epochs": entry("n_epochs", 2**70),
    "another format": entry("format", "skdnn checkpoint 99"),
    "an additional entry": entry("version", "3"),
    "a missing array": array("kept", None),
    "an additional array": array("more", [1.0]),
    "an array instead of a dict": renamed("optimizer/live", "optimizer"),
    "a dict instead of an array": renamed("theta", "theta/theta"),
    "an array outside of the folder": renamed("theta", "../theta"),
    "theta of another shape": array("theta", [1.0]),
    "theta of another dtype": array("theta", np.zeros(21), np.float32),
    "theta in another byte order": array("theta", np.zeros(21), ">f8"),
    "theta of strings": array("theta", ["a"] * 21, str),
    "theta without shape": array("theta", npy(np.zeros(21), shape=())),
    "theta of a negative shape": array("theta", npy(np.zeros(21), shape=(-21,))),
    "theta with more content": array("theta", npy(np.zeros(22), shape=(21,))),
    "theta with less content": array("theta", npy(np.zeros(20), shape=(21,))),
    "theta that is not a .npy file": array("theta", b"Dear diary"),
    "NaN in theta": number("theta", 3, np.nan),
    "infinity in kept": number("kept", 3, np.inf),
    "NaN in the average": number("optimizer/average", 0, np.nan),
    "infinity in the mean": number("optimizer/optimizer/mean", 0, np.inf),
    "negative square": number("optimizer/optimizer/square", 0, -1.0),
    "negative steps": array("optimizer/optimizer/n_steps", -1, int),
    "generator that torch refuses": number("generators/0", slice(None), 255),
    "shorter generator": array("generators/0", [0] * 5055, np.uint8),
    "NaN in costs": number("costs", 1, np.nan),
    "infinite score": number("scores", 1, np.inf),
    "NaN in criteria": number("criteria", 2, np.nan),
    "shorter costs": array("costs", [[0.5], [0.5]]),
    "no scores": array("scores", np.zeros((0, 1))),
    "costs of more epochs": array("costs", np.ones((6, 1))),
    "costs of two networks": array("costs", np.ones((3, 2))),
    "running as a number": array("running", [1], int),
}


@pytest.mark.parametrize("manipulation", MANIPULATIONS)
def test_impossible_content_is_rejected_and_the_file_not_changed(tmp_path, content, manipulation):
    path = tmp_path / "fit.ckpt"
    header, arrays = unpacked(content)
    MANIPULATIONS[manipulation](header, arrays)
    path.write_bytes(packed(header, arrays))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^checkpoint.*fit\.ckpt"):
        fit(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["fit.ckpt"]


def test_an_archive_that_numpy_reads_and_this_file_packs_is_accepted(tmp_path, content):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(packed(*unpacked(content)))
    seen = []
    assert fit(path, seen.append).n_iter_ == 5
    assert len(seen) == 2  # the remaining epochs


def test_more_epochs_than_early_stopping_allows_are_rejected(tmp_path, content):
    path = tmp_path / "fit.ckpt"
    header, arrays = unpacked(content)
    arrays["criteria"][:] = [[1.0], [2.0], [3.0]]  # stops after the second epoch
    header["fingerprint"]["n_iter_no_change"] = "1"
    path.write_bytes(packed(header, arrays))
    with pytest.raises(ValueError, match="has 3 epochs, but early stopping ends after 2"):
        fit(path, n_iter_no_change=1)


@pytest.mark.parametrize("name", ["theta", "optimizer/optimizer/n_steps", "costs", "more"])
def test_pickled_objects_are_not_loaded(tmp_path, content, name):
    path, touched = tmp_path / "fit.ckpt", tmp_path / "touched"
    header, arrays = unpacked(content)
    arrays[name] = npy(np.array([Bomb(str(touched))] * 21))
    path.write_bytes(packed(header, arrays))
    with pytest.raises(ValueError, match=r"^checkpoint.*fit\.ckpt"):
        fit(path)
    assert not touched.exists()


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{}",
        b"null",
        b"\xff\xfe{",
        b'{"fingerprint":{},"seed":' + b"9" * 5000 + b"}",
        b'{"format":"skdnn checkpoint 4","fingerprint":{},"seed":NaN,"n_epochs":3}',
        b" " * 2**21 + b"{}",
    ],
    ids=lambda header: header[:20].decode("latin-1"),
)
def test_an_invalid_header_is_rejected(tmp_path, content, header):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(packed(header, unpacked(content)[1]))
    with pytest.raises(ValueError, match=r"^checkpoint=.* is damaged"):
        fit(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_checkpoint_is_rejected(tmp_path, content, compression):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(packed(*unpacked(content), compression=compression))
    with pytest.raises(ValueError, match="damaged: a part is compressed, or larger than the file"):
        fit(path)


def test_two_arrays_of_one_name_are_rejected(tmp_path, content):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("theta.npy", npy(np.zeros(21)))
    with pytest.raises(ValueError, match="other parts than the state of this fit"):
        fit(path)


def peak_of_a_rejected_fit(path):
    """Return how many bytes a fit allocates until it rejects a checkpoint."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"^checkpoint.*fit\.ckpt"):
        fit(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("shape", [(2**31, 2**31), (2**36,), (2**62,), (2**63,), (2**62,) * 33])
@pytest.mark.parametrize("name", ["theta", "costs", "generators/0"])
def test_declared_shapes_are_not_allocated(tmp_path, content, name, shape):
    path = tmp_path / "fit.ckpt"
    header, arrays = unpacked(content)
    arrays[name] = npy(arrays[name], shape)
    path.write_bytes(packed(header, arrays))
    assert peak_of_a_rejected_fit(path) < 2**22


@pytest.mark.parametrize("size", [2**28, 2**36, 2**62])
@pytest.mark.parametrize("name", ["header.json", "theta.npy"])
def test_declared_sizes_of_members_are_not_allocated(tmp_path, content, name, size):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        member = archive.getinfo(name)
        member.file_size = member.compress_size = size
        archive.writestr("more", b"")  # so that the directory is written again
    assert peak_of_a_rejected_fit(path) < 2**22


@pytest.mark.parametrize("n_epochs", [2**20, 2**31])
def test_declared_epochs_are_not_allocated(tmp_path, content, n_epochs):
    path = tmp_path / "fit.ckpt"
    header, arrays = unpacked(content)
    header["n_epochs"] = n_epochs
    for name in ("costs", "validation_costs", "scores", "criteria"):
        arrays[name] = npy(arrays[name], (n_epochs, 1))
    path.write_bytes(packed(header, arrays))
    tracemalloc.start()
    with pytest.raises(ValueError, match="has another size than its shape"):
        fit(path, max_iter=2**32 - 1)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_file_of_an_earlier_version_is_rejected(tmp_path):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(b"skdnn checkpoint 3\nand the rest")
    message = r"is not a checkpoint file of this version of skdnn.*Delete it to start anew"
    with pytest.raises(ValueError, match=message):
        fit(path)


@pytest.mark.parametrize("offset", [23, 27])  # of the compressed size and of the size
def test_a_size_that_claims_256_megabytes_takes_no_memory(tmp_path, content, offset):
    path, damaged = tmp_path / "fit.ckpt", bytearray(content)
    damaged[content.index(b"PK\x01\x02") + offset] ^= 1 << 4
    path.write_bytes(damaged)
    tracemalloc.start()
    with pytest.raises(ValueError, match="a part is compressed, or larger than the file"):
        fit(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped bits", "shorter", "zeros", "moved"])
def test_a_damaged_file_is_rejected_or_resumed_bit_identically(tmp_path, content, damage):
    path, expected = tmp_path / "fit.ckpt", fit(None)
    rng, n_rejected = np.random.default_rng(0), 0
    directory = content.index(b"PK\x01\x02")  # zipfile reads it first and trusts it
    starts = [*rng.integers(len(content), size=20), *rng.integers(directory, len(content), size=50)]
    tracemalloc.start()
    for start in map(int, starts):
        damaged = bytearray(content)
        if damage == "flipped bits":
            damaged[start] ^= 1 << int(rng.integers(8))
        elif damage == "shorter":
            del damaged[start : start + int(rng.integers(1, 2000))]
        elif damage == "zeros":
            damaged[start : start + 16] = bytes(len(damaged[start : start + 16]))
        else:
            damaged[start:start] = content[: int(rng.integers(1, 40))]
        path.write_bytes(damaged)
        try:
            clf = fit(path)
        except ValueError as error:
            n_rejected += 1
            assert str(error).startswith(f"checkpoint='{path}' ")  # noqa: PT017
            assert "elete it to start anew" in str(error)  # noqa: PT017
            assert path.read_bytes() == damaged
        else:
            for W, wanted in zip(clf.coefs_, expected.coefs_, strict=True):
                np.testing.assert_array_equal(W, wanted)
            assert clf.loss_curve_ == expected.loss_curve_
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    assert n_rejected > len(starts) / 2


# -- special files, links and permissions --------------------------------------------------------


@unix
@pytest.mark.parametrize("name", ["fit", "fit.partial.lock", "fit.partial"])
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
    (tmp_path / "fit.partial.lock").touch()
    (tmp_path / "diary").write_text("Dear diary", encoding="utf-8")
    (tmp_path / "fit.partial").symlink_to(tmp_path / "diary")
    fit(tmp_path / "fit")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["diary", "fit"]
    assert (tmp_path / "diary").read_text(encoding="utf-8") == "Dear diary"


def test_a_lock_file_of_another_program_is_not_changed(tmp_path):
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


@pytest.mark.parametrize("size", [0, 10, 500, 3000, 8000, 10_500])
def test_a_file_above_the_size_limit_leaves_nothing_behind(tmp_path, size):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
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
    with locked(path):
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
    assert (tmp_path / "fit.ckpt.partial.lock").exists()
    fit(path)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.ckpt"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_neither_holds_nor_releases_the_lock(tmp_path):
    path = tmp_path / "fit.ckpt"
    with locked(path) as checkpoint_file:
        child = os.fork()
        if child == 0:
            os._exit(checkpoint_file.lock.is_locked)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(ValueError, match=IN_USE), locked(path):
            pass
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # lives longer than the block
            os.read(reading, 1)
            os._exit(0)
    with locked(path):
        os.write(writing, b"!")
        assert os.waitpid(child, 0)[1] == 0
    os.close(reading)
    os.close(writing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_that_leaves_the_block_does_not_release_the_lock(tmp_path):
    path = tmp_path / "fit.ckpt"
    context = locked(path)
    context.__enter__()
    child = os.fork()
    if child == 0:
        context.__exit__(None, None, None)
        os._exit(len(list(tmp_path.iterdir())))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1  # the lock file is left
    with pytest.raises(ValueError, match=IN_USE), locked(path):
        pass
    context.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fit_that_is_continued_in_a_forked_child_does_not_save(tmp_path):
    path, children = tmp_path / "fit.ckpt", []

    def fork(n_epochs):
        if n_epochs == 2:
            children.append(os.fork())

    try:
        fit(Checkpoint(path, every_epochs=1), fork)
    except ValueError as error:
        if children == [0]:
            os._exit(3 if "in a forked process" in str(error) else 4)
        raise
    if children == [0]:
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 3
    assert fit(path, kill).n_iter_ == 5  # the parent has finished and saved


def test_the_lock_is_released_at_the_end_of_the_block_and_on_deletion(tmp_path):
    path = tmp_path / "fit.ckpt"
    with pytest.raises(Killed), locked(path):
        raise Killed
    context = locked(path)
    context.__enter__()
    with pytest.raises(ValueError, match=IN_USE), locked(path):
        pass
    del context
    gc.collect()
    with locked(path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
def test_file_descriptors_are_not_leaked(tmp_path, content):
    path, bad = tmp_path / "fit.ckpt", tmp_path / "bad"
    bad.write_bytes(content[:-1])

    def use():
        with locked(path):
            pass
        with pytest.raises(ValueError, match="is damaged"):
            fit(bad)

    use()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        use()
    assert len(os.listdir("/proc/self/fd")) == before
