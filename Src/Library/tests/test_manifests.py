"""Manifests: a stranger with coreutils and minisign finds whatever was done to the vault or to them, and no kill, link,
full disk or lost key makes them say what is not so."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import random
import shutil
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import CursorResult, insert, text
from sqlalchemy.exc import OperationalError

from Src.Library.belonging import Belonging, WrongLedger
from Src.Library.custody.manifests import folder as folder_module
from Src.Library.custody.manifests import lines
from Src.Library.custody.manifests.checking import CheckedManifests, check_manifests
from Src.Library.custody.manifests.folder import ManifestFolder
from Src.Library.custody.manifests.keeping import manifests_now
from Src.Library.custody.manifests.minisign import NotMinisign, PublicKey, SecretKey
from Src.Library.custody.manifests.store import BeingWritten, lock_of_manifests
from Src.Library.custody.manifests.writing import Manifests
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.ledger_text import to_ledger
from Src.Shared.models import Companion
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill

needs_minisign = pytest.mark.skipif(shutil.which("minisign") is None, reason="needs minisign")
KILL_EACH = "FACTORY_TEST_KILLS" in os.environ  # at each step, else at some
ODD_NAMES = [os.fsdecode(b"IMG \\ \xff\n\r.jpg"), "-n.jpg", ".hidden", "  two  spaces .jpg"]
COUNT = 12
DAY, LAST_DAY = "2024/2024-07-01", "2024/2024-07-03"


@dataclass
class Bench:
    settings: Settings
    database: Database
    vault: Vault

    @property
    def folder(self) -> Path:
        return self.settings.storage / "Manifests"

    def manifests(self) -> Manifests:
        belonging = Belonging(self.settings, self.vault)
        belonging.establish(self.database)
        return Manifests(self.vault, self.database, belonging)

    def write(self) -> Manifests:
        """All of them."""
        manifests = self.manifests()
        while manifests.are_behind() and manifests.write().days:
            pass
        return manifests

    def check(self) -> CheckedManifests:
        return check_manifests(self.vault, self.database, Belonging(self.settings, self.vault))

    def sql(self, statement: str, **values: object) -> list[Any]:
        with self.database.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement), values))
            return list(answer.all()) if answer.returns_rows else []

    def marks(self) -> list[str]:
        return [row[0] for row in self.sql("SELECT DISTINCT day FROM manifest_marks ORDER BY day")]

    def said(self, path: str = f"{DAY}.sha256") -> set[str]:
        return set(lines.read((self.folder / path).read_bytes()))

    def beside(self, name: str, kind: str, content: bytes) -> Path:
        """A companion of the first day, filed."""
        path = self.settings.storage / "Originals" / DAY / name
        path.write_bytes(content)
        row = {
            "original_hash": None,
            "kind": kind,
            "path_id": uuid.uuid4(),
            "original_path": to_ledger(name),
            "companion_hash": hashlib.sha256(content).hexdigest(),
            "companion_size": len(content),
            "final_path": to_ledger(f"Originals/{DAY}/{name}"),
            "filed_at": datetime.now(UTC),
        }
        with self.database.session() as session:
            session.execute(insert(Companion).values(**row))
        return path


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> Bench:
    vault = Vault(factory_settings.storage)
    fill(vault, database, COUNT, names=ODD_NAMES, step=timedelta(hours=5))
    bench = Bench(factory_settings, database, vault)
    bench.beside("a.aae", "aae", b"an edit")
    bench.beside("a.xmp", "xmp", b"a rating")
    return bench


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# By others


def verify(storage: Path, *more: str, shell: str = "sh") -> tuple[int, str]:
    done = subprocess.run(
        [shell, str(storage / "Manifests" / "verify.sh"), *more],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="backslashreplace")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def swap(storage: Path) -> None:
    """One day's list with its right signature in another's place."""
    for end in (".sha256", ".sha256.minisig"):
        shutil.copy(storage / "Manifests" / f"{DAY}{end}", storage / "Manifests" / f"{LAST_DAY}{end}")


def without_line(number: int, storage: Path) -> None:
    log = storage / "Manifests" / "chain.log"
    kept = log.read_bytes().splitlines(keepends=True)
    del kept[number]
    log.write_bytes(b"".join(kept))


def add(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"another")


def move(originals: Path, name: str) -> None:
    (there,) = originals.glob(f"*/*/{name}")
    there.rename(originals / "2024/2024-07-09" / name)


def unlist(storage: Path) -> None:
    for end in (".sha256", ".sha256.minisig"):
        (storage / "Manifests" / f"{DAY}{end}").unlink()


def forge(storage: Path) -> None:
    """All signed with another key, which is put there too; who noted the key elsewhere finds it."""
    key = SecretKey.new()
    for path in (storage / "Manifests").rglob("*.minisig"):
        signed = path.with_name(path.name.removesuffix(".minisig"))
        path.write_bytes(key.signature(signed.read_bytes(), "forged"))
    (storage / "Manifests" / "minisign.pub").write_bytes(key.public.file())


Change = tuple[str, Callable[[Path], object], str]  # its name, what is done to the storage, how it is named

TO_FILES: list[Change] = [
    ("a bit", lambda s: flip(s / "Originals" / DAY / "-n.jpg"), f"changed      {DAY}/-n.jpg"),
    ("odd name", lambda s: flip(s / "Originals" / DAY / ODD_NAMES[0]), f"changed      {DAY}/IMG \\\\"),
    ("a companion", lambda s: flip(s / "Originals" / DAY / "a.aae"), f"changed      {DAY}/a.aae"),
    ("deleted", lambda s: (s / "Originals" / DAY / ".hidden").unlink(), f"missing      {DAY}/.hidden"),
    ("added", lambda s: add(s / "Originals" / DAY / "new.jpg"), f"added        {DAY}/new.jpg"),
    ("hidden", lambda s: add(s / "Originals" / DAY / ".new"), f"added        {DAY}/.new"),
    ("on a day", lambda s: add(s / "Originals/2024/2024-07-09/x"), "added        2024/2024-07-09/x"),
    ("elsewhere", lambda s: add(s / "Originals/x"), "added        ./x"),
    ("a folder", lambda s: (s / "Originals" / DAY / "more").mkdir(), f"folder       {DAY}/more"),
    ("hidden in hidden", lambda s: add(s / "Originals/.x/y/a"), "folder       ./.x"),
    ("two dots", lambda s: add(s / "Originals/..x/b"), "folder       ./..x"),
    ("two dots in a year", lambda s: add(s / "Originals/2024/..d/c"), "folder       2024/..d"),
    ("in no day", lambda s: add(s / "Originals/2024/others/c"), "folder       2024/others"),
    ("a link", lambda s: (s / "Originals" / DAY / "l").symlink_to("-n.jpg"), f"link         {DAY}/l"),
    ("moved", lambda s: move(s / "Originals", "IMG_0005.jpg"), "added        2024/2024-07-09/IMG_0005.jpg"),
]
TO_LISTS: list[Change] = [
    ("a bit", lambda s: flip(s / "Manifests" / f"{DAY}.sha256"), f"signature    {DAY}.sha256"),
    ("added", lambda s: add(s / "Manifests/2024/2024-08-01.sha256"), "the chain does not name 2024/2024-08-01.sha256"),
    ("odd", lambda s: add(s / "Manifests/2024/a b.sha256"), "2024/a b.sha256 is none of a day"),
    ("a line", lambda s: without_line(1, s), "chain        line 2 does not follow"),
]
# Each by itself: it is found by what others would be found by, too.
ALONE: list[list[Change]] = [
    [("removed", unlist, "list         one is missing")],
    [("replaced", swap, "list         one is missing")],
    [("last line", lambda s: without_line(-1, s), "signature    chain.log")],
    [("first line", lambda s: without_line(0, s), "signature    chain.log")],
    [("script", lambda s: flip(s / "Manifests" / "README.txt"), "list         one is missing")],
]


@needs_minisign
def test_a_stranger_finds_whatever_was_done(bench: Bench, tmp_path: Path) -> None:
    """With coreutils and minisign alone: each change is named, and a vault as it was is well."""
    bench.write()
    for shell in ("sh", "bash"):
        code, said = verify(bench.settings.storage, shell=shell)
        assert (code, "WRONG" in said) == (0, False), said
    missed = {}
    for number, changes in enumerate([TO_FILES, TO_LISTS, *ALONE]):
        storage = tmp_path / str(number)
        for top in ("Originals", "Manifests"):
            shutil.copytree(bench.settings.storage / top, storage / top)
        for _, change, _ in changes:
            change(storage)
        code, said = verify(storage)
        wrong = [line for line in said.splitlines() if line.startswith("WRONG  ")]
        for name, _, expected in changes:
            if code != 1 or not any(expected in line for line in wrong):
                missed[number, name] = (code, said)
    assert missed == {}


@needs_minisign
def test_a_forger_s_key_is_found_by_the_one_that_was_noted(bench: Bench) -> None:
    bench.write()
    noted = (bench.folder / "minisign.pub").read_text().splitlines()[-1]
    assert verify(bench.settings.storage, noted)[0] == 0
    forge(bench.settings.storage)
    assert verify(bench.settings.storage, noted)[0] == 1


@needs_minisign
def test_an_xmp_file_may_change_and_is_named(bench: Bench) -> None:
    bench.write()
    flip(bench.settings.storage / "Originals" / DAY / "a.xmp")
    code, said = verify(bench.settings.storage)
    assert (code, f"a program has written into {DAY}/a.xmp" in said) == (0, True)


def test_sha256sum_takes_each_list(bench: Bench) -> None:
    bench.write()
    for path in bench.folder.rglob("*.sha256"):
        command = ["sha256sum", "-c", "--strict", "--quiet", str(path)]
        subprocess.run(command, cwd=bench.settings.storage / "Originals", check=True)
    assert bench.said() == {f"{DAY}/{name}" for name in (*ODD_NAMES[:3], "a.aae")}
    assert bench.said(f"{DAY}.sidecars.sha256") == {f"{DAY}/a.xmp"}


@needs_minisign
def test_minisign_signs_with_our_key(bench: Bench, tmp_path: Path) -> None:
    """The key is one that a person can go on with."""
    bench.write()
    (tmp_path / "x").write_bytes(b"a text")
    key = bench.vault.state / "manifests" / "minisign.key"
    subprocess.run(["minisign", "-S", "-s", key, "-m", tmp_path / "x"], check=True, capture_output=True, input=b"")
    public = PublicKey.read((bench.folder / "minisign.pub").read_bytes())
    assert public.trusted_comment((tmp_path / "x.minisig").read_bytes(), b"a text").startswith("timestamp:")


# Formats


@given(st.dictionaries(st.binary(min_size=1).filter(lambda name: b"\0" not in name), st.binary(), max_size=4))
def test_lines_are_those_of_names_of_any_bytes(files: dict[bytes, bytes]) -> None:
    hashes = {os.fsdecode(name): hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert lines.read(lines.written(hashes)) == hashes


def test_a_signature_is_of_these_bytes_this_comment_and_this_key() -> None:
    key = SecretKey.new()
    signature = key.signature(b"content", "a comment")
    assert key.public.trusted_comment(signature, b"content") == "a comment"
    assert SecretKey.read(key.file()) == key
    assert "_seed" not in repr(key)
    for other in (signature.replace(b"a comment", b"b comment"), b"", b"\n\n\n", signature[:-3], b"\xff\n" * 4):
        with pytest.raises(NotMinisign):
            key.public.trusted_comment(other, b"content")
    with pytest.raises(NotMinisign):
        key.public.trusted_comment(signature, b"Content")
    with pytest.raises(NotMinisign):
        SecretKey.new().public.trusted_comment(signature, b"content")
    damaged = bytearray(base64.b64decode(key.file().split(b"\n")[1]))
    damaged[70] ^= 1
    with pytest.raises(NotMinisign, match="damaged"):
        SecretKey.read(b"untrusted comment: x\n" + base64.b64encode(damaged) + b"\n")


# Which days


def test_what_changes_marks_its_day_and_nothing_else_does(bench: Bench) -> None:
    bench.write()
    row = f"final_path = 'Originals/{DAY}/-n.jpg'"
    bench.sql(f"UPDATE media_assets SET rating = 3, is_backed_up = true, verified_at = now() WHERE {row}")
    assert bench.marks() == []
    bench.sql("UPDATE companions SET standing_hash = repeat('a', 64) WHERE kind = 'xmp'")
    assert bench.marks() == ["2024-07-01"]
    bench.write()
    bench.sql(f"UPDATE media_assets SET final_path = 'Originals/{LAST_DAY}/-n.jpg' WHERE {row}")
    assert bench.marks() == ["2024-07-01", "2024-07-03"]
    bench.write()
    bench.sql(f"DELETE FROM media_assets WHERE final_path LIKE 'Originals/{LAST_DAY}/%'")
    assert bench.marks() == ["2024-07-03"]


def test_a_day_without_files_has_no_list_and_the_chain_says_so(bench: Bench) -> None:
    bench.write()
    shutil.rmtree(bench.settings.storage / "Originals" / LAST_DAY)
    bench.sql(f"DELETE FROM media_assets WHERE final_path LIKE 'Originals/{LAST_DAY}/%'")
    bench.write()
    assert not (bench.folder / f"{LAST_DAY}.sha256").exists()
    assert f" - {LAST_DAY}.sha256" in (bench.folder / "chain.log").read_text()
    assert bench.check().wrong == {}


def test_nothing_is_written_where_nothing_is_new(bench: Bench) -> None:
    bench.write()
    before = snapshot(bench.folder)
    bench.sql("UPDATE vault SET manifest_head = NULL")  # all days are looked at
    assert bench.manifests().are_behind()
    bench.write()
    assert snapshot(bench.folder) == before
    assert not bench.manifests().are_behind()


def test_a_line_stays_while_its_file_stands_there(bench: Bench) -> None:
    """A ledger of yesterday knows nothing of today's photos: the list of them is not lost with it."""
    bench.write()
    bench.sql(f"DELETE FROM media_assets WHERE final_path LIKE 'Originals/{LAST_DAY}/%'")
    before = bench.said(f"{LAST_DAY}.sha256")
    (bench.settings.storage / "Originals" / LAST_DAY / "IMG_0011.jpg").unlink()
    bench.write()
    assert bench.said(f"{LAST_DAY}.sha256") == before - {f"{LAST_DAY}/IMG_0011.jpg"}
    assert list(bench.check().wrong) == [f"{LAST_DAY}.sha256"]


# What is in the way


def test_what_is_not_ours_is_refused_and_stays(bench: Bench) -> None:
    bench.write()
    theirs = bench.folder / f"{DAY}.sha256"
    theirs.write_bytes(b"theirs")
    bench.beside("b.aae", "aae", b"another edit")
    bench.sql(f"UPDATE media_assets SET final_path = final_path || 'x' WHERE final_path LIKE '%{LAST_DAY}/%'")
    for path in (bench.settings.storage / "Originals" / LAST_DAY).iterdir():
        path.rename(f"{path}x")
    manifests = bench.write()
    assert manifests.trouble is not None and "is not what the factory has written" in manifests.trouble
    assert theirs.read_bytes() == b"theirs"
    assert "2024-07-01" in bench.marks() and "2024-07-03" not in bench.marks()
    theirs.unlink()
    assert bench.write().trouble is None
    assert f"{DAY}/b.aae" in bench.said()


def test_links_are_followed_nowhere(bench: Bench, tmp_path: Path) -> None:
    bench.write()
    outside = tmp_path / "outside"
    outside.write_bytes(b"a person's")
    for path in (bench.folder / f"{DAY}.sha256", bench.folder / f"{LAST_DAY}.sha256.minisig"):
        path.unlink()
        path.symlink_to(outside)
    bench.sql("UPDATE vault SET manifest_head = NULL")
    trouble = bench.write().trouble
    assert trouble is not None and "move it away" in trouble and "1 more" in trouble
    assert outside.read_bytes() == b"a person's"
    shutil.rmtree(bench.folder)
    bench.folder.symlink_to(tmp_path)
    with pytest.raises(VaultTrouble, match="symbolic link"):
        bench.manifests().write()


def test_the_chain_is_read_once_while_nobody_else_writes_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    read, number = ManifestFolder.read, 0

    def counted(self: ManifestFolder, path: str) -> bytes | None:
        nonlocal number
        number += path == "chain.log"
        return read(self, path)

    monkeypatch.setattr(ManifestFolder, "read", counted)
    manifests = bench.write()
    for name, reads in (("b", 0), ("c", 0), ("d", 1), ("e", 0)):
        if name == "d":
            bench.beside("other.aae", "aae", b"by another process")
            bench.write()
        number = 0
        bench.beside(f"{name}.aae", "aae", b"an edit " + name.encode())
        manifests.write()
        assert number == reads, name
    assert (bench.marks(), bench.check().wrong) == ([], {})


def test_what_is_in_a_new_list_s_way_is_named_and_other_days_go_on(bench: Bench, tmp_path: Path) -> None:
    bench.write()
    (bench.folder / "2023").write_bytes(b"a person's")
    (bench.folder / "2025").mkdir()
    link = bench.folder / "2025/2025-01-01.sha256.minisig"
    link.symlink_to(tmp_path / "outside")
    for year in (2023, 2025):
        fill(bench.vault, bench.database, 1, first=datetime(year, 1, 1), names=[f"{year}.jpg"])
    bench.beside("b.aae", "aae", b"another edit")
    trouble = bench.write().trouble
    assert trouble is not None and "2023 is no folder: look at it, and move it away (and 1 more)" in trouble
    assert link.is_symlink() and bench.marks() == ["2023-01-01", "2025-01-01"]
    assert f"{DAY}/b.aae" in bench.said()
    link.unlink()
    (bench.folder / "2023").unlink()
    assert (bench.write().trouble, bench.check().wrong) == (None, {})


def test_a_chain_that_is_not_ours_is_never_signed(bench: Bench) -> None:
    bench.write()
    log = bench.folder / "chain.log"
    before = log.read_bytes()
    log.write_bytes(before + before.splitlines(keepends=True)[0])
    bench.beside("b.aae", "aae", b"another edit")
    with pytest.raises(VaultTrouble, match="lines that are not signed"):
        bench.manifests().write()
    log.write_bytes(before)
    bench.write()
    assert bench.check().wrong == {}


def test_an_earlier_chain_is_found(bench: Bench) -> None:
    """Put back with its right signature: whoever has only this folder cannot see it; the ledger can."""
    bench.write()
    earlier = snapshot(bench.folder)
    bench.beside("b.aae", "aae", b"another edit")
    bench.write()
    (head,) = [row[0] for row in bench.sql("SELECT manifest_head FROM vault")]
    for name, content in earlier.items():
        (bench.folder / name).write_bytes(content)
    assert "an earlier one" in bench.check().wrong["chain.log"]
    bench.beside("c.aae", "aae", b"one more")
    bench.write()
    found = bench.check()
    assert (found.wrong, found.lost and found.lost[0], bench.marks()) == ({}, head, [])
    bench.beside("d.aae", "aae", b"and one")
    bench.write()
    lost = bench.check().as_json()["lost"]
    assert lost["head"] == head
    assert (bench.folder / "chain.log").read_text().startswith(head)
    (kept,) = bench.folder.glob("chain.*.log")
    assert kept.read_bytes() == earlier["chain.log"]
    if shutil.which("minisign"):
        code, said = verify(bench.settings.storage)
        assert (code, f"it ended with {head}" in said) == (0, True), said


def test_a_row_whose_file_is_not_there_adds_no_line(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A ledger from a backup names what was removed since: a list that says so would be a signed lie."""
    bench.write()
    absent = bench.beside("b.aae", "aae", b"another edit")
    absent.unlink()
    bench.beside("c.aae", "aae", b"one more")
    manifests = bench.write()
    assert f"{DAY}/c.aae" in bench.said() and f"{DAY}/b.aae" not in bench.said()
    assert manifests.trouble is not None and "b.aae" in manifests.trouble and "verify" in manifests.trouble
    assert (bench.marks(), bench.check().wrong) == (["2024-07-01"], {})
    absent.write_bytes(b"another edit")
    assert (bench.write().trouble, bench.marks()) == (None, [])
    assert f"{DAY}/b.aae" in bench.said()
    absent.unlink()
    bench.beside("d.aae", "aae", b"and one")
    assert bench.write().trouble is None
    assert f"{DAY}/b.aae" in bench.said()  # which says that it is missing


def test_a_vault_that_goes_away_meanwhile_has_no_missing_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacked then is not held against it: the day would wait for minutes after the disk is back."""
    manifests = bench.write()
    originals, elsewhere = bench.settings.originals, bench.settings.data / "elsewhere"
    bench.beside("b.aae", "aae", b"another edit")
    look = Manifests._standing

    def unmounted(self: Manifests, names: list[str]) -> list[str]:
        if not elsewhere.exists():
            originals.rename(elsewhere)
            originals.mkdir()
        return look(self, names)

    with monkeypatch.context() as patched:
        patched.setattr(Manifests, "_standing", unmounted)
        with pytest.raises(VaultTrouble, match="mount the disk"):
            manifests.write()
    assert manifests.trouble is None
    originals.rmdir()
    elsewhere.rename(originals)
    assert (manifests.write().days, manifests.trouble, bench.marks()) == (1, None, [])
    assert f"{DAY}/b.aae" in bench.said()


def other_bytes(bench: Bench) -> tuple[str, str, str]:
    """A rebuild of a photo that had rotted: its row has the hash of those bytes. Its name, and both hashes."""
    name = f"{DAY}/-n.jpg"
    listed = lines.read((bench.folder / f"{DAY}.sha256").read_bytes())[name]
    flip(bench.settings.storage / "Originals" / name)
    rotten = hashlib.sha256((bench.settings.storage / "Originals" / name).read_bytes()).hexdigest()
    bench.sql("UPDATE media_assets SET file_hash = :h WHERE final_path = :p", h=rotten, p=f"Originals/{name}")
    return name, listed, rotten


def test_a_row_gives_no_listed_photo_other_bytes(bench: Bench) -> None:
    """The line is the only witness: it stays, the day is refused, and the check names it while the day is marked."""
    bench.write()
    name, listed, rotten = other_bytes(bench)
    bench.beside("b.aae", "aae", b"another edit")
    assert list(bench.check().wrong) == [f"{DAY}.sha256"]
    manifests = bench.write()
    assert manifests.trouble is not None and name in manifests.trouble and listed in manifests.trouble
    said = lines.read((bench.folder / f"{DAY}.sha256").read_bytes())
    assert (said[name], f"{DAY}/b.aae" in said, bench.marks()) == (listed, True, ["2024-07-01"])
    assert name in bench.check().wrong[f"{DAY}.sha256"]
    # The listed bytes came in again from a backup: they stand elsewhere, with a line of their own.
    fill(bench.vault, bench.database, 1, first=datetime(2025, 1, 1), names=["good.jpg"])
    bench.sql("UPDATE media_assets SET file_hash = :h WHERE final_path LIKE '%/good.jpg'", h=listed)
    assert (bench.write().trouble, bench.marks(), bench.check().wrong) == (None, [], {})
    assert lines.read((bench.folder / f"{DAY}.sha256").read_bytes())[name] == rotten


def test_another_file_may_come_where_one_was_removed(bench: Bench) -> None:
    bench.write()
    name, listed, rotten = other_bytes(bench)
    bench.sql(
        "INSERT INTO tombstones (file_hash, file_size, original_name, final_path, removed_at, removed_by, emptied_by, "
        "act_id) VALUES (:h, 1, 'n', :p, now(), 'a', 'a', gen_random_uuid())",
        h=listed,
        p=f"Originals/{name}",
    )
    beside = f"{DAY}/a.aae"
    bench.sql(
        "UPDATE companions SET final_path = NULL, filed_at = NULL, original_hash = :h WHERE original_path = 'a.aae'",
        h=listed,
    )
    bench.beside("a.aae", "aae", b"another's edit")
    assert (bench.write().trouble, bench.marks(), bench.check().wrong) == (None, [], {})
    said = lines.read((bench.folder / f"{DAY}.sha256").read_bytes())
    assert (said[name], said[beside]) == (rotten, hashlib.sha256(b"another's edit").hexdigest())
    bench.beside("b.aae", "aae", b"an edit of nobody's")
    bench.write()
    bench.sql("UPDATE companions SET companion_hash = repeat('a', 64) WHERE original_path = 'b.aae'")
    assert "b.aae" in str(bench.write().trouble)


def test_who_is_to_stop_begins_no_more_days(bench: Bench) -> None:
    belonging = Belonging(bench.settings, bench.vault)
    belonging.establish(bench.database)
    asked = iter([False, True, True])
    manifests = Manifests(bench.vault, bench.database, belonging, stopped=lambda: next(asked))
    marks = bench.marks()
    assert (manifests.write().days, manifests.write().days) == (1, 0)
    assert len(marks) == 3 and len(bench.marks()) == 2
    bench.write()
    assert (bench.marks(), bench.check().wrong) == ([], {})


def test_where_syncfs_ends_in_our_kernel_each_list_is_synced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, each = Mock(), Mock(side_effect=os.fsync)
    monkeypatch.setattr(folder_module, "syncfs", at_once)
    monkeypatch.setattr(folder_module, "fsync", each)
    monkeypatch.setattr(folder_module, "syncs_by_syncfs", lambda _: False)
    bench.write()
    assert (at_once.call_count, each.call_count > len(list(bench.folder.rglob("*.sha256")))) == (0, True)


@needs_minisign
def test_what_is_lost_is_written_anew_and_says_so(bench: Bench) -> None:
    bench.write()
    head = hashlib.sha256((bench.folder / "chain.log").read_bytes().splitlines(keepends=True)[-1]).hexdigest()
    key = (bench.vault.state / "manifests" / "minisign.key").read_bytes()
    shutil.rmtree(bench.folder)
    bench.write()
    assert (bench.folder / "chain.log").read_text().startswith(head)
    code, said = verify(bench.settings.storage)
    assert (code, "an earlier chain was lost before" in said and head in said) == (0, True)
    assert (bench.vault.state / "manifests" / "minisign.key").read_bytes() == key
    assert bench.check().wrong == {}


def test_a_lost_key_is_not_replaced(bench: Bench) -> None:
    bench.write()
    before = snapshot(bench.folder)
    key = bench.vault.state / "manifests" / "minisign.key"
    assert key.stat().st_mode & 0o777 == 0o600 and key.parent.stat().st_mode & 0o777 == 0o700
    kept = key.rename(key.with_name("kept"))
    bench.beside("b.aae", "aae", b"another edit")
    with pytest.raises(VaultTrouble, match="is gone: put it back"):
        bench.manifests().write()
    assert "secret key is gone" in bench.check().wrong["minisign.pub"]
    kept.rename(key)
    key.write_bytes(SecretKey.new().file())
    with pytest.raises(VaultTrouble, match="is not the public key"):
        bench.manifests().write()
    assert snapshot(bench.folder) == before


def test_a_key_that_others_may_read_is_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the mount decides, that is said once, and lists are signed; where it is another's, they are not."""
    bench.write()
    key = bench.vault.state / "manifests" / "minisign.key"
    key.chmod(0o644)
    assert bench.check().wrong == {}
    assert key.stat().st_mode & 0o777 == 0o600 and "now its owner can only" in caplog.text
    key.chmod(0o644)
    refusal = Mock(side_effect=PermissionError(errno.EPERM, os.strerror(errno.EPERM)))
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: key.stat().st_uid + 1)
        patch.setattr(os, "fchmod", refusal)
        with pytest.raises(VaultTrouble, match="others may read the secret key"):
            bench.manifests().write()
    for name, fchmod in (("b", refusal), ("c", Mock())):
        caplog.clear()
        bench.beside(f"{name}.aae", "aae", name.encode())
        with monkeypatch.context() as patch:
            patch.setattr(os, "fchmod", fchmod)
            bench.write()
        assert bench.marks() == [] and f"{DAY}/{name}.aae" in bench.said()
        assert caplog.text.count("its mount says so") == (name == "b")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_where_a_mount_has_no_owners_a_key_is_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Mock(side_effect=PermissionError(errno.EPERM, os.strerror(errno.EPERM)))
    monkeypatch.setattr(os, "chown", refusal)
    bench.write()
    assert refusal.called and bench.check().wrong == {}


def test_a_full_disk_leaves_the_old_ones_and_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.write()
    before = snapshot(bench.folder)
    bench.beside("b.aae", "aae", b"another edit")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "_write", full)
        manifests_now(bench.settings, bench.database)
    assert "the photos are safe, and their signed lists are not up to date" in caplog.text
    assert "the disk is full" in caplog.text
    assert snapshot(bench.folder) == before
    manifests_now(bench.settings, bench.database)
    assert bench.check().wrong == {} and f"{DAY}/b.aae" in bench.said()


def test_a_defect_of_the_database_or_the_system_is_a_warning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for failure in (OperationalError("a statement", {}, Exception("no space\nmore")), OSError(errno.EIO, "bad disk")):
        monkeypatch.setattr(Manifests, "write", Mock(side_effect=failure))
        manifests_now(bench.settings, bench.database)
        assert "the photos are safe, and their signed lists" in caplog.text
        caplog.clear()


def test_who_has_no_patience_waits_for_no_lock(bench: Bench) -> None:
    """A day whose list must ask what moves is put off; the others are written."""
    bench.write()
    bench.sql(f"DELETE FROM media_assets WHERE final_path LIKE 'Originals/{LAST_DAY}/%'")
    bench.beside("b.aae", "aae", b"another edit")
    belonging = Belonging(bench.settings, bench.vault)
    belonging.establish(bench.database)
    hasty = Manifests(bench.vault, bench.database, belonging, patience=0, vault_patience=0)
    with lock_of_manifests(bench.vault), pytest.raises(BeingWritten):
        hasty.write()
    with bench.vault.lock():
        while hasty.are_behind() and hasty.write().days:
            pass
        assert (bench.marks(), hasty.trouble) == (["2024-07-03"], None)
    assert f"{DAY}/b.aae" in bench.said()
    hasty.take_up()
    assert hasty.are_behind() and hasty.write().days == 1
    assert bench.marks() == []


# What keeps a check from its end


def test_what_cannot_be_checked_is_wrong_and_the_rest_is_checked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.write()
    (bench.folder / "2023").write_bytes(b"no folder")
    (bench.folder / "2022").symlink_to(tmp_path)
    read = ManifestFolder.read

    def rotten(self: ManifestFolder, path: str) -> bytes | None:
        if path == f"{DAY}.sha256":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(self, path)

    monkeypatch.setattr(ManifestFolder, "read", rotten)
    flip(bench.folder / f"{LAST_DAY}.sha256")
    wrong = bench.check().wrong
    assert wrong.keys() == {"2022", "2023", f"{DAY}.sha256", f"{LAST_DAY}.sha256"}
    assert "it is no folder: look at it" in wrong["2023"] and "Input/output error" in wrong[f"{DAY}.sha256"]
    monkeypatch.undo()
    shutil.move(bench.folder, tmp_path / "Manifests")
    bench.folder.symlink_to(tmp_path / "Manifests")
    assert "symbolic link" in bench.check().wrong[""]
    monkeypatch.setattr(Belonging, "establish", Mock(side_effect=WrongLedger("another vault's")))
    assert "another vault's" in bench.check().wrong[""]


def test_what_is_read_while_it_is_written_is_not_wrong(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain, first; and then a list."""
    bench.write()
    read = ManifestFolder.read
    torn = {"chain.log": 1, f"{DAY}.sha256": 1}

    def half(self: ManifestFolder, path: str) -> bytes | None:
        content = read(self, path)
        torn[path] = torn.get(path, 0) - 1
        return (content or b"x")[:-1] if torn[path] == 0 else content

    monkeypatch.setattr(ManifestFolder, "read", half)
    found = bench.check()
    assert (found.wrong, found.days) == ({}, 3)


# A kill at any step

STEPS = {os: ("fsync", "write", "rename", "unlink", "ftruncate", "replace", "mkdir", "link", "rmdir", "open")}


def killed_at(number: int, bench: Bench, *, is_full: bool = False) -> bool:
    """Writes in another process, which dies before its step of that number; whether it did. Or the disk is full from
    then on."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    try:
        left = number

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0 and is_full and real.__name__ in ("write", "fsync", "mkdir"):
                    raise FULL
                if left < 0 and not is_full:
                    os._exit(9)
                return real(*args, **more)

            return step

        database = Database(bench.settings)  # no connection goes with a fork
        other = Bench(bench.settings, database, Vault(bench.settings.storage))
        manifests = other.manifests()
        for module, names in STEPS.items():
            for name in names:
                setattr(module, name, counted(getattr(module, name)))
        while manifests.are_behind() and manifests.write().days:
            pass
    except BaseException:
        os._exit(7)
    os._exit(0)


@pytest.mark.parametrize("begins", ["new", "written"])
def test_killed_at_each_step_it_ends_right(bench: Bench, begins: str) -> None:
    """After each kill something else is out of date, too: a file comes, changes or goes."""
    if begins == "written":
        bench.write()
    steps = range(1000) if KILL_EACH else range(random.randrange(9), 1000, 9)
    for tries, number in enumerate(steps):
        if tries % 3 == 0:
            bench.beside(f"{number}.aae", "aae", b"%d" % number)
        elif tries % 3 == 1:
            bench.sql("UPDATE companions SET standing_hash = :h WHERE kind = 'xmp'", h=f"{number:064x}")
        else:
            bench.sql("DELETE FROM companions WHERE original_path = 'a.aae'")
            (bench.settings.storage / "Originals" / DAY / "a.aae").unlink(missing_ok=True)
        if not killed_at(number, bench):
            break
    assert number > 25
    bench.write()
    assert (bench.marks(), bench.check().wrong) == ([], {})
    if shutil.which("minisign"):
        code, said = verify(bench.settings.storage)
        assert code == 0, said


class Killed(BaseException):
    pass


def broken_at(bench: Bench, where: str, failure: BaseException, before: str = "") -> None:
    """Writes, and at a step of the folder it ends so. `before`: first after this one came."""
    with pytest.MonkeyPatch.context() as patch:
        prepare, seen = ManifestFolder.prepare, set[str]()

        def step(self: ManifestFolder, path: str, content: bytes) -> None:
            if path.endswith(where) and before in {"", *seen}:
                raise failure
            seen.add(path)
            prepare(self, path, content)

        patch.setattr(ManifestFolder, "prepare", step)
        with pytest.raises(Killed if isinstance(failure, Killed) else VaultTrouble):
            bench.manifests().write()


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("second", [Killed(), FULL], ids=["kill", "full"])
@pytest.mark.parametrize("begins", ["new", "written", "lost"])
def test_a_second_end_after_a_kill_leaves_a_chain_that_goes_on(
    bench: Bench, begins: str, second: BaseException
) -> None:
    """Late, then early: the log has lines that are not signed, and the note of them is replaced by others."""
    if begins != "new":
        bench.write()
    if begins == "lost":
        (bench.folder / "chain.log").unlink()
    bench.beside("b.aae", "aae", b"another edit")
    broken_at(bench, "chain.log.minisig", Killed())
    assert (bench.folder / "chain.log").exists()
    bench.beside("c.aae", "aae", b"one more")
    broken_at(bench, ".sha256", second)
    broken_at(bench, "chain.log.minisig", second)
    bench.write()
    assert (bench.marks(), bench.check().wrong) == ([], {})


def test_a_file_that_a_killed_run_has_written_is_ours_after_a_second_kill(bench: Bench) -> None:
    """Its signature was not there yet, and the next note has another hash of it."""
    bench.write()
    bench.beside("b.aae", "aae", b"another edit")
    with pytest.MonkeyPatch.context() as patch:
        rename = os.rename

        def step(old: str, new: str, **folders: int) -> None:
            if new.endswith(".minisig"):
                raise Killed
            rename(old, new, **folders)

        patch.setattr(os, "rename", step)
        with pytest.raises(Killed):
            bench.manifests().write()
    bench.beside("c.aae", "aae", b"one more")
    broken_at(bench, ".sha256", Killed())
    assert bench.write().trouble is None
    assert (bench.marks(), bench.check().wrong) == ([], {})


def test_two_kills_and_a_full_disk_at_any_step_it_ends_right(bench: Bench) -> None:
    bench.write()
    for tries in range(400 if KILL_EACH else 6):
        for number, is_full in ((random.randrange(150), tries % 3 == 2), (random.randrange(60), tries % 3 == 1)):
            bench.beside(f"{tries}-{number}-{is_full}.aae", "aae", b"%d" % number)
            killed_at(number, bench, is_full=is_full)
    bench.write()
    assert (bench.marks(), bench.check().wrong) == ([], {})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_notes_the_services_user_can_read(bench: Bench) -> None:
    bench.vault.state.mkdir()
    os.chown(bench.vault.state, 65534, 65534)
    bench.write()
    bench.beside("b.aae", "aae", b"another edit")
    bench.write()
    for path in (bench.vault.state / "manifests").iterdir():
        assert path.stat().st_uid == 65534, path


def test_a_year_that_somebody_has_removed_can_go(bench: Bench) -> None:
    bench.write()
    for folder in (bench.settings.storage / "Originals" / "2024", bench.folder / "2024"):
        shutil.rmtree(folder)
    fill(bench.vault, bench.database, 1, first=datetime(2023, 1, 1), names=["z.jpg"])
    bench.sql("DELETE FROM media_assets WHERE final_path LIKE '%/2024/%'")
    bench.sql("DELETE FROM companions")
    bench.write()
    assert (bench.marks(), bench.check().wrong) == ([], {})
