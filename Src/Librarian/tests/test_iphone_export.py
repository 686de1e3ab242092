"""An iPhone's export comes in with its pairs, whichever half comes first, whenever, and whatever is killed between."""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian.clear.leaving import LeavingFiles
from Src.Librarian.place.placing import Placer
from Src.Librarian.record import relations as relating_statements
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.tests.test_companions_filed import run_import
from Src.Librarian.tests.test_relating import relations
from Src.Librarian.tests.test_sidecars import Factory
from Src.Shared.settings import Settings
from Src.Testing.iphone import AAE, film, photo
from Src.Testing.promise import ledger_rows

pytestmark = pytest.mark.skipif(not (shutil.which("exiftool") and shutil.which("ffmpeg")), reason="needs both programs")
NOON = datetime(2024, 5, 1, 12)
DAY = "Originals/2024/2024-05-01"


@pytest.fixture
def factory(factory_settings: Settings) -> Iterator[Factory]:
    factory = Factory(factory_settings)
    factory.settings.inbox.mkdir(parents=True, exist_ok=True)
    yield factory
    factory.assert_vault_right()


def new_id() -> str:
    return str(uuid.uuid4()).upper()


def names(factory: Factory) -> set[str]:
    rows = ledger_rows(factory.settings, "SELECT final_path FROM media_assets")
    return {str(row["final_path"]).rsplit("/", 1)[-1] for row in rows}


def test_an_export_comes_in_with_the_right_pairs(factory: Factory, tmp_path: Path) -> None:
    one, two, other = new_id(), new_id(), new_id()
    export = tmp_path / "export"
    export.mkdir()
    made = {
        "IMG_0001.HEIC": photo(NOON, one),
        "IMG_0001.MOV": film(tmp_path, NOON - timedelta(seconds=1), one),
        "IMG_0001.AAE": AAE,
        "IMG_E0001.JPG": photo(NOON, one, form="JPEG", colour=1),
        "IMG_E0001.MOV": film(tmp_path, NOON, one, colour=1),
        # Of one stem and one minute, and no pair: two phones filled this folder.
        "IMG_0002.HEIC": photo(NOON, two, colour=2),
        "IMG_0002.MOV": film(tmp_path, NOON, other, colour=2),
        # The film of a photo that was sent under another name.
        "sent.HEIC": photo(NOON, other, colour=3),
        "IMG_0003.JPG": photo(NOON, form="JPEG", colour=4),
        "IMG_0003.MOV": film(tmp_path, NOON + timedelta(seconds=59), colour=4),
        "IMG_0004.HEIC": photo(NOON, colour=5, burst_id=two),
    }
    for name, content in made.items():
        (export / name).write_bytes(content)
    tally = run_import(factory, export)
    assert (tally.new, tally.companions) == (10, 1)
    assert relations(factory) == {
        ("live_photo", "IMG_0001.MOV", "IMG_0001.HEIC"),
        ("live_photo", "IMG_E0001.MOV", "IMG_E0001.JPG"),
        ("edited", "IMG_E0001.JPG", "IMG_0001.HEIC"),
        ("edited", "IMG_E0001.MOV", "IMG_0001.MOV"),
        ("live_photo", "sent.MOV", "sent.HEIC"),
        ("live_photo", "IMG_0003.MOV", "IMG_0003.JPG"),
    }
    assert factory.companions() == {f"{DAY}/IMG_0001.AAE": "IMG_0001.HEIC"}
    assert factory.photos()["IMG_0004.HEIC"]["burst_id"] == two
    assert factory.photos()["IMG_0001.MOV"]["content_id"] == one
    assert run_import(factory, export).new == 0


def test_halves_that_come_apart_take_one_number_and_while_the_ledger_is_away_they_are_related(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        factory.drop(f"{number}/IMG_1.HEIC", photo(NOON, colour=90 + number))
        factory.ingest()
    late, early = new_id(), new_id()
    factory.drop("a/IMG_1.HEIC", photo(NOON, late))
    factory.drop("b/IMG_2.MOV", film(tmp_path, NOON, early))
    factory.ingest()
    factory.drop("later/IMG_1.MOV", film(tmp_path, NOON, late, colour=1))
    factory.drop("later/other name.HEIC", photo(NOON, early, colour=1))
    factory.ingest()
    assert names(factory) == {"IMG_1.HEIC", "IMG_1_1.HEIC", "IMG_1_2.HEIC", "IMG_1_2.MOV", "IMG_2.MOV", "IMG_2.HEIC"}
    known = relations(factory)
    assert known == {("live_photo", "IMG_1_2.MOV", "IMG_1_2.HEIC"), ("live_photo", "IMG_2.MOV", "IMG_2.HEIC")}
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "connect", lambda _self: False)
        third = new_id()
        factory.drop("c/IMG_3.HEIC", photo(NOON, third, colour=2))
        factory.ingest()
        factory.drop("c/IMG_3.MOV", film(tmp_path, NOON, third, colour=2))
        factory.drop("c/IMG_E3333.JPG", photo(NOON, form="JPEG", colour=3))
        factory.ingest()
        assert relations(factory) == known
    factory.drop("c/IMG_3333.JPG", photo(NOON, form="JPEG", colour=4))
    factory.ingest()
    assert relations(factory) - known == {
        ("live_photo", "IMG_3.MOV", "IMG_3.HEIC"),
        ("edited", "IMG_E3333.JPG", "IMG_3333.JPG"),
    }


class Killed(BaseException):
    """As the process ending there."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_with_any_delay_and_kills_between_nothing_is_orphaned_and_nothing_parted(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    waiting: list[tuple[str, bytes]] = []
    pairs: dict[str, set[str]] = {}
    for number in range(6):
        content_id = new_id() if number % 3 else None  # without one, the stem and the time are what makes a pair
        folder = f"phone {number}"  # of several phones, that number alike
        stem = f"IMG_{number % 2}"
        live = {"HEIC": photo(NOON, content_id, colour=seed * 100 + number)}
        live["MOV"] = film(tmp_path, NOON, content_id, colour=seed * 100 + number)
        for ending, content in live.items():
            waiting.append((f"{folder}/{stem}.{ending}", content))
        pairs[folder] = {f"{folder}/{stem}.{ending}" for ending in live}
    chance.shuffle(waiting)
    steps: list[tuple[Any, str]] = [
        (Placer, "place"),
        (Recorder, "record"),
        (relating_statements, "add"),
        (LeavingFiles, "take"),
    ]
    while waiting:
        for _ in range(chance.randint(1, 4)):
            if waiting:
                factory.drop(*waiting.pop())
        owner, step = chance.choice(steps)
        after, real = chance.random() < 0.5, getattr(owner, step)
        with monkeypatch.context() as patch:
            patch.setattr(Placer, "take_back", lambda *_: None)

            def killed(*args: Any, real: Callable[..., Any] = real, after: bool = after, **kwargs: Any) -> Any:
                if after:
                    real(*args, **kwargs)
                raise Killed

            patch.setattr(owner, step, killed)
            if chance.random() < 0.7:
                with suppress(Killed):
                    factory.ingest()
        if chance.random() < 0.7:
            factory.ingest()
    factory.ingest()
    rows = ledger_rows(factory.settings, "SELECT original_path, final_path FROM media_assets")
    stands = {str(row["original_path"]): str(row["final_path"]) for row in rows}
    assert stands.keys() == {path for both in pairs.values() for path in both}
    related = relations(factory)
    for both in pairs.values():
        heic, mov = sorted(both)
        at = stands[heic].removesuffix(".HEIC"), stands[mov].removesuffix(".MOV")
        assert at[0] == at[1], f"parted: {stands}"
        assert ("live_photo", stands[mov].rsplit("/", 1)[-1], stands[heic].rsplit("/", 1)[-1]) in related
    assert len(related) == len(pairs)
