"""An export: each original, with the XMP sidecar and the companions beside it in the vault, to its day elsewhere.

An original is hashed while it is copied. What is not as the ledger has it is reported, and not exported. Where a name
is taken, the same bytes there count as exported; for others the next number is tried (`IMG_1.jpg`), as in the vault,
and an original and what belongs to it take the same one. So the same export again copies only what is missing.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from Src.Library.beside import is_named_after, renamed
from Src.Library.export import copying
from Src.Library.export.copying import Unreadable
from Src.Library.export.destination import Destination, DestinationTrouble, ExportRefused, InTheWay, of_the_disk
from Src.Library.export.manifest import Manifest
from Src.Library.export.wanted import Wanted, place_now
from Src.Library.original_path import path_in_row
from Src.Library.vault import Vault
from Src.Library.vault_folder import numbered_names, portable_name
from Src.Library.verdict import Living
from Src.Media.companions import MOST_BYTES, find_sidecar
from Src.Media.copy_tags import Known, ending_of
from Src.Media.xmp_document import NotXmp
from Src.Media.xmp_writing import written_where_possible
from Src.Shared.database import Database
from Src.Shared.disk.files import NotARegularFile, open_regular, sha256_of
from Src.Shared.ledger_text import to_ledger

if TYPE_CHECKING:  # the dashboard, which looks into the library too, has no ExifTool
    from Src.Media.tagging import Tagger

logger = logging.getLogger(__name__)

_MOST_NUMBERS = 1000  # names that are tried for one original
_NAME_REFUSED = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)  # by the destination's filesystem
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
_SIDECAR = "sidecar.xmp"


class Stopped(Exception):
    """Somebody asked the export to end."""


class _Failed(Exception):
    """One original is not exported. The message is one line: why."""


@dataclass(slots=True)
class Exported:
    """What an export has done: originals, but for `sidecars`, `companions` and `bytes`."""

    copied: int = 0
    linked: int = 0
    there: int = 0  # the same bytes stood there
    with_metadata: int = 0  # of those copied
    sidecars: int = 0
    companions: int = 0  # other files that belong to originals
    bytes: int = 0  # written
    failed: list[tuple[str, str]] = field(default_factory=list)  # path in the vault (ledger text), and why
    notes: list[tuple[str, str]] = field(default_factory=list)  # exported, and something is to be seen to
    stopped: str | None = None  # why it ended early

    @property
    def originals(self) -> int:
        return self.copied + self.linked + self.there + len(self.failed)


class _Moved(Exception):
    """An original is not where the ledger had it."""


class _Part(NamedTuple):
    """A file that is to stand at the destination."""

    ending: str  # behind the original's name
    sha256: str
    size: int
    make: Callable[[], str] | None  # makes it in the scratch folder and returns its name there; None: it is linked
    beside: tuple[str, str] | None = None  # a companion: what it and its original are called in the vault

    def name(self, original: str) -> str:
        """What it is called beside an original of that name."""
        return original + self.ending if self.beside is None else renamed(*self.beside, original)


class Export:
    """Exports one original after another."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        destination: Destination,
        *,
        link: bool = False,
        tagger: Tagger | None = None,
    ) -> None:
        """`link`: hard links instead of copies. `tagger`: writes metadata into the copies. Raises ExportRefused."""
        assert not (link and tagger), "a link is the original itself"
        self._database = database
        self._vault = vault
        self._destination = destination
        self._link = link
        self._tagger = tagger
        self._manifest = Manifest(destination)
        self._stopping = False
        self.exported = Exported()

    def stop(self) -> None:
        """Ends soon; what is under way is left out. Signal-safe."""
        self._stopping = True

    def run(self, originals: Iterator[Wanted], progress: Callable[[Wanted, Exported], None]) -> None:
        """Exports all of them, and writes the manifest. Raises ExportRefused where links are impossible there."""
        try:
            for one in originals:
                progress(one, self.exported)
                self._go_on()
                self._one(one)
            self._destination.finish_day()
        except Stopped:
            self.exported.stopped = "interrupted"
        except DestinationTrouble as trouble:
            self.exported.stopped = str(trouble)
        finally:
            try:
                self._manifest.write()
            except (OSError, DestinationTrouble) as error:
                self.exported.stopped = f"the manifest cannot be written: {error}"

    def _go_on(self) -> None:
        if self._stopping:
            raise Stopped

    def _one(self, one: Wanted) -> None:
        try:
            try:
                self._export(one)
            except _Moved:
                now = place_now(self._database, one)  # to another day, just now
                if now is None or now.final_path == one.final_path:
                    raise _Failed("it is not where the database has it") from None
                self._export(now)
        except (_Failed, InTheWay, Unreadable) as reason:
            self._failed(one, str(reason))
        except _Moved:
            self._failed(one, "it was moved while it was exported; run the export again")
        except OSError as error:
            if of_the_disk(error):
                raise DestinationTrouble.from_os(error) from error
            self._failed(one, f"it cannot be written ({error.strerror})")

    def _failed(self, one: Wanted, reason: str) -> None:
        logger.error("not exported: %s: %s", one.final_path, reason)
        self.exported.failed.append((one.final_path, reason))

    def _export(self, one: Wanted) -> None:
        path = path_in_row(one.final_path, one.sha256)
        if path is None:
            raise _Failed("the database names a path that is none of an original")
        parent, name = os.path.split(path)
        day = parent.partition("/")[2]
        with _opened(self._vault, parent, name) as (folder, original):
            found = find_sidecar(name, folder)
            sidecar = None if found is None else self._sidecar(one, folder, found)
            beside = self._companion_parts(one, folder, name, found)
            target = self._destination.day(day)
            if self._tagger is not None and not one.known.is_nothing():
                self._with_metadata(self._tagger, one, path, original, sidecar, beside, target)
                return

            def make() -> str:
                return self._copied(one, path, original)

            parts = [
                *beside,
                *self._sidecar_parts(sidecar, original),
                _Part("", one.sha256, one.size, None if self._link else make),
            ]
            link = original if self._link else None
            if link is not None:
                self._check_link(one, path, original)
            given, is_new = self._placed(name, parts, target, link)
            self._note(day, given, parts, is_new=is_new)

    def _sidecar(self, one: Wanted, folder: int, found: str) -> bytes | None:
        """What the XMP sidecar says that stands beside an original. One that cannot be read is left out, and noted."""
        try:
            with os.fdopen(open_regular(found, folder), "rb") as file:
                content = file.read(MOST_BYTES + 1)
        except FileNotFoundError:  # it has just gone
            return None
        except (OSError, NotARegularFile) as problem:
            why = getattr(problem, "strerror", None) or "it is no regular file"
        else:
            if len(content) <= MOST_BYTES:
                return content
            why = "it is too large"
        self.exported.notes.append((one.final_path, f"its XMP file {to_ledger(found)} was left out: {why}"))
        return None

    def _companion_parts(self, one: Wanted, folder: int, name: str, sidecar: str | None) -> list[_Part]:
        """Companions but the XMP sidecar, to be copied where they are missing. What is not right is only noted."""
        parts: list[_Part] = []
        for each in one.companions:
            parent, its_name = os.path.split(path_in_row(each.final_path, each.sha256) or "")
            if each.is_xmp and its_name == sidecar:
                continue
            why: str | None = None
            try:
                if parent != os.path.dirname(path_in_row(one.final_path, one.sha256) or ""):
                    raise FileNotFoundError
                fd = open_regular(its_name, folder)
            except FileNotFoundError:
                why = "it is not there"
            except (OSError, NotARegularFile) as problem:
                why = getattr(problem, "strerror", None) or "it is no regular file"
            else:
                try:
                    if sha256_of(fd, self._go_on) != each.sha256:
                        why = "a program has just written it" if each.is_xmp else "it is not what came in"
                    elif each.is_xmp and not (
                        is_named_after(its_name, name) and its_name.lower() != f"{name}.xmp".lower()
                    ):
                        why = "its name is not the photo's; copy it out of the vault"
                except OSError as error:
                    why = f"it cannot be read ({error.strerror})"
                finally:
                    os.close(fd)
            if why is not None:
                self.exported.notes.append((one.final_path, f"{each.final_path} belongs to it and was left out: {why}"))
                continue
            make = partial(self._companion_copied, folder, its_name, each.sha256, f"companion{len(parts)}")
            parts.append(_Part("", each.sha256, each.size, make, beside=(its_name, name)))
        return parts

    def _companion_copied(self, folder: int, name: str, sha256: str, temporary: str) -> str:
        fd = open_regular(name, folder)
        try:
            if copying.copy(fd, self._destination, temporary, self._go_on) != sha256:
                raise _Failed(f"{to_ledger(name)}, which belongs to it, is being changed")
        finally:
            os.close(fd)
        return temporary

    def _copied(self, one: Wanted, path: str, original: int, temporary: str = "copy") -> str:
        """The copy's name in the scratch folder. Raises _Failed where the original is not what it was."""
        for _ in range(2):
            found = copying.copy(original, self._destination, temporary, self._go_on)
            if found == one.sha256:
                return temporary
            verdict = self._vault.verdict(path, one.sha256, one.size)
            if not isinstance(verdict, Living):
                raise _Failed(getattr(verdict, "reason", "it is gone"))
        raise _Failed("two readings of it differ; check the disk and the memory")

    def _check_link(self, one: Wanted, path: str, original: int) -> None:
        """Raises _Failed where a link could change the original, or the original is not what it was."""
        status = os.fstat(original)
        if stat.S_IMODE(status.st_mode) & 0o222:
            raise _Failed("it may be written to, so a link to it could change the vault: its mode must be read-only")
        try:
            found = sha256_of(original, self._go_on)
        except OSError as error:
            raise Unreadable(f"it cannot be read ({error.strerror})") from error
        if found != one.sha256:
            verdict = self._vault.verdict(path, one.sha256, one.size)
            raise _Failed(getattr(verdict, "reason", "two readings of it differ; check the disk and the memory"))

    def _with_metadata(
        self,
        tagger: Tagger,
        one: Wanted,
        path: str,
        original: int,
        sidecar: bytes | None,
        beside: list[_Part],
        target: int,
    ) -> None:
        parent, name = os.path.split(path)
        day, ending = parent.partition("/")[2], ending_of(one.kind)
        said: dict[str, Any] = {
            "metadata": one.known.as_json(),
            "sidecar": None if sidecar is None else _sha256(sidecar),
            "companions": sorted(part.sha256 for part in beside),
        }
        if self._is_noted(one, said, target, day):
            self.exported.there += 1
            return
        copy, tagged = f"copy{ending}", f"tagged{ending}"
        try:
            self._copied(one, path, original, copy)
            reason = tagger.tag(copy, tagged, one.known, one.kind)
            content, note = _with_values(sidecar, one.known, is_needed=reason is not None)
            made = copy if reason is not None else self._finished(tagged, original)
            parts = [*beside, *self._sidecar_parts(content, original), self._part_made(made)]
            given, is_new = self._placed(name, parts, target, None)
        finally:
            self._destination.drop(copy)
            self._destination.drop(tagged)
        if note is not None:
            self.exported.notes.append((one.final_path, note if reason is None else f"{reason}; {note}"))
        self._note(day, given, parts, is_new=is_new)
        self.exported.with_metadata += is_new and note is None
        files = [{"path": to_ledger(f"{day}/{each}"), "sha256": part.sha256, "size": part.size} for each, part in given]
        self._manifest.add_origin(
            {"path": files[-1]["path"], "original": one.sha256, "original_path": one.final_path, "files": files, **said}
        )

    def _part_made(self, temporary: str) -> _Part:
        fd = open_regular(temporary, self._destination.scratch)
        try:
            return _Part("", sha256_of(fd, self._go_on), os.fstat(fd).st_size, lambda: temporary)
        finally:
            os.close(fd)

    def _is_noted(self, one: Wanted, said: dict[str, Any], target: int, day: str) -> bool:
        """Whether an earlier export has written the very same of it, and that stands there still."""
        for origin in self._manifest.origins(one.sha256):
            files = origin.get("files")
            known = {name: origin.get(name) for name in ("metadata", "sidecar")}
            if {**known, "companions": origin.get("companions", [])} != said:  # (an earlier version exported none)
                continue
            if isinstance(files, list) and files and all(self._stands(each, target, day) for each in files):
                for each in files:
                    self._manifest.add(each["path"], each["sha256"])
                return True
        return False

    def _stands(self, file: Any, target: int, day: str) -> bool:
        """Whether a file of a manifest's line stands there. The line may hold anything by now."""
        path, sha256, size = (
            (file.get(name) for name in ("path", "sha256", "size")) if isinstance(file, dict) else [None] * 3
        )
        if not (isinstance(path, str) and isinstance(sha256, str) and isinstance(size, int)):
            return False
        folder, _, name = path.rpartition("/")
        if folder != day or "\\" in name or "\0" in name:  # another day's, or a name that needs a closer look
            return False
        return self._destination.standing(target, name, sha256, size) == "the same"

    def _finished(self, temporary: str, original: int) -> str:
        """What ExifTool has made, durable. Raises OSError."""
        fd = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._destination.scratch)
        try:
            self._destination.finish(fd, os.fstat(original).st_mtime_ns)
        finally:
            os.close(fd)
        return temporary

    def _sidecar_parts(self, content: bytes | None, original: int) -> list[_Part]:
        """Named by its original's whole name, so that programs know whose it is beside a raw photo of that stem too."""
        if content is None:
            return []

        def make() -> str:
            copying.write(content, self._destination, _SIDECAR, os.fstat(original).st_mtime_ns)
            return _SIDECAR

        return [_Part(".xmp", _sha256(content), len(content), make)]

    def _placed(
        self, name: str, parts: list[_Part], target: int, link: int | None
    ) -> tuple[list[tuple[str, _Part]], bool]:
        """Gives all parts their names, under the first number at which no other bytes stand; whether any was new."""
        names = numbered_names(name)
        is_portable = False
        tried = 0
        while tried < _MOST_NUMBERS:
            tried += 1
            candidate = next(names)
            given = [(part.name(candidate), part) for part in parts]
            try:
                is_new = self._put(given, target, link)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno in _NO_LINKS and link is not None:
                    raise ExportRefused(
                        f"{self._destination.path}: no hard link leads there from the vault ({error.strerror}): "
                        "it is another filesystem or mount, or forbids them; export without --link"
                    ) from error
                if error.errno not in _NAME_REFUSED or is_portable:
                    raise
                names, is_portable = numbered_names(portable_name(name)), True
                continue
            if is_new is not None:
                return given, is_new
        raise _Failed(f"{_MOST_NUMBERS:,} files of that name stand there")

    def _put(self, given: list[tuple[str, _Part]], target: int, link: int | None) -> bool | None:
        """None: other bytes stand under one of the names. Raises FileExistsError where some came in between."""
        there = [self._destination.standing(target, name, part.sha256, part.size) for name, part in given]
        if "another" in there:
            return None
        missing = [one for one, standing in zip(given, there, strict=True) if standing == "nothing"]
        made = [None if part.make is None else part.make() for _, part in missing]  # all of them, before any has a name
        for (name, part), temporary in zip(missing, made, strict=True):
            if temporary is not None:
                self._destination.put(temporary, target, name)
                self.exported.bytes += part.size
            elif link is not None:
                self._destination.link(link, target, name)
        return bool(missing)

    def _note(self, day: str, given: list[tuple[str, _Part]], parts: list[_Part], *, is_new: bool) -> None:
        for name, part in given:
            self._manifest.add(f"{day}/{name}", part.sha256)
        if not is_new:
            self.exported.there += 1
            return
        self.exported.companions += sum(part.beside is not None for part in parts)
        self.exported.sidecars += sum(part.ending == ".xmp" for part in parts)
        if parts[-1].make is None:
            self.exported.linked += 1
        else:
            self.exported.copied += 1


@contextmanager
def _opened(vault: Vault, parent: str, name: str) -> Iterator[tuple[int, int]]:
    """The open folder of an original, and the open original. Raises _Moved, _Failed."""
    with ExitStack() as opened:
        try:
            folder = opened.enter_context(vault.opened(parent))
            original = open_regular(name, folder)
        except FileNotFoundError:
            raise _Moved from None
        except NotARegularFile:
            raise _Failed("something else stands in its place in the vault") from None
        except OSError as error:
            raise _Failed(f"it cannot be read ({error.strerror})") from error
        opened.callback(os.close, original)
        yield folder, original


def _with_values(sidecar: bytes | None, known: Known, *, is_needed: bool) -> tuple[bytes | None, str | None]:
    """What the exported sidecar holds, and why it does not say what is known. `is_needed`: if none is, one is made."""
    if sidecar is None and not is_needed:
        return None, None
    try:
        content, problems = written_where_possible(sidecar, known.as_changes())
    except NotXmp as problem:
        return sidecar, f"no XMP file can say it: {problem}"
    return content, f"no XMP file can say it: {'; '.join(problems)}" if problems else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
