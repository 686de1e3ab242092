"""What does it cost when there is much: of files, of rows, of bytes?

.venv/bin/python -m benchmarks.scale [--case ledger video waiting idle latency exiftool] [--folder DIR] [--json FILE]

ledger    2,000 photos into a ledger of 1,000,000 rows, against an empty one
video     one video of 4 GB: bytes per second against hashing alone, and the librarian's memory
waiting   100,000 photos that are not complete yet: memory of the librarian and all its processes
idle      100,000 files of no media: CPU of a scan, and of standing by
latency   200 single photos, copied in and renamed in: from drop to committed row
exiftool  ExifTool asked in batches, against one process a file
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import psutil
import psycopg2
from sqlalchemy.engine import make_url

from benchmarks.ingest import ROOT, ingest
from benchmarks.photos import SAMPLES, make_photos, warm
from Src.Librarian.exiftool_reader import ExifToolReader
from Src.Librarian.fingerprint import sha256_of
from Src.Librarian.vault import Vault
from Src.Shared.database import Database
from Src.Shared.settings import load_settings

Figures = dict[str, float]


def main() -> None:
    cases: dict[str, Callable[[Path], Figures]] = {
        "ledger": ledger,
        "video": video,
        "waiting": waiting,
        "idle": idle,
        "latency": latency,
        "exiftool": exiftool,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=cases, default=list(cases))
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    all_figures = {}
    for name in options.case:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            all_figures[name] = figures = cases[name](Path(folder))
        print(name)
        for what, value in figures.items():
            print(f"  {what:<56}{value:>14,.3f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(all_figures, indent=2))


def ledger(folder: Path, files: int = 2000, size: int = 500_000, rows: int = 1_000_000) -> Figures:
    photos = folder / "photos"
    make_photos(photos, files, size)
    empty, full = [], []
    for _ in range(3):
        warm(photos)
        empty.append(ingest(folder, photos, files, None))
        warm(photos)
        full.append(ingest(folder, photos, files, None, before=lambda environment: seed(environment, rows)))
    return {
        "empty ledger, files/s with start-up": files / median(empty),
        f"{rows:,} rows, files/s with start-up": files / median(full),
        "ratio of the times": median(full) / median(empty),
    }


def seed(environment: dict[str, str], rows: int) -> None:
    """Fills the ledger with originals that look like a library."""
    settings = load_settings(environment)
    Vault(settings.storage).create()
    database = Database(settings)
    try:
        database.ensure_ready()
        with _connection(database.url) as connection, connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path,
                    media_kind, mime_type, captured_at, date_source)
                SELECT uuidv7(), encode(sha256(n::text::bytea), 'hex'), 2000000, 'IMG_' || n || '.jpg',
                    'IMG_' || n || '.jpg', 'Originals/1999/1999-01-01/IMG_' || n || '.jpg', 'JPEG', 'image/jpeg',
                    timestamp '1999-01-01' + n * interval '1 minute', 'exif:DateTimeOriginal'
                FROM generate_series(1, %s) AS n
                """,
                (rows,),
            )
            cursor.execute(
                """
                INSERT INTO ingest_events (id, fate, source, original_name, original_path, file_hash, file_size)
                SELECT uuidv7(), 'ingested', 'inbox', original_name, original_path, file_hash, file_size
                FROM media_assets
                """
            )
            connection.commit()
            connection.autocommit = True
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
    finally:
        database.close()


def video(folder: Path, size: int = 4_000_000_000) -> Figures:
    with _factory(folder) as (inbox, environment):
        movie = folder / "movie.mov"
        head = (SAMPLES / "QuickTime.mov").read_bytes()
        with open(movie, "wb") as file:
            file.write(head)
            block = os.urandom(1_000_000)
            while file.tell() < size:
                file.write(block)
        os.sync()
        rates = []
        for _ in range(3):
            fd = os.open(movie, os.O_RDONLY)
            began = time.perf_counter()
            sha256_of(fd)
            rates.append(size / (time.perf_counter() - began))
            os.close(fd)
        movie.rename(inbox / movie.name)
        process = subprocess.Popen([ROOT / "factory", "ingest", "--json"], env=environment, stdout=subprocess.PIPE)
        most = 0.0
        while process.poll() is None:
            most = max(most, _memory(process.pid))
            time.sleep(0.05)
        assert process.stdout is not None
        seconds = json.loads(process.stdout.read())["seconds"]
    return {
        "hashing alone, MB/s": median(rates) / 1e6,
        "ingest with start-up, MB/s": size / seconds / 1e6,
        "ratio": size / seconds / median(rates),
        "memory of the whole tree at most, MB": most,
    }


def waiting(folder: Path, files: int = 100_000) -> Figures:
    with _factory(folder, STABILITY_DELAY="3600", MIN_FILE_AGE="3600") as (inbox, environment):
        _many(inbox, files, (SAMPLES / "Canon_40D.jpg").read_bytes())
        with _librarian(environment, lambda status: status.get("waiting", 0) >= files) as librarian:
            return {"memory of the librarian and its workers, MB": _memory(librarian.pid)}


def idle(folder: Path, files: int = 100_000, interval: float = 60.0, scans: int = 3) -> Figures:
    with _factory(folder, SCAN_INTERVAL=str(interval)) as (inbox, environment):
        _many(inbox, files, b"no photo at all\n")
        with _librarian(environment, lambda status: status.get("not_media", 0) >= files) as librarian:
            memory = _memory(librarian.pid)
            process = psutil.Process(librarian.pid)
            before, began = _cpu(process), time.monotonic()
            time.sleep(interval * scans)
            used, passed = _cpu(process) - before, time.monotonic() - began
    return {
        "CPU while idle, % of one core": 100 * used / passed,
        "CPU for each scan and the minute after it, s": used / scans,
        "memory of the librarian and its workers, MB": memory,
    }


def latency(folder: Path, files: int = 200) -> Figures:
    delays: dict[str, list[float]] = {"copied in": [], "renamed in": []}
    stability = 1.0
    with _factory(folder, STABILITY_DELAY=str(stability), MIN_FILE_AGE="0.5") as (inbox, environment):
        photos = folder / "photos"
        make_photos(photos, 2 * files, 200_000)
        with (
            _librarian(environment, lambda _: True),
            _connection(_ledger_url(environment)) as connection,
            connection.cursor() as cursor,
        ):
            connection.autocommit = True
            for number, photo in enumerate(sorted(photos.iterdir())):
                way = "copied in" if number % 2 else "renamed in"
                if way == "copied in":
                    (inbox / photo.name).write_bytes(photo.read_bytes())
                else:
                    photo.rename(inbox / photo.name)
                began = time.perf_counter()
                while True:
                    cursor.execute("SELECT 1 FROM media_assets WHERE original_name = %s", (photo.name,))
                    if cursor.fetchone():
                        break
                    time.sleep(0.005)
                delays[way].append(time.perf_counter() - began)
    figures = {}
    for way, times in delays.items():
        beyond = stability if way == "copied in" else 0.0
        figures[f"{way}, beyond the stability delay, median s"] = median(times) - beyond
        figures[f"{way}, beyond the stability delay, p95 s"] = quantiles(times, n=20)[-1] - beyond
    return figures


def exiftool(folder: Path, files: int = 128) -> Figures:
    make_photos(folder / "photos", files, 100_000)
    paths = [str(path) for path in (folder / "photos").iterdir()]
    reader = ExifToolReader(20.0)
    reader.read(paths[:1])  # it is up
    began = time.perf_counter()
    reader.read(paths)
    batched = (time.perf_counter() - began) / files
    reader.close()
    some = paths[:16]
    began = time.perf_counter()
    for path in some:
        subprocess.run(["exiftool", "-n", "-j", path], capture_output=True, check=True)
    single = (time.perf_counter() - began) / len(some)
    return {"in batches, ms a file": 1000 * batched, "one process a file, ms": 1000 * single, "ratio": single / batched}


@contextmanager
def _factory(folder: Path, **settings: str) -> Iterator[tuple[Path, dict[str, str]]]:
    inbox = folder / "factory" / "Photos_Inbox"
    inbox.mkdir(parents=True)
    environment = dict(
        os.environ, FACTORY_DATA=str(inbox.parent), STABILITY_DELAY="0.1", MIN_FILE_AGE="0.1", LOG_LEVEL="WARNING"
    )
    yield inbox, environment | settings


@contextmanager
def _librarian(
    environment: dict[str, str], until: Callable[[dict[str, int]], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """The service, once its heartbeat's details fulfil a condition."""
    environment = dict(environment, HEARTBEAT_INTERVAL="2", PYTHONPATH=str(ROOT))
    librarian = subprocess.Popen([sys.executable, "-m", "Src.Librarian.librarian"], env=environment, cwd=ROOT)
    try:
        with _connection(_ledger_url(environment)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while True:
                assert librarian.poll() is None, "the librarian has ended"
                cursor.execute("SELECT details FROM system_status WHERE service_name = 'librarian'")
                row = cursor.fetchone()
                if row and row[0] and until(row[0]):
                    break
                time.sleep(0.5)
        yield librarian
    finally:
        librarian.terminate()
        librarian.wait()


def _ledger_url(environment: dict[str, str]) -> str:
    database = Database(load_settings(environment))
    database.ensure_ready()  # released when this process ends
    return database.url


@contextmanager
def _connection(url: str) -> Iterator[psycopg2.extensions.connection]:
    parts = make_url(url)
    connection = psycopg2.connect(
        host=str(parts.query.get("host") or parts.host), user=parts.username, dbname=parts.database
    )
    try:
        yield connection
    finally:
        connection.close()


def _many(inbox: Path, count: int, content: bytes) -> None:
    for number in range(count):
        folder = inbox / f"{number // 1000:03d}"
        if number % 1000 == 0:
            folder.mkdir()
        (folder / f"{number:06d}.jpg").write_bytes(content + b"%d" % number)


def _memory(pid: int) -> float:
    """Proportional memory (PSS) of a process and all below it, in MB: shared pages count once."""
    total = 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for one in family:
        try:
            if "postgres" not in one.name():
                total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e6


def _cpu(process: psutil.Process) -> float:
    """CPU seconds of a process and its living children."""
    family = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family)


if __name__ == "__main__":
    main()
