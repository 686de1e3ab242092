"""Names and paths as ledger text and back.

A name on disk is bytes; PostgreSQL's text is UTF-8. Python carries bytes that are no UTF-8 as lone surrogates
(PEP 383), which PostgreSQL refuses. In the ledger such a byte is written `\\xNN`, and so that the way back is
exact, a backslash is written twice.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\(\\|x[0-9a-f]{2})")
_TO_ESCAPE = re.compile("[\\\\\ud800-\udfff]")
_INT8 = 2**63 - 1


def to_ledger(name: str) -> str:
    """The ledger's text for a name as `os.fsdecode` gives it."""
    return _TO_ESCAPE.sub(_escape, name) if _TO_ESCAPE.search(name) else name


def from_ledger(text: str) -> str:
    """The name as `os.fsdecode` would give it, from the ledger's text."""
    return _ESCAPED.sub(_unescape, text)


def plain_text(value: str) -> str:
    """Any text made fit for a column that is only read by people: no NUL, no lone surrogates."""
    return to_ledger(value).replace("\\\\", "\\").replace("\0", "")


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return "\\\\" if char == "\\" else f"\\x{ord(char) & 0xFF:02x}"


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return "\\" if code == "\\" else chr(0xDC00 + int(code[1:], 16))


def int8(value: int) -> int:
    """The nearest number that the ledger can hold: a file's time in nanoseconds may be beyond it."""
    return value if -_INT8 <= value <= _INT8 else max(-_INT8, min(value, _INT8))
