"""Draws `docs/rooms.svg`, the rooms and floors of `Src`, from the contracts in pyproject.toml and the code's imports.

After rooms have changed, from the project root: `.venv/bin/python -m docs.draw_rooms`. A test holds the picture.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import drawsvg
import grimp

ROOT = Path(__file__).parent.parent
PICTURE = Path(__file__).parent / "rooms.svg"

_WIDTH, _FLOOR, _BOX, _TOP = 860, 100, 46, 20
_WORDS = {
    "Factory": "the commands",
    "Dashboard": "pages for people",
    "Api": "HTTP for programs",
    "Librarian": "from the inbox to vault and ledger",
    "Workers": "after filing",
    "Stories": "narrated films",
    "Library": "vault and catalogue",
    "Media": "what a file says",
    "Tasks": "the task engine's face",
    "Accounts": "who may log in",
    "Shared": "settings, ledger, heartbeats, disk, postgres",
}
_STYLE = """
text { font: 14px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
text { text-anchor: middle }
.small { font-size: 11px; fill: #59636e }
.room { fill: #eef3f1; stroke: #2f6f5e }
.arrow { stroke: #818b98; fill: none } .head { fill: #818b98 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 } .room { fill: #16302a; stroke: #5fb89e }
}
"""


def floors() -> list[list[str]]:
    """The rooms of each floor, the highest first, as import-linter's contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers: list[str] = next(one["layers"] for one in contracts if one["type"] == "layers")
    rooms = [[room.strip() for room in layer.replace(":", "|").split("|")] for layer in layers]
    return [floor for floor in rooms if "Testing" not in floor]


def arrows(rooms: list[str]) -> set[tuple[str, str]]:
    """Which room imports which."""
    graph = grimp.build_graph("Src")
    found = {
        (importer.split(".")[1], imported.split(".")[1])
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if "." in importer and "." in imported
    }
    return {(above, below) for above, below in found if above != below and above in rooms and below in rooms}


def draw() -> str:
    """The picture."""
    all_floors = floors()
    at: dict[str, tuple[float, float, float]] = {}  # middle, top, width
    for level, floor in enumerate(all_floors):
        width = min(300.0, (_WIDTH - 60) / len(floor) - 40)
        for number, room in enumerate(floor):
            at[room] = ((number + 0.5) * _WIDTH / len(floor), _TOP + level * _FLOOR, width)
    drawing = drawsvg.Drawing(_WIDTH, _TOP + len(all_floors) * _FLOOR - _FLOOR + _BOX + 20)
    drawing.append_css(_STYLE)
    drawing.append_title("The rooms of Photo Factory: each imports only rooms below it")
    for above, below in sorted(arrows(list(at))):
        _draw_arrow(drawing, at[above], at[below])
    for room, (middle, top, width) in at.items():
        drawing.append(drawsvg.Rectangle(middle - width / 2, top, width, _BOX, rx=8, class_="room"))
        drawing.append(drawsvg.Text(room, 14, middle, top + 20, class_="name"))
        drawing.append(drawsvg.Text(_WORDS[room], 11, middle, top + 37, class_="small"))
    return str(drawing.as_svg())


def _draw_arrow(drawing: drawsvg.Drawing, above: tuple[float, float, float], below: tuple[float, float, float]) -> None:
    """From the bottom of a room to the top of one below; past the rooms between, in a bow."""
    (x1, top, width1), (x2, y2, width2) = above, below
    y1, floors_down = top + _BOX, round((y2 - top) / _FLOOR)
    if floors_down > 1 and abs(x1 - x2) < 40:  # the number of floors decides the side, so that bows do not meet
        side = 1 if floors_down % 2 else -1
        reach = side * (150 + 45 * floors_down)
        path = drawsvg.Path(class_="arrow")
        path.M(x1 + side * width1 / 3, y1).C(x1 + reach, y1 + 40, x2 + reach, y2 - 50, x2 + side * width2 / 3, y2 - 6)
        x2 += side * width2 / 3
    else:
        shift = max(-width2 / 3, min(width2 / 3, (x1 - x2) / 6))
        path = drawsvg.Path(class_="arrow")
        path.M(x1 - shift, y1).L(x2 + shift, y2 - 6)
        x2 += shift
    drawing.append(path)
    drawing.append(drawsvg.Lines(x2 - 4, y2 - 7, x2 + 4, y2 - 7, x2, y2, close=True, class_="head"))


if __name__ == "__main__":
    PICTURE.write_text(draw())
