"""How results are shown: one JSON object, or text in which no file name can do harm."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest
from rich.console import Console

from Src.Factory import report


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(highlight=False, width=100, record=True)
    monkeypatch.setattr(report, "console", lambda: console)
    monkeypatch.setattr(report, "_is_for_people", lambda: True)
    return console


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


def test_json_is_out_before_the_work_that_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is written in blocks: a kill while lists are signed would take the report."""
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe))
    report.print_json({"done": 1})
    assert pipe.getvalue() == b'{"done": 1}\n'


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


def test_a_pipe_gets_the_same_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    report.heading("About \x1b[2J")
    report.line("file", "[red]y\x07", "red")
    report.say("No problems.")
    assert capsys.readouterr().out == "About \\x1b[2J\n  file            [red]y\\x07\nNo problems.\n"


def test_a_long_name_is_folded_and_not_cut(out: Console) -> None:
    report.table(("name", "other"), [("a" * 250, "b")])
    assert out.export_text().count("a") == 250 + "name".count("a")


def test_a_container_shows_the_paths_of_its_host(
    out: Console, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOST_DATA", "/srv/my \\1 photos")
    report.line("vault", "/data/S is full; see /data, not /database, a/data")
    assert out.export_text() == (
        "  vault           /srv/my \\1 photos/S is full; see /srv/my \\1 photos, not /database, a/data\n"
    )
    capsys.readouterr()
    report.print_json({"path": Path("/data/Storage"), "names": [{"inbox": "/data"}], "count": 1})
    assert json.loads(capsys.readouterr().out) == {
        "path": "/srv/my \\1 photos/Storage",
        "names": [{"inbox": "/srv/my \\1 photos"}],
        "count": 1,
    }


def test_the_longest_name_of_a_service_leaves_room(out: Console) -> None:
    for name in ("service-monitor", "library disk"):
        report.line(name, "OK")
    first, second = out.export_text().splitlines()
    assert first.index("OK") == second.index("OK") == len("  service-monitor ")


def test_a_name_in_json_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["\x1b[31mred", "\x9b31m", "\x7f", "\u202egpj.exe", "a\u2028b\u0085c", "\u200f\u061c\u2066"]
    report.print_json({"names": names, "é": "日本"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"names": names, "é": "日本"}
    assert printed.rstrip("\n").isprintable() and "日本" in printed


def test_nothing_else_prints_names_as_they_are_in_json() -> None:
    rooms = (Path(report.__file__).parent, Path(report.__file__).parents[1] / "Accounts")
    sources = [path for room in rooms for path in room.rglob("*.py") if path.parent.name != "tests"]
    found = {path.name for path in sources if "ensure_ascii=False" in path.read_text()}
    assert found == {"report.py", "show_history.py"}  # what the latter makes, `report.line` escapes
