"""The main job, examples/plot_6_flower.py: its pieces, and the whole of it in a fresh process."""

import os
import sys
from pathlib import Path
from types import ModuleType

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

import skdnn

EXAMPLE = Path(__file__).parents[1] / "examples" / "plot_6_flower.py"
ORANGE, DARK_GREEN, ORANGE_GREY = (240, 150, 80), (10, 50, 40), (150, 140, 130)


def load_pieces():
    """Return as a module what the example defines before it looks at its arguments."""
    source = EXAMPLE.read_text(encoding="utf-8")
    definitions, _ = source.split("# %%\n# The photographs of this run\n")
    module = ModuleType("plot_6_flower")
    exec(compile(definitions, EXAMPLE, "exec"), vars(module))
    return module


example = load_pieces()


@pytest.fixture(scope="module")
def photos():
    return example.load_bundled_photographs()


@pytest.fixture(scope="module")
def patches(photos):
    return {name: example.prepare_patches(name, photo) for name, photo in photos.items()}


def make_photos(n_each, height=40, width=50, noise=0):
    """Return photographs of discs and of stripes, in random colours, and which are which."""
    rng = np.random.default_rng(0)
    y, x = np.indices((height, width))
    disc = np.hypot(y - height / 2, x - width / 2) < height / 3
    shapes = [disc, x % 10 < 5]
    images = np.empty((2 * n_each, height, width, 3), np.uint8)
    for k, image in enumerate(images):
        low, high = rng.integers(0, 100, 3), rng.integers(150, 256, 3)
        plain = np.where(shapes[k % 2][..., None], high, low)
        image[...] = np.clip(rng.normal(plain, noise), 0, 255)
    return images, np.arange(2 * n_each) % 2 == 0


def save_photos(folder, names, n_each, **options):
    images, is_first = make_photos(n_each, **options)
    for name, rows in zip(names, (is_first, ~is_first), strict=True):
        (folder / name).mkdir(parents=True)
        for k, image in enumerate(images[rows]):
            Image.fromarray(image).save(folder / name / f"{k}.png")
    return folder


# The pieces


def test_patches_are_windows_of_the_photograph(photos):
    photo = photos["china"]
    images, corners = example.cut_patches(photo, stride=35)
    assert images.shape == (12 * 17, 40, 60, 3)
    assert corners[[0, 1, -1]].tolist() == [[0, 0], [0, 35], [385, 560]]
    for image, (row, column) in zip(images, corners, strict=True):
        np.testing.assert_array_equal(image, photo[row : row + 40, column : column + 60])


@pytest.mark.parametrize(
    ("name", "n_orange_rows", "label"),
    [
        ("flower", 40, "flower"),
        ("flower", 21, "flower"),
        ("flower", 20, "left out"),  # half is not more than half
        ("flower", 8, "left out"),  # a fifth is not less than a fifth
        ("flower", 7, "no flower"),
        ("flower", 0, "no flower"),
        ("china", 40, "no flower"),
    ],
)
def test_a_label_is_a_matter_of_petal_coloured_pixels(name, n_orange_rows, label):
    image = np.full((1, 40, 60, 3), DARK_GREEN, np.uint8)
    image[:, :n_orange_rows] = ORANGE
    assert example.label_patches(name, image) == [label]


def test_petals_are_orange_neither_green_nor_grey_nor_dark():
    pixels = np.array([ORANGE, DARK_GREEN, ORANGE_GREY, np.array(ORANGE) // 4])
    assert example.is_petal(pixels).tolist() == [True, False, False, False]


def test_the_rule_finds_the_dahlia_and_some_roof_tiles(photos):
    petals = example.is_petal(photos["flower"])
    assert petals[110:330, 220:400].mean() > 0.9
    assert petals[:80].mean() < 0.001
    images, _ = example.cut_patches(photos["china"])
    assert example.is_petal(images).mean(axis=(1, 2)).max() > 0.3
    assert set(example.label_patches("china", images)) == {"no flower"}


def test_blocks_hold_whole_patches():
    corners = np.array([[0, 0], [80, 140], [81, 0], [0, 141], [120, 200], [320, 740]])
    blocks = example.find_blocks(corners, shape=(360, 800, 3))
    assert blocks.tolist() == [[0, 0], [0, 0], [-1, 0], [0, -1], [1, 1], [2, 3]]


@pytest.mark.parametrize("name", ["flower", "china"])
def test_neither_test_nor_folds_share_a_pixel_with_training(name, photos, patches):
    _, corners, _, groups, part = patches[name]
    groups = np.where(part == "test", "test", groups)
    names = set(groups[part != "dropped"])
    assert len(names) == 3 * 3 + 1
    times_covered = np.zeros(photos[name].shape[:2], int)
    for group in names:
        covered = np.zeros_like(times_covered)
        for row, column in corners[(groups == group) & (part != "dropped")]:
            covered[row : row + 40, column : column + 60] = 1
        times_covered += covered
    assert times_covered.max() == 1


def test_the_task_has_both_classes_in_each_fold_and_in_the_test(patches):
    task = example.make_patch_task(patches.values())
    assert task.X_train.shape[1:] == task.X_test.shape[1:] == (40, 60, 3)
    folds = StratifiedGroupKFold(3).split(task.X_train, task.y_train, task.groups)
    for labels in [task.y_test, *(task.y_train[rows] for _, rows in folds)]:
        assert set(labels) == {"flower", "no flower"}


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (("flower", "other"), "flower"),
        (("cats", "dogs"), "dogs"),
        (("0", "1"), "1"),
    ],
)
def test_a_folder_becomes_a_task(tmp_path, names, positive):
    folder = save_photos(tmp_path, names, n_each=8)
    (folder / names[0] / "notes.txt").write_text("not a photograph")
    task = example.make_photo_task(folder)
    assert task.X_train.shape == (12, 96, 96, 3)
    assert task.X_test.shape == (4, 96, 96, 3)
    assert sorted(task.y_test) == sorted(2 * names)
    assert task.positive == positive


@pytest.mark.parametrize(
    ("labels", "positive"), [([0, 1], 1), ([1, 2], 1), ([-1, 1], 1), ([3, 4], 4), (["a", "b"], "b")]
)
def test_an_npz_becomes_a_task(tmp_path, labels, positive):
    X, is_first = make_photos(8)
    np.savez(tmp_path / "photos.npz", X=X, y=np.array(labels)[is_first.astype(int)])
    task = example.make_photo_task(tmp_path / "photos.npz")
    assert task.X_train.shape == (12, 40, 50, 3)
    assert task.positive == positive


def test_unfit_photographs_are_refused_in_plain_words(tmp_path):
    folder = save_photos(tmp_path / "photos", ["flower", "other"], n_each=2)
    (folder / "other" / "1.png").write_bytes(b"no photograph")
    with pytest.raises(ValueError, match=r"other.1\.png"):
        example.make_photo_task(folder)
    (folder / "third").mkdir()
    with pytest.raises(SystemExit, match=r"two sub-folders.*got flower, other, third"):
        example.make_photo_task(folder)
    with pytest.raises(SystemExit, match=r"folder or an \.npz file"):
        example.make_photo_task(tmp_path / "missing")
    np.savez(tmp_path / "one.npz", X=np.zeros((4, 8, 8, 3), np.uint8), y=[1, 1, 1, 1])
    with pytest.raises(SystemExit, match="two classes, got 1"):
        example.make_photo_task(tmp_path / "one.npz")


# The whole

# Fewer networks, in this process, save the time.
SHORTER = {"[0.0003, 0.001]": "[0.001]", "[2, 3, 4]": "[2]", "n_jobs=2": "n_jobs=1"}
PICTURES = {"training", "weights", "photographs"}
BASELINES = ["the more frequent class", "LogisticRegression", "MLPClassifier"]
PYTHON_PATH = os.pathsep.join(
    filter(None, [str(Path(skdnn.__file__).parents[1]), os.environ.get("PYTHONPATH")])
)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Return a function that runs the example, shorter, and returns what it printed."""

    def run_shorter(*arguments, **names):
        source = EXAMPLE.read_text(encoding="utf-8")
        for full, short in SHORTER.items():
            assert source.count(full) == 1
            source = source.replace(full, short)
        monkeypatch.setattr(sys, "argv", ["its name", *map(str, arguments)])
        monkeypatch.setenv("PYTHONPATH", PYTHON_PATH)
        monkeypatch.chdir(tmp_path)
        exec(compile(source, EXAMPLE, "exec"), names)
        plt.close("all")
        printed, warned = capfd.readouterr()
        assert warned == ""
        return printed

    return run_shorter


def read_table(printed):
    """Return ROC AUC, accuracy, log-loss and seconds of each model, and the name of the chosen."""
    lines = printed.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("model"))
    stop = next(k for k, line in enumerate(lines) if line.startswith("probability"))
    cells = [line.rsplit(maxsplit=4) for line in lines[start + 1 : stop]]
    (chosen,) = [name for name, *_ in cells if name.endswith(", chosen")]
    table = {name.removesuffix(", chosen"): tuple(map(float, row)) for name, *row in cells}
    assert len(table) == len(cells)
    return table, chosen.removesuffix(", chosen")


def check_run(printed, output, pictures=PICTURES):
    """Check table, pictures, and the predictions in a fresh process; return table and chosen."""
    table, chosen = read_table(printed)
    assert list(table) == list(dict.fromkeys([*BASELINES, "network, L = 1", chosen]))
    for area, accuracy, loss, seconds in table.values():
        assert 0 <= area <= 1
        assert 0 <= accuracy <= 1
        assert loss >= 0
        assert seconds >= 0
    assert table["the more frequent class"][0] == 0.5
    assert table[chosen][0] >= 0.9

    assert {f.stem for f in output.glob("*.png") if not f.stem.startswith("test_")} == pictures
    for name in pictures:
        with Image.open(output / f"{name}.png") as picture:
            assert len(picture.convert("RGB").getcolors(maxcolors=2**24)) > 100

    files = [output / f"test_photo_{k}.png" for k in (1, 2, 3)]
    probability = joblib.load(output / "flower_model.joblib").predict_proba(files)
    rows = [line.split() for line in printed.splitlines() if line.startswith("test_photo")]
    assert [name for name, _, _ in rows] == [file.name for file in files]
    assert all(here == there for _, here, there in rows)
    printed_probability = [float(here) for _, here, _ in rows]
    assert any(np.allclose(column, printed_probability, atol=1e-6) for column in probability.T)
    return table, chosen


def test_bundled_photographs_in_a_notebook(run, tmp_path):
    printed = run("-f", "kernel.json")  # a notebook has no __file__, and a command line of its own
    assert "of class 'flower'" in printed
    pictures = PICTURES | {"labels", "probabilities"}
    table, _ = check_run(printed, tmp_path / "flower_output", pictures)
    accuracy = {name: row[1] for name, row in table.items()}
    assert accuracy["network, L = 1"] > accuracy["the more frequent class"] + 0.1
    assert abs(accuracy["network, L = 1"] - accuracy["LogisticRegression"]) < 0.05


def test_200_photographs_in_a_folder(run, tmp_path):
    folder = save_photos(tmp_path / "photos", ["disc", "stripes"], n_each=100, noise=1600)
    options = ("--photos", folder, "--output", tmp_path / "out")
    printed = run(*options, __file__=str(EXAMPLE))
    assert "training: 150 photographs" in printed
    assert printed.count("[CV] END") == 3 * 2  # a line for each fit of the search
    table, chosen = check_run(printed, tmp_path / "out")
    assert table[chosen][0] >= table["network, L = 1"][0] - 0.03
    network = joblib.load(tmp_path / "out" / "flower_model.joblib")["network"]
    assert network.n_networks == 5 or network.n_layers == 1
