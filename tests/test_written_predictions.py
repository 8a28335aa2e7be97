"""write_predictions: next to its input, to devices and links, and in read-only folders."""

import os
import tempfile

import numpy as np
import pytest
from special_files import KINDS, root, unix

from skdnn import DeepBinaryClassifier

pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
TABLE = pa.table({"a": X[:, 0], "b": X[:, 1]})
CLF = DeepBinaryClassifier(1, max_iter=2, random_state=0).fit(TABLE, X[:, 0] > 0)


class Unpredicted(type(CLF)):
    """A classifier whose predict raises."""

    def predict(self, X):
        raise AssertionError("predicted")


UNPREDICTED = Unpredicted()
vars(UNPREDICTED).update(vars(CLF))


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two files."""
    path = tmp_path / "folder"
    path.mkdir()
    for k in range(2):
        pq.write_table(TABLE.slice(30 * k, 30), path / f"{k}.parquet")
    return path


def assert_written(path):
    np.testing.assert_array_equal(pq.read_table(path)["prediction"], CLF.predict(TABLE))


@pytest.mark.parametrize("kind", ["path", "str", "dataset"])
def test_a_new_file_in_the_input_folder_is_written(folder, kind):
    rows = {"path": folder, "str": str(folder), "dataset": ds.dataset(folder)}[kind]
    CLF.write_predictions(rows, folder / "out.parquet")
    assert_written(folder / "out.parquet")
    assert sorted(found.name for found in folder.iterdir()) == [
        "0.parquet", "1.parquet", "out.parquet",
    ]  # fmt: skip


def sub_tree(folder):
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    return ds.dataset("", filesystem=SubTreeFileSystem(str(folder), LocalFileSystem()))


INPUTS = {
    "folder": lambda folder: folder,
    "file": lambda folder: folder / "1.parquet",
    "list": lambda folder: [folder / "0.parquet", folder / "1.parquet"],
    "dataset": ds.dataset,
    "dataset of a list": lambda folder: ds.dataset([folder / "0.parquet", folder / "1.parquet"]),
    "union": lambda folder: ds.dataset(
        [ds.dataset(folder / "0.parquet"), ds.dataset(folder / "1.parquet")]
    ),
    "sub tree": sub_tree,
    "relative": lambda folder: os.path.relpath(folder),
}


@pytest.mark.parametrize("through_a_link", [False, pytest.param(True, marks=unix)])
@pytest.mark.parametrize("kind", INPUTS)
def test_an_input_file_is_not_replaced(folder, tmp_path, kind, through_a_link):
    out = folder / "1.parquet"
    before = out.read_bytes()
    if through_a_link:
        out = tmp_path / "link"
        out.symlink_to(folder / "1.parquet")
    with pytest.raises(ValueError, match=r"path must not be a file that X names.*1\.parquet'"):
        UNPREDICTED.write_predictions(INPUTS[kind](folder), out)
    assert (folder / "1.parquet").read_bytes() == before
    assert len(list(folder.iterdir())) == 2


@unix
def test_an_input_folder_can_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ValueError, match="path must not be a file that X names"):
        UNPREDICTED.write_predictions(tmp_path / "link", folder / "0.parquet")


@unix
@pytest.mark.parametrize("rows", ["file", "frame"])
@pytest.mark.parametrize("kind", KINDS)
def test_devices_raise_before_predicting(folder, monkeypatch, kind, rows):
    monkeypatch.chdir(folder.parent)
    KINDS[kind]("special")
    with pytest.raises(ValueError, match=f"path='special' cannot be written: it is {kind}"):
        UNPREDICTED.write_predictions(folder / "0.parquet" if rows == "file" else TABLE, "special")
    assert sorted(os.listdir()) == ["folder", "special"]


@root
def test_a_read_only_folder_raises_before_predicting():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        try:
            os.seteuid(65534)
            with pytest.raises(ValueError, match=r"path=.* cannot be written: Permission denied"):
                UNPREDICTED.write_predictions(TABLE, os.path.join(folder, "out.parquet"))
        finally:
            os.seteuid(0)
        assert os.listdir(folder) == []


@unix
def test_link_owner_and_mode_are_preserved(tmp_path):
    out, link = tmp_path / "out.parquet", tmp_path / "link"
    out.touch()
    out.chmod(0o600)
    link.symlink_to(out)
    CLF.write_predictions(TABLE, link)
    assert link.is_symlink()
    assert_written(out)
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_no_file(tmp_path, monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(error):
        CLF.write_predictions(TABLE, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_existing_file(tmp_path):
    resource = pytest.importorskip("resource")
    rows = pa.table({"a": RNG.normal(size=100_000), "b": RNG.normal(size=100_000)})
    out = tmp_path / "out.parquet"
    out.write_bytes(b"earlier")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            CLF.write_predictions(rows, out, keep=["a"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [out]
