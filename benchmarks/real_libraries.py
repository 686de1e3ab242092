"""`./factory ingest` against the floor, of the libraries that people have."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.case import Amount, Case, Goal, Measured, NotPossible
from benchmarks.ingest import against_floor
from benchmarks.libraries import jpeg, pieces
from benchmarks.libraries.android import android
from benchmarks.libraries.archive import archive
from benchmarks.libraries.camera import camera
from benchmarks.libraries.iphone import iphone
from benchmarks.libraries.library import Group, Template, varied, write
from benchmarks.photos import corpus

_REAL_CAMERAS = ("jpg/*.jpg", "jpg/gps/*.jpg", "jpg/exif-org/*.jpg")


def _library(of: Callable[[], Sequence[Template | Group]], bench: Bench, amount: Amount) -> Measured:
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        return against_floor(bench, write(Path(folder), of(), amount.files), amount.rounds)


def _corpus_cameras(bench: Bench, amount: Amount) -> Measured:
    """The real headers of the corpus, each before picture data of a size, again and again."""
    picture = pieces.jpeg(2592, 1944, amount.size)
    photos = [
        Template(f"#-{path.stem}.jpg", varied(photo))
        for pattern in _REAL_CAMERAS
        for path in sorted(corpus().glob(f"**/{pattern}"))
        if (photo := jpeg.with_header_of(path, picture)) is not None
    ]
    if not photos:
        raise NotPossible(f"no photos in {corpus()}: FACTORY_CORPUS names the folder of the corpus")
    return _library(lambda: photos, bench, amount)


def _case(
    name: str, title: str, goal: float, files: int, measure: Callable[[Bench, Amount], Measured], size: int = 0
) -> Case:
    return Case(
        name,
        f"{title}, {{files}} files",
        (Goal("cost per file / floor", goal),),
        Amount(files=files, size=size),
        Amount(files=200, size=min(size, 200_000), rounds=1),
        measure,
    )


ANDROID = _case("android", "an Android phone", 1.35, 600, partial(_library, android))
IPHONE = _case("iphone", "an iPhone", 1.35, 600, partial(_library, iphone))
CAMERA = _case("camera", "cameras of six makers", 1.35, 500, partial(_library, camera))
ARCHIVE = _case("archive", "an old archive", 2.0, 600, partial(_library, archive))
CAMERAS = _case("cameras", "real cameras' JPEGs of the corpus", 1.25, 1000, _corpus_cameras, size=2_000_000)
