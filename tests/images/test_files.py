"""Files that ImageVectorizer opens or refuses: formats, bombs, pipes, invalid data."""

import io
import os
import signal
import socket
import struct
import warnings
import zlib

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image, ImageOps, PngImagePlugin, features
from PIL.JpegImagePlugin import JpegImageFile
from sklearn.datasets import load_sample_images

from skdnn import ImageVectorizer

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def random_levels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def seen_pixels(image, **parameters):
    """Return the pixels of one image as the vectorizer reads it, in 0..255."""
    parameters = {"size": None, "scale": None, "dtype": "uint8"} | parameters
    vectorizer = ImageVectorizer(**parameters)
    return vectorizer.inverse_transform(vectorizer.fit_transform([image]))[0]


def saved(image, name, **options):
    file = io.BytesIO()
    image.save(file, name, **options)
    return file


def written(path, data):
    path.write_bytes(data)
    return path


def assert_refused(image, error, message, **parameters):
    """Check that both methods refuse X[1] with its name and one of four types of error."""
    good = random_levels(4, 6, 3)
    fitted = ImageVectorizer(size=(6, 4), **parameters).fit([good])
    with pytest.raises(error, match=rf"(?s)Cannot read X\[1\].*{message}") as caught:
        fitted.transform([good, image])
    assert caught.type is error
    assert caught.value.__cause__ is not None
    with pytest.raises(error, match=rf"(?s)Cannot read X\[0\].*{message}"):
        ImageVectorizer(**parameters).fit([image])


@pytest.fixture
def no_waiting():
    """Fail a test that blocks."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits for a file that does not end"))
    signal.alarm(10)
    yield
    signal.alarm(0)


# --- Formats ---------------------------------------------------------------------------------


@pytest.fixture
def ghostscript_ran(tmp_path, monkeypatch):
    """Put a gs on the path that leaves a trace; yield the function that checks for it."""
    trace, program = tmp_path / "ran", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {trace}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    return trace.exists


@pytest.mark.parametrize("name", ["photo.png", "photo.eps", "photo"])
def test_no_program_runs_for_postscript_content(name, tmp_path, ghostscript_ran):
    path = written(tmp_path / name, POSTSCRIPT)
    assert_refused(path, ValueError, f"{name}'.*parameter formats, JPEG, .*add the name to formats")
    assert_refused(io.BytesIO(POSTSCRIPT), ValueError, "parameter formats")
    with Image.open(path) as image:
        assert_refused(image, ValueError, f"{name}'.*not loaded .* got EPS")
    assert not ghostscript_ran()


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_the_trace_of_ghostscript_works(ghostscript_ran):
    with pytest.raises(OSError, match=r"\S"):
        Image.open(io.BytesIO(POSTSCRIPT)).load()
    assert ghostscript_ran()


@pytest.mark.parametrize(
    "name", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "MPO"]
)
def test_photo_formats_are_opened(name):
    if name == "AVIF" and not ("avif" in features.modules and features.check("avif")):
        pytest.skip("Pillow without AVIF")
    file = saved(Image.fromarray(random_levels(16, 24, 3)), name)
    with Image.open(file) as image:
        np.testing.assert_array_equal(seen_pixels(file), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("wider", [["TGA", "PNG"], ("tga",)])
def test_formats_can_be_added(wider):
    pixels = random_levels(4, 6, 3)
    file = saved(Image.fromarray(pixels), "TGA")
    assert_refused(file, ValueError, "formats")
    np.testing.assert_array_equal(seen_pixels(file, formats=wider), pixels)


def test_formats_can_be_removed(tmp_path):
    jpeg = saved(Image.fromarray(random_levels(4, 6, 3)), "JPEG").getvalue()
    path = written(tmp_path / "photo.png", jpeg)
    assert_refused(path, ValueError, r"photo\.png'.*formats, PNG, GIF, got", formats=("PNG", "GIF"))


def test_a_loaded_image_of_another_format_is_accepted():
    pixels = random_levels(4, 6, 3)
    with Image.open(saved(Image.fromarray(pixels), "TGA")) as image:
        assert_refused(image, ValueError, "got TGA. Call its method load")
        image.load()
        np.testing.assert_array_equal(seen_pixels(image), pixels)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"])
def test_heic_without_the_plugin_is_an_error_that_says_what_to_install(
    brand, tmp_path, monkeypatch
):
    Image.init()
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    path = written(tmp_path / "photo.jpg", b"\0\0\0\x18ftyp" + brand + bytes(40))
    assert_refused(path, ValueError, "photo.jpg'.*pip install pillow-heif.*register_heif_opener")


def test_heic_is_read_with_a_registered_plugin(monkeypatch):
    pixels = random_levels(4, 6, 3)

    def read(file, name):
        file.seek(12)
        return PngImagePlugin.PngImageFile(io.BytesIO(file.read()), name)

    monkeypatch.setitem(Image.OPEN, "HEIF", (read, lambda head: head[4:12] == b"ftypheic"))
    png = saved(Image.fromarray(pixels), "PNG").getvalue()
    np.testing.assert_array_equal(seen_pixels(io.BytesIO(b"\0\0\0\x18ftypheic" + png)), pixels)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"formats": "JPEG"}, TypeError, "formats must be a tuple or list .* got 'JPEG'"),
        ({"formats": None}, TypeError, "formats must be .* got None"),
        ({"formats": ("JPEG", 3)}, TypeError, "formats must be .* got"),
        ({"formats": ()}, ValueError, r"formats must be .* got \(\)"),
        ({"formats": ("JPEG", "XYZ")}, ValueError, r"formats .* \['XYZ'\] are unknown"),
        ({"max_pixels": 0}, ValueError, "max_pixels must be a whole number above 0, .* got 0"),
        ({"max_pixels": -1}, ValueError, "max_pixels must be .* got -1"),
        ({"max_pixels": "all"}, ValueError, "max_pixels must be .* got 'all'"),
        ({"max_pixels": 1e6}, TypeError, "max_pixels must be .* got 1000000.0"),
        ({"max_pixels": True}, TypeError, "max_pixels must be .* got True"),
        ({"mode": np.array(["RGB"])}, TypeError, "mode must be 'RGB' or 'L', got array"),
        ({"scale": np.array([1, 2])}, TypeError, "scale must be 'unit' or None, got array"),
    ],
)
def test_invalid_parameters_are_errors_in_fit(parameters, error, message):
    with pytest.raises(error, match=message):
        ImageVectorizer(**parameters).fit([random_levels(4, 6, 3)])


def test_a_size_too_large_for_memory_is_an_error_that_names_it():
    image = random_levels(4, 6, 3)
    vectorizer = ImageVectorizer(size=(2**40, 2**40)).fit([image])
    with pytest.raises(MemoryError, match=r"m=1 images of size=\(1099511627776, 1099511627776\)"):
        vectorizer.transform([image])


# --- Bombs -----------------------------------------------------------------------------------


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width, height):
    """Return the beginning of a PNG that declares a size, without pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"")


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_max_pixels_applies_to_every_kind_of_source(name, tmp_path):
    file = saved(Image.fromarray(random_levels(4, 6, 3)), name)
    path = written(tmp_path / "photo", file.getvalue())
    message = "at most 23 pixels because of the parameter max_pixels=23, got 6 × 4 = 24"
    with Image.open(path) as lazy, path.open("rb") as opened:
        for source in (path, str(path), file, opened, lazy):
            assert seen_pixels(source, max_pixels=24).shape == (4, 6, 3)
    with Image.open(path) as lazy, path.open("rb") as opened:
        for source in (path, str(path), file, opened, lazy):
            assert_refused(source, ValueError, message, max_pixels=23)
        assert lazy.tile or name == "WEBP"  # not decoded


@pytest.mark.parametrize("width", [10_000, 60_000, 2**31 - 1])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_by_its_header(width, tmp_path):
    path = written(tmp_path / "bomb.png", bomb(width, 10_000))
    assert_refused(path, ValueError, rf"bomb\.png'.*pixels.*max_pixels='auto'.*{width}")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_max_pixels_auto_is_pillows_limit_and_none_twice_as_much(monkeypatch):
    file = saved(Image.fromarray(random_levels(10, 15, 3)), "PNG")
    assert seen_pixels(file).shape == (10, 15, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 149)
    with pytest.raises(ValueError, match=r"at most 149 pixels.*max_pixels='auto'"):
        seen_pixels(file)
    for wider in (None, 150, 10**30):
        assert seen_pixels(file, max_pixels=wider).shape == (10, 15, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 74)
    with pytest.raises(ValueError, match=r"max_pixels=None or twice PIL.Image.MAX_IMAGE_PIXELS=74"):
        seen_pixels(file, max_pixels=None)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert seen_pixels(file).shape == (10, 15, 3)


def test_a_decompression_bomb_in_a_text_chunk_is_refused():
    whole = saved(Image.fromarray(random_levels(4, 6, 3)), "PNG").getvalue()
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000)))
    assert_refused(io.BytesIO(whole[:33] + text + whole[33:]), ValueError, "[Tt]oo [Ll]arge")


# --- Reduced decoding ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photograph():
    photo = Image.fromarray(load_sample_images().images[0])
    return photo.resize((1283, 857), Image.Resampling.BICUBIC)  # not a multiple of 8


@pytest.fixture
def decoded_sizes(monkeypatch):
    """Record the size at which each JPEG is decoded."""
    sizes = []

    def load(self, load_image=JpegImageFile.load):
        sizes.append(self.size)
        return load_image(self)

    monkeypatch.setattr(JpegImageFile, "load", load)
    return sizes


def rotated(image, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, "JPEG", exif=exif, **options)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_large_jpegs_decoded_at_reduced_size_look_the_same(
    orientation, mode, photograph, decoded_sizes
):
    file = rotated(photograph, orientation)
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert(mode)
    in_full = np.asarray(upright.resize((30, 20), Image.Resampling.BILINEAR)).astype(int)
    decoded_sizes.clear()
    difference = np.abs(in_full - seen_pixels(file, size=(30, 20), mode=mode))
    assert decoded_sizes[-1] == (321, 215)
    assert difference.max() <= 6
    assert difference.mean() < 0.5


@pytest.mark.parametrize(
    ("size", "decoded"), [((320, 200), 1283), ((100, 80), 642), ((53, 50), 321), ((9, 9), 161)]
)
def test_a_jpeg_is_decoded_at_four_times_the_size_or_more(size, decoded, photograph, decoded_sizes):
    seen_pixels(saved(photograph, "JPEG"), size=size)
    assert decoded_sizes[-1][0] == decoded
    assert decoded >= 4 * size[0]


def test_without_a_size_jpegs_are_decoded_in_full(photograph):
    file = saved(photograph, "JPEG")
    with Image.open(file) as image:
        np.testing.assert_array_equal(seen_pixels(file), np.asarray(image))


def test_a_lazily_opened_image_is_not_decoded_at_reduced_size(photograph):
    with Image.open(saved(photograph, "JPEG")) as image:
        seen_pixels(image, size=(9, 9))
        assert image.size == np.asarray(image).shape[1::-1] == (1283, 857)


# --- What is no regular file -----------------------------------------------------------------


@pytest.fixture
def odd_paths(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.png"))
        yield tmp_path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", ["pipe.png", "link.png", "socket.png", "/dev/zero", "/dev/null"])
def test_pipes_sockets_and_devices_are_errors_at_once(name, odd_paths):
    for path in (odd_paths / name, str(odd_paths / name)):
        assert_refused(path, ValueError, f"{name}'.*a regular file, got a pipe, a socket or a dev")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_folder_is_an_error(odd_paths):
    assert_refused(odd_paths / "folder.png", ValueError, r"folder\.png'.*got a folder")
    assert_refused(str(odd_paths), ValueError, "got a folder")


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("", FileNotFoundError, "No such file"),
        ("\0", ValueError, "null"),
        ("https://example.org/photo.jpg", ValueError, "photo.jpg'.*a URL is not fetched"),
        ("no\nline.png", FileNotFoundError, r"'no\\nline\.png'"),
        ("x" * 5000, ValueError, "too long"),
    ],
)
def test_strings_that_are_not_paths_are_errors(path, error, message):
    assert_refused(path, error, message)


@pytest.mark.usefixtures("no_waiting")
def test_streams_are_errors_at_once():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as other_end:
        assert_refused(stream, ValueError, r"seekable, got a stream\. Pass io\.BytesIO")
        assert_refused(other_end, ValueError, "not readable")


def test_closed_files_and_text_files_are_errors(tmp_path):
    path = written(tmp_path / "photo.png", saved(Image.new("RGB", (6, 4)), "PNG").getvalue())
    with (
        path.open(encoding="utf-8") as text,
        path.open("rb") as closed,
        path.open("wb", buffering=0) as writing,
    ):
        assert_refused(text, TypeError, "photo.png'.*binary mode, 'rb', got one open in text mode")
        assert_refused(writing, ValueError, "for reading, got one that is not readable")
        closed.close()
        assert_refused(closed, ValueError, "photo.png'.*must be open, got a closed one")
    assert_refused(io.StringIO("x"), TypeError, "binary mode")


class Wrapped:
    """An open file with only the methods that Pillow uses."""

    def __init__(self, file):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def test_any_object_with_read_and_seek_is_accepted_as_a_file():
    pixels = random_levels(4, 6, 3)
    file = Wrapped(saved(Image.fromarray(pixels), "PNG"))
    np.testing.assert_array_equal(seen_pixels(file), pixels)


# --- Errors ----------------------------------------------------------------------------------


class Raising:
    """An image that raises errors when it is read and when its name is."""

    def __init__(self, raising):
        self.raising = raising

    @property
    def name(self):
        raise RuntimeError

    def __array__(self, *args, **options):
        self.raising()


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("raising", "error", "message"),
    [
        (lambda: np.empty(10**15), MemoryError, "Unable to allocate"),
        (lambda: b"\xff".decode(), ValueError, "codec can't decode"),
        (lambda: fail(OSError(5, "broken", "disk")), ValueError, "broken"),
        (lambda: fail(KeyError("plane")), ValueError, "plane"),
        (lambda: fail(FileNotFoundError(2, "gone", "b")), FileNotFoundError, "gone"),
        (lambda: fail(SyntaxError()), ValueError, "None"),
        (lambda: fail(MemoryError()), MemoryError, ": MemoryError"),
        (lambda: fail(RecursionError("deep")), ValueError, "deep"),
    ],
)
def test_errors_of_readers_become_one_of_four_types(raising, error, message):
    assert_refused(Raising(raising), error, message)


def test_closed_pillow_images_are_errors():
    file = saved(Image.fromarray(random_levels(4, 6, 3)), "PNG")
    left, closed, loaded, of_closed_file = (Image.open(io.BytesIO(file.getvalue())) for _ in "1234")
    with left:
        pass
    loaded.load()
    loaded.close()
    closed.close()
    of_closed_file.fp.close()
    for image in (left, closed, loaded, of_closed_file):
        assert_refused(image, ValueError, "closed")


# --- Arrays and lists ------------------------------------------------------------------------


def test_channels_first_is_an_error_that_says_how_to_move_them():
    images = random_levels(2, 8, 6, 3)
    first = np.moveaxis(images, -1, 1)
    assert_refused(first[0], ValueError, r"channels come last: np\.moveaxis\(image, 0, -1\)")
    for X in (first, first[:, :1], torch.from_numpy(first.copy())):
        with pytest.raises(ValueError, match=r"come last, got .*: np\.moveaxis\(X, 1, -1\)"):
            ImageVectorizer().fit(X)
    back = np.moveaxis(first, 1, -1)
    np.testing.assert_array_equal(seen_pixels(back[0]), images[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_slightly_outside_the_range_are_clipped(dtype):
    image = np.array([[-1e-7, -0.0019, 0.5, 1 + 1e-6, 1.0019]]).astype(dtype)
    np.testing.assert_array_equal(seen_pixels(image, mode="L"), [[0, 0, 128, 255, 255]])
    for value in (-0.003, 1.003, 1.5, np.nan, np.inf, -np.inf):
        assert_refused(np.full((4, 6), value, dtype), ValueError, r"must be in 0\.\.1, got")


def test_tensors_are_accepted_as_arrays():
    images = random_levels(5, 8, 6, 3)
    expected = ImageVectorizer().fit_transform(images)
    for X in (torch.from_numpy(images), list(torch.from_numpy(images))):
        np.testing.assert_array_equal(ImageVectorizer().fit_transform(X), expected)


def test_tensors_that_numpy_cannot_convert_are_errors():
    tensor = torch.zeros(5, 8, 6, requires_grad=True)
    assert_refused(tensor[0], ValueError, "detach")
    with pytest.raises(TypeError, match=r"X must be .* got Tensor: .*detach"):
        ImageVectorizer().fit(tensor)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (b"\x89PNG", TypeError, r"not be bytes: pass io\.BytesIO\(data\)"),
        (np.bytes_(b"photo.png"), TypeError, "not be bytes"),
        (bytearray(3), TypeError, "got bytearray"),
        (np.full((4, 6), "a"), TypeError, "whole numbers or floats, got <U1"),
        (np.full((4, 6), None), TypeError, "whole numbers or floats, got object"),
        (np.full((4, 6), 2**64 - 1, np.uint64), ValueError, "got 18446744073709551615"),
        (np.ma.masked_equal(np.zeros((4, 6)), 0), ValueError, "not have masked values"),
        (np.array(3), ValueError, r"an array must be .* got \(\)"),
        (Image, TypeError, "got module"),
    ],
)
def test_other_objects_in_the_list_are_errors(image, error, message):
    assert_refused(image, error, message)


def polars_frame(paths):
    return pytest.importorskip("polars").DataFrame({"p": paths})


def polars_series(paths):
    return pytest.importorskip("polars").Series(paths)


@pytest.mark.parametrize("contain", [polars_series, pa.array, polars_frame])
def test_columns_of_polars_and_pyarrow_are_lists_of_paths(contain, tmp_path):
    images = random_levels(3, 4, 6, 3)
    paths = [str(tmp_path / f"{i}.png") for i in range(3)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    expected = ImageVectorizer().fit_transform(images)
    np.testing.assert_array_equal(ImageVectorizer().fit_transform(contain(paths)), expected)
    with pytest.raises(TypeError, match=r"X\[1\]: .* got NoneType"):
        ImageVectorizer().fit(images).transform(contain([paths[0], None]))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ((path for path in ["a.png"]), TypeError, "got generator"),
        ({0: "a.png"}, TypeError, "got dict"),
        (frozenset(["a.png"]), TypeError, "got frozenset"),
        (bytearray(b"a.png"), TypeError, "got bytearray"),
        (pa.table({"a": ["x.png"], "b": ["y.png"]}), ValueError, r"got shape \(1, 2\)"),
        (np.ma.masked_equal(np.zeros((2, 4, 6)), 0), ValueError, "not have masked values"),
    ],
)
def test_x_that_is_not_a_list_is_an_error(X, error, message):
    with pytest.raises(error, match=rf"X must .*{message}"):
        ImageVectorizer().fit(X)


# --- Damage and warnings ---------------------------------------------------------------------


def damaged(data, rng):
    """Cut, flip or overwrite bytes, most of them in the header."""
    data = bytearray(data)
    kind = rng.integers(3)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    for place in rng.integers(min(len(data), 150), size=4):
        data[place] = rng.integers(256) if kind == 1 else data[place] ^ (1 << rng.integers(8))
    return bytes(data)


def error_of(call):
    try:
        call()
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "PPM", "TIFF"])
def test_damaged_files_are_read_or_raise_an_error_with_their_name(name, tmp_path):
    whole = saved(Image.fromarray(random_levels(16, 24, 3)), name).getvalue()
    fitted = ImageVectorizer(max_pixels=10**6).fit([random_levels(4, 6, 3)])
    for seed in range(40):
        path = written(tmp_path / "photo", damaged(whole, np.random.default_rng(seed)))
        error = error_of(lambda path=path: fitted.transform([path]))
        assert error is None or type(error) is ValueError
        assert error is None or str(error).startswith(f"Cannot read X[0] ({str(path)!r}): ")


def with_damaged_exif(pixels):
    exif = Image.Exif()
    exif[0x010E] = 50 * "description "
    return saved(Image.fromarray(pixels), "JPEG", exif=exif.tobytes()[:-500], quality=95)


def test_an_image_with_damaged_metadata_is_read_with_the_warning_of_pillow():
    file = with_damaged_exif(random_levels(4, 6, 3))
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        with Image.open(file) as image:
            image.getexif()
            pixels = np.asarray(image)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(seen_pixels(file), pixels)
    assert {str(w.message) for w in caught} == {str(w.message) for w in expected}
    assert caught
