"""ImageVectorizer: order of the columns, kinds of images, errors, memory, scikit-learn."""

import gc
import io
import pickle
import struct
import tracemalloc
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_sample_images
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks, get_tags

from skdnn import ImageVectorizer

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def random_levels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def kept(**parameters):
    """Return a vectorizer that keeps pixel values."""
    return ImageVectorizer(**({"size": None, "scale": None, "dtype": "uint8"} | parameters))


def seen_pixels(image, **parameters):
    """Return one image as the vectorizer reads it."""
    vectorizer = kept(**parameters)
    return vectorizer.inverse_transform(vectorizer.fit_transform([image]))[0]


@pytest.fixture
def png(tmp_path):
    """Yield a function that saves random pixels as PNG."""

    def save(name, height=4, width=6, seed=0):
        path = tmp_path / name
        Image.fromarray(random_levels(height, width, 3, seed=seed)).save(path)
        return path

    return save


@pytest.fixture(scope="module")
def crops():
    """Cut 24 crops of 30 × 20 pixels from the two sample photographs; return them and y."""
    photos = load_sample_images().images
    corners = [(y, x) for y in (0, 100, 200, 300) for x in (0, 300, 600)]
    crops = [photo[y : y + 20, x : x + 30] for photo in photos for y, x in corners]
    return crops, np.repeat([0, 1], 12)


# --- The columns -----------------------------------------------------------------------------


def test_default_size_gives_40_rows_of_60_pixels_and_7200_columns():
    image = random_levels(40, 60, 3)
    vectorizer = ImageVectorizer().fit([image])
    assert vectorizer.size_ == (60, 40)
    assert vectorizer.n_features_out_ == 7200
    X = vectorizer.transform([image])
    assert X.shape == (1, 7200)
    np.testing.assert_array_equal(X[0], image.transpose(2, 0, 1).ravel() / np.float32(255))


def test_planes_order_flattens_each_plane_row_by_row():
    image = np.array([[[1, 11, 21], [2, 12, 22]], [[3, 13, 23], [4, 14, 24]]], dtype=np.uint8)
    expected = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24]
    np.testing.assert_array_equal(kept().fit_transform([image]), [expected])


def test_interleaved_order_is_a_plain_reshape():
    images = random_levels(5, 4, 6, 3)
    X = kept(order="interleaved").fit_transform(images)
    np.testing.assert_array_equal(X, images.reshape(5, -1))


@pytest.mark.parametrize("order", ["planes", "interleaved"])
def test_grey_mode_flattens_its_plane_row_by_row(order):
    images = random_levels(5, 4, 6)
    X = kept(mode="L", order=order).fit_transform(images)
    np.testing.assert_array_equal(X, images.reshape(5, 24))


@pytest.mark.parametrize("order", ["planes", "interleaved"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_feature_names_contain_plane_row_and_column(mode, order):
    plane_of = {"red": 0, "green": 1, "blue": 2, "grey": 0}
    image = random_levels(4, 6, 3) if mode == "RGB" else random_levels(4, 6)
    vectorizer = kept(mode=mode, order=order)
    row = vectorizer.fit_transform([image])[0]
    names = vectorizer.get_feature_names_out()
    assert names.dtype == object
    assert len(set(names)) == len(names) == image.size
    pixels = image.reshape(4, 6, -1)
    for name, value in zip(names, row, strict=True):
        plane, y, x = name.split("_")
        at = int(y.removeprefix("row")), int(x.removeprefix("column")), plane_of[plane]
        assert value == pixels[at], name


def test_feature_names_start_at_the_top_left():
    planes = kept().fit([random_levels(2, 3, 3)]).get_feature_names_out()
    assert list(planes[[0, 1, 3, 6]]) == [
        "red_row0_column0",
        "red_row0_column1",
        "red_row1_column0",
        "green_row0_column0",
    ]
    assert kept(mode="L").fit([random_levels(2, 3)]).get_feature_names_out()[0] == (
        "grey_row0_column0"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unit_scale_divides_by_255(dtype):
    every_level = np.arange(256, dtype=np.uint8).reshape(16, 16)
    X = ImageVectorizer(size=None, mode="L", dtype=dtype).fit_transform([every_level])
    assert X.dtype == dtype
    np.testing.assert_array_equal(X[0], (np.arange(256) / 255).astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_scale_none_keeps_the_pixel_values(dtype):
    every_level = np.arange(256, dtype=np.uint8).reshape(16, 16)
    X = kept(mode="L", dtype=dtype).fit_transform([every_level])
    assert X.dtype == dtype
    np.testing.assert_array_equal(X[0], np.arange(256))


# --- The way back ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["planes", "interleaved"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        ("unit", "float32"),
        ("unit", "float64"),
        (None, "float32"),
        (None, "float64"),
        (None, "uint8"),
    ],
)
def test_inverse_transform_is_exact_when_nothing_was_resized(order, mode, scale, dtype):
    # 256 pixels in each image, with every pixel value.
    images = np.stack([np.random.default_rng(i).permutation(256) for i in range(6)])
    images = images.astype(np.uint8).reshape(-1, 8, 32)
    if mode == "RGB":
        images = images.reshape(2, 3, 8, 32).transpose(0, 2, 3, 1)
    vectorizer = ImageVectorizer(None, mode, order, scale, dtype)
    back = vectorizer.inverse_transform(vectorizer.fit_transform(list(images)))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, images)


def test_inverse_transform_rounds_and_clips():
    vectorizer = ImageVectorizer(size=(5, 1), mode="L").fit([random_levels(1, 5)])
    back = vectorizer.inverse_transform([[-3e38, 0.4 / 255, 0.6 / 255, 1.1, 3e38]])
    np.testing.assert_array_equal(back, [[[0, 0, 1, 255, 255]]])


def test_inverse_transform_accepts_the_data_frame_of_set_output():
    images = random_levels(2, 4, 6, 3)
    vectorizer = ImageVectorizer(size=None).set_output(transform="pandas")
    X = vectorizer.fit_transform(images)
    assert list(X.columns) == list(vectorizer.get_feature_names_out())
    np.testing.assert_array_equal(vectorizer.inverse_transform(X), images)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 71)), "X must have 72 columns, got 71"),
        (np.zeros(72), "Expected 2D array"),
        (np.full((1, 72), np.nan), "NaN"),
    ],
)
def test_inverse_transform_of_another_matrix_is_an_error(X, message):
    vectorizer = ImageVectorizer(size=None).fit([random_levels(4, 6, 3)])
    with pytest.raises(ValueError, match=message):
        vectorizer.inverse_transform(X)


# --- Sizes -----------------------------------------------------------------------------------


def test_resizing_is_pillows_bilinear_filter():
    image = random_levels(37, 53, 3)
    by_hand = np.asarray(Image.fromarray(image).resize((10, 7), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(seen_pixels(image, size=(10, 7)), by_hand)


def test_downsizing_does_not_alias():
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (32, 32))
    inner = seen_pixels(stripes, size=(8, 8), mode="L")[:, 1:-1]
    assert np.all(np.abs(inner.astype(int) - 127.5) < 3)


def test_size_none_uses_the_size_of_the_first_image():
    assert kept().fit([random_levels(4, 6, 3), random_levels(9, 9, 3)]).size_ == (6, 4)


def test_size_none_with_an_image_of_another_size_is_an_error_that_names_it(png):
    paths = [png("a.png"), png("b.png"), png("odd.png", height=5)]
    vectorizer = kept().fit(paths)
    with pytest.raises(ValueError, match=r"6 × 4 pixels, got 6 × 5 for X\[2\] \('.*odd\.png'\)"):
        vectorizer.transform(paths)


# --- What an image may be --------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same_row(png):
    path = png("a.png")
    pixels = random_levels(4, 6, 3)
    with open(path, "rb") as file, Image.open(path) as opened:
        sources = [
            path,
            str(path),
            np.str_(path),
            file,
            io.BytesIO(path.read_bytes()),
            opened,
            Image.fromarray(pixels),
            pixels,
            pixels.astype(np.int64),
            np.asfortranarray(pixels),
        ]
        X = kept().fit_transform(sources)
        assert not file.closed
    expected = np.tile(pixels.transpose(2, 0, 1).ravel(), (len(sources), 1))
    np.testing.assert_array_equal(X, expected)


def test_an_open_file_can_be_read_again(png):
    with open(png("a.png"), "rb") as file:
        vectorizer = kept().fit([file])
        np.testing.assert_array_equal(vectorizer.transform([file]), vectorizer.transform([file]))


@pytest.mark.parametrize(
    "contain",
    [
        list,
        tuple,
        pd.Series,
        lambda paths: np.array(paths, dtype=object),
        lambda paths: np.array(paths, dtype=object)[:, np.newaxis],
        lambda paths: np.array([str(path) for path in paths]),
        lambda paths: pd.DataFrame({"path": [str(path) for path in paths]}),
    ],
)
def test_every_container_of_paths_gives_the_same_matrix(contain, png):
    paths = [png(f"{seed}.png", seed=seed) for seed in range(3)]
    expected = [random_levels(4, 6, 3, seed=i).transpose(2, 0, 1).ravel() for i in range(3)]
    np.testing.assert_array_equal(kept().fit_transform(contain(paths)), expected)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1)])
def test_a_grey_array_becomes_three_equal_planes(shape):
    image = random_levels(*shape)
    expected = np.repeat(image.reshape(4, 6, 1), 3, axis=2)
    np.testing.assert_array_equal(seen_pixels(image), expected)


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 4, 6, 1), (5, 4, 6, 3), (5, 4, 6, 4)])
def test_one_array_is_equivalent_to_a_list_of_its_images(shape):
    images = random_levels(*shape)
    np.testing.assert_array_equal(kept().fit_transform(images), kept().fit_transform(list(images)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_arrays_of_pixel_values_are_exact(dtype):
    levels = np.arange(256).reshape(16, 16)
    image = (levels / 255).astype(dtype)
    np.testing.assert_array_equal(seen_pixels(image, mode="L"), levels)


def test_float_arrays_are_rounded_to_the_nearest_pixel_value():
    image = np.array([[0.4, 0.6, 99.6, 100.4, 254.4, 254.6]]) / 255
    np.testing.assert_array_equal(seen_pixels(image, mode="L"), [[0, 1, 100, 100, 254, 255]])


def test_colour_is_converted_to_grey_by_the_usual_weights():
    image = random_levels(4, 6, 3)
    by_hand = image @ [0.299, 0.587, 0.114]
    assert np.abs(seen_pixels(image, mode="L") - by_hand).max() <= 1


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_orientation_is_applied(orientation, turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(random_levels(8, 16, 3)).save(tmp_path / "photo.jpg", exif=exif)
    with Image.open(tmp_path / "photo.jpg") as image:
        stored = np.asarray(image)
    np.testing.assert_array_equal(seen_pixels(tmp_path / "photo.jpg"), turn(stored))


def test_the_pillow_image_of_the_user_is_unchanged():
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(random_levels(8, 16, 3)).save(file, "JPEG", exif=exif)
    with Image.open(file) as image:
        kept(mode="L").fit_transform([image])
        assert (image.mode, image.size, image.getexif()[0x0112]) == ("RGB", (16, 8), 6)


def saved(image, suffix=".png", **options):
    """Save an image in a format, and return it as Pillow opens it."""
    file = io.BytesIO()
    image.save(file, suffix.removeprefix(".").upper(), **options)
    return file


def palette_image():
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    image.putpalette([*RED, *GREEN, *BLUE])
    return image


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(values, transparent=None):
    """Write a 16-bit grey PNG of one row by hand, with a transparent value or none."""
    header = struct.pack(">IIBBBBB", len(values), 1, 16, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(f">{len(values)}H", *values))
    key = b"" if transparent is None else png_chunk(b"tRNS", struct.pack(">H", transparent))
    chunks = png_chunk(b"IHDR", header) + key + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunks)


def test_palette_images_are_converted_to_their_colours():
    np.testing.assert_array_equal(seen_pixels(saved(palette_image())), [[RED, GREEN, BLUE]])


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_transparent_palette_entries_become_white(transparency):
    file = saved(palette_image(), transparency=transparency)
    np.testing.assert_array_equal(seen_pixels(file), [[RED, WHITE, BLUE]])


def test_transparent_pixels_are_placed_over_white():
    colours = random_levels(16, 16, 3).astype(float)
    alpha = np.arange(256).reshape(16, 16, 1)
    rgba = np.concatenate([colours, alpha], axis=2).astype(np.uint8)
    over_white = (colours * alpha + 255.0 * (255 - alpha)) / 255
    for source in (rgba, Image.fromarray(rgba), saved(Image.fromarray(rgba))):
        seen = seen_pixels(source)
        assert np.abs(seen - over_white).max() <= 1
        np.testing.assert_array_equal(seen[0, 0], WHITE)
        np.testing.assert_array_equal(seen[15, 15], colours[15, 15])


def test_transparent_grey_is_placed_over_white():
    image = Image.merge("LA", [Image.new("L", (2, 1), 100), Image.new("L", (2, 1), 0)])
    image.putpixel((1, 0), (100, 255))
    np.testing.assert_array_equal(seen_pixels(saved(image), mode="L"), [[255, 100]])


def test_black_and_white_images_become_0_and_255():
    image = Image.fromarray(np.array([[True, False]]))
    assert image.mode == "1"
    np.testing.assert_array_equal(seen_pixels(saved(image), mode="L"), [[255, 0]])


def test_cmyk_images_become_rgb():
    image = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    np.testing.assert_array_equal(seen_pixels(saved(image, ".tiff")), np.full((2, 2, 3), RED))
    assert np.abs(seen_pixels(image, mode="L") - 76.0).max() <= 1


def test_16_bit_grey_is_scaled_to_8_bits_and_not_clipped():
    values = [0, 128, 129, 257 * 100, 40000, 65535]
    expected = [[0, 0, 1, 100, 156, 255]]
    np.testing.assert_array_equal(seen_pixels(deep_png(values), mode="L"), expected)
    wide = Image.fromarray(np.array([values], dtype=np.int32))
    assert wide.mode == "I"
    np.testing.assert_array_equal(seen_pixels(wide, mode="L"), expected)
    np.testing.assert_array_equal(seen_pixels(wide), np.stack(3 * [expected], axis=2))


def test_the_transparent_value_of_16_bit_grey_becomes_white():
    file = deep_png([0, 300, 301], transparent=300)
    np.testing.assert_array_equal(seen_pixels(file, mode="L"), [[0, 255, 1]])


def test_float_images_are_scaled_from_0_to_1():
    image = Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32))
    assert image.mode == "F"
    np.testing.assert_array_equal(seen_pixels(image, mode="L"), [[0, 128, 255]])


def animation():
    frames = [Image.new("RGB", (2, 2), colour) for colour in (RED, BLUE)]
    return saved(frames[0], ".gif", save_all=True, append_images=frames[1:])


def test_the_first_frame_of_an_animation_is_used():
    np.testing.assert_array_equal(seen_pixels(animation()), np.full((2, 2, 3), RED))


def test_an_open_pillow_image_stays_open(tmp_path):
    path = tmp_path / "animation.gif"
    path.write_bytes(animation().getvalue())
    with Image.open(path) as image:
        kept().fit_transform([image])
        image.seek(1)
        np.testing.assert_array_equal(seen_pixels(image), np.full((2, 2, 3), BLUE))


# --- What is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"size": (0, 40)}, ValueError, r"size must be None or .* got \(0, 40\)"),
        ({"size": (60,)}, ValueError, r"size must be None or .* got \(60,\)"),
        ({"size": (60.0, 40)}, TypeError, r"size must be None or .* got \(60.0, 40\)"),
        ({"size": 60}, TypeError, "size must be None or .* got 60"),
        ({"size": "60x40"}, TypeError, "size must be None or .* got '60x40'"),
        ({"mode": "CMYK"}, ValueError, "mode must be 'RGB' or 'L', got 'CMYK'"),
        ({"mode": 3}, TypeError, "mode must be 'RGB' or 'L', got 3"),
        ({"order": "F"}, ValueError, "order must be 'planes' or 'interleaved', got 'F'"),
        ({"order": ["planes"]}, TypeError, r"order must be .* got \['planes'\]"),
        ({"scale": "log"}, ValueError, "scale must be 'unit' or None, got 'log'"),
        ({"scale": 255}, TypeError, "scale must be 'unit' or None, got 255"),
        ({"dtype": "int8"}, ValueError, "dtype must be 'float32' or .* got 'int8'"),
        ({"dtype": None}, TypeError, "dtype must be 'float32' or .* got None"),
        ({"dtype": "uint8"}, ValueError, "dtype 'uint8' needs scale=None, got scale='unit'"),
    ],
)
def test_invalid_parameters_are_errors_in_fit(parameters, error, message):
    vectorizer = ImageVectorizer(**parameters)
    with pytest.raises(error, match=message):
        vectorizer.fit([random_levels(4, 6, 3)])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("photo.png", TypeError, r"got str\. A single image goes into a list: \[image\]"),
        (b"photo.png", TypeError, "got bytes"),
        (Image.new("RGB", (6, 4)), TypeError, "got Image"),
        (io.BytesIO(), TypeError, "got BytesIO"),
        (iter(["photo.png"]), TypeError, "got list_iterator"),
        ({"photo.png"}, TypeError, "got set"),
        (None, TypeError, "got NoneType"),
        (random_levels(4, 6), ValueError, r"got shape \(4, 6\) .* A single image"),
        (random_levels(4, 6, 1), ValueError, r"got shape \(4, 6, 1\)"),
        (random_levels(4, 6, 3), ValueError, r"got shape \(4, 6, 3\)"),
        (random_levels(4, 6, 4), ValueError, r"got shape \(4, 6, 4\)"),
        (random_levels(6), ValueError, r"got shape \(6,\)"),
        (random_levels(2, 2, 4, 6, 3), ValueError, r"got shape \(2, 2, 4, 6, 3\)"),
        (np.full((3, 2), "photo.png"), ValueError, r"got shape \(3, 2\)"),
        (pd.DataFrame({"a": ["x.png"], "b": ["y.png"]}), ValueError, r"got shape \(1, 2\)"),
        ([], ValueError, "at least one image"),
        (np.empty((0, 4, 6, 3)), ValueError, "at least one image"),
    ],
)
def test_anything_but_a_list_of_images_is_an_error(X, error, message):
    for method in (ImageVectorizer().fit, fitted().transform):
        with pytest.raises(error, match=message):
            method(X)


def fitted():
    return kept(size=(6, 4)).fit([random_levels(4, 6, 3)])


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (7, TypeError, "an image must be a path, .* got int"),
        (None, TypeError, "got NoneType"),
        (float("nan"), TypeError, "got float"),
        ([[1, 2]], TypeError, "got list"),
        (random_levels(6), ValueError, r"an array must be .* got \(6,\)"),
        (random_levels(3, 4, 6), ValueError, r"an array must be .* got \(3, 4, 6\)"),
        (random_levels(4, 0, 3), ValueError, "has no pixels"),
        (np.full((4, 6), 256), ValueError, r"values of int64 must be in 0\.\.255, got 256 to 256"),
        (np.full((4, 6), -1), ValueError, r"in 0\.\.255, got -1"),
        (np.full((4, 6), 1.5), ValueError, r"values of float64 must be in 0\.\.1, got 1\.5"),
        (np.full((4, 6), -0.1), ValueError, r"in 0\.\.1, got -0\.1"),
        (np.full((4, 6), np.nan), ValueError, r"in 0\.\.1, got nan"),
        (np.zeros((4, 6), dtype=bool), TypeError, "whole numbers or floats, got bool"),
        (np.zeros((4, 6), dtype=complex), TypeError, "whole numbers or floats, got complex128"),
        (Image.new("I", (6, 4), 65536), ValueError, r"in 0\.\.65535, got 65536"),
        (Image.new("F", (6, 4), 200.0), ValueError, r"in 0\.\.1, got 200\.0"),
        (Image.new("RGB", (0, 4)), ValueError, "has no pixels"),
    ],
)
def test_an_item_that_is_not_an_image_is_an_error_with_its_index(image, error, message):
    with pytest.raises(error, match=rf"X\[1\]: .*{message}"):
        fitted().transform([random_levels(4, 6, 3), image])


def broken_files():
    jpeg = saved(Image.fromarray(random_levels(64, 64, 3)), ".jpeg").getvalue()
    whole = saved(Image.fromarray(random_levels(64, 64, 3))).getvalue()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    return {
        "empty": b"",
        "text": b"no image at all",
        "truncated-jpeg": jpeg[: len(jpeg) // 2],
        "truncated-png": whole[: len(whole) // 2],
        "header-only": whole[:20],
        "flipped-byte": bytes(flipped),
    }


@pytest.mark.parametrize(("name", "data"), broken_files().items(), ids=list(broken_files()))
def test_a_broken_file_is_an_error_that_names_it(name, data, tmp_path):
    path = tmp_path / f"{name}.img"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"Cannot read X\[1\] \('.*{name}\.img'\): \S"):
        fitted().transform([random_levels(4, 6, 3), path])
    with path.open("rb") as file, pytest.raises(ValueError, match=rf"X\[0\] \('.*{name}\.img'\)"):
        fitted().transform([file])


def test_a_broken_lazily_opened_image_is_named_in_the_error(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(broken_files()["truncated-jpeg"])
    with Image.open(path) as image, pytest.raises(ValueError, match=r"X\[0\] \('.*broken\.jpg'\)"):
        fitted().transform([image])


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"X\[1\] \('.*gone\.png'\): .*No such file"):
        fitted().transform([random_levels(4, 6, 3), tmp_path / "gone.png"])
    with pytest.raises(FileNotFoundError, match=r"X\[0\] \('.*gone\.png'\)"):
        ImageVectorizer().fit([str(tmp_path / "gone.png")])


def test_a_directory_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match=rf"X\[0\] \('.*{tmp_path.name}'\)"):
        fitted().transform([tmp_path])


def test_pillows_settings_are_unchanged(png):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    fitted().transform([png("a.png")])
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_methods_raise_not_fitted_error_before_fit():
    vectorizer = ImageVectorizer()
    for call in (
        lambda: vectorizer.transform([random_levels(4, 6, 3)]),
        lambda: vectorizer.inverse_transform(np.zeros((1, 7200))),
        vectorizer.get_feature_names_out,
    ):
        with pytest.raises(NotFittedError):
            call()


# --- Memory ----------------------------------------------------------------------------------


def test_numpy_memory_is_the_output_plus_a_few_images():
    images = np.random.default_rng(0).random((60, 150, 200, 3))
    vectorizer = ImageVectorizer(size=(20, 15)).fit(images)
    tracemalloc.start()
    X = vectorizer.transform(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert X.nbytes <= peak < X.nbytes + 4 * images[0].nbytes


def test_few_pillow_images_are_alive_at_a_time(png, monkeypatch):
    paths = [png(f"{i}.png") for i in range(15)]
    vectorizer = kept().fit(paths)
    counts = []

    def counting_open(*args, open_image=Image.open, **options):
        counts.append(sum(issubclass(type(o), Image.Image) for o in gc.get_objects()))
        return open_image(*args, **options)

    gc.freeze()  # existing objects need not be scanned for each image
    monkeypatch.setattr(Image, "open", counting_open)
    vectorizer.transform(paths)
    assert len(counts) == 15
    assert max(counts) - counts[0] <= 4


def test_files_are_closed(tmp_path, monkeypatch):
    path, opened = tmp_path / "animation.gif", []
    path.write_bytes(animation().getvalue())

    def remembering_open(*args, open_image=Image.open, **options):
        opened.append(open_image(*args, **options))
        return opened[-1]

    monkeypatch.setattr(Image, "open", remembering_open)
    fitted().transform([path, path])
    assert [image.fp for image in opened] == [None, None]


# --- scikit-learn ----------------------------------------------------------------------------


# The common checks without a matrix; check_estimator skips estimators without 2-D input.
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
)
def test_scikit_learns_checks_of_parameters_and_tags_pass(check):
    check("ImageVectorizer", ImageVectorizer())


def test_tags_describe_the_accepted_input():
    tags = get_tags(ImageVectorizer())
    assert tags.requires_fit
    assert not tags.target_tags.required
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.one_d_array
    assert tags.input_tags.string
    assert tags.input_tags.three_d_array
    assert tags.transformer_tags.preserves_dtype == []


def test_clone_copies_parameters_but_not_the_fitted_state():
    vectorizer = kept(order="interleaved").fit([random_levels(4, 6, 3)])
    copy = clone(vectorizer)
    assert copy.get_params() == vectorizer.get_params()
    assert not hasattr(copy, "size_")


def test_pickling_keeps_the_fitted_state():
    images = random_levels(3, 4, 6, 3)
    vectorizer = ImageVectorizer(size=None).fit(images)
    copy = pickle.loads(pickle.dumps(vectorizer))
    np.testing.assert_array_equal(copy.transform(images), vectorizer.transform(images))


def test_pandas_output_has_feature_names_and_index(png):
    paths = pd.DataFrame({"path": [png("a.png"), png("b.png", seed=1)]}, index=["first", "second"])
    X = kept().set_output(transform="pandas").fit_transform(paths)
    assert list(X.index) == ["first", "second"]
    assert X.loc["second", "blue_row3_column5"] == random_levels(4, 6, 3, seed=1)[3, 5, 2]


@pytest.mark.parametrize("columns", ["path", ["path"]])
def test_column_transformer_passes_it_a_column(columns, png):
    table = pd.DataFrame({"path": [str(png("a.png")), str(png("b.png", seed=1))], "age": [1, 2]})
    transformer = ColumnTransformer([("image", kept(), columns)], remainder="passthrough")
    X = transformer.fit_transform(table)
    assert X.shape == (2, 73)
    np.testing.assert_array_equal(X[1, :72], random_levels(4, 6, 3, seed=1).transpose(2, 0, 1).flat)
    assert transformer.get_feature_names_out()[0] == "image__red_row0_column0"


def test_a_pipeline_with_a_classifier_fits_and_predicts(crops):
    images, y = crops
    model = make_pipeline(ImageVectorizer(size=(6, 4)), LogisticRegression(C=100)).fit(images, y)
    assert model.score(images, y) > 0.9
    assert model[:-1].get_feature_names_out()[-1] == "blue_row3_column5"


def test_grid_search_over_size(crops):
    images, y = crops
    model = make_pipeline(ImageVectorizer(), LogisticRegression())
    grid = {"imagevectorizer__size": [(1, 1), (6, 4), None]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(images, y)
    assert search.best_score_ > 0.7
    n_features = search.best_estimator_[-1].n_features_in_
    width, height = search.best_params_["imagevectorizer__size"] or (30, 20)
    assert n_features == width * height * 3
