"""Files that are written beside their place and renamed: kinds, links, owners, modes, errors."""

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
    """Set the umask to 0o027 for a test."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@unix
@pytest.mark.parametrize("through_a_link", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_regular_file_is_refused_by_its_kind_and_stays(
    tmp_path, monkeypatch, kind, through_a_link
):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    special = Path("special")
    KINDS[kind](special)
    before, path = os.stat(special), special
    if through_a_link:
        path = Path("link")
        path.symlink_to(special)
    with pytest.raises(ValueError, match=rf"path must be .* '{path}' cannot: it is {kind}\.$"):
        replaceable_path(path, "path")
    assert os.stat(special) == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="of Linux")
def test_a_pipe_without_a_name_is_refused_by_its_kind():
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="cannot: it is a pipe"):
        replaceable_path(f"/proc/self/fd/{writing}", "path")
    os.close(reading)
    os.close(writing)


@unix
def test_what_became_a_pipe_in_between_is_not_replaced(tmp_path):
    path = tmp_path / "file"
    real = replaceable_path(path, "path")
    with pytest.raises(OSError, match="it is a pipe"), replace_atomically(real):
        os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["nowhere/file", ".", "", "folder", "folder/", "new/"])
def test_what_is_no_file_in_a_folder_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="path must be a file in a folder that exists, got"):
        replaceable_path(path, "path")


@unix
@pytest.mark.parametrize("is_dangling", [False, True])
def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path, is_dangling):
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
def test_a_link_to_no_place_for_a_file_is_refused(tmp_path, target):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ValueError, match=r"path must be a file .*link"):
        replaceable_path(tmp_path / "link", "path")


@unix
@pytest.mark.usefixtures("umask")
def test_the_mode_of_a_new_file_follows_the_umask(tmp_path):
    write(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o640


def test_the_umask_itself_is_never_set(tmp_path, monkeypatch):
    def fail(mask):
        raise AssertionError("other threads would see it")

    monkeypatch.setattr(os, "umask", fail)
    write(tmp_path / "file")
    write(tmp_path / "file")


@unix
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("earlier", [0o600, 0o644, 0o666, 0o444, 0o777])
def test_mode_stays_and_nothing_is_readable_before(tmp_path, earlier):
    path = tmp_path / "file"
    path.touch()
    path.chmod(earlier)
    with replace_atomically(str(path)) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == earlier
    assert mode(path) == earlier


@root
def test_owner_and_group_stay(tmp_path):
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
def test_where_the_group_cannot_stay_nobody_may_do_more(tmp_path, monkeypatch, earlier, now):
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
def test_where_only_the_owner_cannot_stay_the_group_does(tmp_path, monkeypatch):
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
def test_after_an_error_the_earlier_file_is_there_and_nothing_else(
    tmp_path, monkeypatch, error, call
):
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


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file"
    with replace_atomically(str(path)) as one, replace_atomically(str(path)) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", [3, None, 1.5])
def test_a_path_of_another_type_is_refused(path):
    with pytest.raises(TypeError, match="PathLike"):
        replaceable_path(path, "path")


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_a_path_that_no_system_has_is_a_value_error(path):
    with pytest.raises(ValueError, match=r"null|surrogate"):
        replaceable_path(path, "path")
