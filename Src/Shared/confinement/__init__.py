"""Confinement: a process that reads hostile bytes first gives up, for good, whatever it does not need for that.

Each part is the kernel's, holds for all that the process starts (ExifTool too), and is used where the kernel has it;
where it has none, the process runs as it would have without.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from Src.Shared.confinement import landlock, seccomp

_PROJECT = Path(__file__).resolve().parents[3]
_SET_NO_NEW_PRIVILEGES = 38  # prctl(2)
_READ = landlock.READ_FILE | landlock.READ_DIR
_RUN = _READ | landlock.EXECUTE

# Programs, libraries, time zones. Nothing of a user's, and nothing secret.
_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/perl", "/etc/alternatives", "/etc/crypto-policies",
    "/nix/store", "/sys/devices/system/cpu",
)  # fmt: skip
_SYSTEM_FILES = (
    "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/timezone", "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf", "/dev/urandom", "/dev/zero",
)  # fmt: skip

_OF_PACKAGES = re.compile(r"/(site|dist)-packages(/|\Z)|/lib/python3|\.(zip|egg)\Z")

# What a child may know of our environment. Not among it: passwords, addresses of databases, tokens.
_HARMLESS = {
    "PATH", "TZ", "TZDIR", "LANG", "LANGUAGE", "PERL5LIB", "PERLLIB", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME",
    "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE", "TMPDIR", "FACTORY_DATA",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parts:
    """What holds here."""

    landlock_abi: int  # 0: none
    no_new_privileges: bool
    refused_calls: bool

    @property
    def files(self) -> bool:
        """It can write nothing, and read only what it was given."""
        return self.landlock_abi >= landlock.FILES

    @property
    def network(self) -> bool:
        """It can connect to nothing."""
        return self.refused_calls or self.landlock_abi >= landlock.TCP

    @property
    def signals(self) -> bool:
        """It can signal only its own children."""
        return self.landlock_abi >= landlock.SIGNALS

    def as_json(self) -> dict[str, bool | int]:
        return {
            "files": self.files,
            "network": self.network,
            "signals": self.signals,
            "no_new_privileges": self.no_new_privileges,
            "refused_calls": self.refused_calls,
            "limits": True,
            "landlock_abi": self.landlock_abi,
        }


def parts_here() -> Parts:
    """What this machine's kernel has of it."""
    is_linux = sys.platform == "linux"
    return Parts(landlock.abi() if is_linux else 0, is_linux, is_linux and seccomp.is_here())


def confine(
    readable: Sequence[Path] | None = (),
    *,
    names_in: Path | None = None,
    files_in: Path | None = None,
    memory: int,
    file_size: int = 0,
) -> Parts:
    """Confines this process. Call it before anything hostile is read, and before other threads exist.

    Beside programs and libraries only what is below `readable` can be read (None: everything), nothing can be written,
    and nobody be talked to; only below `names_in` may symlinks be made and removed. `memory` bounds the address space,
    `file_size` what is written into a file: bytes. Only below `files_in` may files be made, written and removed; else
    one must be open already.

    Raises OSError where the kernel has a part and refuses it.
    """
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, file_size), (resource.RLIMIT_AS, memory)):
        _lower(limit, most)
    if sys.platform != "linux":
        return Parts(0, False, False)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"no_new_privileges: {os.strerror(code)}")
    rights = dict.fromkeys(_programs(), _RUN)
    for path in [Path("/")] if readable is None else readable:
        rights[path] = rights.get(path, 0) | _READ
    for name in _SYSTEM_FILES:
        rights[Path(name)] = landlock.READ_FILE
    rights[Path("/dev/null")] = landlock.READ_FILE | landlock.WRITE_FILE
    if names_in is not None:
        rights[names_in] = _READ | landlock.MAKE_SYMLINK | landlock.REMOVE_FILE
    if files_in is not None:
        made = landlock.MAKE_FILE | landlock.WRITE_FILE | landlock.CUT_FILE | landlock.REMOVE_FILE
        rights[files_in] = _READ | made
    abi = landlock.restrict(rights)
    return Parts(abi, True, seccomp.refuse())


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of an environment (ours), what a confined child may know."""
    environment = os.environ if environment is None else environment
    return {name: value for name, value in environment.items() if name in _HARMLESS or name.startswith("LC_")}


def _lower(limit: int, most: int) -> None:
    _soft, hard = resource.getrlimit(limit)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (most, most))


def _programs() -> list[Path]:
    """What Python, Perl and ExifTool are made of, wherever they were installed."""
    packages = [name for name in sys.path if _OF_PACKAGES.search(name)]  # not the folders of scripts, nor our own
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, *packages]
    own = [_PROJECT / "Src"]
    found = [Path(name) for name in (*_SYSTEM, *python, *os.environ.get("LD_LIBRARY_PATH", "").split(":")) if name]
    return [path for path in [*own, *found, *_perl_programs()] if path.is_absolute() and not _holds_more(path)]


def _holds_more(path: Path) -> bool:
    """Whether other things than programs stand there: this project with its settings and data, or a home."""
    real = path.resolve()
    return real == _PROJECT or real in _PROJECT.parents or real == _home()


def _home() -> Path | None:
    """The user's, who need not have one: the stack's user is a number only."""
    try:
        return Path.home()
    except RuntimeError:
        return None


@cache
def _perl_programs() -> tuple[Path, ...]:
    tool, perl = shutil.which("exiftool"), shutil.which("perl")
    found = []
    if tool is not None:
        real = Path(tool).resolve()
        found += [real, real.with_name("lib"), Path(tool).with_name("lib")]
    if perl is not None:
        found.append(Path(perl).resolve())
        found += [Path(line) for line in _said_by(perl, "-e", 'print join "\\n", @INC').splitlines() if line != "."]
    return tuple(found)


def _said_by(*command: str) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout
