"""Atomic replacement of files: file types, links, owners, modes and errors."""

import os
import stat
from pathlib import Path

import pytest
from special_files import KINDS, root, unix

from skdnn.checkpoints import replace_atomically, replaceable_path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def write(path, content=b"new"):
    with replace_atomically(replaceable_path(path, "path")) as file:
        file.write(content)


@pytest.fixture
def umask():
    """Set the umask to 0o027 during a test."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@unix
@pytest.mark.parametrize("through_a_link", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_special_files_are_rejected_by_type_and_not_changed(
    tmp_path, monkeypatch, kind, through_a_link
):
    monkeypatch.chdir(tmp_path)  # paths of sockets are limited in length
    special = Path("special")
    KINDS[kind](special)
    before, path = os.stat(special), special
    if through_a_link:
        path = Path("link")
        path.symlink_to(special)
    with pytest.raises(ValueError, match=rf"path='{path}' cannot be written: it is {kind}\.$"):
        replaceable_path(path, "path")
    assert os.stat(special) == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
def test_an_anonymous_pipe_is_rejected():
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="cannot be written: it is a pipe"):
        replaceable_path(f"/proc/self/fd/{writing}", "path")
    os.close(reading)
    os.close(writing)


@unix
def test_a_pipe_created_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "file"
    real = replaceable_path(path, "path")
    with pytest.raises(OSError, match="it is a pipe"), replace_atomically(real):
        os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["nowhere/file", ".", "", "folder", "folder/", "new/"])
def test_a_path_that_is_not_a_file_in_a_folder_is_rejected(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="path must be a file in a folder that exists, got"):
        replaceable_path(path, "path")


@unix
@pytest.mark.parametrize("is_dangling", [False, True])
def test_links_are_kept_and_their_target_is_replaced(tmp_path, is_dangling):
    target, link, second = (tmp_path / name for name in ("target", "link", "second"))
    if not is_dangling:
        target.write_bytes(b"old")
    link.symlink_to("target")
    second.symlink_to(link)
    write(second)
    assert second.is_symlink()
    assert link.is_symlink()
    assert not target.is_symlink()
    assert target.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 3


@unix
@pytest.mark.parametrize("target", ["nowhere/file", "link", "folder"])
def test_a_link_to_an_unusable_target_is_rejected(tmp_path, target):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ValueError, match=r"path.*link"):
        replaceable_path(tmp_path / "link", "path")


@unix
@pytest.mark.usefixtures("umask")
def test_the_mode_of_a_new_file_follows_the_umask(tmp_path):
    write(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o640


def test_the_umask_is_not_changed(tmp_path, monkeypatch):
    def fail(mask):
        raise AssertionError("the umask is shared by all threads")

    monkeypatch.setattr(os, "umask", fail)
    write(tmp_path / "file")
    write(tmp_path / "file")


@unix
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("earlier", [0o600, 0o644, 0o666, 0o444, 0o777])
def test_the_mode_is_kept_from_the_first_byte_on(tmp_path, earlier):
    path = tmp_path / "file"
    path.touch()
    path.chmod(earlier)
    with replace_atomically(str(path)) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == earlier
    assert mode(path) == earlier


@root
def test_owner_and_group_are_kept(tmp_path):
    path = tmp_path / "file"
    path.touch(0o640)
    os.chown(path, 12345, 54321)
    write(path)
    found = path.stat()
    assert (found.st_uid, found.st_gid, mode(path)) == (12345, 54321, 0o640)


@root
@pytest.mark.parametrize(
    ("earlier", "now"),
    [(0o640, 0o600), (0o664, 0o644), (0o666, 0o666), (0o604, 0o600), (0o600, 0o600)],
)
def test_nobody_gains_permissions_if_the_group_cannot_be_kept(tmp_path, monkeypatch, earlier, now):
    path = tmp_path / "file"
    path.touch()
    path.chmod(earlier)
    os.chown(path, 12345, 54321)

    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    write(path)
    assert mode(path) == now


@root
def test_the_group_is_kept_if_the_owner_cannot_be(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o640)
    os.chown(path, 12345, 54321)
    fchown = os.fchown

    def refuse_the_owner(descriptor, owner, group):
        if owner != -1:
            raise PermissionError
        fchown(descriptor, owner, group)

    monkeypatch.setattr(os, "fchown", refuse_the_owner)
    write(path)
    assert (path.stat().st_gid, mode(path)) == (54321, 0o640)


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("call", ["block", "fsync", "replace"])
def test_an_error_leaves_only_the_earlier_file(tmp_path, monkeypatch, error, call):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise error

    if call != "block":
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(error), replace_atomically(str(path)) as file:
        fail() if call == "block" else file.write(b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_interfere(tmp_path):
    path = tmp_path / "file"
    with replace_atomically(str(path)) as one, replace_atomically(str(path)) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", [3, None, 1.5])
def test_a_path_of_a_wrong_type_is_a_type_error(path):
    with pytest.raises(TypeError, match="PathLike"):
        replaceable_path(path, "path")


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_an_impossible_path_is_a_value_error(path):
    with pytest.raises(ValueError, match=r"null|surrogate"):
        replaceable_path(path, "path")
