"""What the documentation names is there: pages and their headings, commands with their flags, settings, modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from Src.Factory.commands import BY_NAME
from Src.Factory.declaration import Flag, Option
from Src.Shared.env_names import known_names
from Src.Shared.settings import PROJECT_ROOT

PAGES = [
    page for page in sorted(PROJECT_ROOT.rglob("*.md"))
    if not any(part.startswith((".", "node_modules")) for part in page.relative_to(PROJECT_ROOT).parts)
]  # fmt: skip
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+(?:\([^()]*\))?)\)")
_OWN_COMMANDS = {"setup", "COMMAND"}  # of the file `factory` itself; any command
# A setting of PhotoPrism, words of the kernel, and what stands for a place on the map.
_NO_SETTINGS = {"PHOTOPRISM_READONLY", "RESOLVE_BENEATH", "RESOLVE_NO_SYMLINKS", "LAT_LON_ZOOM", "S_W_N_E"}
_SETTING = re.compile(r"(?<![\w/.-])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?![\w(])")


def code(page: Path) -> Iterator[str]:
    """Each line of a block, and each span."""
    text = page.read_text(encoding="utf-8")
    for block in _FENCE.findall(text):
        yield from block.splitlines()[1:-1]
    for span in re.findall(r"`([^`]+)`", _FENCE.sub("", text)):
        yield " ".join(span.split())


@cache
def headings(page: Path) -> frozenset[str]:
    """The anchors of a page, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return frozenset(found)


@EACH_PAGE
def test_each_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = unquote(link).partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{link}: there is no {there}"
        assert not anchor or anchor in headings(there), f"{link}: {there.name} has no such heading"


@EACH_PAGE
def test_each_command_exists_and_takes_what_it_is_given(page: Path) -> None:
    for line in code(page):
        for call in re.findall(r"\./factory ([^|;&)]*)", line.partition(" #")[0]):
            words = re.sub(r"[\[\]…]", " ", call).split()
            if not words or words[0].startswith("-") or words[0] in _OWN_COMMANDS:
                continue
            assert words[0] in BY_NAME, f"./factory {call}: no such command"
            command = BY_NAME[words[0]]
            taken = {one.name for one in command.takes if isinstance(one, Flag | Option)} | {"--help"}
            options = words[1 : words.index("--")] if "--" in words else words[1:]
            given = {word.partition("=")[0] for word in options if word.startswith("--")}
            assert command.passes_on or given <= taken, f"./factory {call}: does not take {given - taken}"


@cache
def _named_in_code() -> str:
    """All names that our own files read or make besides those of a `.env`: constants, variables of builds and tests."""
    folders = (PROJECT_ROOT / "Src", PROJECT_ROOT / "Stack", PROJECT_ROOT / "benchmarks")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".yml", ".sh", ".cfg")]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*files, PROJECT_ROOT / "factory"])


@EACH_PAGE
def test_each_setting_exists(page: Path) -> None:
    unknown = {
        name
        for line in code(page)
        for name in _SETTING.findall(line)
        if name not in known_names() and not re.search(rf"\b{name}\b", _named_in_code())
    }
    assert unknown <= _NO_SETTINGS


@EACH_PAGE
def test_each_module_that_is_run_exists(page: Path) -> None:
    for line in code(page):
        for module in re.findall(r"python -m ((?:Src|Stack|benchmarks)[\w.]*)", line):
            path = PROJECT_ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
