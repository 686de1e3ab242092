"""The benchmarks work: what they say makes sense. How fast anything is, is not asked here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from benchmarks.case import Amount, Bar, Goal
from benchmarks.crowd import bursts
from benchmarks.libraries import pieces
from benchmarks.libraries.android import android
from benchmarks.libraries.archive import archive
from benchmarks.libraries.camera import camera
from benchmarks.libraries.iphone import iphone
from benchmarks.libraries.library import Group, Template, write
from benchmarks.libraries.moments import moment
from benchmarks.photos import PARTS, make_library
from benchmarks.results import Result, load, markdown, save
from Src.Librarian.metadata_extractor import MetadataExtractor, NotRead
from Src.Media.kind_detection import HEAD_SIZE, kind_of
from Src.Media.metadata import Metadata, Subject
from Stack.tests.real_factory import ROOT, SAMPLES


def benchmark(folder: Path, *arguments: str) -> tuple[str, dict[str, Any], float]:
    """What was printed, what is kept, and how many seconds it took."""
    kept, work = folder / "speed.json", folder / "work"
    work.mkdir(exist_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--quick", "--json", str(kept), "--folder", str(work)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert not list(work.iterdir()), "it leaves nothing behind"
    return done.stdout, json.loads(kept.read_text()), time.monotonic() - began


@pytest.mark.timeout(1200)  # many factories, one after the other
def test_cases_are_measured_kept_and_drawn(folder: Path) -> None:
    some = ("ledger", "ingest", "exiftool", "--files=16", "--size=20000", "--rows=50")
    printed, first, seconds = benchmark(folder, *some)
    assert list(first) == ["ingest", "ledger", "exiftool"], "in the order of the cases"
    for result in first.values():
        assert result["title"] in printed
        for bar in result["bars"]:
            assert bar["goal"]["what"] in printed
            assert bar["lowest"] <= bar["value"] <= bar["highest"]
    assert first["ingest"]["figures"]["floor, files/s"] > 16 / seconds
    for case in ("ingest", "ledger"):
        assert first[case]["figures"].keys() >= {"ingest, files/s", "start-up and stop, s"}
        assert list(first[case]["cpu"]) == ["main", "readers", "ExifTool", "PostgreSQL"]

    picture = folder / "speed.svg"
    more = ("ingest", "latency", "waiting", "--files=2", "--size=20000", "--resume", "--picture", str(picture))
    printed, second, seconds = benchmark(folder, *more)
    assert first["ingest"]["title"] not in printed, "it was there already"
    assert second.items() > first.items()
    # Seconds, as they are estimated from two each; and beyond a delay that began while the file was being written.
    assert all(-1.0 < bar["value"] < 2 * seconds for bar in second["latency"]["bars"])
    readers = len(os.sched_getaffinity(0))
    assert 10 < second["waiting"]["bars"][0]["value"] < 1000 * readers, "megabytes of a Python with readers"

    words = " ".join(xml.etree.ElementTree.parse(picture).getroot().itertext())
    assert all(result["title"] in words for result in second.values())


def test_a_goal_is_reached_from_its_own_side() -> None:
    at_most, at_least = Goal("cost", 2.0), Goal("rate", 0.9, at_least=True)
    assert Bar.of(at_most, [1.0, 2.0, 9.0]).reached
    assert not Bar.of(at_most, [2.1]).reached
    assert Bar.of(at_least, [0.9]).reached
    assert not Bar.of(at_least, [0.8]).reached
    assert not Bar.of(at_most, [-1.0]).reached and not Bar.of(at_least, [-1.0]).reached, "that is noise"


def test_the_goals_of_all_cases_are_a_table_for_a_document(tmp_path: Path) -> None:
    bars = [Bar.of(Goal("cost / floor", 1.35, "×"), [1.2, 1.1, 1.4]), Bar.of(Goal("memory", 250.0, "MB"), [274.0])]
    result = Result("a camera's photos", bars, {}, {}, Amount(files=1), "2026-01-01", 1.0, "this machine")
    save(tmp_path / "speed.json", {"camera": result})
    table = list(markdown(load(tmp_path / "speed.json")))
    assert len({line.count("|") for line in table}) == 1, "each row has all columns"
    assert table[2:] == [
        "| `camera`: a camera's photos | cost / floor | ≤ 1.35 × | 1.20 | 1.10 to 1.40 | reached |",
        "| `camera`: a camera's photos | memory | ≤ 250 MB | 274.00 |  | **missed** |",
    ]


def test_bursts_of_work_are_told_from_standing_by() -> None:
    steps = [(0.25, 0.0), (0.25, 0.2), (0.25, 0.1), (0.25, 0.01), (0.25, 0.25), (0.25, 0.0)]
    assert bursts(steps) == pytest.approx([0.3, 0.25])
    assert bursts([(0.25, 0.0)]) == []


def test_files_of_a_library_are_all_different_and_tell_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_CORPUS", str(folder / "none"))
    library = make_library(folder, 1, 100_000)
    assert len({file.read_bytes() for file in library.files}) == len(library.files)

    samples = {file: SAMPLES / file.name.partition("-")[2] for file in library.files[: len(library.files) // PARTS]}
    assert set(samples.values()) < set(SAMPLES.iterdir())
    assert described(samples.keys()) == described(samples.values())


def described(paths: Iterable[Path]) -> list[tuple[str, Metadata]]:
    """What the factory knows of files, under names and with times that say nothing."""
    subjects = []
    for path in paths:
        with open(path, "rb") as file:
            kind = kind_of(file.fileno(), file.read(HEAD_SIZE))
        assert kind is not None, path
        subjects.append(Subject(str(path), "photo", kind.name, 0))
    with MetadataExtractor(ZoneInfo("UTC")) as extractor:
        found = extractor.extract(subjects, datetime(2030, 1, 1))
    assert not [one for one in found if isinstance(one, NotRead)]
    return [
        (one.kind, _uncounted(said)) for one, said in zip(subjects, found, strict=True) if isinstance(said, Metadata)
    ]


def _uncounted(said: Metadata) -> Metadata:
    """Samples are cut short; how many bytes that leaves missing depends on what was appended to tell them apart."""
    return said._replace(error=said.error and re.sub(r"[\d,]+ bytes", "N bytes", said.error))


@pytest.mark.parametrize("of", [android, iphone, camera, archive])
def test_a_library_holds_files_as_its_devices_write_them(
    of: Callable[[], Sequence[Template | Group]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ExifTool finds in each the date that was asked for, and nothing to complain of."""
    jpeg, clip = pieces.jpeg, pieces.clip
    monkeypatch.setattr(pieces, "FOLDER", tmp_path / "pieces")
    monkeypatch.setattr(pieces, "jpeg", lambda *_, **how: jpeg(64, 48, 2000, **how))
    monkeypatch.setattr(pieces, "clip", lambda *said, **_: clip(*said, seconds=1, size="64x48"))
    with MetadataExtractor(ZoneInfo("Europe/Berlin")) as extractor:
        for number, template in enumerate(template for one in of() for template in files_of(one)):
            file = tmp_path / moment(number).strftime(template.name).replace("#", f"{number:04d}")
            file.write_bytes(template.make(number, moment(number)))
            found = kind(file)
            assert (found is None) == (file.suffix in (".AAE", ".xmp")), file.name
            if found is None:
                continue
            (said,) = extractor.extract([Subject(str(file), file.name, found, 0)], datetime(2026, 11, 29, 12))
            assert isinstance(said, Metadata) and said.error is None, file.name
            if of is not archive:  # which has films and scans that say nothing of it
                assert said.captured_at.date() == moment(number).date(), file.name


def files_of(one: Template | Group) -> Sequence[Template]:
    return one.files if isinstance(one, Group) else [one]


def test_a_library_repeats_its_templates_alike_in_all_its_parts(tmp_path: Path) -> None:
    def made(number: int, when: datetime) -> bytes:
        return f"{number} {when}".encode()

    files = write(
        tmp_path, [Template("a#.jpg", made, 3), Group([Template("b#.jpg", made), Template("b#.mov", made)])], 50
    )
    assert len({file.read_bytes() for file in files}) == len(files) - sum(file.suffix == ".mov" for file in files)
    size = len(files) // PARTS
    parts = [sorted(file.name[0] for file in files[at : at + size]) for at in range(0, len(files), size)]
    assert parts == [parts[0]] * PARTS


def kind(file: Path) -> str | None:
    with open(file, "rb") as opened:
        found = kind_of(opened.fileno(), opened.read(HEAD_SIZE))
    return None if found is None else found.name
