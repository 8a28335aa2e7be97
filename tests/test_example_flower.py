"""The example examples/plot_6_flower.py, on both kinds of photographs."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import joblib
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

import skdnn

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[1] / "examples" / "plot_6_flower.py"
# One network in the search and fewer pixels, to save time.
SHORTER = {"[1, 2, 3, 4]": "[2]", "[0.0003, 0.001]": "[0.001]", "(60, 40)": "(30, 20)"}
ORANGE, DARK_GREEN, ORANGE_GREY = (240, 150, 80), (10, 50, 40), (150, 140, 130)


def run_example(folder, *arguments, **names):
    """Run a shorter example in a folder; return its globals and, as `printed`, its output."""
    source = EXAMPLE.read_text(encoding="utf-8")
    for full, short in SHORTER.items():
        assert source.count(full) == 1
        source = source.replace(full, short)
    paths = [str(Path(skdnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, mpl.rc_context(), redirect_stdout(printed):
        patch.setattr(sys, "argv", ["its name", *map(str, arguments)])
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.chdir(folder)
        exec(compile(source, EXAMPLE, "exec"), names)
        plt.close("all")
    return SimpleNamespace(**names, printed=printed.getvalue())


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The example run as a notebook: no __file__, and another command line."""
    folder = tmp_path_factory.mktemp("flower")
    run = run_example(folder, "-f", "kernel.json")
    run.output = folder / run.options.output
    return run


def save_photos(folder, names, n_each, noise=0):
    """Write images of discs and of stripes in random colours to two folders."""
    rng = np.random.default_rng(0)
    y, x = np.indices((40, 50))
    for name, shape in zip(names, (np.hypot(y - 20, x - 25) < 13, x % 10 < 5), strict=True):
        (folder / name).mkdir(parents=True)
        for k in range(n_each):
            low, high = rng.integers(0, 100, 3), rng.integers(150, 256, 3)
            pixels = rng.normal(np.where(shape[..., None], high, low), noise)
            Image.fromarray(np.uint8(pixels.clip(0, 255))).save(folder / name / f"{k}.png")
    return folder


def check_table(run):
    """Check the lines of each model; return accuracy and ROC AUC of each, the network last."""
    lines = run.printed.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("model"))
    cells = [line.rsplit(maxsplit=4) for line in lines[first + 1 : first + 5]]
    baselines = ["the more frequent class", "LogisticRegression", "MLPClassifier"]
    assert [name for name, *_ in cells] == [*baselines, "network, L = 2"]
    area, accuracy, loss, seconds = np.array([row for _, *row in cells], float).T
    assert area[0] == 0.5
    assert ((area >= 0) & (area <= 1) & (accuracy >= 0) & (accuracy <= 1)).all()
    assert ((loss > 0) & (seconds >= 0)).all()
    return accuracy, area


def check_files(output, printed, *pictures):
    """Check the names and content of the files, and that the pickled model predicts."""
    assert {file.stem for file in output.glob("*.png")} == {*pictures, "test_photo"}
    said = dict(line.split(": ", 1) for line in printed.splitlines() if f"{output.name}" in line)
    assert {Path(name).name for name in said} == {file.name for file in output.iterdir()}
    assert all(len(shows) > 5 for shows in said.values())
    for name in pictures:
        with Image.open(output / f"{name}.png") as picture:
            assert picture.width <= 800  # otherwise the letters are too small on a page
            assert len(picture.convert("RGB").getcolors(maxcolors=2**24)) > 100
    model = joblib.load(output / "flower_model.joblib")
    return model.predict_proba([output / "test_photo.png"]).tolist()


def test_bundled_photographs_are_classified(bundled):
    accuracy, area = check_table(bundled)
    assert accuracy[-1] > accuracy[0] + 0.1
    assert area[-1] > 0.9
    probabilities = check_files(
        bundled.output, bundled.printed, "labels", "training", "probabilities", "photographs"
    )
    assert "training: 629 overlapping patches of two photographs, 47 of class" in bundled.printed
    assert "training.png: the cost in each epoch. After the best one the va" in bundled.printed
    assert bundled.printed.endswith(f"in a fresh process: {probabilities}\n")


def test_photographs_in_a_folder_are_classified(tmp_path, monkeypatch):
    def in_this_process(command, encoding):  # a new fit takes seconds and is tested above
        return str(joblib.load(command[3]).predict_proba(command[4:]).tolist())

    monkeypatch.setattr(subprocess, "check_output", in_this_process)
    folder = save_photos(tmp_path / "photos", ["disc", "stripes"], n_each=60, noise=400)
    options = ("--photos", folder, "--output", tmp_path / "out")
    run = run_example(tmp_path, *options, __file__=str(EXAMPLE))
    assert "training: 90 photographs, 45 of class 'stripes'" in run.printed
    assert "test: 30 photographs, 15 of class 'stripes'" in run.printed
    _, area = check_table(run)
    assert area[-1] > 0.9
    check_files(tmp_path / "out", run.printed, "training", "photographs")


def test_a_damaged_photograph_is_an_error_that_names_it(tmp_path):
    folder = save_photos(tmp_path / "photos", ["flower", "other"], n_each=4)
    (folder / "other" / "1.png").write_bytes(b"no photograph")
    with pytest.raises(ValueError, match=r"other.1\.png"):
        run_example(tmp_path, "--photos", folder, __file__=str(EXAMPLE))


def test_patches_are_windows_of_the_photograph(bundled):
    photo = bundled.photos[0]
    patches = bundled.cut_patches(photo, [(0, 0), (7, 35), (387, 580)])
    np.testing.assert_array_equal(patches[1], photo[7:47, 35:95])
    assert patches.shape == (3, 40, 60, 3)


@pytest.mark.parametrize("other", [DARK_GREEN, ORANGE_GREY, np.array(ORANGE) // 4])
def test_labels_depend_on_petal_coloured_pixels(bundled, other):
    patches = np.full((6, 40, 60, 3), other, np.uint8)
    for patch, n_orange_rows in zip(patches, (40, 21, 20, 8, 7, 0), strict=True):
        patch[:n_orange_rows] = ORANGE
    # Exactly a half and exactly a fifth are neither.
    expected = ["flower"] * 2 + ["left out"] * 2 + ["no flower"] * 2
    assert bundled.label_patches(patches).tolist() == expected


def test_labels_mark_the_dahlia_and_some_roof_tiles(bundled):
    grid = [(row, column) for row in (150, 200) for column in (250, 300)]
    assert set(bundled.label_patches(bundled.cut_patches(bundled.photos[1], grid))) == {"flower"}
    assert set(bundled.label_patches(bundled.photos[1][None, :80])) == {"no flower"}
    assert "left out" in bundled.label_patches(bundled.temple)
    assert set(np.split(bundled.y, 2)[0]) == {"no flower"}


def test_test_set_and_folds_have_no_pixel_in_common_with_training(bundled):
    assert not set(bundled.groups[bundled.train]) & set(bundled.groups[bundled.test])
    used = np.union1d(bundled.train, bundled.test)
    times_covered = np.zeros((2, *bundled.photos[0].shape[:2]), int)
    for group in set(bundled.groups):
        covered = np.zeros(times_covered.shape, bool)
        for k in used[bundled.groups[used] == group]:
            photo, corner = divmod(k, len(bundled.corners))
            row, column = bundled.corners[corner]
            covered[photo, row : row + 40, column : column + 60] = True
        times_covered += covered
    assert times_covered.max() == 1
    assert len(set(bundled.groups)) == 2 * 3 * 4


def test_both_classes_are_in_each_fold_and_in_the_test(bundled):
    y, groups = bundled.y[bundled.train], bundled.groups[bundled.train]
    folds = [y[rows] for _, rows in StratifiedGroupKFold(3).split(y, y, groups)]
    for labels in [bundled.y[bundled.test], *folds]:
        assert set(labels) == {"flower", "no flower"}


def test_photographs_are_listed_with_their_labels(bundled, tmp_path):
    folder = save_photos(tmp_path / "photos", ["0", "1"], n_each=2)
    (folder / "0" / "notes.txt").write_text("not a photograph", encoding="utf-8")
    files, y = bundled.list_photos(folder)
    assert [file.relative_to(folder).as_posix() for file in files] == [
        "0/0.png", "0/1.png", "1/0.png", "1/1.png",
    ]  # fmt: skip
    assert y.tolist() == ["0", "0", "1", "1"]
    np.savez(tmp_path / "photos.npz", X=np.zeros((4, 8, 8, 3), np.uint8), y=[3, 4, 3, 4])
    images, y = bundled.list_photos(tmp_path / "photos.npz")
    assert images.shape == (4, 8, 8, 3)
    assert y.tolist() == [3, 4, 3, 4]


def test_other_than_two_classes_are_a_clear_error(bundled, tmp_path):
    folder = save_photos(tmp_path / "photos", ["flower", "other"], n_each=1)
    save_photos(folder / "third", ["a", "b"], n_each=1)
    bundled.list_photos(folder)  # the third folder itself contains no photograph
    (folder / "other" / "0.png").rename(folder / "third" / "0.png")
    (folder / "flower" / "0.png").rename(folder / "0.png")
    np.savez(tmp_path / "one.npz", X=np.zeros((2, 8, 8, 3), np.uint8), y=[1, 1])
    for path, got in ((folder, "third"), (tmp_path / "one.npz", "1"), (tmp_path / "missing", "")):
        with pytest.raises(SystemExit, match=rf"photographs of two classes, got \['?{got}'?\] in"):
            bundled.list_photos(path)
