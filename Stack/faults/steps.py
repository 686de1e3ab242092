"""Kills the Librarian at, or lets fail, every system call of placing, recording, clearing and leaving, each in turn.

    .venv/bin/python -m Stack.faults.steps [--scenario link copy journal replay leaving left rot rot-copy rot-replay]
                                         [--fault KILL EIO ENOSPC EACCES EROFS] [--every N]
                                         [--folder DIR] [--other-filesystem DIR] [--json FILE]

Needs strace. After each fault comes an undisturbed run, and then the whole promise is checked from outside, by code
that shares nothing with the factory's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from Src.Library.belonging import Belonging
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.settings import Settings, load_settings
from Src.Testing.promise import Source, assert_promise_kept, files_aside, files_below, sources_in
from Stack.faults.one_batch import BEGIN

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "Src" / "Librarian" / "tests" / "samples"
# "leaving": what is filed goes for good in the same run, without a grace. "left": the same across two filesystems,
# where the kept file is read first. With rot, the vault has the photos already, and each of them is damaged: a good
# copy comes again.
SCENARIOS = ("link", "copy", "journal", "replay", "leaving", "left", "rot", "rot-copy", "rot-replay")
FAULTS = ("KILL", "EIO", "ENOSPC", "EACCES", "EROFS")
_GRACES = ("LEAVING_GRACE", "LEAVING_GRACE_WITHOUT_LEASE")
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"

# All that the stages after reading do to files, and what they say to PostgreSQL.
FILE_CALLS = (
    *("link", "linkat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir"),
    *(
        "open",
        "openat",
        "openat2",
        "write",
        "pwrite64",
        "readv",
        "ftruncate",
        "fsync",
        "fdatasync",
        "syncfs",
        "flock",
        "ioctl",
    ),
    *("chmod", "fchmod", "fchmodat", "utimensat", "getdents64", "stat", "lstat", "fstat", "newfstatat"),
)
OTHER_CALLS = ("sendto", "recvfrom", "close", "fcntl")  # only killed at: no disk answers them


@dataclass(frozen=True)
class Step:
    """One call of the undisturbed run: the n-th of that name in its thread."""

    call: str
    number: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--fault", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--every", type=int, default=1, help="only every n-th step, for a quick look")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--other-filesystem", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        print("steps: strace is missing; install it (Debian: apt install strace)", file=sys.stderr)
        return 2
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        tempfile.TemporaryDirectory(dir=options.other_filesystem) as other,
    ):
        os.chmod(folder, 0o711)  # PostgreSQL's own account passes through
        campaign = Campaign(Path(folder), Path(other))
        try:
            figures = {name: campaign.run(name, options.fault, options.every) for name in options.scenario}
        finally:
            campaign.close()
    for name, figure in figures.items():
        print(f"{name:8} {figure}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    return 1 if any(figure["violations"] for figure in figures.values()) else 0


class Campaign:
    """Runs steps on one PostgreSQL, each on a factory and a database of its own."""

    def __init__(self, folder: Path, other: Path) -> None:
        self._folder, self._other = folder, other
        self._server = EmbeddedPostgres(folder / "server")
        self._url = make_url(self._server.ensure_running())
        self._strace = str(shutil.which("strace"))
        self._count = 0
        self._sql("CREATE DATABASE model")
        database = Database(self._settings("model", folder / "model", "link"))
        database.ensure_ready()
        database.close()

    def close(self) -> None:
        self._server.release()

    def run(self, scenario: str, faults: list[str], every: int) -> dict[str, int]:
        """Counts of what was done and what went wrong."""
        steps = list(self._steps(scenario))
        jobs = [(step, fault) for fault in faults for step in steps if fault == "KILL" or step.call in FILE_CALLS][
            ::every
        ]
        tally: Counter[str] = Counter(steps=len(steps), faults=0, hit=0, violations=0)
        began = time.monotonic()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = pool.map(lambda job: self._try(scenario, *job), jobs)
            for (step, fault), (hit, problem) in zip(jobs, answers, strict=True):
                tally["faults"] += 1
                tally["hit"] += hit
                if problem is not None:
                    tally["violations"] += 1
                    print(f"VIOLATION {scenario}: {fault} at {step.call} {step.number}: {problem}", flush=True)
        tally["seconds"] = round(time.monotonic() - began)
        return dict(tally)

    def _try(self, scenario: str, step: Step, fault: str) -> tuple[bool, str | None]:
        with self._factory(scenario) as (settings, sources):
            inject = "signal=KILL" if fault == "KILL" else f"error={fault}"
            log = settings.data / "strace.log"
            what = ["-e", f"trace={step.call}", "-e", f"inject={step.call}:{inject}:when={step.number}"]
            done = self._batch(settings, scenario, [*what, "-o", str(log)])
            hit = done.returncode == -9 if fault == "KILL" else "INJECTED" in log.read_text(errors="replace")
            calm = self._batch(settings, "leaving" if scenario in ("leaving", "left") else "link")
            if calm.returncode != 0:
                return hit, f"the run after it failed: {calm.stderr[-300:]}"
            try:
                # An original whose chmod fails stays writable: it is made read-only where the filesystem can.
                refused = fault != "KILL" and "chmod" in step.call
                if scenario in ("leaving", "left"):
                    assert not files_aside(settings), "something is kept aside for ever"
                assert_promise_kept(settings, sources, read_only=not refused)
            except AssertionError as error:
                return hit, str(error).splitlines()[0]
            if "Traceback" in done.stderr:
                return hit, "a traceback: " + done.stderr.strip().splitlines()[-1]
            return hit, None

    def _steps(self, scenario: str) -> Iterator[Step]:
        """The calls of an undisturbed run."""
        calls = ",".join([*FILE_CALLS, *OTHER_CALLS])
        with self._factory(scenario) as (settings, _):
            log = settings.data / "strace.log"
            done = self._batch(settings, scenario, ["-e", f"trace={calls}", "-o", str(log)])
            assert done.returncode == 0, done.stderr
            text = log.read_text(errors="replace")
        counts: dict[str, Counter[str]] = {}
        begun, found = False, set()
        for line in text.splitlines():
            match = re.match(r"(\d+) +(\w+)\((\d*)", line)
            if match is None:
                continue
            thread, call, first = match.groups()
            counts.setdefault(thread, Counter())[call] += 1
            if begun and (call, first) not in (("write", "1"), ("write", "2")):  # what it prints is not the matter
                found.add(Step(call, counts[thread][call]))
            begun = begun or BEGIN in line
        assert begun and found
        yield from sorted(found, key=lambda step: (step.call, step.number))

    def _batch(
        self, settings: Settings, scenario: str, strace: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        away = scenario == "journal"
        grace = {} if scenario not in ("leaving", "left") else dict.fromkeys(_GRACES, "0")
        environment = {
            **grace,
            "FACTORY_DATA": str(settings.data),
            "STORAGE_PATH": str(settings.storage),
            "DATABASE_URL": NOWHERE if away else str(settings.database_url),
            "TZ": "UTC",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "",  # no ExifTool: its own calls are not what is stepped through
        }
        command = [sys.executable, "-m", "Stack.faults.one_batch"]
        if strace is not None:
            command = [self._strace, "-f", "-qq", "-e", "signal=none", *strace, *command]
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=300
        )

    def _factory(self, scenario: str) -> _Factory:
        self._count += 1
        return _Factory(self, scenario, f"step_{self._count}")

    def _settings(self, name: str, data: Path, scenario: str) -> Settings:
        url = self._url.set(database=name).render_as_string(hide_password=False)
        values = {"FACTORY_DATA": str(data), "DATABASE_URL": url, "TZ": "UTC"}
        if scenario in ("copy", "left", "rot-copy"):
            values["STORAGE_PATH"] = str(self._other / name)
        return load_settings(values, Path("/nonexistent"))

    def _sql(self, statement: str) -> None:
        host = str(self._url.query["host"])
        connection = psycopg2.connect(host=host, user=self._url.username, dbname="postgres")
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()


class _Factory:
    """A factory with some files in its inbox: new ones, a duplicate, names that collide."""

    def __init__(self, campaign: Campaign, scenario: str, name: str) -> None:
        self._campaign, self._scenario, self._name = campaign, scenario, name
        self.settings = campaign._settings(name, campaign._folder / name, scenario)

    def __enter__(self) -> tuple[Settings, list[Source]]:
        self._campaign._sql(f"CREATE DATABASE {self._name} TEMPLATE model STRATEGY FILE_COPY")
        inbox = self.settings.inbox
        (inbox / "phone").mkdir(parents=True)
        for target, sample in (
            ("IMG_1.jpg", "Canon_40D.jpg"),
            ("phone/IMG_1.jpg", "Nikon_D70.jpg"),
            ("phone/img_1.JPG", "Kodak_CX7530.jpg"),
            ("again.jpg", "Canon_40D.jpg"),
        ):
            # One day for all, so that the names collide.
            photo = re.sub(rb"20\d\d:\d\d:\d\d (\d\d:\d\d)", rb"2008:05:30 \1", (SAMPLES / sample).read_bytes())
            (inbox / target).write_bytes(photo)
        sources = sources_in(inbox, inbox)
        if self._scenario in ("journal", "replay"):
            database = Database(self.settings)  # a new factory's: the ledger goes away later
            Belonging(self.settings, Vault(self.settings.storage)).found(database)
            database.close()
        if self._scenario.startswith("rot"):
            sources += self._filed_and_damaged()
        if self._scenario.endswith("replay"):
            self._file("journal")
        return self.settings, sources

    def _file(self, scenario: str) -> None:
        done = self._campaign._batch(self.settings, scenario)
        assert done.returncode == 0, done.stderr

    def _filed_and_damaged(self) -> list[Source]:
        """Files what is in the inbox, damages each original in a way of its own, and puts all into the inbox again."""
        inbox = self.settings.inbox
        good = {path: path.read_bytes() for path in files_below(inbox)}
        self._file("link")
        originals = [path for path in files_below(self.settings.originals) if not path.name.startswith(".")]
        assert len(originals) == 3
        for way, path in enumerate(originals):
            content, at = path.read_bytes(), path.stat()
            path.unlink()
            if way == 2:
                path.symlink_to("/nowhere")
                continue
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if way else content[:1000])
            path.chmod(at.st_mode & 0o777)
            os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
        for path, content in good.items():
            again = path.with_name(f"again {path.name}")
            again.parent.mkdir(parents=True, exist_ok=True)
            again.write_bytes(content)
        return sources_in(inbox, inbox)

    def __exit__(self, *_: object) -> None:
        self._campaign._sql(f"DROP DATABASE {self._name} WITH (FORCE)")
        shutil.rmtree(self.settings.data, ignore_errors=True)
        shutil.rmtree(self.settings.storage, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
