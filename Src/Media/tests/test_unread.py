"""What this machine cannot read is named, with what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from Src.Media import unread
from Src.Media.exiftool_program import exiftool_here
from Src.Media.unread import unread_here


def put(folder: Path, version: str, brotli: str) -> None:
    tool = folder / "exiftool"
    tool.unlink(missing_ok=True)
    tool.write_text(
        f'#!/bin/sh\ncase "$*" in *-v) echo "ExifTool version {version}"; echo "Optional libraries:"\n'
        f'echo "  Compress::Zlib               2.106"; echo "  IO::Compress::Brotli         {brotli}";;\n'
        f"*) echo {version};; esac\n"
    )
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "brotli", "told"),
    [
        ("12.57", "(not installed)", "ExifTool 12.57 is too old; install 12.60"),
        ("13.36", "(not installed)", "apt install libio-compress-brotli-perl"),
        ("13.36", "0.019", None),
        ("12.37", "(not installed)", None),  # refused: another line says so
    ],
)
def test_what_exiftool_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, brotli: str, told: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(unread, "_undecoded", list)
    put(tmp_path, version, brotli)
    found = unread_here(trust_any_version=False)
    assert (len(found) == 1 and told in found[0] and "JPEG XL" in found[0]) if told else found == []


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")
def test_here_it_is_asked_for_real() -> None:
    assert isinstance(unread_here(trust_any_version=False), list)
    assert "Compress::Zlib" not in exiftool_here(trust_any_version=False).missing_modules


def test_decoders_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    assert unread._undecoded() == []
    monkeypatch.setattr(unread, "_heif_decoders", lambda: "")
    monkeypatch.setattr(unread, "_has_avif", lambda: False)
    assert [one.split(":")[0] for one in unread._undecoded()] == ["pictures of HEIC photos", "pictures of AVIF photos"]


def test_the_libraries_say_of_themselves_what_pillow_says_of_them() -> None:
    heif = pytest.importorskip("pillow_heif")
    from PIL import features

    assert unread._heif_decoders() == " ".join(heif.libheif_info()["decoders"].values())
    assert unread._has_avif() is features.check("avif")


def test_where_pictures_are_made_elsewhere_nothing_is_said_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_pillow_heif", None)
    assert unread._undecoded() == []
    monkeypatch.setitem(sys.modules, "PIL._avif", None)
    assert not unread._has_avif()


def test_to_ask_them_loads_no_pillow() -> None:
    program = "import sys; from Src.Media.unread import _undecoded; _undecoded(); print('PIL.Image' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
