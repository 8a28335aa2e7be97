"""Draw the packages of skdnn and their imports, for the page "Architecture".

Each package stands above all packages that it imports. An arrow that follows from others is left
out.
"""

import ast
from pathlib import Path

from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1] / "skdnn"
WIDTH, HEIGHT = 2.1, 0.62  # inches between the centres of boxes


def imports(package: Path = ROOT) -> dict[str, set[str]]:
    """Return, for each package or module that stands alone, those that it imports."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        *folders, file = path.relative_to(package).with_suffix("").parts
        # A file beside the packages stands for itself, such as classifier.py.
        if folders or not file.startswith("_"):
            names[path] = ".".join(folders) or f"{file}.py"
    found: dict[str, set[str]] = {name: set() for name in names.values() if name != "data"}
    for path, name in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skdnn."):
                module = node.module.removeprefix("skdnn.")
                for imported in (module, f"{module}.py"):
                    if imported in found and imported != name:
                        found[name].add(imported)
    return found


def levels(imported: dict[str, set[str]]) -> dict[str, int]:
    """Return the height of each package: 0 if it imports none, else one more than these have."""
    height: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in height:
            height[name] = 1 + max(map(of, imported[name]), default=-1)
        return height[name]

    for name in imported:
        of(name)
    return height


def without_implied(imported: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports that do not follow from others (the transitive reduction)."""

    def reached(name: str) -> set[str]:
        return imported[name].union(*map(reached, imported[name]))

    return {name: direct - set().union(*map(reached, direct)) for name, direct in imported.items()}


def places(arrows: dict[str, set[str]], height: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Return the centre of each box, in rows by height, with neighbours close to each other."""
    rows: list[list[str]] = [[] for _ in range(max(height.values()) + 1)]
    for name in arrows:
        rows[height[name]].append(name)
    x: dict[str, float] = {}
    for sweep in range(8):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            if x:  # by the mean of the neighbours
                near = {
                    name: [
                        x[other] for other in x if other in arrows[name] or name in arrows[other]
                    ]
                    for name in row
                }
                row.sort(key=lambda name, near=near: sum(near[name]) / max(1, len(near[name])))
            x.update({name: WIDTH * (k - (len(row) - 1) / 2) for k, name in enumerate(row)})
    return {name: (x[name], 2 * HEIGHT * height[name]) for name in arrows}


def draw(path: Path) -> None:
    """Write the drawing into an SVG file."""
    imported = imports()
    arrows = without_implied(imported)
    place = places(arrows, levels(imported))
    right, top = (max(axis) for axis in zip(*place.values(), strict=True))
    left, right, bottom, top = -right - 0.6 * WIDTH, right + 0.6 * WIDTH, -HEIGHT, top + HEIGHT
    figure = Figure(figsize=(right - left, top - bottom))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.axis("off")
    for name, direct in arrows.items():
        for below in direct:
            (x, y), (x_below, y_below) = place[name], place[below]
            ax.annotate(
                "",
                (x_below, y_below + HEIGHT / 3),
                (x, y - HEIGHT / 3),
                arrowprops={"arrowstyle": "-|>", "color": "0.5", "shrinkA": 0, "shrinkB": 0},
            )
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "#1f77b4"}
    for name, (x, y) in place.items():
        ax.text(x, y, name, ha="center", va="center", family="monospace", fontsize=11, bbox=box)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor="white")


if __name__ == "__main__":
    draw(Path("architecture.svg"))
