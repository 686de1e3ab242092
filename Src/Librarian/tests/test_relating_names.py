"""The names that pairs get, by what stands in their folder and what the ledger says: no file is read by a reader."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from Src.Librarian.passage import IncomingFile, Inspected, New, Passage
from Src.Librarian.record import relations
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.record.relations import Neighbour
from Src.Librarian.relating import Relating
from Src.Library import vault_folder
from Src.Library.vault import Vault
from Src.Media.kinds import KINDS
from Src.Media.metadata import Metadata
from Src.Media.relations import Item
from Src.Shared.disk.files import FileState

TAKEN = datetime(2024, 7, 6, 1, 2, 3)
_NOTHING = (None, None, None, None, None, None, None, None, None, None)
ABOUT = Metadata(TAKEN, None, "exif:DateTimeOriginal", "second", *_NOTHING)
DAY = "Originals/2024/2024-07-06"
KIND = {"JPG": "JPEG", "MOV": "MOV", "DNG": "DNG"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Ledger:
    """What is recorded, as far as names depend on it."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}  # path below the day -> hash, of what stands or stood there
        self.came: list[Neighbour] = []
        self.asked: list[tuple[Mapping[str, Collection[str]], Mapping[str, Collection[str]]]] = []

    def knows(self, name: str, content: bytes, came: str) -> None:
        """`came`: its path in the source."""
        self.rows[f"{DAY}/{name}"] = sha256(content)
        folder, own_name = came.rsplit("/", 1)
        item = Item(sha256(content), own_name, KIND[name[-3:]], TAKEN, None)
        self.came.append(Neighbour("import", folder, item, f"{DAY}/{name}"))

    def ask(self, question: Any) -> Any:
        if question.func is relations.neighbours:
            return self.came
        ours, halves = question.keywords["ours"], question.keywords["halves"]
        self.asked.append((ours, halves))
        return {path for path, whose in self.rows.items() if whose not in ours.get(path, (whose,))} | {
            path
            for path in self.rows
            if path not in ours and Path(path).suffix.lower() in halves.get(str(Path(path).with_suffix("")), ())
        }

    def unrecorded(self, paths: Collection[str]) -> list[str]:
        return [path for path in paths if path not in self.rows]


class Bench:
    def __init__(self, storage: Path) -> None:
        storage.mkdir()
        self.vault = Vault(storage)
        self.vault.create()
        self.day = storage / DAY
        self.day.mkdir(parents=True)
        self.ledger = Ledger()

    def stands(self, **contents: bytes) -> None:
        for name, content in contents.items():
            (self.day / name.replace("__", ".")).write_bytes(content)

    def there(self) -> set[str]:
        return {path.name for path in self.day.iterdir()}

    def names(self, *batch: tuple[str, bytes]) -> dict[str, str]:
        """The names of what comes in under these paths, by path; without those that keep their own."""
        some = []
        for number, (path, content) in enumerate(batch):
            file = IncomingFile(path, path, FileState(len(content), 0, 0, -1 - number, 0), "import")
            some.append(Passage(Inspected(file, sha256(content), KINDS[KIND[path[-3:]]], ABOUT), New()))
        return Relating(cast(Recorder, self.ledger), self.vault).names(some)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "Storage")


def test_what_stands_alone_stays_beside_a_half_without_a_row(bench: Bench) -> None:
    bench.stands(L__JPG=b"photo", L__MOV=b"film", L__DNG=b"raw", L__JPG__xmp=b"edit")
    assert bench.names(("/a/L.JPG", b"photo")) == {}
    assert bench.names(("/a/L.JPG", b"photo"), ("/a/L.DNG", b"raw")) == {}
    assert bench.there() == {"L.JPG", "L.MOV", "L.DNG", "L.JPG.xmp"}


def test_what_stands_in_other_case_stays_too(bench: Bench) -> None:
    bench.stands(l__jpg=b"photo", l__mov=b"film")
    assert bench.names(("/a/L.JPG", b"photo")) == {"/a/L.JPG": "l.jpg"}
    assert bench.there() == {"l.jpg", "l.mov"}


def test_what_joins_a_half_that_stands_goes_to_a_number_only_where_a_row_is_in_the_way(bench: Bench) -> None:
    bench.stands(L__JPG=b"photo", L__MOV=b"film")
    batch = (("/a/L.JPG", b"photo"), ("/a/L.DNG", b"raw"))
    assert bench.names(*batch) == {}
    bench.ledger.knows("L.MOV", b"film", "/b/L.MOV")
    assert bench.names(*batch) == {"/a/L.JPG": "L_1.JPG", "/a/L.DNG": "L_1.DNG"}
    assert bench.there() == {"L_1.JPG", "L.MOV"}


@pytest.mark.parametrize("beside", ["L.JPG.xmp", "L.xmp", "l.jpg.pp3", "L.MOV"])
def test_what_something_is_named_after_keeps_its_name(bench: Bench, beside: str) -> None:
    bench.stands(L__JPG=b"photo", L_1__MOV=b"film")
    (bench.day / beside).write_bytes(b"edit")
    bench.ledger.knows("L_1.MOV", b"film", "/a/L.MOV")
    assert bench.names(("/a/L.JPG", b"photo")) == {}
    assert bench.there() == {"L.JPG", "L_1.MOV", beside}
    (bench.day / beside).unlink()
    assert bench.names(("/a/L.JPG", b"photo")) == {"/a/L.JPG": "L_1.JPG"}
    assert bench.there() == {"L_1.JPG", "L_1.MOV"}


def test_halves_come_together_where_the_one_stands_that_something_is_named_after(bench: Bench) -> None:
    bench.stands(L_2__JPG=b"photo", L_1__MOV=b"film", L_1__MOV__xmp=b"edit")
    names = bench.names(("/a/L.JPG", b"photo"), ("/a/L.MOV", b"film"))
    assert names == {"/a/L.JPG": "L_1.JPG", "/a/L.MOV": "L_1.MOV"}
    assert bench.there() == {"L_1.JPG", "L_1.MOV", "L_1.MOV.xmp"}


def test_a_half_that_stands_under_the_wanted_name_too_is_the_one_there(bench: Bench) -> None:
    bench.stands(L__JPG=b"photo", L_2__JPG=b"photo", L_2__MOV=b"film")
    bench.ledger.knows("L_2.MOV", b"film", "/a/L.MOV")
    assert bench.names(("/a/L.JPG", b"photo")) == {"/a/L.JPG": "L_2.JPG"}
    assert bench.there() == {"L.JPG", "L_2.JPG", "L_2.MOV"}


def test_what_cannot_be_renamed_is_found_where_it_stands(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.stands(L__MOV=b"film", L_3__JPG=b"photo")
    bench.ledger.knows("L_3.JPG", b"photo", "/a/L.JPG")
    monkeypatch.setattr(Vault, "rename_unrecorded", lambda *_: False)
    assert bench.names(("/a/L.MOV", b"film")) == {}
    bench.stands(L_1__MOV=b"film")
    (bench.day / "L.MOV").unlink()
    assert bench.names(("/a/L.MOV", b"film")) == {"/a/L.MOV": "L_1.MOV"}


def test_what_stands_is_read_once_and_many_numbers_are_asked_for_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty numbers of one stem are other originals'; what stands otherwise is not read again for each."""
    batch = [(f"/a/{number}.JPG", b"photo %02d" % number) for number in range(20)]
    for path, content in batch:
        (bench.day / path.rsplit("/", 1)[1]).write_bytes(content)
    for number in range(1, 41):
        bench.ledger.rows[f"{DAY}/L_{number}.JPG"] = "other"
    bench.ledger.rows[f"{DAY}/L.JPG"] = "other"
    read: list[str] = []
    inode_and_hash: Callable[[int, str], tuple[int, str]] = vault_folder._inode_and_hash

    def counted(folder: int, name: str) -> tuple[int, str]:
        read.append(name)
        return inode_and_hash(folder, name)

    monkeypatch.setattr(vault_folder, "_inode_and_hash", counted)
    names = bench.names(*batch, ("/a/L.JPG", b"new"), ("/a/L.MOV", b"new film"))
    assert names == {"/a/L.JPG": "L_41.JPG", "/a/L.MOV": "L_41.MOV"}
    assert sorted(read) == sorted(f"{number}.JPG" for number in range(20))
    assert len(bench.ledger.asked) == 3, "its own names; the next numbers; those that are chosen"
