"""A file's hash is believed only where nothing about the file says that it could be another one's."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from Src.Library.hash_cache import COARSEST_CLOCK, CachedFile, HashCache
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.disk.filesystem_id import FilesystemId, filesystem_id

STRONG = FilesystemId("4b1f-aa", True)
WEAK = FilesystemId("", False)


def at(path: Path) -> CachedFile:
    return CachedFile(str(path), FileState.of(path.stat()))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def later() -> float:
    """As if all this happened long after the files were written."""
    return time.time() + 2 * COARSEST_CLOCK


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    return path


def cache(database: Database, kind: FilesystemId = STRONG) -> HashCache:
    return HashCache(database, filesystem_of=lambda _: kind)


def remembered(database: Database, photo: Path, kind: FilesystemId = STRONG) -> HashCache:
    """A new process, which knows what another one has written."""
    cache(database, kind).remember([(at(photo), sha256(photo))], read_since=later())
    return cache(database, kind)


def rows(database: Database) -> int:
    with database.session() as session:
        return int(session.execute(text("SELECT count(*) FROM hash_cache")).scalar_one())


def test_an_unchanged_file_is_known_in_another_process_and_in_this_one(database: Database, photo: Path) -> None:
    one = remembered(database, photo)
    assert one.hashes([at(photo)]) == {str(photo): sha256(photo)}
    with database.session() as session:
        session.execute(text("TRUNCATE hash_cache"))
    assert one.hashes([at(photo)]) == {str(photo): sha256(photo)}, "from memory"
    assert one.use.as_json() == {"hits": 2, "misses": 0, "rate": 1.0}


def rewritten(path: Path) -> None:
    """Other bytes, as many, with the same mtime."""
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # that clock goes on in steps
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    """Another file under the same name."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def grown(path: Path) -> None:
    path.write_bytes(b"three")


@pytest.mark.parametrize("change", [rewritten, replaced, grown])
def test_a_changed_file_is_not_and_its_entry_goes(
    database: Database, photo: Path, change: Callable[[Path], None]
) -> None:
    one = remembered(database, photo)
    change(photo)
    assert one.hashes([at(photo)]) == {}
    assert (one.use.misses, rows(database)) == (1, 0)


def test_another_filesystem_at_the_same_place_is_another_file(database: Database, photo: Path) -> None:
    remembered(database, photo)
    assert cache(database, STRONG._replace(uuid="other")).hashes([at(photo)]) == {}


def test_a_file_written_just_before_it_was_read_is_not_remembered(database: Database, photo: Path) -> None:
    """Within one tick of the clock it could be written again and look the same."""
    one = cache(database)
    one.remember([(at(photo), sha256(photo))], read_since=photo.stat().st_ctime)
    assert (one.hashes([at(photo)]), rows(database)) == ({}, 0)


def test_where_ctime_says_nothing_a_young_mtime_is_enough_not_to_remember(database: Database, photo: Path) -> None:
    soon = later() + 60
    os.utime(photo, (soon, soon))
    one = cache(database, WEAK)
    one.remember([(at(photo), sha256(photo))], read_since=later())
    assert one.hashes([at(photo)]) == {}


def test_where_numbers_say_nothing_path_size_and_time_do_but_never_to_verify(database: Database, photo: Path) -> None:
    one = remembered(database, photo, WEAK)
    renumbered = CachedFile(str(photo), at(photo).state._replace(inode=77, ctime_ns=1))
    assert one.hashes([renumbered]) == {str(photo): sha256(photo)}
    assert one.hashes([renumbered], to_verify=True) == {}
    strong = remembered(database, photo)
    assert strong.hashes([at(photo)], to_verify=True) == {str(photo): sha256(photo)}


def test_who_only_looks_changes_nothing(database: Database, photo: Path) -> None:
    remembered(database, photo)
    grown(photo)
    one = HashCache(database, only_look=True, filesystem_of=lambda _: STRONG)
    assert one.hashes([at(photo)]) == {}
    one.remember([(at(photo), sha256(photo))], read_since=later())
    assert cache(database).hashes([at(photo)]) == {}


def test_an_entry_that_is_of_use_stays_young(database: Database, photo: Path) -> None:
    one = remembered(database, photo)
    with database.session() as session:
        session.execute(text("UPDATE hash_cache SET seen_at = now() - interval '80 days'"))
    one.hashes([at(photo)])
    with database.session() as session:
        seen = session.execute(text("SELECT seen_at FROM hash_cache")).scalar_one()
    assert datetime.now(UTC) - seen < timedelta(days=1)


def test_a_path_that_is_no_text_and_an_inode_beyond_the_ledgers_numbers(database: Database, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\\.jpg")
    path.write_bytes(b"one")
    file = CachedFile(str(path), at(path).state._replace(inode=2**64 - 1))
    one = cache(database)
    one.remember([(file, sha256(path))], read_since=later())
    assert cache(database).hashes([file]) == {str(path): sha256(path)}


def test_a_ledger_without_the_table_knows_nothing(database: Database, photo: Path) -> None:
    one = remembered(database, photo)
    with database.session() as session:
        session.execute(text("DROP TABLE hash_cache"))
    assert one.hashes([at(photo)]) == {}


def test_a_filesystem_keeps_its_name(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    assert filesystem_id(tmp_path) == filesystem_id(inner)
    assert filesystem_id(Path("/proc")) == FilesystemId("", False)
