"""Open image files: allowed formats, regular files and a bounded number of pixels only."""

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError

# Formats of photographs whose readers only decode. HEIF needs a plugin, AVIF Pillow 11.3.
# Not EPS, which runs Ghostscript; not JPEG2000, which may give two sizes in two headers.
PHOTO_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "HEIF")
# Formats that Pillow opens by the reader of another one.
_OPENED_AS = {"MPO": "JPEG"}

# HEIC and HEIF files begin with a size, "ftyp" and one of these brands.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS |= {b"mif1", b"mif2", b"msf1"}
_HEIF_ADVICE = (
    "the file is in the format HEIF (HEIC), which Pillow reads only with a plugin: "
    "pip install pillow-heif, then call pillow_heif.register_heif_opener()."
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def known_formats() -> set[str]:
    """Return the names of all formats that the parameter `formats` may contain."""
    Image.init()
    return {*Image.OPEN, *PHOTO_FORMATS, *_OPENED_AS}


@contextmanager
def open_image(
    source: Any, formats: Sequence[str], max_pixels: int | str | None
) -> Iterator[Image.Image]:
    """Open a path, a file or a Pillow image as a Pillow image of a checked format and size.

    Nothing is decoded yet. A file that is opened here is closed after the block.
    """
    formats = [_OPENED_AS.get(name.upper(), name.upper()) for name in formats]
    bound: Any = Image.MAX_IMAGE_PIXELS if max_pixels == "auto" else max_pixels
    try:
        with ExitStack() as stack:
            if isinstance(source, Image.Image):
                _check_lazy_image(source, formats)
                image = source
            else:
                if isinstance(source, str | os.PathLike):
                    source = stack.enter_context(open(_regular_path(source), "rb"))
                else:
                    _check_file(source)
                image = stack.enter_context(_identify(source, formats))
            width, height = image.size
            if bound is not None and width * height > bound:
                raise ValueError(
                    f"the image must have at most {bound} pixels because of the parameter "
                    f"max_pixels={max_pixels!r}, got {width} × {height} = {width * height}."
                )
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"the image has more pixels than the parameter max_pixels={max_pixels!r} or twice "
            f"PIL.Image.MAX_IMAGE_PIXELS={Image.MAX_IMAGE_PIXELS} allows. {error}"
        ) from error


def _check_lazy_image(image: Image.Image, formats: Sequence[str]) -> None:
    """Raise a ValueError for an image not yet decoded that is closed or of another format."""
    if not (getattr(image, "tile", None) or isinstance(image, ImageFile.StubImageFile)):
        return
    file = getattr(image, "fp", None)
    if file is None or getattr(file, "closed", False):
        raise ValueError("the Pillow image was closed before its pixels were read.")
    name = image.format or ""
    if _OPENED_AS.get(name, name) not in formats:
        raise ValueError(
            f"a Pillow image that is not loaded must be of a format in the parameter formats, "
            f"{', '.join(formats)}, got {name}. Call its method load before, or add {name!r}."
        )


def _regular_path(path: str | os.PathLike) -> str:
    """Return a path as str if it leads to a regular file: reading others may block for ever."""
    path = os.fsdecode(path)
    if _URL.match(path):
        raise ValueError("a URL is not fetched: download the file and pass its path.")
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("a path must lead to a file, got a folder. Pass the files in it.")
    if not stat.S_ISREG(mode):
        raise ValueError("a path must lead to a regular file, got a pipe, a socket or a device.")
    return path


def _check_file(file: Any) -> None:
    if getattr(file, "closed", False):
        raise ValueError("the file must be open, got a closed one. Pass its path, or open it.")
    if isinstance(file, io.TextIOBase):
        raise TypeError("the file must be open in binary mode, 'rb', got one open in text mode.")
    if not getattr(file, "readable", lambda: True)():
        raise ValueError("the file must be open for reading, got one that is not readable.")
    # Some file objects have a method seek but no method seekable.
    if not getattr(file, "seekable", lambda: hasattr(file, "seek"))():
        raise ValueError("the file must be seekable, got a stream. Pass io.BytesIO(file.read()).")
    got = type(file.read(0))
    if got is not bytes:
        raise TypeError(f"the file must be open in binary mode, 'rb', got one of {got.__name__}.")


def _identify(file: Any, formats: Sequence[str]) -> Image.Image:
    """Open a file by the readers of some formats; if none of them can, say why."""
    Image.init()
    try:
        return Image.open(file, formats=[name for name in formats if name in Image.OPEN])
    except UnidentifiedImageError as error:
        file.seek(0)
        head = file.read(16)
        if not head:
            reason = "the file is empty."
        elif head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and "HEIF" not in Image.OPEN:
            reason = _HEIF_ADVICE
        elif head[4:12] == b"ftypavif" and "AVIF" not in Image.OPEN:
            reason = "the file is in the format AVIF, which Pillow reads from version 11.3 on."
        else:
            reason = (
                f"cannot identify the image: it must be of a format in the parameter formats, "
                f"{', '.join(formats)}, got another one or a damaged file. "
                "If Pillow reads its format, add the name to formats."
            )
        raise ValueError(reason) from error
