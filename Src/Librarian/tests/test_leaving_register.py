"""What is known of the files that are kept aside: nothing of it is lost, and much of it fits in little memory."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from Src.Librarian.clear.leaving_notes import Note, Notes
from Src.Librarian.clear.leaving_register import Entry, Register
from Src.Shared.disk.files import FileState

TOKEN = "0123456789abcdef" * 2
FOLDER = "/factory/Storage/.factory/leaving"

on_disk = st.binary(min_size=1, max_size=80).map(lambda raw: raw.replace(b"/", b"-").replace(b"\0", b"-"))
names = on_disk.map(lambda raw: raw.decode("utf-8", "surrogateescape"))
paths = st.one_of(st.text(), names, names.map(lambda name: f"Originals/2024/2024-01-01/{name}"), st.just(""))
numbers = st.integers(-(2**63), 2**64)
states = st.builds(FileState, numbers, numbers, numbers, numbers, numbers)


@given(names, paths, paths, st.text(), states, st.floats(allow_nan=False), st.booleans(), st.booleans())
def test_an_entry_gives_back_the_note_that_it_was_made_of(
    name: str, original: str, kept: str, sha256: str, state: FileState, at: float, same: bool, again: bool
) -> None:
    original = f"DCIM/{name}" if same else original
    kept = f"Originals/2024/2024-01-01/{name}" if again else kept
    for kept_aside in (f"{TOKEN}.17.{name}", name):
        note = Note(kept_aside, original, kept, sha256, state, at)
        entry = Entry(note, FOLDER, 1.0)
        assert entry.note == note and entry.name == kept_aside
        assert isinstance(entry.note.state, FileState)


def long_name(number: int) -> str:
    return f"{number:06d}{'日本' * 20}.jpg"


def entry_of(number: int, folder: str = FOLDER) -> Entry:
    name = long_name(number)
    state = FileState(2**30 + number, 2**60 + number, 2**60 - number, 2**33 + number, 2**20 + number)
    note = Note(f"{TOKEN}.{number}.{name}", name, f"Originals/2024/2024-01-01/{name}", f"{number:064x}", state, 1e9)
    return Entry(note, folder, float(number), 2**60 + number)


def test_a_hundred_thousand_long_names_fit_in_memory() -> None:
    register = Register(FOLDER)
    tracemalloc.start()
    try:
        for number in range(2000):
            register.add(entry_of(number), FOLDER)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / 2000 < 800, "bytes for each"
    assert register[f"{TOKEN}.7.{long_name(7)}"].note.original_path == long_name(7)


@given(names, names, st.sampled_from(["", ".jpg", ".x", "é", "\udcff.jpg"]), st.integers(1, 40))
def test_a_note_of_a_name_that_is_cut_is_whole(name: str, other: str, ending: str, times: int) -> None:
    long = os.fsdecode(os.fsencode(f"{name * times}{ending}"))
    original = f"DCIM/{long}"
    (kept_aside,) = Notes(Path(FOLDER)).next_names([os.path.basename(original)])
    for kept in (f"Originals/2024/2024-01-01/{long}", f"{other}/{name * times}_1{ending}"):
        note = Note(kept_aside, original, kept, "", FileState(1, 2, 3, 4, 5), 6.0)
        assert Entry(note, FOLDER, 1.0).note == note


def test_a_name_that_is_cut_is_not_kept_twice() -> None:
    register, notes = Register(FOLDER), Notes(Path(FOLDER))
    originals = [f"2024-12-24/{'x' * 240}{number:06d}.jpg" for number in range(2000)]
    kept_aside = notes.next_names([os.path.basename(path) for path in originals])
    tracemalloc.start()
    try:
        for name, path in zip(kept_aside, originals, strict=True):
            kept = f"Originals/2024/{path}"
            register.add(
                Entry(Note(name, path, kept, "a" * 64, FileState(1, 2**60, 2**60, 4, 5), 1e9), "", 1.0), FOLDER
            )
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / 2000 < 800, "bytes for each"


def test_who_was_dropped_is_not_there_any_more() -> None:
    register = Register(FOLDER)
    here, elsewhere = entry_of(1), entry_of(2)
    register.add(here, FOLDER)
    register.add(elsewhere, "/factory/Storage/.factory/leaving/other")
    assert len(register) == 2 and here.name in register and register.get(elsewhere.key) is elsewhere
    for entry in (here, elsewhere):
        register.drop(entry)
        register.drop(entry)
        assert entry.name not in register and register.get(entry.key) is None
    assert len(register) == 0
