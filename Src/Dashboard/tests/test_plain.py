"""Hostile text shows, and does nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Dashboard.plain import markdown, plain

_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def read(text: str) -> str:
    """What remains to be seen when Markdown has taken its escapes away."""
    return _ESCAPED.sub(r"\1", text).replace("\u2060", "")


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>.jpg",
        "[a](javascript:alert(1))",
        "**bold** _it_ `code` ~~no~~",
        "# title",
        "1. list",
        "$\\int$ and $$x$$",
        ":red[x] :material/home: :smile: :streamlit:",
        "https://evil.example/ and www.evil.example",
        "&lt;b&gt; &#60;",
        "a | b",
        "![x](http://evil.example/x.png)",
    ],
)
def test_nothing_that_markdown_reads_is_left(text: str) -> None:
    made = markdown(text)
    assert read(made) == text
    unescaped = re.sub(r"\\.", "", made)
    assert not re.search(r"[!-/:-@\[-`{-~]", unescaped)
    # What Streamlit looks for after the escapes are gone.
    seen = _ESCAPED.sub(r"\1", made)
    assert not re.search(r":[a-z+\-_0-9/]+:|://|www\.", seen)


@given(st.text())
def test_any_text_comes_through_whole(text: str) -> None:
    assert read(markdown(text, limit=10**6)) == plain(text, limit=10**6).replace("\u2060", "")


def test_what_hides_or_turns_text_around_is_written_out() -> None:
    assert plain("a\u202egpj.exe\x1b[31m\nb") == "a\\u202egpj.exe\\x1b[31m\\nb"


def test_long_text_is_cut() -> None:
    assert len(plain("x" * 5000)) == 2000
    assert plain("x" * 5000).endswith("…")
