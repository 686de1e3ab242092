"""Decide, against a model that knows only which content stands in the vault."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian.collision_handler import Decision, Duplicate, New, Restore, Twin, decide
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.inspection import Inspected
from Src.Librarian.media_kind import Kind
from Src.Librarian.metadata_extractor import Metadata
from Src.Librarian.recorder import Kept

HASHES = [character * 64 for character in "abcd"]
SIZES = dict(zip(HASHES, (10, 20, 30, 40), strict=True))


def found(index: int, sha256: str) -> Inspected:
    file = IncomingFile(f"/inbox/{index}.jpg", f"{index}.jpg", FileState(SIZES[sha256], 1, 1, index, 1))
    metadata = Metadata(datetime(2020, 1, 1), None, "mtime", *[None] * 9)
    return Inspected(file, sha256, Kind("JPEG", "image/jpeg"), metadata)


batches = st.lists(st.sampled_from(HASHES), max_size=12).map(
    lambda hashes: [found(index, sha256) for index, sha256 in enumerate(hashes)]
)


@given(batches, st.sets(st.sampled_from(HASHES)), st.data())
def test_each_file_is_what_a_simple_model_says(batch: list[Inspected], known: set[str], data: st.DataObject) -> None:
    living = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    kept = {sha256: Kept(f"Originals/{sha256}", SIZES[sha256]) for sha256 in known}
    on_disk = {(kept[sha256].final_path, kept[sha256].size) for sha256 in living}

    decisions = decide(batch, kept, lambda path, size: (path, size) in on_disk)

    assert [one.found for one in decisions] == batch  # an answer for each, in order
    stored = set(living)  # the model: content that stands in the vault, or will when the batch is placed
    first: dict[str, Inspected] = {}
    for one, file in zip(decisions, batch, strict=True):
        expected: Decision
        if file.sha256 in first:
            expected = Twin(file, first[file.sha256])
        elif file.sha256 in stored:
            expected = Duplicate(file, kept[file.sha256])
        else:
            expected = Restore(file, kept[file.sha256]) if file.sha256 in known else New(file)
            first[file.sha256] = file
        assert one == expected
        stored.add(file.sha256)
    assert stored >= {file.sha256 for file in batch}  # nothing is dropped without a living original


def test_an_original_of_the_wrong_size_is_no_living_original() -> None:
    asked: list[tuple[str, int]] = []

    def lives(path: str, size: int) -> bool:
        asked.append((path, size))
        return False

    one = found(1, HASHES[0])
    kept = Kept("Originals/2020/2020-01-01/a.jpg", 10)
    assert decide([one], {HASHES[0]: kept}, lives) == [Restore(one, kept)]
    assert asked == [("Originals/2020/2020-01-01/a.jpg", 10)]
