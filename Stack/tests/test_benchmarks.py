"""The benchmarks work: what they say makes sense. How fast anything is, is not asked here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from benchmarks.case import Bar, Goal
from benchmarks.crowd import bursts
from benchmarks.photos import PARTS, make_library
from Src.Librarian.media_kind import HEAD_SIZE, kind_of
from Src.Librarian.metadata_extractor import Metadata, MetadataExtractor, Subject
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
        assert list(first[case]["cpu"]) == ["main", "workers", "ExifTool", "PostgreSQL"]

    picture = folder / "speed.svg"
    more = ("ingest", "latency", "waiting", "--files=2", "--size=20000", "--resume", "--picture", str(picture))
    printed, second, seconds = benchmark(folder, *more)
    assert first["ingest"]["title"] not in printed, "it was there already"
    assert second.items() > first.items()
    # Seconds, as they are estimated from two each; and beyond a delay that began while the file was being written.
    assert all(-1.0 < bar["value"] < 2 * seconds for bar in second["latency"]["bars"])
    workers = len(os.sched_getaffinity(0))
    assert 10 < second["waiting"]["bars"][0]["value"] < 1000 * workers, "megabytes of a Python with workers"

    words = " ".join(xml.etree.ElementTree.parse(picture).getroot().itertext())
    assert all(result["title"] in words for result in second.values())


def test_a_goal_is_reached_from_its_own_side() -> None:
    at_most, at_least = Goal("cost", 2.0), Goal("rate", 0.9, at_least=True)
    assert Bar.of(at_most, [1.0, 2.0, 9.0]).reached
    assert not Bar.of(at_most, [2.1]).reached
    assert Bar.of(at_least, [0.9]).reached
    assert not Bar.of(at_least, [0.8]).reached
    assert not Bar.of(at_most, [-1.0]).reached and not Bar.of(at_least, [-1.0]).reached, "that is noise"


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
    return [(subject.kind, metadata) for subject, metadata in zip(subjects, found, strict=True)]
