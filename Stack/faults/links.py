"""Links in the way while files are filed: another user swaps folders and files of the inbox and of imported folders for
links, as fast as he can, folders of the vault are swapped, and hard links come and go.

Behind each link stands a tree whose files have the names of those in the way. Whatever is found there is nobody's: it
is not filed, read as the inbox's, removed, renamed, or given another mode; and what was in the way is filed in the end.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from Src.Shared.settings import load_settings
from Src.Testing.patience import wait_until
from Src.Testing.promise import Source, assert_promise_kept, files_aside, ledger_rows
from Src.Testing.swapping import NOBODY, exchange, other_process, swapping
from Stack.faults.checking import has_traceback, noted_as_staying
from Stack.faults.kills import in_turns, other_filesystem, small_batches
from Stack.faults.orders import Figures, NotPossible, Orders
from Stack.faults.ways import Way, all_ways, blamed
from Stack.tests.feeder import Feeder
from Stack.tests.photos import unique_jpegs

UNIT = "rounds"  # in each, names are swapped or links made for about a second
FULL = 500
SHORT = 12

_PER_FACTORY = 48  # rounds
_PER_CHECK = 12  # rounds between two checks of the whole promise
_FED = 30  # photos that come beside those in the way
_IN_THE_WAY = 8  # photos
_LIMIT = 180.0  # seconds
_FILES_WITHIN = 5.0  # seconds in which something is filed, where nothing is in the way
_AWAY = (0.0002, 0.002, 0.02)  # seconds at most that a link stands in the way at a time


def run(orders: Orders) -> Figures:
    """Rounds until there are so many."""
    if os.geteuid() != 0:
        raise NotPossible("only root can be another user")
    chance = orders.chance()
    figures = Figures(UNIT)
    done: Counter[str] = Counter()
    files = swaps = 0
    factories = max(2, math.ceil(orders.amount / _PER_FACTORY))
    with other_filesystem(orders.folder) as other:
        ways = all_ways(other)
        for number in range(factories):
            kind, vaults = ways[number % len(ways)]
            folder = orders.folder / str(number)
            factory = small_batches(folder, vaults, chance)
            graces = dict.fromkeys(("LEAVING_GRACE", "LEAVING_GRACE_WITHOUT_LEASE"), "0")
            retries = {"RETRY_ATTEMPTS": "100", "RETRY_FIRST_DELAY": "0.2", "RETRY_MAX_DELAY": "0.5"}
            factory.environment |= graces | retries
            campaign = Campaign(kind(factory, chance), chance)
            rounds = orders.amount * (number + 1) // factories - orders.amount * number // factories
            how = "linked" if vaults is None else "copied"
            what = f"links, seed {orders.seed}, factory {number}, {how}"
            with blamed(figures, what, campaign.way, folder, campaign.told):
                campaign.go_on(rounds)
            done += campaign.done
            files += len(campaign.sources)
            swaps += campaign.swaps
    figures.done = done.total()
    figures.measured = {**dict(sorted(done.items())), "factories": factories, "files": files, "swaps": swaps}
    return figures


class Campaign:
    """Links in the way of one factory."""

    def __init__(self, way: Way, chance: random.Random) -> None:
        self.way = way
        self.feeder = Feeder(way.factory.inbox, chance)
        self.told: list[str] = []
        self.done: Counter[str] = Counter()
        self.swaps = 0
        self._chance = chance
        self._contents = unique_jpegs(chance)
        self._outside = Outside(way.factory.data / "outside")
        self._imported: list[Source] = []
        self._number = 0
        # A run says so where a file cannot be placed now, and that the vault is not in order where a link stands in it.
        way.ends_well_with = (0, 1, 2)
        self._kinds: dict[str, Callable[[Path], None]] = {
            "folder of the inbox": lambda place: self._swap_folder(place, ""),
            "middle of a path": lambda place: self._swap_folder(place, "b/c"),
            "folder for the vault's": self._swap_for_the_vault,
            "file of the inbox": self._swap_files,
            "day of the vault": lambda _: self._swap_in_vault(2),
            "year of the vault": lambda _: self._swap_in_vault(1),
            "imported folder": lambda place: self._import(place, "", move=False),
            "moved folder": lambda place: self._import(place, "b/c", move=True),
            "hard links into the inbox": self._link_into_inbox,
            "hard links out of the inbox": self._link_out_of_inbox,
            "links in the inbox": self._leave_links,
        }

    @property
    def sources(self) -> list[Source]:
        return [*self.feeder.sources, *self._imported]

    def go_on(self, rounds: int) -> None:
        """AssertionError where a promise is broken."""
        factory = self.way.factory
        factory.inbox.mkdir(parents=True)
        factory.inbox.chmod(0o777)
        kinds = in_turns(tuple(self._kinds), self._chance)
        for done in range(1, rounds + 1):
            self._number += 1
            place = factory.data / "places" / str(self._number)  # beside the inbox, where others may move things
            _make(place)
            self.feeder.feed(_FED)
            self.way.ensure_running()
            self.told.append(kind := next(kinds))
            self._kinds[kind](place)
            self.done[kind] += 1
            self._outside.assert_untouched()
            if done % _PER_CHECK == 0 or done == rounds:
                self._check()
        self.way.end()
        assert not has_traceback(self.way.said), "a traceback"

    def _originals(self) -> list[Path]:
        """Those that have their names; not what is just being made."""
        vault = self.way.factory.originals
        found = (path for path in self.way.factory.vault_files() if not path.name.startswith("."))
        return sorted(path for path in found if len(path.relative_to(vault).parts) == 3)

    # What is in the way

    def _photos(self, count: int) -> list[bytes]:
        return [next(self._contents) for _ in range(count)]

    def _album(self, folder: Path) -> list[bytes]:
        """A folder of somebody's photos, which others may move; their contents, by their numbers."""
        _make(folder)
        photos = self._photos(_IN_THE_WAY)
        for number, content in enumerate(photos):
            _write(folder / _name(number), content)
        return photos

    def _expect(self, below: str, photos: list[bytes]) -> None:
        for number, content in enumerate(photos):
            self.feeder.sources.append(Source(f"{below}/{_name(number)}", hashlib.sha256(content).hexdigest()))

    def _swap_folder(self, place: Path, inner: str) -> None:
        """An album, or a folder above it, comes and goes; while it is away, a link has its name."""
        self._expect(os.path.normpath(f"album {self._number}/{inner}"), self._album(place / "album" / inner))
        bait = self._outside.tree(self._number, inner, self._photos(_IN_THE_WAY))
        self._swap_album(place, bait)

    def _swap_for_the_vault(self, place: Path) -> None:
        """The link leads to a day of the vault, and the album's files have the names of that day's originals."""
        wait_until(self._originals, _LIMIT, "there is an original")
        day = self._chance.choice(self._originals()).parent
        _make(place / "album")
        names = [path.name for path in self._originals() if path.parent == day][:_IN_THE_WAY]
        for name, content in zip(names, self._photos(_IN_THE_WAY), strict=False):
            _write(place / "album" / name, content)
            self.feeder.sources.append(Source(f"album {self._number}/{name}", hashlib.sha256(content).hexdigest()))
        self._swap_album(place, day)

    def _swap_album(self, place: Path, target: Path) -> None:
        name = self.way.factory.inbox / f"album {self._number}"
        name.symlink_to(target)
        exchange(name, place / "album")
        with self._swapped([(name, place / "album")]):
            self._let_it_work()
        _put_back(name, place / "album")

    def _swap_files(self, place: Path) -> None:
        """Each file of an album is swapped for a link to another one."""
        self._expect(f"album {self._number}", self._album(place / "album"))
        bait = self._outside.tree(self._number, "", self._photos(_IN_THE_WAY))
        album = self.way.factory.inbox / f"album {self._number}"
        links = _make(place / "links")
        for number in range(_IN_THE_WAY):
            (links / _name(number)).symlink_to(bait / _name(number))
        (place / "album").rename(album)
        pairs = [(album / _name(number), links / _name(number)) for number in range(_IN_THE_WAY)]
        with self._swapped(pairs):
            self._let_it_work()
        for name, link in pairs:
            _put_back(name, link)

    def _swap_in_vault(self, depth: int) -> None:
        """By a program of ours: nobody else can. Behind the link are files of the originals' names."""
        factory = self.way.factory
        wait_until(self._originals, _LIMIT, "there is an original")
        original = self._chance.choice(self._originals())
        folder = factory.originals.joinpath(*original.relative_to(factory.originals).parts[:depth])
        bait = self._outside.folder / str(self._number)
        for path in self._originals():
            if folder in path.parents:
                self._outside.bait(bait / path.relative_to(folder), self._photos(1)[0])
        link = factory.storage / f"swapped {self._number}"
        link.symlink_to(bait)
        self._outside.look()
        with self._swapped([(folder, link)], user=None):
            self._bring_some_again()
            self._let_it_work()
        _put_back(folder, link)

    def _bring_some_again(self) -> None:
        """Duplicates, for which a kept original is read. (What is new comes all the time.)"""
        for path in self._chance.sample(found := self._originals(), min(len(found), 5)):
            with suppress(OSError):  # behind the link just now, or another's
                content = path.read_bytes()
                if not self._outside.holds(content):
                    self.feeder.bring(content)

    def _import(self, place: Path, inner: str, *, move: bool) -> None:
        """The same with a folder that is imported; afterwards it is imported again."""
        card, name = _make(place / "card"), place / "card" / "album"
        photos = self._album(place / "album" / inner)
        bait = self._outside.tree(self._number, inner, self._photos(_IN_THE_WAY))
        name.symlink_to(bait)
        exchange(name, place / "album")
        command = ["import", *(["--move"] if move else []), str(card)]
        with self._swapped([(name, place / "album")]):
            came = self.way.factory.run(*command)
            assert came.code in (0, 1), f"import ended with {came.code}: {came.err[-300:]!r}"
        _put_back(name, place / "album")
        came = self.way.factory.run(*command)
        assert came.code == 0, f"the last import ended with {came.code}: {came.out} {came.err[-300:]!r}"
        for number, content in enumerate(photos):
            path = name / inner / _name(number)
            self._imported.append(Source(str(path), hashlib.sha256(content).hexdigest()))
            assert path.exists() != move, f"{path}: moved {move}, and there {path.exists()}"

    def _link_into_inbox(self, place: Path) -> None:
        """`cp -al` by another user, one file after the other: what is outside stays his, and as it is."""
        photos = self._photos(_IN_THE_WAY)
        outside = self._outside.tree(self._number, "", photos, owner=NOBODY)
        album = self.way.factory.inbox / f"album {self._number}"
        (_make(place / "album") / ".stays").touch()  # or it may be removed before there is anything in it
        (place / "album").rename(album)
        self._expect(album.name, photos)
        self._link_slowly([(outside / _name(number), album / _name(number)) for number in range(_IN_THE_WAY)])
        (album / ".stays").unlink()

    def _link_out_of_inbox(self, place: Path) -> None:
        """Another user's files get second names outside while they are filed."""
        photos = self._album(place / "album")
        for number in range(_IN_THE_WAY):
            os.chown(place / "album" / _name(number), NOBODY, NOBODY)
        outside = _make(self._outside.folder / str(self._number))
        album = self.way.factory.inbox / f"album {self._number}"
        self._expect(album.name, photos)
        (place / "album").rename(album)
        self._outside.shared |= {outside / _name(number) for number in range(_IN_THE_WAY)}
        self._link_slowly([(album / _name(number), outside / _name(number)) for number in range(_IN_THE_WAY)])
        for number, content in enumerate(photos):
            path = outside / _name(number)
            if path.exists():
                found = path.stat()
                assert path.read_bytes() == content, f"{path} is another file"
                assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o666, NOBODY), f"{path} is not as it was"

    def _link_slowly(self, names: list[tuple[Path, Path]]) -> None:
        seed = self._chance.random()

        def link() -> None:
            chance = random.Random(seed)
            for name, new in names:
                with suppress(FileNotFoundError):  # it has left the inbox
                    os.link(name, new)
                time.sleep(chance.choice((0.0, 0.001, 0.05)) * chance.random())

        with other_process(link, NOBODY) as linker:
            self._let_it_work()
            os.waitid(os.P_PID, linker, os.WEXITED | os.WNOWAIT)

    def _leave_links(self, place: Path) -> None:
        """Links of every sort lie in the inbox: they stay, and nothing is reached through them."""
        inbox, number = self.way.factory.inbox, self._number
        bait = self._outside.tree(number, "", self._photos(_IN_THE_WAY))
        album = inbox / f"album {number}"
        targets = [bait, bait / _name(0), "nothing.jpg", "itself.jpg", inbox, self.way.factory.storage, "/", ".."]
        links = {album / name: str(target) for name, target in zip("abcdefgh", targets, strict=True)}
        links[album / "itself.jpg"] = "itself.jpg"
        arriving = _make(place / "album")  # an empty folder of the inbox may be removed
        for link, target in links.items():
            (arriving / link.name).symlink_to(target)
        arriving.rename(album)
        self._let_it_work()
        assert {link: os.readlink(link) for link in links} == links
        for link in links:
            link.unlink()

    # A round

    @contextmanager
    def _swapped(self, pairs: list[tuple[Path, Path]], user: int | None = NOBODY) -> Iterator[None]:
        chance = self._chance
        with swapping(pairs, user=user, seed=chance.randrange(1 << 30), away=chance.choice(_AWAY)) as swaps:
            yield
            wait_until(swaps, _LIMIT, "names were swapped")
        self.swaps += swaps()

    def _let_it_work(self) -> None:
        """For a moment, and until something was filed, unless there is nothing that can be."""
        factory = self.way.factory
        before, least = factory.filed(), time.monotonic() + self._chance.uniform(0.3, 1.5)
        while (now := time.monotonic()) < least or (factory.filed() <= before and now < least + _FILES_WITHIN):
            self.way.ensure_running()
            time.sleep(0.02)

    def _check(self) -> None:
        """Nothing is in the way any more."""
        factory = self.way.factory
        settings = load_settings(factory.env(), env_file=factory.data / "no.env")
        end = time.monotonic() + _LIMIT
        while self.feeder.waiting() and time.monotonic() < end:  # a run ends beside what is tried again later
            self.way.ensure_running()
            time.sleep(0.05)
        with self.way.at_rest(self.feeder):
            wait_until(lambda: not files_aside(settings), _LIMIT, "all has left the inbox for good")
            assert_promise_kept(settings, self.sources)
            told = {row["file_hash"] for row in ledger_rows(settings, "SELECT file_hash FROM ingest_events")}
            assert not self._outside.secrets & told, "a file outside was read as the inbox's"
            stays = "SELECT original_path, state, last_error FROM inbox_files"
            accused = "SELECT original_path, error_message FROM media_assets WHERE has_errors"
            rows = [*factory.sql(accused), *noted_as_staying(lambda: factory.sql(stays))]
            assert not rows, f"blamed, or noted as staying in the inbox: {rows}"
        damaged = [path for path in (factory.storage / ".factory/damaged").glob("*/*") if path.is_file()]
        assert not damaged, f"moved aside: {damaged}"
        self._outside.assert_untouched()


class Outside:
    """What stands behind links: its files are nobody's business."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets: set[str] = set()
        self.shared: set[Path] = set()  # with other names, that come and go
        self._seen: dict[Path, tuple[Any, ...]] = {}

    def tree(self, number: int, inner: str, photos: list[bytes], owner: int | None = None) -> Path:
        """A folder of these photos, looked at. `owner`: whose they are, who links them elsewhere."""
        folder = self.folder / str(number)
        for photo, content in enumerate(photos):
            path = folder / inner / _name(photo)
            if owner is None:
                self.bait(path, content)
            else:
                _make(path.parent)
                _write(path, content)
                os.chown(path, owner, owner)
                self.shared.add(path)
        self.look()
        return folder

    def bait(self, path: Path, content: bytes) -> None:
        """A file that must never be filed."""
        _make(path.parent)
        _write(path, content)
        self.secrets.add(hashlib.sha256(content).hexdigest())

    def holds(self, content: bytes) -> bool:
        return hashlib.sha256(content).hexdigest() in self.secrets

    def look(self) -> None:
        """Remembers how all is that was not seen before."""
        self._seen = self._now() | self._seen

    def assert_untouched(self) -> None:
        now = self._now()
        changed = [str(path) for path, state in self._seen.items() if now.get(path) != state]
        assert not changed, f"outside, and not as before: {changed}"

    def _now(self) -> dict[Path, tuple[Any, ...]]:
        return {path: self._state(path) for path in self.folder.rglob("*") if not path.is_dir()}

    def _state(self, path: Path) -> tuple[Any, ...]:
        found = path.lstat()
        own = (found.st_nlink, found.st_ctime_ns) if path not in self.shared else ()
        return (path.read_bytes(), found.st_mode, found.st_uid, found.st_gid, found.st_ino, found.st_mtime_ns, *own)


def _name(number: int) -> str:
    return f"IMG_{number:04}.JPG"


def _make(folder: Path) -> Path:
    """A folder into which all may write, as those above it that it needs."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        path.chmod(0o777)
    return folder


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o666)


def _put_back(name: Path, other: Path) -> None:
    """What belongs at a name is there, if it was not filed; the link is gone."""
    if other.is_symlink():
        other.unlink()
    elif other.exists():
        if name.is_symlink():
            name.unlink()
        other.rename(name)
    elif name.is_symlink():
        name.unlink()
