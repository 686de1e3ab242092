"""How results are shown: one JSON object, or text in which no file name can do harm."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest
from rich.console import Console

from Src.Factory import report


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(highlight=False, width=100, record=True)
    monkeypatch.setattr(report, "out", console)
    return console


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4_100_000_000, "4.1 GB"), (5e15, "5000.0 TB")],
)
def test_size(count: float, text: str) -> None:
    assert report.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s ago"), (119, "119 s ago"), (121, "2 min ago"), (7300, "2 h ago"), (200_000, "2 d ago"), (-30, "in 30 s")],
)
def test_ago(seconds: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(now.timestamp(), tz)

    monkeypatch.setattr(report, "datetime", Clock)
    assert report.ago(now - timedelta(seconds=seconds)) == text


def test_never() -> None:
    assert report.ago(None) == "never"


def test_json_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    report.print_json({"path": Path("/a\nb"), "moment": moment, "name": "é"})
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"path": "/a\nb", "moment": "2024-05-06T07:08:09+00:00", "name": "é"}


def test_markup_and_controls_are_shown_as_text(out: Console) -> None:
    report.table(("name",), [("[red]x[/red] \x1b[2J\n\u202e",), (None,)])
    report.line("file", "[link=evil]y\x07")
    shown = out.export_text()
    assert "[red]x[/red] \\x1b[2J\\n\\u202e" in shown
    assert "[link=evil]y\\x07" in shown
    assert "\x1b" not in shown


def test_a_long_name_is_folded_and_not_cut(out: Console) -> None:
    report.table(("name", "other"), [("a" * 250, "b")])
    assert out.export_text().count("a") == 250 + "name".count("a")
