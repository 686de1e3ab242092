"""`kill -9` of the whole process tree at any moment: nothing lost, nothing twice, nothing left over."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from itertools import islice
from pathlib import Path
from typing import Literal

import pytest

from Src.Librarian.tests.promise import Source, assert_promise_kept
from Src.Shared.embedded_postgres import EmbeddedPostgres
from Src.Shared.settings import load_settings
from Stack.tests.photos import unique_jpeg, unique_jpegs
from Stack.tests.real_factory import SAMPLES, Factory, Running

LEAST, MORE = 150, 80  # files in the inbox before each kill: so that there is a middle to be killed in

# What people and programs call files, as bytes on disk.
NAMES = [
    *[f"IMG_{number:04}.JPG".encode() for number in range(40)],  # the same from every camera: collisions
    b"line\nbreak.jpg",
    b"-rf.jpg",
    b"--version",
    b"no ending",
    b'quote\'s "double" `back`.jpg',
    b"$(reboot) ${HOME} %s %(x)s.jpg",
    b"back\\slash \\x41.jpg",
    b"tab\tand \x1b[31mred\x1b[0m.jpg",
    b"latin-1 \xe9t\xe9.jpg",
    b"\xff\xfe\xfd.jpg",
    "עברית ‮gpj.exe".encode(),
    "café.jpg".encode(),
    "cafe\u0301.jpg".encode(),
    b"CASE.jpg",
    b"case.JPG",
    b"trailing. ",
    b" leading.jpg",
    b"[brackets] {braces} *stars* ?.jpg",
    b"x" * 251 + b".jpg",
    ("日本" * 41).encode() + b".jpg",
    "📷🏔️.jpg".encode(),
    b"photo.sync-conflict-20240101-120000-ABCDEFG.jpg",
]
FOLDERS = [b"", b"phone", b"phone/DCIM/100APPLE", b"a/b/c/d/e", b"new\nline/\xe9", b"  ", "ünï".encode()]


Moment = Literal["any time", "between files", "while copying"]
MOMENTS: list[Moment] = ["any time", "between files", "while copying", "between files"]


class Feeder:
    """Puts photos into an inbox and remembers what it has put there."""

    def __init__(self, inbox: Path, chance: random.Random) -> None:
        self._inbox = os.fsencode(inbox)
        self._chance = chance
        self._contents = unique_jpegs(chance)
        self._recent: list[bytes] = []
        self.sources: list[Source] = []

    def waiting(self) -> int:
        return sum(len(names) for _, _, names in os.walk(self._inbox))

    def feed(self, count: int) -> None:
        """New photos and some duplicates, each by rename, each under a path that was never used before."""
        used = {source.original_path for source in self.sources}
        for content in islice(self._contents, count):
            if self._recent and self._chance.random() < 0.15:
                content = self._chance.choice(self._recent)
            self._recent = [*self._recent[-30:], content]
            while True:
                folder, name = self._chance.choice(FOLDERS), self._chance.choice(NAMES)
                if self._chance.random() < 0.5:
                    folder = os.path.join(folder, b"%d" % self._chance.randrange(100))
                path = os.fsdecode(os.path.join(folder, name))
                if path not in used:
                    break
            used.add(path)
            self.sources.append(Source(path, hashlib.sha256(content).hexdigest()))
            target = os.path.join(self._inbox, os.fsencode(path))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            temporary = os.path.join(self._inbox, b".being-written")
            Path(os.fsdecode(temporary)).write_bytes(content)
            os.rename(temporary, target)


def test_twenty_kills_of_everything_at_any_moment(factory: Factory) -> None:
    killed_in_the_middle = kill_again_and_again(factory, 20)

    assert killed_in_the_middle >= 8, "most kills came before or after the work"


def test_kills_while_copying_between_filesystems(factory: Factory, other_filesystem: Path) -> None:
    factory.environment["STORAGE_PATH"] = str(other_filesystem / "Storage")

    killed_in_the_middle = kill_again_and_again(factory, 8)

    assert killed_in_the_middle >= 2, "most kills came before or after the work"


@pytest.mark.parametrize("way", ["linked", "copied"])
@pytest.mark.parametrize("batch_size", ["1", "16"])
@pytest.mark.parametrize("ledger", ["there", "away"])
def test_what_a_killed_run_had_placed_is_not_kept_twice(
    factory: Factory, way: str, batch_size: str, ledger: str
) -> None:
    """Placed, and killed before its row was written: and then another file with the same content comes first."""
    factory.environment.update(WORKERS="1", BATCH_SIZE=batch_size)
    factory.inbox.mkdir(parents=True)
    (factory.inbox / "other.jpg").write_bytes(unique_jpeg(1))
    assert factory.run("ingest", "--json").json()["new"] == 1
    [other] = factory.vault_files()
    content = (SAMPLES / "Canon_40D.jpg").read_bytes()
    (factory.inbox / "a comes first.jpg").write_bytes(content)
    (factory.inbox / "z placed.jpg").write_bytes(content)
    if way == "linked":
        os.link(factory.inbox / "z placed.jpg", other.parent / "z placed.jpg")  # the state that a kill leaves
    else:
        shutil.copy2(factory.inbox / "z placed.jpg", other.parent / "z placed.jpg")
    os.chmod(other.parent / "z placed.jpg", 0o444)

    if ledger == "away":  # it alone could tell that what stands there has no row
        away = factory.run("ingest", "--json", env={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"})
        assert away.json()["failed"] == 0
        assert not list(factory.inbox.iterdir())
        assert factory.run("ingest", "--json").json()["failed"] == 0
    else:
        report = factory.run("ingest", "--json").json()
        assert (report["new"], report["duplicates"]) == (1, 1)

    kept = [path for path in factory.vault_files() if path != other]
    assert len(kept) == 1, f"the same bytes are in the vault twice: {sorted(path.name for path in kept)}"
    [(final_path,)] = factory.sql_at_rest("SELECT final_path FROM media_assets WHERE original_name <> 'other.jpg'")
    assert kept == [factory.storage / final_path]


def kill_again_and_again(factory: Factory, kills: int) -> int:
    """How many of the kills came while files were being filed."""
    seed = int(os.environ.get("FACTORY_SEED") or time.time_ns() % 1_000_000)
    print(f"FACTORY_SEED={seed}")
    chance = random.Random(seed)
    factory.environment.update(WORKERS="1", BATCH_SIZE="16", LOG_LEVEL="WARNING")
    feeder = Feeder(factory.inbox, chance)
    factory.inbox.mkdir(parents=True)
    feeder.feed(300)
    said = []
    in_the_middle = 0
    for turn in range(kills):
        if feeder.waiting() < LEAST:
            feeder.feed(MORE)
        before = factory.filed()
        with factory.start("ingest") as running:
            strike(factory, running, chance, before, MOMENTS[turn % len(MOMENTS)])
            ended = running.process.poll() is not None
            factory.kill_all()
            running.wait()
            said.append(running.output)
        in_the_middle += not ended and factory.filed() > before and feeder.waiting() > 0
    print(f"{len(feeder.sources)} files, {in_the_middle} of {kills} kills in the middle")

    last = factory.run("ingest", "--json")

    assert last.code == 0, last.err
    assert last.json()["failed"] == 0
    assert "Traceback" not in "".join([*said, last.err])
    assert list(factory.inbox.rglob("*")) == [], "left in the inbox, empty folders count too"
    settings = load_settings(factory.env(), env_file=factory.data / "no.env")
    server = EmbeddedPostgres(settings.db_data)
    server.ensure_running()
    try:
        assert_promise_kept(settings, feeder.sources)
        assert factory.sql("SELECT original_path, error_message FROM media_assets WHERE has_errors") == []
        assert factory.sql("SELECT original_path, message FROM ingest_events WHERE fate LIKE 'fail%%'") == []
        assert factory.sql("SELECT original_path FROM inbox_files") == []
    finally:
        server.release()
    assert {path.name for path in factory.storage.iterdir()} == {"Originals", ".factory"}
    return in_the_middle


def strike(factory: Factory, running: Running, chance: random.Random, before: int, moment: Moment) -> None:
    """Returns at the moment of the kill."""
    end = time.monotonic() + chance.uniform(0.0, 2.5)
    filed = before + chance.randint(1, 60)
    limit = time.monotonic() + 60
    while running.process.poll() is None:
        assert time.monotonic() < limit, "the moment does not come"
        if moment == "any time" and time.monotonic() >= end:
            return
        if moment == "between files" and factory.filed() >= filed:
            break
        if moment == "while copying" and any((factory.storage / ".factory" / "copying").glob("*")):
            if chance.random() < 0.2:
                return
        elif moment == "while copying" and factory.filed() >= filed + 60:  # same filesystem: nothing is copied
            return
    end = time.monotonic() + chance.uniform(0.0, 0.02)  # anywhere in a batch, not always right after a placement
    while time.monotonic() < end:
        pass
