"""Images from files: photographs only, from regular files only, of no more pixels than allowed."""

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError

# What photographs are kept in and what only decodes. HEIF needs a plugin, AVIF Pillow 11.3.
# Not EPS, which runs Ghostscript; not JPEG2000, whose two headers may give two sizes.
PHOTOGRAPHS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "HEIF")
# Formats that Pillow opens through another one.
_OPENED_AS = {"MPO": "JPEG"}

# The brands of HEIC and HEIF, which follow "ftyp" in the first bytes.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS |= {b"mif1", b"mif2", b"msf1"}
_HEIF_ADVICE = (
    "the file is of the format HEIF (HEIC), which Pillow reads with a plugin only: "
    "pip install pillow-heif, then call pillow_heif.register_heif_opener()."
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def known_formats() -> set[str]:
    """Return the names of all formats that may be asked for."""
    Image.init()
    return {*Image.OPEN, *PHOTOGRAPHS, *_OPENED_AS}


def pixel_bound(max_pixels: int | str | None) -> float:
    """Return the most pixels that an image may have."""
    if max_pixels == "auto":
        max_pixels = Image.MAX_IMAGE_PIXELS
    return float("inf") if max_pixels is None else int(max_pixels)


@contextmanager
def opened(
    source: Any, formats: Sequence[str], max_pixels: int | str | None
) -> Iterator[Image.Image]:
    """Give a path, a file or a Pillow image as Pillow image, its format and size checked.

    Nothing is decoded yet. What was opened here is closed.
    """
    formats = [_OPENED_AS.get(name.upper(), name.upper()) for name in formats]
    try:
        with _image(source, formats) as image:
            _check_pixels(image.size, max_pixels)
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"the image has more pixels than the parameter max_pixels={max_pixels!r} or twice "
            f"PIL.Image.MAX_IMAGE_PIXELS={Image.MAX_IMAGE_PIXELS} allows. {error}"
        ) from error


@contextmanager
def _image(source, formats):
    if isinstance(source, Image.Image):
        _check_pillow_image(source, formats)
        yield source
    elif isinstance(source, str | os.PathLike):
        with open(_regular_path(source), "rb") as file, _open(file, formats) as image:
            yield image
    else:
        _check_file(source)
        with _open(source, formats) as image:
            yield image


def _check_pixels(size, max_pixels):
    bound = pixel_bound(max_pixels)
    pixels = size[0] * size[1]
    if pixels > bound:
        raise ValueError(
            f"the image must have at most {bound} pixels, as the parameter "
            f"max_pixels={max_pixels!r} says, got {size[0]} × {size[1]} = {pixels}."
        )


def _check_pillow_image(image, formats):
    """Refuse what has still to be decoded, but is closed or of another format."""
    stub = isinstance(image, ImageFile.StubImageFile)
    if not (getattr(image, "tile", None) or stub):
        return
    file = getattr(image, "fp", None)
    if file is None or getattr(file, "closed", False):
        raise ValueError("the Pillow image was closed before its pixels were read.")
    name = image.format
    if _OPENED_AS.get(name, name) not in formats:
        raise ValueError(
            f"a Pillow image that is not loaded must be of a format in the parameter formats, "
            f"{', '.join(formats)}, got {name}. Call its method load before, or add {name!r}."
        )


def _regular_path(path):
    """Return a path as str if it leads to a file that ends; opening others may wait for ever."""
    path = os.fsdecode(path)
    if _URL.match(path):
        raise ValueError("a URL is not fetched: download the file and pass its path.")
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("a path must lead to a file, got a folder. Pass the files in it.")
    if not stat.S_ISREG(mode):
        raise ValueError("a path must lead to a regular file, got a pipe, a socket or a device.")
    return path


def _check_file(file):
    if getattr(file, "closed", False):
        raise ValueError("the file must be open, got a closed one. Pass its path, or open it.")
    if isinstance(file, io.TextIOBase):
        raise TypeError("the file must be open in binary mode, 'rb', got one that gives text.")
    if not getattr(file, "readable", lambda: True)():
        raise ValueError("the file must be open for reading, got one that is not readable.")
    # Some files lack the method seekable: those that have a seek.
    if not getattr(file, "seekable", lambda: hasattr(file, "seek"))():
        raise ValueError("the file must be seekable, got a stream. Pass io.BytesIO(file.read()).")
    got = type(file.read(0))
    if got is not bytes:
        raise TypeError(f"the file must be open in binary mode, 'rb', got one of {got.__name__}.")


def _open(file, formats):
    Image.init()
    try:
        return Image.open(file, formats=[name for name in formats if name in Image.OPEN])
    except UnidentifiedImageError as error:
        file.seek(0)
        raise ValueError(_advice(file.read(16), formats)) from error


def _advice(head, formats):
    """Say why no reader knew a file that begins like this."""
    if not head:
        return "the file is empty."
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and "HEIF" not in Image.OPEN:
        return _HEIF_ADVICE
    if head[4:12] == b"ftypavif" and "AVIF" not in Image.OPEN:
        return "the file is of the format AVIF, which Pillow reads from version 11.3 on."
    return (
        f"cannot identify the image: it must be of a format in the parameter formats, "
        f"{', '.join(formats)}, got another one or a damaged file. "
        "If Pillow reads its format, add the name to formats."
    )
