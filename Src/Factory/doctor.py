"""`doctor`: is this machine fit for the factory? Each finding says what it means, and the command that fixes it.

It changes nothing: what it tries, it tries on files without a name, or in a folder of its own that it removes again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import shlex
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from Src.Factory import report
from Src.Library.inbox import walk_files
from Src.Media.exiftool_program import exiftool_here
from Src.Shared.confinement import parts_here
from Src.Shared.deadline import NoAnswer, within
from Src.Shared.disk.filesystem import filesystem_type, sends_events
from Src.Shared.disk.leases import lease_answer
from Src.Shared.env_names import unknown_names
from Src.Shared.errors import ExitCode
from Src.Shared.liveness import Lives
from Src.Shared.openness import open_inbox, readable_settings
from Src.Shared.services import DASHBOARD
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.words import counted, percent, size

State = Literal["ok", "warning", "error"]

TESTED_PYTHONS = ((3, 11), (3, 13))  # the first and the last
_ANSWER_LIMIT = 5.0  # seconds that a disk may take
_MOST_FOLDERS = 20_000  # of the inbox that are counted
_OLD = 1_700_000_000  # Unix time that a clock which runs has passed: before it, nothing of this version was made
_SERVICES_WATCH = 16  # inotify instances that a user needs at least: ours, and those of a desktop's programs
_WITHOUT_LINKS = {"exfat", "vfat", "msdos"}
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about this machine. `fix` is a command or what to do; empty where nothing needs to be done."""

    check: str
    state: State
    found: str
    fix: str = ""


def show_doctor(settings: Settings, *, as_json: bool) -> ExitCode:
    """Prints what is found; the worst is the exit code."""
    findings = list(examine(settings))
    if as_json:
        print(report.json_text([asdict(one) for one in findings]))
    else:
        _print(findings)
    states = {one.state for one in findings}
    return ExitCode.ERROR if "error" in states else ExitCode.FOUND if "warning" in states else ExitCode.WELL


def examine(settings: Settings, checks: Iterable[str] | None = None) -> Iterator[Finding]:
    """What all checks find, or these. A disk that does not answer costs its own checks, not the others."""
    for name in CHECKS if checks is None else checks:
        check = CHECKS[name]
        try:
            yield from within(_ANSWER_LIMIT, lambda check=check: list(check(settings)))  # type: ignore[misc]
        except NoAnswer:
            yield Finding(name, "error", f"no answer within {_ANSWER_LIMIT:.0f} s", "check that its disk is well")
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            yield Finding(name, "warning", f"could not be looked at: {where}{error.strerror or error}")


def _print(findings: list[Finding]) -> None:
    report.heading("What this machine is like")
    styles = {"ok": "green", "warning": "yellow", "error": "red"}
    for one in findings:
        report.line(
            one.check, one.found if one.state == "ok" else f"{one.state.upper()}: {one.found}", styles[one.state]
        )
        if one.fix:
            report.line("", f"fix: {one.fix}")
    wrong = sum(one.state != "ok" for one in findings)
    report.heading("Everything is as it should be." if not wrong else f"{wrong} of {len(findings)} need a look.")


# -- the checks ----------------------------------------------------------------------------------------------


def _python(_settings: Settings) -> Iterator[Finding]:
    version = sys.version_info[:2]
    shown = ".".join(map(str, sys.version_info[:3]))
    if TESTED_PYTHONS[0] <= version <= TESTED_PYTHONS[1]:
        yield Finding("python", "ok", shown)
    else:
        yield Finding("python", "warning", f"{shown} is newer than what is tested", "install Python 3.13, remove .venv")


def _disks(settings: Settings) -> Iterator[Finding]:
    for name, folder in _folders(settings).items():
        there = _existing(folder)
        kind = filesystem_type(there) or "unknown"
        usage = shutil.disk_usage(there)
        free = 100 * usage.free / usage.total if usage.total else 0.0
        shown = f"{kind}, {size(usage.free)} free ({percent(free)})"
        check = f"{name} disk"
        if free < settings.disk_error:
            yield Finding(check, "error", f"{shown}: full, files wait in the inbox", f"free some space: {there}")
        elif not sends_events(there):
            meaning = "another machine's disk: changes there are found by looking, every SCAN_INTERVAL"
            if name == "database":
                yield Finding(
                    check, "error", f"{shown}; PostgreSQL's files may break there",
                    "set FACTORY_DB_DATA to a folder of this machine's own disk",
                )  # fmt: skip
            else:
                yield Finding(check, "warning", f"{shown}; {meaning}", "set SCAN_INTERVAL if a minute is too long")
        elif free < settings.disk_warning:
            yield Finding(check, "warning", f"{shown}: nearly full", f"free some space: {there}")
        else:
            yield Finding(check, "ok", shown)


def _links(settings: Settings) -> Iterator[Finding]:
    inbox, vault = _existing(settings.inbox), _existing(settings.storage)
    copies = "each photo is copied instead: safe, but slower, and it needs room for two for a while"
    if inbox.stat().st_dev != vault.stat().st_dev:
        yield Finding(
            "hard links", "warning", f"inbox and library are on different disks; {copies}",
            "put both below FACTORY_DATA, on one disk",
        )  # fmt: skip
    elif not settings.state.is_dir():
        no = filesystem_type(vault) in _WITHOUT_LINKS
        found = f"this kind of disk has none; {copies}" if no else "inbox and library are on one disk"
        yield Finding("hard links", "warning" if no else "ok", found, "use ext4, XFS or btrfs" if no else "")
    else:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=settings.state) as folder:
            (Path(folder) / "a").touch()
            try:
                os.link(f"{folder}/a", f"{folder}/b")
            except OSError as error:
                found = f"this disk has none ({error.strerror}); {copies}"
                yield Finding("hard links", "warning", found, "use ext4, XFS or btrfs")
            else:
                yield Finding("hard links", "ok", "inbox and library are on one disk, which has them")


def _leases(settings: Settings) -> Iterator[Finding]:
    """On a file without a name: nobody who watches the inbox sees it."""
    folder = _existing(settings.inbox)
    try:
        writing = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            raise
        yield Finding("leases", "ok", "not tried: this disk makes no file without a name")
        return
    try:
        reading = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writing)
    try:
        given = lease_answer(reading) == "given"
    finally:
        os.close(reading)
    if given:
        yield Finding("leases", "ok", "the kernel says when a file is still being written")
    else:
        found = (
            f"the kernel does not say who writes: files rest {settings.rest_without_lease:.0f} s before they are added"
        )
        yield Finding("leases", "warning", found, "nothing is lost; REST_WITHOUT_LEASE sets how long")


def _events(settings: Settings) -> Iterator[Finding]:
    limits = Path("/proc/sys/fs/inotify")
    if not limits.is_dir():
        return
    watches = int((limits / "max_user_watches").read_text())
    instances = int((limits / "max_user_instances").read_text())
    folders = 1
    if settings.inbox.is_dir():
        seen = {str(settings.inbox)}
        for path, _ in walk_files(str(settings.inbox)):
            seen.add(path.rpartition("/")[0])
            if len(seen) >= _MOST_FOLDERS:
                break
        folders = len(seen)
    short = {"fs.inotify.max_user_watches": (watches, 2 * folders + 1024)}
    short["fs.inotify.max_user_instances"] = (instances, _SERVICES_WATCH)
    few = {name: need for name, (have, need) in short.items() if have < need}
    if few:
        found = "the kernel watches too few folders for this user: what is not watched is found a minute later"
        fix = "; ".join(f"sudo sysctl -w {name}={max(need, 128)}" for name, need in few.items())
        yield Finding("file events", "warning", found, fix)
    else:
        yield Finding("file events", "ok", f"{counted(watches, 'folder')} can be watched")


def _exiftool(settings: Settings) -> Iterator[Finding]:
    program = exiftool_here(trust_any_version=settings.exiftool_unsafe)
    if program.problem is None:
        yield Finding("exiftool", "ok", program.version or "there")
    else:
        yield Finding("exiftool", "warning", program.problem, "sudo apt install libimage-exiftool-perl")


def _confinement(_settings: Settings) -> Iterator[Finding]:
    parts = parts_here()
    if parts.files:
        yield Finding(
            "landlock", "ok", f"version {parts.as_json()['landlock_abi']}: what reads photos can do nothing else"
        )
    else:
        found = "this kernel does not confine what reads photos: a harmful file could do what this user may"
        yield Finding("landlock", "warning", found, "use a kernel of 5.13 or newer with Landlock (lsm=landlock,…)")


def _clock(_settings: Settings) -> Iterator[Finding]:
    if time.time() < _OLD:
        found = f"it is {time.strftime('%Y')} by this machine's clock; dates of new photos would be wrong"
        yield Finding("clock", "error", found, "sudo timedatectl set-ntp true")
    elif _is_unsynchronised():
        found = "nothing keeps the clock right; it may drift"
        yield Finding("clock", "warning", found, "sudo timedatectl set-ntp true")
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M %Z"))


def _is_unsynchronised() -> bool:
    """As the kernel knows it; in a container its host keeps the clock, and the same answer comes."""
    answer = ctypes.create_string_buffer(512)  # struct timex, larger than any; modes 0: only read
    try:
        return bool(ctypes.CDLL(None).adjtimex(answer) == _TIME_ERROR)
    except AttributeError:
        return False


def _ports(settings: Settings) -> Iterator[Finding]:
    port = settings.dashboard_port
    if port == 0:
        yield Finding("port", "ok", "no dashboard here (DASHBOARD_PORT=0)")
        return
    age = Lives(settings.run, settings.loop_limit, settings.host).age(DASHBOARD)
    if age is not None and age < settings.loop_limit:
        yield Finding("port", "ok", f"{port}: the dashboard is there")
        return
    family, _, _, _, address = socket.getaddrinfo(settings.dashboard_address, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            found = f"{port}: {error.strerror}; the dashboard waits until it is free"
            yield Finding("port", "warning", found, f"set DASHBOARD_PORT={port + 1} in .env, or end the other program")
        else:
            yield Finding("port", "ok", f"{port} is free for the dashboard")


def _docker(_settings: Settings) -> Iterator[Finding]:
    """Only asked for: whoever does not use it is not bothered with it."""
    engine = Path("/var/run/docker.sock")
    if shutil.which("docker") is None:
        yield Finding("docker", "ok", "not installed; `./factory up` needs none")
    elif engine.exists() and not os.access(engine, os.R_OK | os.W_OK):
        yield Finding("docker", "ok", "installed, not for this user; `./factory up` needs none")
    else:
        yield Finding("docker", "ok", "installed" if engine.exists() else "installed, and its engine does not run")


def _permissions(settings: Settings) -> Iterator[Finding]:
    user = _user(os.geteuid())
    wrong = False
    for name, folder in (("inbox", settings.inbox), ("library", settings.storage), ("run", settings.run)):
        there = _existing(folder)
        if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            wrong = True
            found = f"{name}: {there} is of {_user(there.stat().st_uid)}; this runs as {user}, who may not write there"
            fix = f"sudo chown -R {os.geteuid()}:{os.getegid()} {shlex.quote(str(there))}"
            yield Finding("permissions", "error", found, f"{fix} (in the stack: set PUID to that owner)")
    for sentence in filter(None, (open_inbox(settings.inbox), readable_settings(PROJECT_ROOT / ".env"))):
        wrong = True
        found, _, fix = sentence.partition(": ")
        yield Finding("permissions", "warning", found, fix)
    if not wrong:
        yield Finding("permissions", "ok", f"{user} may write into the inbox and the library")


def _env(_settings: Settings) -> Iterator[Finding]:
    file = PROJECT_ROOT / ".env"
    unknown = list(unknown_names(file))
    for sentence in unknown:
        found, _, fix = sentence.partition("; ")
        yield Finding("settings", "warning", found, fix)
    if not (PROJECT_ROOT / ".env.example").exists():  # in a container, which does not see .env either
        yield Finding("settings", "ok", "./factory status looks at .env")
    elif not unknown:
        yield Finding("settings", "ok", "each name in .env is known" if file.exists() else "no .env: all as it comes")


CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "python": _python,
    "disks": _disks,
    "hard links": _links,
    "leases": _leases,
    "file events": _events,
    "exiftool": _exiftool,
    "landlock": _confinement,
    "clock": _clock,
    "port": _ports,
    "docker": _docker,
    "permissions": _permissions,
    "settings": _env,
}


def _folders(settings: Settings) -> dict[str, Path]:
    folders = {"inbox": settings.inbox, "library": settings.storage}
    return folders if settings.database_url is not None else {**folders, "database": settings.db_data}


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} (user {number})"
    except KeyError:
        return f"user {number}"
