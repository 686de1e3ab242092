"""`import`: a library from anywhere, complete, described as ExifTool describes it, the sources untouched."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tzfpy import get_tz

from Src.Testing.patience import wait_until
from Stack.tests.conftest import ExternalLedger
from Stack.tests.photos import endless_jpeg, sha256, unique_jpeg
from Stack.tests.real_factory import KEYS, LIMIT, SAMPLES, ZONE, Factory


def test_every_file_of_a_library_is_filed_as_exiftool_describes_it(bare_factory: Factory, photos: Path) -> None:
    """The issue's own words, from nothing: one command, then a second one that finds nothing new."""
    before = listing(photos)
    media = [path for path in before if not path.name.startswith("README") and path.is_file()]
    hashes = {path: sha256(path) for path in media}

    first = bare_factory.run("import", photos, "--json", limit=2 * LIMIT)

    assert first.code == 0, first.err
    assert "Traceback" not in first.err
    report = first.json()
    assert set(report) == KEYS | {"hash_cache"}
    assert report["new"] == len(set(hashes.values()))
    assert report["duplicates"] == len(media) - report["new"]
    assert (report["restored"], report["failed"]) == (0, 0)
    assert report["not_media"] == sum(path.name.startswith("README") for path in before)
    assert report["bytes"] == sum(path.stat().st_size for path in media)
    assert sorted(sha256(path) for path in bare_factory.vault_files()) == sorted(set(hashes.values()))
    assert listing(photos) == before

    second = bare_factory.run("import", photos, "--json")

    assert second.code == 0
    again = second.json()
    assert (again["new"], again["duplicates"], again["failed"]) == (0, len(media), 0)
    assert listing(photos) == before
    assert sorted(sha256(path) for path in bare_factory.vault_files()) == sorted(set(hashes.values()))
    compare_with_exiftool(bare_factory, photos, hashes)
    wait_until(lambda: not bare_factory.processes(), LIMIT, "no process is left")


def compare_with_exiftool(factory: Factory, photos: Path, hashes: dict[Path, str]) -> None:
    columns = (
        "file_hash, original_path, final_path, captured_at, captured_at_offset, location, width, height,"
        " camera_make, camera_model, date_source"
    )
    rows = {row[0]: row for row in factory.sql_at_rest(f"SELECT {columns} FROM media_assets")}
    assert set(rows) == set(hashes.values())
    expected = what_exiftool_says(list(hashes))
    wrong = []
    for path, file_hash in hashes.items():
        _, original_path, final_path, when, offset, location, width, height, make, model, source = rows[file_hash]
        assert sha256(factory.storage / final_path) == file_hash
        assert final_path.startswith(f"Originals/{when:%Y/%Y-%m-%d}/")
        if source in ("filename", "mtime") and original_path != str(path):
            continue  # a duplicate; such a date is that of the file that was first
        says = expected[path]
        for name, ours in (
            ("captured_at", when),
            ("captured_at_offset", offset),
            ("location", location),
            ("width", width),
            ("height", height),
            ("camera_make", make),
            ("camera_model", model),
        ):
            if says[name] != ours:
                wrong.append(f"{path.relative_to(photos)}: {name} is {ours!r}, ExifTool says {says[name]!r} ({source})")
    assert not wrong, "\n".join(wrong)


def test_second_run_reads_no_file_again(factory: Factory, folder: Path) -> None:
    """What is known, unchanged and still in the vault is passed over; what was rewritten with its old time is not."""
    source = folder / "source"
    source.mkdir()
    for number in range(20):
        (source / f"{number}.jpg").write_bytes(unique_jpeg(number))
    newest = max(path.stat().st_ctime for path in source.iterdir())
    wait_until(lambda: time.time() > newest + 4, 10, "the files are older than what a clock's steps may hide")
    assert factory.run("import", source, "--json").json()["new"] == 20
    rewritten = source / "7.jpg"
    status = rewritten.stat()
    rewritten.write_bytes(os.urandom(status.st_size))
    os.utime(rewritten, ns=(status.st_atime_ns, status.st_mtime_ns))

    report = factory.run("import", source, "--json").json()

    assert (report["new"], report["duplicates"], report["not_media"]) == (0, 19, 1)
    assert (report["hash_cache"]["hits"], report["hash_cache"]["misses"]) == (19, 1)


def test_a_changed_source_is_imported_beside_the_old_one(factory: Factory, folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    (source / "a.jpg").write_bytes(unique_jpeg(1))
    factory.run("import", source)
    (source / "a.jpg").write_bytes(unique_jpeg(2))

    assert factory.run("import", source, "--json").json()["new"] == 1

    assert {path.name for path in factory.vault_files()} == {"a.jpg", "a_1.jpg"}


def test_a_copy_shares_nothing_with_its_source(factory: Factory, folder: Path) -> None:
    """The owner may go on editing the source; an original in the vault must not change with it."""
    source = folder / "a.jpg"
    source.write_bytes(unique_jpeg(1))
    factory.run("import", source)
    [original] = factory.vault_files()
    kept = original.read_bytes()

    with open(source, "r+b") as file:
        file.write(b"edited")

    assert original.read_bytes() == kept
    assert source.stat().st_nlink == 1
    assert stat.S_IMODE(original.stat().st_mode) & 0o222 == 0


def test_move_takes_the_sources_that_are_safe_and_leaves_the_rest(factory: Factory, copied_samples: Path) -> None:
    shutil.copy(copied_samples / "Canon_40D.jpg", copied_samples / "again.jpg")
    hashes = {sha256(path) for path in copied_samples.iterdir() if path.name != "README.md"}

    result = factory.run("import", copied_samples, "--move", "--json")

    assert result.code == 0
    report = result.json()
    assert (report["new"], report["duplicates"], report["not_media"]) == (len(hashes), 1, 1)
    assert [path.name for path in copied_samples.iterdir()] == ["README.md"]
    assert {sha256(path) for path in factory.vault_files()} == hashes


def test_a_broken_photo_is_filed_and_marked_and_no_failure(factory: Factory, folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    (source / "cut.jpg").write_bytes(unique_jpeg(1)[:3000])
    (source / "whole.jpg").write_bytes(unique_jpeg(2))

    result = factory.run("import", source, "--json")

    assert (result.code, result.json()["new"], result.json()["failed"]) == (0, 2, 0)
    rows = factory.sql_at_rest("SELECT original_name, has_errors, error_message FROM media_assets ORDER BY 1")
    assert rows[0][:2] == ("cut.jpg", True)
    assert rows[0][2]
    assert rows[1] == ("whole.jpg", False, None)


# -- what cannot be imported ------------------------------------------------------------------------------


def test_a_file_that_somebody_is_writing_is_a_failure_with_a_reason(factory: Factory, folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    (source / "whole.jpg").write_bytes(unique_jpeg(1))
    (source / "growing.jpg").write_bytes(unique_jpeg(2))

    with open(source / "growing.jpg", "ab"):
        result = factory.run("import", source, "--json")

    assert result.code == 1
    assert (result.json()["new"], result.json()["failed"]) == (1, 1)
    assert "growing.jpg" in result.err
    rows = factory.sql_at_rest("SELECT original_path, fate, message FROM ingest_events WHERE fate <> 'ingested'")
    assert rows == [(str(source / "growing.jpg"), "failed", "it is being written to; import it again later")]
    assert factory.run("import", source, "--json").json()["new"] == 1


def test_a_file_that_never_stops_changing_does_not_hold_up_the_rest(factory: Factory, folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    for number in range(10):
        (source / f"{number}.jpg").write_bytes(unique_jpeg(number))
    with growing(source / "growing.jpg"):
        result = factory.run("import", source, "--json")

    assert result.code == 1
    assert (result.json()["new"], result.json()["failed"]) == (10, 1)


@pytest.mark.parametrize("case", ["missing", "in the vault", "the factory's own storage", "fifo", "nothing"])
def test_what_is_no_source_is_one_line_and_exit_code_2(factory: Factory, folder: Path, case: str) -> None:
    day = factory.originals / "2020" / "2020-01-01"
    day.mkdir(parents=True)
    os.mkfifo(folder / "fifo")
    cases: dict[str, tuple[str | Path, str]] = {
        "missing": (folder / "missing", "no such file or folder"),
        "in the vault": (day, "is part of the vault"),
        "the factory's own storage": (factory.storage, "is part of the vault"),
        "fifo": (folder / "fifo", "neither a folder nor a regular file"),
        "nothing": ("", "a source is empty"),  # of an unset variable: it must not mean the current folder
    }
    source, words = cases[case]

    result = factory.run("import", source)

    assert result.code == 2
    assert words in result.one_line()
    assert str(source) in result.one_line()


def test_a_source_that_holds_the_factory_is_refused(factory: Factory, folder: Path) -> None:
    """`import /` must not import the factory itself."""
    (folder / "a.jpg").write_bytes(unique_jpeg(1))
    assert factory.run("import", folder / "a.jpg", "--json").json()["new"] == 1

    refused = factory.run("import", folder)

    assert refused.code == 2
    assert "holds" in refused.one_line() and "one by one" in refused.one_line()
    assert len(factory.vault_files()) == 1


def test_what_may_not_be_read_is_told(factory: Factory, folder: Path, external_ledger: ExternalLedger) -> None:
    """Exit code 2 where it is the source itself, 1 where it is a file in it."""
    factory.environment["DATABASE_URL"] = external_ledger.url
    source, closed = folder / "source", folder / "closed"
    for each in (source, closed):
        each.mkdir()
        (each / "a.jpg").write_bytes(unique_jpeg(1))
    (source / "secret.jpg").write_bytes(unique_jpeg(2))
    os.chmod(source / "secret.jpg", 0)
    os.chmod(closed, 0)
    try:
        result = factory.run_unprivileged("import", closed)
        assert result.code == 2
        assert result.err.endswith(f"factory: import: {closed}: cannot be read; check its permissions\n")

        result = factory.run_unprivileged("import", source, "--json")
        assert result.code == 1
        report = result.json()
        assert (report["new"], report["failed"]) == (1, 1)
        assert "secret.jpg: cannot be read: Permission denied" in result.err
    finally:
        os.chmod(closed, 0o700)


# -- the progress bar, Ctrl-C and kill -9 -----------------------------------------------------------------


def test_progress_is_shown_on_a_terminal(factory: Factory, folder: Path) -> None:
    source = many_photos(folder / "source", 120, size=300_000)
    (source / "again.jpg").write_bytes((source / "0.jpg").read_bytes())
    factory.environment.update(BATCH_SIZE="8", COLUMNS="160")
    with Terminal(factory, "import", str(source)) as terminal:
        code = terminal.wait()

    assert code == 0
    assert re.search(r"Importing", terminal.text)
    assert re.search(r"\d+/121", terminal.text)
    assert re.search(r"[1-9]\d* files/s", terminal.text)
    assert re.search(r"[1-9]\d* MB/s", terminal.text)
    assert re.search(r"\d s left", terminal.text), "time left"
    assert re.search(r"MB of \d+\.\d MB", terminal.text)
    assert "source" in terminal.text, "the folder"
    assert "1 duplicates" in terminal.text
    assert re.search(r"new +120\b", terminal.text)


def test_no_progress_bar_goes_into_a_file(factory: Factory) -> None:
    result = factory.run("import", SAMPLES)

    assert "\x1b" not in result.out + result.err
    assert "files/s" not in result.err
    assert re.search(r"new +28\b", result.out)


def test_ctrl_c_on_a_terminal_is_safe_and_a_second_run_goes_on(factory: Factory, folder: Path) -> None:
    """The terminal sends it to every process in the foreground: readers and ExifTool must not suffer."""
    source = many_photos(folder / "source", 300)
    for number in range(100):  # through ExifTool
        shutil.copy(SAMPLES / "QuickTime.heic", source / f"{number}.heic")
        with open(source / f"{number}.heic", "ab") as file:
            file.write(number.to_bytes(8, "big"))
    endless = source / "the last.jpg"  # what comes before it may be done by the time of Ctrl-C, and this never
    endless_jpeg(endless)
    factory.environment.update(BATCH_SIZE="16", READERS="1")
    with Terminal(factory, "import", str(source)) as terminal:
        wait_until(lambda: factory.filed() >= 16, LIMIT, "the first batch is filed")
        terminal.type(b"\x03")
        code = terminal.wait()

    assert code == 130, terminal.text
    assert "Traceback" not in terminal.text
    assert "Stopped" in terminal.text
    wait_until(lambda: not factory.processes(), LIMIT, "no process is left")
    endless.unlink()
    filed = len(factory.vault_files())
    assert 16 <= filed <= 400
    assert factory.sql_at_rest("SELECT count(*) FROM media_assets") == [(filed,)]

    report = factory.run("import", source, "--json").json()

    assert (report["new"], report["duplicates"], report["failed"]) == (400 - filed, filed, 0)
    assert factory.sql_at_rest("SELECT error_message FROM media_assets WHERE has_errors") == []
    assert factory.sql_at_rest("SELECT count(*) FROM ingest_events WHERE fate = 'failed'") == [(0,)]


def test_ctrl_c_gives_up_a_copy_under_way(factory: Factory, folder: Path) -> None:
    """Pressed twice, as people do, while a batch is being copied."""
    source = many_photos(folder / "source", 4, size=60_000_000)
    endless = source / "the last.jpg"  # read while the others are copied: it never ends by itself
    endless_jpeg(endless)
    factory.environment.update(BATCH_SIZE="4", READERS="2")
    with Terminal(factory, "import", str(source)) as terminal:
        wait_until(factory.vault_files, LIMIT, "a copy is under way")
        terminal.type(b"\x03\x03")
        code = terminal.wait()
    assert code == 130, terminal.text
    assert "Traceback" not in terminal.text
    assert "Stopped" in terminal.text
    assert factory.filed() == len(factory.vault_files()), "the temporary files are gone"
    endless.unlink()

    assert factory.run("import", source, "--json").json()["failed"] == 0

    assert sorted(map(sha256, factory.vault_files())) == sorted(map(sha256, source.iterdir()))


def test_kill_9_in_the_middle_and_a_second_run_completes(factory: Factory, folder: Path) -> None:
    source = many_photos(folder / "source", 300)
    hashes = {sha256(path) for path in source.iterdir()}
    endless = source / "the last.jpg"
    endless_jpeg(endless)
    factory.environment.update(BATCH_SIZE="16", READERS="1")
    for filed in (30, 120, 210):
        with factory.start("import", source) as running:
            wait_until(partial(has_filed, factory, filed), LIMIT, "it gets there")
            factory.kill_all()
            running.wait()
    endless.unlink()

    result = factory.run("import", source, "--json")

    assert result.code == 0
    assert sorted(sha256(path) for path in factory.vault_files()) == sorted(hashes)
    rows = factory.sql_at_rest("SELECT file_hash, final_path FROM media_assets")
    assert {row[0] for row in rows} == hashes
    assert all(sha256(factory.storage / path) == file_hash for file_hash, path in rows)
    assert len(list(source.iterdir())) == 300


def test_sigterm_ends_an_import_like_ctrl_c(factory: Factory, folder: Path) -> None:
    source = many_photos(folder / "source", 300)
    endless_jpeg(source / "the last.jpg")
    factory.environment.update(BATCH_SIZE="16", READERS="1")
    with factory.start("import", source, "--json") as running:
        wait_until(lambda: factory.filed() >= 16, LIMIT, "the first batch is filed")
        running.process.send_signal(signal.SIGTERM)
        result = running.wait()
    assert result.code == 130
    assert result.json()["new"] == len(factory.vault_files()) <= 300


# -- helpers ----------------------------------------------------------------------------------------------


def listing(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Everything below a folder with all that a careless reader could change."""
    found: dict[Path, tuple[int, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        at = path.lstat()
        found[path] = (at.st_ino, at.st_mode, at.st_nlink, at.st_uid, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
    return found


def has_filed(factory: Factory, count: int) -> bool:
    return factory.filed() >= count


def many_photos(folder: Path, count: int, size: int = 0) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(unique_jpeg(number, size=size))
    return folder


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """A file that is appended to all the time. Each writer closes it, but none before the next has come: it is never at
    rest, even if we stand still."""
    path.write_bytes(unique_jpeg(77))
    ended = threading.Event()
    first = os.open(path, os.O_WRONLY | os.O_APPEND)

    def grow() -> None:
        writer = first
        while not ended.is_set():
            os.write(writer, b"more")
            next_one = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.close(writer)
            writer = next_one
        os.close(writer)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Terminal:
    """`./factory` on a terminal of its own, which is read all the time: a full one would hold it up."""

    def __init__(self, factory: Factory, *arguments: str) -> None:
        self._factory = factory
        self._chunks: list[bytes] = []
        command, env = factory.command(*arguments), factory.env({"TERM": "xterm", "COLUMNS": "160"})
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execve(command[0], command, env)
        self._code: int | None = None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._code is None:
            self._factory.kill_all()
            os.waitpid(self._pid, 0)
        self._reader.join()
        os.close(self._fd)

    @property
    def text(self) -> str:
        return b"".join(self._chunks).decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def wait(self, limit: float = 2 * LIMIT) -> int:
        """Waits until it has ended; the exit code."""
        self._reader.join(limit)
        assert not self._reader.is_alive(), "it does not end"
        _, status = os.waitpid(self._pid, 0)
        self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self) -> None:
        with suppress(OSError):  # nobody has the other side open any more
            while chunk := os.read(self._fd, 65536):
                self._chunks.append(chunk)


# -- the design's table, read once more by other code ----------------------------------------------------

NOW = datetime.now()


def what_exiftool_says(paths: list[Path]) -> dict[Path, dict[str, Any]]:
    """By the design's date table: one run of ExifTool that knows the groups, one that picks as a person sees it."""
    grouped = exiftool("-G0 -n", paths)
    plain = exiftool("-ImageSize -Make -Model", paths)  # in words; the size is that of a raw photo, not of its preview
    return {path: interpreted(path, grouped[path], plain[path]) for path in paths}


def exiftool(options: str, paths: list[Path]) -> dict[Path, dict[str, str]]:
    command = ["exiftool", "-config", "", "-j", "-q", "-api", "largefilesupport=1", *options.split(" ")]
    answer = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False).stdout
    records = json.loads(answer, parse_int=str, parse_float=str)
    return {Path(record["SourceFile"]): record for record in records}


def interpreted(path: Path, tags: dict[str, str], plain: dict[str, str]) -> dict[str, Any]:
    place = place_of(tags)
    when, offset = date_of(path, tags, place)
    return {
        "captured_at": when,
        "captured_at_offset": offset,
        "location": place and {"lat": place[0], "lon": place[1]},
        "width": pixels(plain, 0),
        "height": pixels(plain, 1),
        "camera_make": plain.get("Make", "").strip() or None,
        "camera_model": plain.get("Model", "").strip() or None,
    }


def pixels(plain: dict[str, str], which: int) -> int | None:
    """Of "3456x2304"."""
    return int(plain["ImageSize"].split("x")[which]) or None if "ImageSize" in plain else None


def place_of(tags: dict[str, str]) -> tuple[float, float] | None:
    for group in ("Composite", "XMP"):
        try:
            place = float(tags[f"{group}:GPSLatitude"]), float(tags[f"{group}:GPSLongitude"])
        except (KeyError, ValueError):
            continue
        if place != (0, 0) and -90 <= place[0] <= 90 and -180 <= place[1] <= 180:
            return place
    return None


def date_of(path: Path, tags: dict[str, str], place: tuple[float, float] | None) -> tuple[datetime, int | None]:
    zone = ZoneInfo(get_tz(place[1], place[0]) if place else ZONE)
    if when := exif_date(tags, "EXIF:DateTimeOriginal", "EXIF:SubSecTimeOriginal", "EXIF:OffsetTimeOriginal"):
        return when
    # The camera's own local date, and the tags in which others say the same.
    for name in (
        "QuickTime:CreationDate",
        "H264:DateTimeOriginal",
        "RIFF:DateTimeOriginal",
        "MakerNotes:DateTimeOriginal",
        "APP12:DateTimeOriginal",
    ):
        when = moment(tags.get(name))
        if when and likely(when[0]):
            return when
    if when := exif_date(tags, "EXIF:CreateDate", "EXIF:SubSecTimeDigitized", "EXIF:OffsetTimeDigitized"):
        return when
    for name in ("QuickTime:CreateDate", "QuickTime:MediaCreateDate", "Matroska:DateTimeOriginal"):
        if local := from_utc(tags.get(name), zone):
            return local, None
    iptc = f"{tags.get('IPTC:DateCreated', '')} {tags.get('IPTC:TimeCreated', '')}".strip()
    for text in (tags.get("XMP:DateCreated"), tags.get("XMP:DateTimeOriginal"), tags.get("XMP:CreateDate"), iptc):
        when = moment(text)
        if when and likely(when[0]):
            return when
    if local := from_utc(tags.get("Composite:GPSDateTime"), zone):
        return local, None
    named = re.search(
        r"(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)(?:[-_ ](\d\d)[-.]?(\d\d)[-.]?(\d\d))?", path.stem
    )
    if named:
        return datetime(*(int(part or 0) for part in named.groups())), None  # type: ignore[arg-type]
    if when := exif_date(tags, "EXIF:ModifyDate", "EXIF:SubSecTime", "EXIF:OffsetTime"):
        return when
    mtime = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=path.stat().st_mtime_ns // 1000)
    return mtime.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None), None


def exif_date(tags: dict[str, str], name: str, fraction: str, offset: str) -> tuple[datetime, int | None] | None:
    when = moment(tags.get(name))
    if when is None or not likely(when[0]):
        return None
    digits = tags.get(fraction, "").strip()
    if digits.isdigit():
        when = when[0].replace(microsecond=int(digits[:6].ljust(6, "0"))), when[1]
    found = offset_of(tags.get(offset))
    return when[0], when[1] if found is None else found


def moment(text: str | None) -> tuple[datetime, int | None] | None:
    """ "2003:08:11 16:45:32.05+02:00" and its shorter forms."""
    parts = re.fullmatch(
        r"(\d{4}):(\d\d):(\d\d)(?: (\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?", (text or "").strip()
    )
    if parts is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = parts.groups()
    try:
        when = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    return when.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0"))), offset_of(offset)


def offset_of(text: str | None) -> int | None:
    if (text or "").strip() == "Z":
        return 0
    parts = re.fullmatch(r"([+-])(\d\d):(\d\d)", (text or "").strip())
    return None if parts is None else int(f"{parts[1]}1") * (int(parts[2]) * 60 + int(parts[3]))


def from_utc(text: str | None, zone: ZoneInfo) -> datetime | None:
    found = moment(text)
    if found is None or not likely(found[0]):
        return None
    utc = (found[0] - timedelta(minutes=found[1] or 0)).replace(tzinfo=UTC)
    return utc.astimezone(zone).replace(tzinfo=None)


def likely(when: datetime) -> bool:
    zeros = (datetime(1904, 1, 1), datetime(1970, 1, 1))
    return when.year >= 1826 and when not in zeros and when <= NOW + timedelta(days=1)
