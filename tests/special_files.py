"""Create devices, pipes and sockets for tests."""

import os
import socket
import stat
import sys

import pytest

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix")
root = pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="needs root")


def make_device(kind):
    """Return a function that creates a device at a path."""

    def make(path):
        try:
            os.mknod(path, kind | 0o666, os.makedev(1, 3))
        except (AttributeError, OSError) as error:
            pytest.skip(f"devices cannot be created here: {error}")

    return make


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


KINDS = {
    "a character device": make_device(stat.S_IFCHR),
    "a block device": make_device(stat.S_IFBLK),
    "a pipe": lambda path: os.mkfifo(path),
    "a socket": make_socket,
}
