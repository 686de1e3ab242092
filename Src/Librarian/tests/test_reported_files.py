"""Files that people reported to be read wrong, each with its right values (`Src/Media/tests/samples`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian.metadata_extractor import MetadataExtractor
from Src.Media.kind_detection import HEAD_SIZE, kind_of
from Src.Media.metadata import Metadata, Subject
from Src.Media.tests.test_metadata import BERLIN
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.patience import PATIENCE

SAMPLES = PROJECT_ROOT / "Src" / "Media" / "tests" / "samples"
CASES: dict[str, dict[str, Any]] = json.loads((SAMPLES / "cases.json").read_text())
NOW = datetime(2026, 11, 29, 12)
FILE_TIME = int(datetime(2026, 11, 1, 10, tzinfo=BERLIN).timestamp()) * 10**9

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture(scope="module")
def extractor() -> Iterator[MetadataExtractor]:
    with MetadataExtractor(BERLIN, PATIENCE) as shared:
        yield shared


def kind_at(path: Path) -> str | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        kind = kind_of(fd, os.pread(fd, HEAD_SIZE, 0))
        return kind.name if kind is not None else None
    finally:
        os.close(fd)


def values(found: Metadata) -> dict[str, Any]:
    return {
        **found._asdict(),
        "captured_at": str(found.captured_at).removesuffix("000"),
        "lat": found.latitude,
        "lon": found.longitude,
        "has_errors": found.error is not None,
        "duration": found.duration_seconds,
    }


@pytest.mark.parametrize("name", CASES)
def test_a_reported_file_is_read_right(extractor: MetadataExtractor, name: str) -> None:
    right = dict(CASES[name])
    kind = kind_at(SAMPLES / name)
    assert (kind is not None) == right.pop("media", True)
    if kind is None:
        return
    assert kind == right.pop("kind", kind)
    (found,) = extractor.extract([Subject(str(SAMPLES / name), name, kind, FILE_TIME)], NOW)
    assert isinstance(found, Metadata)
    got = values(found)
    if right.pop("or_error", False) and found.error is not None:
        return
    if right.pop("or_null", False) and found.duration_seconds is None:
        del right["duration"]
    if right.pop("day_only", False):
        assert got["captured_at"][:10] == right.pop("captured_at")[:10]
    numbers = {key: value for key, value in right.items() if isinstance(value, float)}
    assert {key: got[key] for key in numbers} == pytest.approx(numbers, abs=0.01)
    assert {key: got[key] for key in right if key not in numbers} == {
        k: v for k, v in right.items() if k not in numbers
    }


# What ExifTool says otherwise, and why it is not believed.
OTHERWISE = {
    ("06-anamorphic.mp4", "width"): "the display's proportions",
    ("F16c_opendml_duration.avi", "duration"): "the first part of an OpenDML film",
    ("v07_clip.ogv", "duration"): "estimated",
    ("v01_mpeg1.mpg", "duration"): "estimated",
    ("v02_mpeg2.mpg", "duration"): "estimated",
    ("v22_svcd.mpg", "duration"): "estimated",
}


def test_each_field_is_what_exiftool_says(extractor: MetadataExtractor) -> None:
    paths = sorted(path for path in SAMPLES.iterdir() if path.is_file() and kind_at(path) is not None)
    asked = [Subject(str(path), path.name, str(kind_at(path)), FILE_TIME) for path in paths]
    command = ["exiftool", "-json", "-n", "-ImageWidth", "-ImageHeight", "-Duration", "-Make", "-Model"]
    answers = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False).stdout
    disagreements = {}
    for path, found, answer in zip(paths, extractor.extract(asked, NOW), json.loads(answers), strict=True):
        assert isinstance(found, Metadata) and answer["SourceFile"] == str(path)
        ours = {
            "width": found.width,
            "height": found.height,
            "duration": found.duration_seconds,
            "make": found.camera_make,
            "model": found.camera_model,
        }
        said = dict(zip(ours, map(answer.get, ("ImageWidth", "ImageHeight", "Duration", "Make", "Model")), strict=True))
        for name, value in said.items():
            if name == "duration" and isinstance(value, str):  # Matroska's tag, as text
                hours, minutes, seconds = value.split(":")
                value = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            same = ours[name] == (pytest.approx(value, abs=0.01) if isinstance(value, int | float) else value)
            if value not in (None, "", 0) and not same and (path.name, name) not in OTHERWISE:
                disagreements[path.name, name] = (ours[name], value)
    assert disagreements == {}
