"""The checker of the promise: whatever breaks the promise is seen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from Src.Librarian.service import InboxService
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.promise import Source, assert_promise_kept, sources_in

SAMPLES = Path(__file__).parent / "samples"


@dataclass
class Filed:
    """A factory at rest: two originals, one of which came twice."""

    settings: Settings
    sources: list[Source]

    @property
    def original(self) -> Path:
        [path] = self.settings.originals.rglob("Canon_40D.jpg")
        return path

    def aside(self, name: str) -> Path:
        """The file that came under this name, and is kept aside."""
        [path] = (self.settings.state / "leaving").rglob(f"*.{name}")
        return path

    def state(self, name: str) -> Path:
        folder = self.settings.state / name
        folder.mkdir(exist_ok=True)
        return folder

    def sql(self, statement: str) -> None:
        assert self.settings.database_url is not None
        engine = create_engine(self.settings.database_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            assert connection.execute(text(statement)).rowcount > 0
        engine.dispose()


@pytest.fixture
def filed(factory_settings: Settings) -> Filed:
    settings = replace(factory_settings, readers=1)
    settings.inbox.mkdir(parents=True)
    for name, sample in (("Canon_40D.jpg", "Canon_40D.jpg"), ("b.jpg", "Nikon_D70.jpg"), ("c.jpg", "Nikon_D70.jpg")):
        shutil.copy(SAMPLES / sample, settings.inbox / name)
    sources = sources_in(settings.inbox, settings.inbox)
    database = Database(settings)
    try:
        InboxService(settings, database, once=True).run()
    finally:
        database.close()
    return Filed(settings, sources)


def test_a_kept_promise_is_found_kept(filed: Filed) -> None:
    assert_promise_kept(filed.settings, filed.sources)


Break = Callable[[Filed], object]


def sql(statement: str) -> Break:
    return lambda filed: filed.sql(statement)


def one_more(table: str, changes: str) -> Break:
    """Adds a row like the Canon's, but for the changes."""
    return sql(
        f"INSERT INTO {table} SELECT (jsonb_populate_record(old, jsonb_build_object('id', uuidv7(), {changes}))).* "
        f"FROM {table} old WHERE original_name = 'Canon_40D.jpg'"
    )


def rewrite(filed: Filed) -> None:
    """A bit of an original turns; its size and its mode stay."""
    mode = filed.original.stat().st_mode
    content = bytearray(filed.original.read_bytes())
    content[-100] ^= 1
    filed.original.chmod(0o600)
    filed.original.write_bytes(content)
    filed.original.chmod(mode)


def move_to_another_day(filed: Filed) -> None:
    other = filed.original.parent.parent / "2008-01-01"
    other.mkdir()
    filed.original.rename(other / filed.original.name)
    filed.sql("UPDATE media_assets SET final_path = replace(final_path, '2008-05-30', '2008-01-01')")
    filed.sql("UPDATE ingest_events SET final_path = replace(final_path, '2008-05-30', '2008-01-01')")


def copy_beside(filed: Filed, name: str, content: bytes | None = None) -> None:
    path = filed.original.with_name(name)
    path.write_bytes(filed.original.read_bytes() if content is None else content)
    path.chmod(0o444)


def link_twice(filed: Filed) -> None:
    os.link(filed.original, filed.settings.data / "elsewhere")
    os.link(filed.original, filed.aside("b.jpg").with_name("x"))


def forget_notes(filed: Filed) -> None:
    for path in filed.aside("c.jpg").parent.glob("*.notes"):
        path.unlink()


BROKEN: dict[str, tuple[Break, str]] = {
    # the vault
    "an original is gone": (lambda filed: filed.original.unlink(), "missing from the vault"),
    "an original has changed": (rewrite, "missing from the vault"),
    "an original is cut off": (lambda filed: os.truncate(filed.original, 100), "missing from the vault"),
    "an original is there twice": (lambda filed: copy_beside(filed, "again.jpg"), "in the vault twice"),
    "a stranger is in the vault": (lambda filed: copy_beside(filed, "stranger.jpg", b"?"), "nobody's"),
    "a temporary file is in the vault": (lambda filed: copy_beside(filed, ".factory-1", b"?"), "factory-1"),
    "names differ in case only": (lambda filed: copy_beside(filed, "CANON_40D.JPG", b"?"), "take for one"),
    "an original can be written": (lambda filed: filed.original.chmod(0o644), "can be written"),
    "an original is linked from elsewhere": (
        lambda filed: os.link(filed.original, filed.settings.data / "elsewhere"),
        "still linked",
    ),
    "an original stands elsewhere": (
        lambda filed: filed.original.rename(filed.original.with_name("renamed.jpg")),
        "rows and vault differ",
    ),
    "an original stands under another day": (move_to_another_day, "2008-01-01"),
    "an original is linked from elsewhere and kept aside": (link_twice, "still linked"),
    "the marker is gone": (
        lambda filed: (filed.settings.originals / ".photo-factory-vault").unlink(),
        "lost its marker",
    ),
    # the ledger
    "a row is gone": (sql("DELETE FROM media_assets WHERE original_name <> 'Canon_40D.jpg'"), "rows and vault differ"),
    "a row without a file": (
        one_more("media_assets", "'file_hash', repeat('0', 64), 'final_path', 'Originals/2008/2008-05-30/x.jpg'"),
        "rows and vault differ",
    ),
    "a row with another size": (sql("UPDATE media_assets SET file_size = file_size + 1"), "Originals"),
    "a fate is gone": (sql("DELETE FROM ingest_events WHERE original_name = 'c.jpg'"), "no fate is told"),
    "a fate of another file": (sql("UPDATE ingest_events SET original_path = 'x' || original_path"), "no fate is told"),
    "a fate told twice": (one_more("ingest_events", "'fate', 'ingested'"), "was ingested 2 times"),
    "a fate that points elsewhere": (
        sql("UPDATE ingest_events SET final_path = 'Originals/2008/2008-05-30/x'"),
        "points elsewhere",
    ),
    # beside them
    "a note in the journal": (lambda filed: (filed.state("journal") / "1").touch(), "left in journal"),
    "a note of a copy": (lambda filed: (filed.state("copying") / "1").touch(), "left in copying"),
    "what is kept aside is kept nowhere else": (
        lambda filed: filed.aside("c.jpg").write_bytes(b"more than was filed"),
        "nowhere but aside",
    ),
    "a stranger is kept aside": (
        lambda filed: filed.aside("c.jpg").with_name("stranger").write_bytes(b"whose?"),
        "nowhere but aside",
    ),
    "others may look at what is kept aside": (
        lambda filed: filed.aside("c.jpg").parent.chmod(0o755),
        "open to others",
    ),
    "the notes of what is kept aside are gone": (
        forget_notes,
        "has no note",
    ),
    "a filed photo is still in the inbox": (
        lambda filed: shutil.copy(filed.original, filed.settings.inbox / "kept.jpg"),
        "still in the inbox",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_promise_is_seen(filed: Filed, what: str) -> None:
    break_it, said = BROKEN[what]
    break_it(filed)
    with pytest.raises(AssertionError, match=said):
        assert_promise_kept(filed.settings, filed.sources)


def test_a_photo_that_went_nowhere_is_missed(filed: Filed) -> None:
    never_filed = Source("lost.jpg", "0" * 64)
    with pytest.raises(AssertionError, match="missing from the vault"):
        assert_promise_kept(filed.settings, [*filed.sources, never_filed])
