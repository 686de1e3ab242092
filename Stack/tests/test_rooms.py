"""The picture of the rooms is drawn from the code, and is the code's."""

from __future__ import annotations

import re
import tomllib
from types import UnionType
from typing import get_args

import pytest

from docs import draw_rooms
from Src.Librarian import passage
from Src.Library import held_words, verdict


def test_the_picture_is_up_to_date() -> None:
    assert draw_rooms.draw() == draw_rooms.PICTURE.read_text(), "run .venv/bin/python -m docs.draw_rooms"


def test_every_arrow_leads_down() -> None:
    floor_of = {room: level for level, floor in enumerate(draw_rooms.floors()) for room in floor}
    arrows = draw_rooms.arrows(list(floor_of))
    assert ("Librarian", "Library") in arrows
    assert [arrow for arrow in arrows if floor_of[arrow[0]] >= floor_of[arrow[1]]] == []


def test_every_folder_of_the_product_is_a_room() -> None:
    drawn = {room for floor in draw_rooms.floors() for room in floor}
    folders = {folder.name for folder in (draw_rooms.ROOT / "Src").iterdir() if (folder / "__init__.py").exists()}
    assert folders - drawn == {"Testing"}


def test_no_contract_has_an_exception() -> None:
    contracts = tomllib.loads((draw_rooms.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [one["name"] for one in contracts if "ignore_imports" in one] == []


@pytest.mark.parametrize(
    "kinds",
    [passage.Fate, held_words.HeldState, passage.Decision, verdict.Verdict],
    ids=["fates", "held", "decisions", "verdicts"],
)
def test_the_glossary_knows_every_word_for_what_can_become_of_a_file(kinds: UnionType) -> None:
    glossary = (draw_rooms.ROOT / "docs" / "ARCHITECTURE.md").read_text().partition("## The promise")[0]
    names = [one if isinstance(one, str) else one.__name__.lower() for one in get_args(kinds)]
    assert len(names) > 3
    assert [name for name in names if not re.search(rf"\b{name}\b", glossary)] == []
