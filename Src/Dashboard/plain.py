"""Hostile text: names of files and devices, EXIF, log lines, messages. It is shown as it is, and never obeyed.

Everything that comes from outside goes through `plain`, and is then shown by what reads no Markdown (`st.text`,
`st.code`, `st.dataframe`). Where Streamlit offers nothing but Markdown (labels, captions), it goes through `markdown`.
"""

from __future__ import annotations

import re

from Src.Shared.logs import escaped

LIMIT = 2000  # characters: more of one text is no use on a page
_WORD_JOINER = "\u2060"  # invisible, without width
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def plain(value: object, limit: int = LIMIT) -> str:
    """Text on one line, without what could hide or turn it around (control and direction characters, ...)."""
    text = escaped(str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def markdown(value: object, limit: int = LIMIT) -> str:
    """`plain`, so that Markdown shows it letter by letter: no HTML, links, directives, emoji, icons or formulas."""
    text = _PUNCTUATION.sub(r"\\\1", plain(value, limit))
    # Streamlit looks for `:name:` and `://` after Markdown has taken the backslashes away.
    return text.replace("\\:", f"\\:{_WORD_JOINER}").replace("www", f"w{_WORD_JOINER}ww")
