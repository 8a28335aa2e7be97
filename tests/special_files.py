"""Devices, pipes and sockets, made where a test wants them; never those of the machine."""

import os
import socket
import stat
import sys

import pytest

unix = pytest.mark.skipif(sys.platform == "win32", reason="of Unix")
root = pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="only root may")


def make_device(kind):
    def make(path):
        try:
            os.mknod(path, kind | 0o666, os.makedev(1, 3))
        except (AttributeError, OSError) as error:
            pytest.skip(f"no device can be made here: {error}")

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
