"""`phone`: the address to enter on a phone, and names that are hostile text. The rest: Stack/tests/test_phone.py."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from Src.Factory import phone, report
from Src.Shared.syncthing.client import OfferedFolder, PendingDevice, Syncthing, SystemStatus
from Src.Shared.syncthing.overview import Device, Overview

HERE, ELSEWHERE = "http://127.0.0.1:8384", "http://syncthing:8384"
HOSTILE = "[red]x[/red]\x1b[2J\u202e"


def _overview(*listening: str) -> Overview:
    return Overview(
        system=SystemStatus("ABCDEFG-HIJKLMN", "v2.0.0", 60, listening, ()),
        folders=(),
        devices=(Device("BBBBBBB-BBBBBBB", HOSTILE, False, False, None, None, None, ()),),
        pending=(PendingDevice("CCCCCCC-CCCCCCC", HOSTILE, "192.0.2.1:22000", datetime.now(UTC)),),
        offered=(OfferedFolder("camera", HOSTILE, "BBBBBBB-BBBBBBB", None),),
        warnings=[],
    )


@pytest.mark.parametrize(
    ("url", "told", "listening", "address"),
    [
        (HERE, "", "tcp://192.0.2.5:22001", "tcp://192.0.2.5:22001"),
        (HERE, "", "tcp://127.0.0.1", "tcp://127.0.0.1:22000"),
        (ELSEWHERE, "", "tcp://0.0.0.0:22000", "tcp://ADDRESS-OF-THE-SERVER:22000"),
        (ELSEWHERE, "192.0.2.7", "tcp://0.0.0.0:22000", "tcp://192.0.2.7:22000"),
        (ELSEWHERE, "tcp://192.0.2.7:1234", "tcp://0.0.0.0:22000", "tcp://192.0.2.7:1234"),
    ],
)
def test_the_address_to_enter(
    url: str, told: str, listening: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(phone.HOST_ADDRESS, told)
    found = _overview("dynamic+https://relays.syncthing.net/endpoint", "quic://0.0.0.0:22000", listening)
    assert phone._addresses(found, Syncthing(url, "key")) == [address]


def test_what_listens_everywhere_is_told_by_this_machines_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(phone.HOST_ADDRESS, raising=False)
    (address,) = phone._addresses(_overview("tcp://0.0.0.0:22000", "tcp://[::]:22000"), Syncthing(HERE, "key"))
    assert address.startswith("tcp://")
    assert address not in ("tcp://0.0.0.0:22000", "tcp://:::22000")


def test_names_are_shown_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(highlight=False, width=200, record=True)
    monkeypatch.setattr(report, "console", lambda: console)
    monkeypatch.setattr(report, "_is_for_people", lambda: True)
    phone._print(_overview(), ["tcp://192.0.2.5:22000"])
    shown = console.export_text()
    assert shown.count("[red]x[/red]\\x1b[2J\\u202e") == 4
    assert "\x1b" not in shown
    assert "ABCDEFG-HIJKLMN" in shown


def test_the_qr_code_is_square_and_light_around() -> None:
    code = phone._qr_code("ABCDEFG-HIJKLMN")
    lines = code.plain.split("\n")
    width = len(lines[0])
    assert {len(line) for line in lines} == {width}
    assert len(lines) == (width + 1) // 2  # two dots above each other are one character
    assert set("".join(lines)) == set(" ▀▄█")
    assert set(lines[0]) == {"█"}
    assert str(code.style) == "bright_white on black"
