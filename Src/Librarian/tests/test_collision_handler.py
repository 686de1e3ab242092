"""Decide, against a model that knows only which content stands in the vault."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian.collision_handler import decide
from Src.Librarian.passage import Decision, Duplicate, IncomingFile, Inspected, Kept, New, Restore, Twin, Undecided
from Src.Library.verdict import Gone, Living, Rotten, Unknown, Verdict
from Src.Media.kinds import Kind
from Src.Media.metadata import Metadata
from Src.Shared.disk.files import FileState

HASHES = [character * 64 for character in "abcd"]
SIZES = dict(zip(HASHES, (10, 20, 30, 40), strict=True))


def found(index: int, sha256: str) -> Inspected:
    file = IncomingFile(f"/inbox/{index}.jpg", f"{index}.jpg", FileState(SIZES[sha256], 1, 1, index, 1))
    metadata = Metadata(
        datetime(2020, 1, 1), None, "mtime", "second", None, None, None, None, None, None, None, None, None, None
    )
    return Inspected(file, sha256, Kind("JPEG", "image/jpeg"), metadata)


batches = st.lists(st.sampled_from(HASHES), max_size=12).map(
    lambda hashes: [found(index, sha256) for index, sha256 in enumerate(hashes)]
)


STATE = FileState(1, 1, 1, 999, 1)
VERDICTS: list[Verdict] = [Living(STATE), Gone(), Rotten(STATE, "e" * 64, "other bytes"), Unknown("permission denied")]


@given(batches, st.dictionaries(st.sampled_from(HASHES), st.sampled_from(VERDICTS)))
def test_each_file_is_what_a_simple_model_says(batch: list[Inspected], verdicts: dict[str, Verdict]) -> None:
    kept = {sha256: Kept(f"Originals/{sha256}", SIZES[sha256]) for sha256 in verdicts}

    decided = decide(batch, kept, verdicts, {})

    assert [one.found for one in decided] == batch  # an answer for each, in order
    first: dict[str, Inspected] = {}  # the model: content that stands in the vault once the batch is placed
    for one, file in zip(decided, batch, strict=True):
        expected: Decision
        if file.sha256 in first:
            expected = Twin(first[file.sha256])
        elif file.sha256 not in verdicts:
            expected = New()
        else:
            match verdicts[file.sha256]:
                case Living():
                    expected = Duplicate(f"Originals/{file.sha256}")
                case Gone():
                    expected = Restore(kept[file.sha256])
                case Rotten() as rotten:
                    expected = Restore(kept[file.sha256], rotten)
                case Unknown():
                    expected = Undecided("permission denied")
        if isinstance(expected, New | Restore):
            first[file.sha256] = file
        assert one.decision == expected


def test_nothing_is_moved_aside_that_the_incoming_file_is_another_name_of() -> None:
    one = found(1, HASHES[0])
    kept = {HASHES[0]: Kept("Originals/2020/2020-01-01/a.jpg", 10)}
    written_to = one.file.state._replace(mtime_ns=2, ctime_ns=2)
    (undecided,) = decide([one], kept, {HASHES[0]: Rotten(written_to, "e" * 64, "other bytes")}, {})
    assert undecided.decision == Undecided(None)
    linked = one.file.state._replace(ctime_ns=2)
    (undecided,) = decide([one], kept, {HASHES[0]: Rotten(linked, "e" * 64, "other bytes")}, {})
    assert isinstance(undecided.decision, Undecided) and undecided.decision.reason is not None
    assert "two readings of it differ" in undecided.decision.reason
