"""What a receipt says, as text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from Src.Factory import report
from Src.Library.custody.receipt import VERDICTS, Line
from Src.Shared.logs import escaped
from Src.Shared.words import counted


def receipt_comment(lines: Sequence[Line]) -> str:
    """What stands in the signature, and is signed too."""
    safe = sum(one.verdict == "safe" for one in lines)
    return f"Photo Factory receipt 1: {counted(len(lines), 'file')}, {safe:,} safe"


def receipt_text(source: Path, within: timedelta, copies: int, lines: Sequence[Line], key: str | None) -> str:
    """One line a file, its fields in one order, so that any program reads it. `key`: with which it is signed."""
    counts = Counter(one.verdict for one in lines)
    text = [
        "Photo Factory receipt 1",
        f"made: {datetime.now(UTC).isoformat(timespec='seconds')}",
        f"of: {escaped(report.on_host(os.path.abspath(source)))}",
        f"asked: read back within {counted(within.days, 'day')}, {counted(copies, 'copy', 'copies')}",
        f"signed with: {key or '- (there is no vault)'}",
        f"files: {len(lines)}",
        *(f"{verdict}: {counts[verdict]}" for verdict in VERDICTS),
        "",
        "# verdict, SHA-256, bytes, read back at, copies, kept at, name; between tabs",
    ]
    for one in lines:
        read = "-" if one.read_back_at is None else one.read_back_at.isoformat(timespec="seconds")
        size = "-" if one.size is None else str(one.size)
        fields = (one.verdict, one.sha256 or "-", size, read, str(one.copies), escaped(one.kept_at or "-"))
        text.append("\t".join((*fields, escaped(one.path))))
    return "\n".join(text) + "\n"
