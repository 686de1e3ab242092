"""`safe` and `account` as people and programs call them: no false safe, nothing passed over, and the sum adds up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from Src.Factory import receipts
from Src.Factory.batch import run_import
from Src.Factory.lists import write_lists
from Src.Factory.problems import Problem
from Src.Factory.stack.execution import HOST_MOVED
from Src.Librarian.earlier_imports import EarlierImports
from Src.Librarian.importer import Importer
from Src.Librarian.tally import Tally
from Src.Library.custody.receipt import Receipts
from Src.Library.leaving import HIDDEN
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.disk.top import regular_state_below
from Src.Shared.disk.whole import Whole
from Src.Shared.errors import ExitCode
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.vault_marker import MARKER

CANON = (PROJECT_ROOT / "Src/Librarian/tests/samples/Canon_40D.jpg").read_bytes()
XMP = (PROJECT_ROOT / "Src/Media/tests/samples/sidecars/step1/DSC_0001.xmp").read_bytes()
ASKED = receipts.Asked(timedelta(days=90), reads=True)
ODD_NAME = os.fsdecode(b"odd \xff.jpg")


def photo(number: int) -> bytes:
    return commented(b"%d" % number)


def commented(comment: bytes) -> bytes:
    """Another photo with the same pixels."""
    return CANON[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + CANON[2:]


Ask = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """What was imported, as it was."""
    card = tmp_path / "card"
    (card / "DCIM").mkdir(parents=True)
    for number in range(4):
        (card / "DCIM" / f"IMG_{number}.jpg").write_bytes(photo(number))
    (card / "DCIM" / ODD_NAME).write_bytes(photo(4))
    (card / "DCIM" / "IMG_1.jpg.xmp").write_bytes(XMP)
    return card


@pytest.fixture
def factory(factory_settings: Settings, database: Database, card: Path, capsys: pytest.CaptureFixture[str]) -> Settings:
    assert run_import(factory_settings, sources=[str(card)], move=False, as_json=True) == ExitCode.WELL
    capsys.readouterr()
    return factory_settings


@pytest.fixture
def safe(factory: Settings, capsys: pytest.CaptureFixture[str]) -> Ask:
    def ask(source: Path, *, read: bool = True, **more: Any) -> tuple[int, list[dict[str, Any]]]:
        given: dict[str, Any] = {"within": None, "copies": None, "receipt": None, "as_json": True, **more}
        code = receipts.run_safe(factory, source=str(source), read=read, **given)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return ask


def account(
    factory: Settings, folder: Path, capsys: pytest.CaptureFixture[str], *, read: bool = True
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = receipts.run_account(factory, folder=str(folder), read=read, within=None, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert sum(said[what] for what in receipts.WHATS) == said["entries"] == len(said["files"])
    assert said["may_go"] == (code == ExitCode.WELL)
    return code, said


def test_the_form_that_stays(card: Path, safe: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = safe(card, read=False)
    assert (code, len(lines)) == (ExitCode.FOUND, 6)
    assert {line["verdict"] for line in lines if not line["path"].endswith(".xmp")} == {"not_reread"}
    code, lines = safe(card)
    assert (code, {line["verdict"] for line in lines}) == (ExitCode.WELL, {"safe"}), lines
    for line in lines:
        assert {"path", "verdict", "kept_at", "read_back_at", "copies"} <= line.keys()
        assert (line["copies"], line["kept_at"].partition("/")[0]) == (0, "Originals")
        assert line["read_back_at"].startswith("20")
    assert any(line["path"].endswith("odd \\xff.jpg") for line in lines)
    one = tmp_path / "again.jsonl"  # what it says is a list too; files that are listed have their hash
    one.write_text("".join(json.dumps(line) + "\n" for line in lines if "odd" not in line["path"]))
    assert [line["verdict"] for line in safe(one)[1]] == ["safe"] * 5
    assert safe(card / "DCIM" / "IMG_0.jpg")[1][0]["verdict"] == "safe"


def test_no_mutated_file_is_safe(card: Path, safe: Ask, factory: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """An upload that went wrong, whatever way."""
    phone = card.parent / "phone"
    phone.mkdir()
    flipped = bytearray(photo(0))
    flipped[-1] ^= 64
    in_its_head = bytearray(photo(1))
    in_its_head[40] ^= 4
    for name, content in (
        ("IMG_0.jpg", bytes(flipped)),
        ("IMG_1.jpg", bytes(in_its_head)),
        ("IMG_2.jpg", b""),
        ("IMG_3.jpg", photo(3)[:5000]),
        ("img_3.JPG", photo(3)[:-1]),
        ("new.jpg", photo(99)),
        ("renamed.jpg", photo(0)),
        ("sub/IMG_2.jpg", photo(2)),
        ("sub/deduplicated.jpg", photo(2)),
        (".hidden.jpg", photo(1)),
        ("IMG_4.jpg.part", photo(1)),
        ("note.txt", b"text"),
        ("IMG_1.jpg.xmp", XMP + b" "),
    ):
        (phone / name).parent.mkdir(exist_ok=True)
        (phone / name).write_bytes(content)
    (phone / "link.jpg").symlink_to(card / "DCIM" / "IMG_1.jpg")
    (phone / "linked").symlink_to(card)
    os.mkfifo(phone / "fifo.jpg")
    with zipfile.ZipFile(phone / "some.zip", "w") as archive:
        archive.writestr("IMG_3.jpg", photo(3))
        archive.writestr("IMG_0.jpg", b"other")
    code, lines = safe(phone)
    said = {line["path"].removeprefix(f"{phone}/"): line["verdict"] for line in lines}
    assert code == ExitCode.FOUND
    assert len(said) == len(lines) == 18, "nothing is passed over, and nothing is said twice"
    assert {name for name, verdict in said.items() if verdict == "safe"} == {
        *("renamed.jpg", "sub/IMG_2.jpg", "sub/deduplicated.jpg", "some.zip!/IMG_3.jpg")
    }
    others = {name for name, verdict in said.items() if verdict == "other_bytes"}
    assert others >= {"IMG_0.jpg", "IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg", "img_3.JPG", "some.zip!/IMG_0.jpg"}
    assert all(line["reason"] for line in lines if line["verdict"] != "safe" and "new.jpg" not in line["path"])
    code, accounted = account(factory, phone, capsys)
    assert (code, accounted["entries"], accounted["in_vault"], accounted["left_alone"]) == (ExitCode.FOUND, 18, 4, 5)


def test_an_account_ends_in_what_may_go(card: Path, factory: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = account(factory, card, capsys, read=False)
    assert (code, said["not_reread"]) == (ExitCode.FOUND, 5)
    assert account(factory, card, capsys)[0] == ExitCode.WELL
    given: dict[str, Any] = {"read": True, "within": "30", "as_json": False}
    assert receipts.run_account(factory, folder=str(card), **given) == ExitCode.WELL
    shown = capsys.readouterr().out
    assert "This folder may go" in shown and "disk may go" not in shown
    (card / "new.jpg").write_bytes(photo(7))
    assert receipts.run_account(factory, folder=str(card), **given) == ExitCode.FOUND
    shown = capsys.readouterr().out
    assert "This folder must stay: 1 entry would be lost" in shown
    assert "new.jpg" in shown
    empty = card.parent / "empty"
    empty.mkdir()
    assert receipts.run_account(factory, folder=str(empty), **given) == ExitCode.FOUND
    with pytest.raises(Problem, match="is no folder"):
        receipts.run_account(factory, folder=str(card / "new.jpg"), **given)
    with pytest.raises(Problem, match=r"^account: .*no such file"):
        receipts.run_account(factory, folder=str(card / "none"), **given)
    with pytest.raises(Problem, match="already the factory's"):
        receipts.run_account(factory, folder=str(factory.originals), **given)


def test_before_there_is_a_vault_nothing_is_safe(
    factory_settings: Settings, database: Database, card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = account(factory_settings, card, capsys)
    assert (code, said["in_vault"], said["may_go"]) == (ExitCode.FOUND, 0, False)
    listed = card.parent / "list.txt"
    listed.write_text("a.jpg\n")
    given: dict[str, Any] = {"read": True, "within": None, "copies": None, "receipt": None, "as_json": True}
    assert receipts.run_safe(factory_settings, source=str(listed), **given) == ExitCode.FOUND
    assert json.loads(capsys.readouterr().out)["verdict"] == "not_here"
    assert not factory_settings.storage.exists()


def test_what_changes_after_it_was_read_is_not_safe(card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Receipts.lines
    changed, archived = card / "DCIM" / "IMG_2.jpg", card / "some.zip"
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr("again.jpg", photo(3))

    def then(self: Receipts, *given: Any) -> Any:
        said = lines(self, *given)
        changed.write_bytes(photo(50))
        os.utime(changed, ns=(1, 1))
        os.utime(archived, ns=(1, 1))
        return said

    monkeypatch.setattr(Receipts, "lines", then)
    said = {os.path.basename(line["path"]): line for line in safe(card)[1]}
    assert said["IMG_2.jpg"]["verdict"] != "safe"
    assert "changed since it was read" in said["IMG_2.jpg"]["reason"]
    assert (said["again.jpg"]["verdict"], said["again.jpg"]["path"]) == ("not_here", f"{archived}!/again.jpg")
    assert said["IMG_1.jpg"]["verdict"] == "safe"


def test_what_an_earlier_import_has_noted_is_read_all_the_same(
    card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the hash cache of a card, whose entries any program can make true."""

    def not_asked(*_: Any) -> Any:
        raise AssertionError

    for name in ("of", "of_members"):
        monkeypatch.setattr(EarlierImports, name, not_asked)
    assert safe(card)[0] == ExitCode.WELL


def test_what_cannot_be_read_is_not_safe(card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir
    locked = card / "locked"
    locked.mkdir()
    identity = locked.stat().st_ino

    def refuse(at: Any) -> Any:
        if isinstance(at, int) and os.fstat(at).st_ino == identity:
            raise PermissionError(13, "Permission denied")
        return scandir(at)

    monkeypatch.setattr(os, "scandir", refuse)
    code, lines = safe(card)
    assert code == ExitCode.FOUND
    [line] = [one for one in lines if one["verdict"] != "safe"]
    assert (line["path"], line["verdict"]) == (str(locked), "not_here")
    assert "cannot be read" in line["reason"]


def test_a_disk_may_go_only_where_it_is_all_of_it_and_not_the_vaults(
    card: Path, factory: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    for known, words in (
        (Whole(True, False), "This disk may go"),
        (Whole(True, None), "This folder may go"),
        (Whole(True, True), "the disk must stay"),
        (Whole(False, False), "This folder may go"),
    ):

        def look(*given: Any, known: Whole = known) -> Whole:
            asked.append(given)
            return known

        monkeypatch.setattr(receipts, "whole_disk", look)
        given: dict[str, Any] = {"read": True, "within": None}
        assert receipts.run_account(factory, folder=str(card), as_json=False, **given) == ExitCode.WELL
        shown = capsys.readouterr().out
        assert words in shown and ("This disk" in shown) == (known == (True, False))
    _, said = account(factory, card, capsys)
    assert (said["whole_disk"], said["vault_on_disk"], said["may_go"]) == (False, False, True)
    assert asked[0] == (card, (factory.storage, factory.originals, factory.db_data))


def test_what_is_part_of_a_vault_is_no_copy(card: Path, factory: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """As a vault through a pool or a share: its folders have other numbers there, and the marker is the same."""
    (card / "DCIM" / MARKER).write_text("")
    code, said = account(factory, card, capsys)
    assert (code, {one["what"] for one in said["files"]}) == (ExitCode.FOUND, {"left_alone"})
    assert all(one["reason"] == "part of a vault" for one in said["files"])
    for within in (card / "DCIM", card / "DCIM" / "IMG_1.jpg"):
        with pytest.raises(Problem, match="part of a vault"):
            receipts.compare(factory, within, ASKED, about="safe")


def test_the_vaults_own_files_are_not_in_the_vault_once_more(
    card: Path, factory: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    [one] = factory.originals.glob("*/*/IMG_0.jpg")
    os.link(one, card / "another name.jpg")
    code, said = account(factory, card, capsys)
    assert (code, said["own"], said["in_vault"], said["may_go"]) == (ExitCode.FOUND, 1, 6, False)


def test_what_an_inbox_keeps_aside_is_not_passed_over(card: Path, safe: Ask) -> None:
    """On the card of another factory."""
    (card / HIDDEN).mkdir()
    (card / HIDDEN / "x.jpg").write_bytes(photo(66))
    code, lines = safe(card)
    assert (code, [line["path"] for line in lines if line["verdict"] != "safe"]) == (1, [str(card / HIDDEN / "x.jpg")])


def test_what_comes_meanwhile_is_a_line(card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Receipts.lines

    def then(self: Receipts, *given: Any) -> Any:
        (card / "late.jpg").write_bytes(photo(0))
        (card / ".late").write_bytes(b"")
        (card / "late link").unlink(missing_ok=True)
        (card / "late link").symlink_to("DCIM")
        return lines(self, *given)

    monkeypatch.setattr(Receipts, "lines", then)
    code, said = safe(card)
    late = [one for one in said if one["verdict"] != "safe"]
    assert (code, len(said)) == (ExitCode.FOUND, 9)
    assert sorted(os.path.basename(one["path"]) for one in late) == [".late", "late link", "late.jpg"]
    assert all((one["verdict"], one["reason"]) == ("not_here", "it came meanwhile; ask again") for one in late)


def test_a_file_that_nobody_counts_is_missed(card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Importer._finish

    def lose_one(self: Importer, outcomes: Any) -> None:
        finish(self, [one for one in outcomes if "IMG_2" not in one.file.path])

    monkeypatch.setattr(Importer, "_finish", lose_one)
    with pytest.raises(Problem, match="6 entries found, 5 counted, 5 accounted for"):
        safe(card)


def test_a_card_that_numbers_its_files_anew_is_read_again(
    card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = regular_state_below

    def renumbered(top: Any, path: str) -> Any:
        state = look(top, path)
        return state and state._replace(inode=state.inode + 1000)

    monkeypatch.setattr(receipts, "regular_state_below", renumbered)
    assert safe(card)[0] == ExitCode.WELL


@pytest.mark.parametrize("how", ["none", "two", "tail", "nameless", "no_names"])
def test_an_archive_that_holds_more_than_its_list_names(card: Path, safe: Ask, tmp_path: Path, how: str) -> None:
    parts = []
    for number in (0, 1):
        with zipfile.ZipFile(tmp_path / "part.zip", "w") as archive:
            for name in {"nameless": ("a.jpg", ".."), "no_names": ("folder/",)}.get(how, ("a.jpg",)):
                archive.writestr(name, photo(number) if how != "no_names" else b"")
        parts.append((tmp_path / "part.zip").read_bytes())
        (tmp_path / "part.zip").unlink()
    made = {"two": parts[0] + parts[1], "tail": parts[0] + photo(3)}.get(how, parts[0])
    (card / "some.zip").write_bytes(made)
    code, lines = safe(card)
    stays = [line for line in lines if line["verdict"] != "safe"]
    assert (code, len(stays)) == ((0, 0) if how == "none" else (1, 1)), lines
    assert all(line["path"].endswith("some.zip") and "unpack" in line["reason"] for line in stays if how != "tail")


def test_a_receipt_within_what_may_go_is_refused(card: Path, safe: Ask, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(card)
    for receipt in (card / "DCIM" / "receipt.txt", tmp_path / "link" / "receipt.txt"):
        with pytest.raises(Problem, match="which may go by it"):
            safe(card, receipt=str(receipt))
        assert not receipt.exists()


def test_names_are_the_hosts(card: Path, safe: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_MOVED, json.dumps({str(card): "/run/media/card"}))
    receipt = tmp_path / "receipt.txt"
    code, lines = safe(card, receipt=str(receipt))
    assert code == ExitCode.WELL
    assert all(line["path"].startswith("/run/media/card/DCIM/") for line in lines)
    text = receipt.read_text(encoding="utf-8")
    assert "of: /run/media/card\n" in text and str(card) not in text


def test_a_path_that_cannot_be_looked_at_is_a_sentence(
    factory_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"read": False, "within": None, "as_json": True}
    name = "y" * 300 + ".txt"
    with pytest.raises(Problem, match="File name too long"):
        receipts.run_account(factory_settings, folder=f"/{name}", **given)
    with pytest.raises(Problem, match="File name too long"):
        receipts.run_safe(factory_settings, source=f"/{name}", copies=None, receipt=None, **given)


def test_a_wait_for_the_vaults_lock_is_stopped(card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        raise VaultTrouble("stopped while another process worked in the vault")

    monkeypatch.setattr(Receipts, "lines", waits)
    assert safe(card) == (ExitCode.INTERRUPTED, [])


def test_a_sum_that_does_not_add_up_is_an_error(card: Path, safe: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Importer.run

    def one_more(self: Importer) -> Tally:
        tally = run(self)
        tally.skip("somebody forgot it", "x")
        return tally

    monkeypatch.setattr(Importer, "run", one_more)
    with pytest.raises(Problem, match="does not add up"):
        safe(card)


def test_what_is_stopped_says_nothing(card: Path, safe: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Importer.run

    def stopped(self: Importer) -> Tally:
        os.kill(os.getpid(), signal.SIGTERM)
        return run(self)

    monkeypatch.setattr(Importer, "run", stopped)
    receipt = tmp_path / "receipt"
    assert safe(card, receipt=str(receipt)) == (ExitCode.INTERRUPTED, [])
    assert not receipt.exists()


def test_a_receipt_is_written(
    card: Path, safe: Ask, factory: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (card / "new\t\n.jpg").write_bytes(photo(8))
    target = tmp_path / "receipt.txt"
    assert safe(card, receipt=str(target))[0] == ExitCode.FOUND
    head, _, files = target.read_text(encoding="utf-8").partition("\n\n")
    said = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    assert (head.splitlines()[0], said["files"], said["safe"], said["not_here"]) == (
        *("Photo Factory receipt 1", "7", "6", "1"),
    )
    rows = [line.split("\t") for line in files.splitlines()[1:]]
    assert sorted(row[0] for row in rows) == ["not_here", *["safe"] * 6]
    assert all(len(row) == 7 for row in rows)
    with pytest.raises(Problem, match="is there already"):
        safe(card, receipt=str(target))
    with pytest.raises(Problem, match="in the vault's storage"):
        safe(card, receipt=str(factory.storage / "receipt.txt"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"copies": "-1"}, "no number"),
        ({"within": "0"}, "days"),
        ({"within": "soon"}, "days"),
    ],
)
def test_what_means_nothing_is_refused(factory_settings: Settings, given: dict[str, str], why: str) -> None:
    rest: dict[str, Any] = {"read": False, "within": None, "copies": None, "receipt": None, "as_json": True, **given}
    with pytest.raises(Problem, match=why):
        receipts.run_safe(factory_settings, source="/nowhere", **rest)


def test_for_people(card: Path, safe: Ask, factory: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    (card / "IMG_0.jpg").write_bytes(photo(8))
    rest: dict[str, Any] = {"within": "30", "copies": "0", "receipt": None, "as_json": False}
    assert receipts.run_safe(factory, source=str(card), read=False, **rest) == ExitCode.FOUND
    shown = capsys.readouterr().out
    assert "must stay" in shown and "With --read" in shown and "read back within 30 days" in shown
    assert "an original of that name has other bytes" in shown
    (card / "IMG_0.jpg").unlink()
    assert receipts.run_safe(factory, source=str(card), read=True, **rest) == ExitCode.WELL
    assert "All of it is safe: 6 files." in capsys.readouterr().out


def test_the_same_picture_with_other_metadata_is_named_and_stays(
    card: Path,
    factory: Settings,
    database: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = card.parent / "disk"
    disk.mkdir()
    rated = commented(b"5 stars")
    (disk / "IMG_0.jpg").write_bytes(rated)
    (disk / "another name.jpg").write_bytes(commented(b"4 stars"))  # by its date
    (disk / "IMG_4.jpg").write_bytes(rated + b"a film")  # a motion photo
    (disk / "IMG_1.jpg").write_bytes(rated[: len(rated) // 2])
    with Image.open(card / "DCIM" / "IMG_2.jpg") as image:
        image.rotate(180).save(disk / "IMG_2.jpg", exif=image.getexif())
    (disk / "IMG_3.jpg").write_bytes(photo(3))
    code, said = account(factory, disk, capsys)
    whats = {os.path.basename(one["path"]): one["what"] for one in said["files"]}
    assert code == ExitCode.FOUND
    assert whats == {
        "IMG_0.jpg": "same_picture",
        "another name.jpg": "same_picture",
        "IMG_1.jpg": "other_bytes",
        "IMG_2.jpg": "other_bytes",
        "IMG_3.jpg": "in_vault",
        "IMG_4.jpg": "not_in",
    }
    [one] = [one for one in said["files"] if one["path"].endswith("IMG_0.jpg")]
    assert one["kept_at"] is None and one["same_picture"].startswith("Originals/")
    assert one["same_picture"] in one["reason"]
    assert (one["verdict"], said["pictures_not_compared"]) == ("other_bytes", 0), "bytes alone make a verdict"
    assert receipts.run_account(factory, folder=str(disk), read=True, within=None, as_json=False) == ExitCode.FOUND
    assert "the same pictures with other metadata" in capsys.readouterr().out

    def named() -> int:
        return int(account(factory, disk, capsys)[1]["same_picture"])

    with database.session() as session:
        session.execute(
            text(
                "INSERT INTO original_findings (asset_id, finding, final_path, message) "
                "SELECT id, 'writable', final_path, '' FROM media_assets"
            )
        )
    assert named() == 2, "a mode says nothing of bytes"
    with database.session() as session:
        session.execute(text("UPDATE original_findings SET finding = 'content'"))
    assert named() == 0, "what is known to be bad is no original"
    with database.session() as session:
        session.execute(text("DELETE FROM original_findings"))
    for path in factory.originals.rglob("*.jpg"):
        path.chmod(0o640)
        path.write_bytes(path.read_bytes().replace(b"\xff\xfe\x00\x03", b"\xff\xfe\x00\x04!", 1))
        path.chmod(0o440)
    assert named() == 0, "other bytes than were filed"
    monkeypatch.setattr("Src.Library.same_picture.MOST_SECONDS", -1.0)
    said = account(factory, disk, capsys)[1]
    assert (said["same_picture"], said["pictures_not_compared"]) == (0, 4), "what is cut says no size"


@pytest.mark.skipif(shutil.which("minisign") is None, reason="needs minisign")
def test_a_receipt_is_signed_as_minisign_checks_it(
    card: Path, factory: Settings, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = tmp_path / "receipt.txt"
    given: dict[str, Any] = {"read": True, "within": None, "copies": None, "receipt": str(receipt)}
    assert receipts.run_safe(factory, source=str(card), **given, as_json=False) == ExitCode.WELL
    [key] = [line.split()[-1] for line in receipt.read_text().splitlines() if line.startswith("signed with: ")]
    assert f"by the key {key}" in capsys.readouterr().out

    def check(*more: str) -> subprocess.CompletedProcess[str]:
        command = ["minisign", "-V", "-m", str(receipt), "-P", key, *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert check().returncode == 0
    assert "Photo Factory receipt 1: 6 files, 6 safe" in check().stdout
    for name in ("receipt.txt", "receipt.txt.minisig"):
        was = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(was.replace(b"6", b"7", 1))
        assert check().returncode != 0, name
        (tmp_path / name).write_bytes(was)
    assert check().returncode == 0
    write_lists(factory, database)
    assert (factory.storage / "Manifests" / "minisign.pub").read_text().splitlines()[-1] == key


def test_what_cannot_be_signed_is_not_written(
    card: Path, factory: Settings, safe: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = tmp_path / "receipt.txt"
    (tmp_path / "receipt.txt.minisig").write_bytes(b"another's")
    with pytest.raises(Problem, match="is there already"):
        safe(card, receipt=str(receipt))
    (tmp_path / "receipt.txt.minisig").unlink()
    before = sorted(os.listdir(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(receipts, "compare", _full_disk)
        with pytest.raises(VaultTrouble):
            safe(card, receipt=str(receipt))
    assert sorted(os.listdir(tmp_path)) == before
    assert safe(card, receipt=str(receipt))[0] == ExitCode.WELL
    (factory.state / "manifests" / "minisign.key").write_bytes(b"torn")
    with pytest.raises(VaultTrouble, match="secret key"):
        safe(card, receipt=str(tmp_path / "other.txt"))
    assert not (tmp_path / "other.txt").exists()


def _full_disk(*_: Any, **__: Any) -> None:
    raise VaultTrouble("no room")
