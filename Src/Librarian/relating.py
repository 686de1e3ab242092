"""What the photos and films of a batch are to each other and to what came before.

A pair (a Live Photo with its film, a raw photo with its picture) takes one number where its names are taken: a stem
and its number belong to what came from one folder, so that the second half finds its place free, whenever it comes.
While the ledger is away, only the batch itself is known, and nothing is recorded: it is when the journal is replayed.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from Src.Librarian.passage import IncomingFile, Inspected, New, Outcome, Passage
from Src.Librarian.record import relations
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.record.relations import Key, Neighbour
from Src.Library.beside import is_named_after
from Src.Library.vault import Vault
from Src.Library.vault_folder import VaultFolder, key_of_stem, name_key, numbered_names
from Src.Media.relations import Item, is_pair, other_halves

_MOST_NUMBERS = 1000  # that are tried for a pair; beyond, each gets its own
_AT_ONCE = 50  # numbers that the ledger is asked about where one is another's
_FILED = ("new", "duplicate", "restored")


class _Called(NamedTuple):
    """The name that a new original is to have."""

    passage: Passage
    day: str  # its folder
    name: str
    stands: str | None  # the name under which it stands there already
    alone: bool  # no half that is another's may be there

    @property
    def file(self) -> IncomingFile:
        return self.passage.file


class Relating:
    """To be used under the vault's lock."""

    def __init__(self, recorder: Recorder, vault: Vault) -> None:
        self._recorder = recorder
        self._vault = vault
        self._known: Mapping[Key, Sequence[Neighbour]] = {}  # what came before the batch
        self._knows = False  # else the ledger is away
        # Of one batch, by incoming path:
        self._standing: dict[str, str | None] = {}  # the name under which its content stands in its folder already
        self._stay: set[str] = set()  # what stands, and keeps its name: something without a row is named after it
        self._same: dict[tuple[str, str], bool] = {}  # whether its content is what stands under a name

    def names(self, batch: Sequence[Passage]) -> dict[str, str]:
        """The names of new originals, by incoming path, where they are not to have their own.

        What a killed run has placed of them elsewhere in their folder, and not recorded, gets its name here. (Where it
        is the incoming file itself, this changes its ctime: the placer takes it for changed, and it is read again.)
        Raises VaultTrouble.
        """
        here = [_neighbour(one.found) for one in batch]
        known = self._recorder.ask(partial(relations.neighbours, here=here)) if here else None
        self._known = relations.by_key(known or ())
        self._knows = known is not None
        by_stem: defaultdict[str, defaultdict[str, list[Passage]]] = defaultdict(lambda: defaultdict(list))
        for one in batch:
            if isinstance(one.decision, New) and other_halves(one.file.name):
                by_stem[self._day_of(one)][_stem_in_folder(one.file)].append(one)
        self._look({day: [one for members in some.values() for one in members] for day, some in by_stem.items()})
        barred: defaultdict[str, set[str]] = defaultdict(set)
        called: dict[str, list[list[_Called]]] = {}
        days = list(by_stem)
        while days:
            for day in days:
                called[day] = self._all_called(list(by_stem[day].values()), day, barred[day])
            groups = [group for day in days for group in called[day]]
            others = self._of_others(groups)
            days = [day for day, names in others.items() if not names <= barred[day]]
            for found in (others, self._of_others(self._ahead(groups, others))) if others else ():
                for day, names in found.items():
                    barred[day] |= names
        chosen = [one for groups in called.values() for group in groups for one in group]
        names_of = {one.file.path: one.name for one in chosen} | self._move(chosen)
        return {one.file.path: name for one in chosen if (name := names_of[one.file.path]) != one.file.name}

    def _look(self, by_day: Mapping[str, Sequence[Passage]]) -> None:
        """Finds out once for a batch what stands already of its files, and what of that has to keep its name."""
        self._standing, self._same = {}, {}
        followers: dict[str, set[str]] = {}
        for day, members in by_day.items():
            folder = self._vault.folder(day)
            stand: dict[str, str] = {}
            for one in members:
                name = self._standing[one.file.path] = self._stands(one, folder)
                if name is not None:
                    stand[one.file.path] = name
            followed = _followed(folder, set(stand.values())) if stand else {}
            for path, name in stand.items():
                followers[path] = {f"{day}/{after}" for after in followed.get(name, ())}
        after = sorted(set().union(*followers.values()))
        unrecorded = self._recorder.unrecorded(after) if after else []  # what has a row is another's, or goes with it
        left_behind = set(after if unrecorded is None else unrecorded)
        self._stay = {path for path, some in followers.items() if not some.isdisjoint(left_behind)}

    def _all_called(
        self, groups: Sequence[Sequence[Passage]], day: str, barred: Collection[str]
    ) -> list[list[_Called]]:
        """The names in one day's folder. `barred`: the keys of other originals' names, though nothing stands there."""
        found: list[list[_Called]] = []
        planned: set[str] = set()
        for members in groups:
            called = self._called(members, day, planned.union(barred))
            planned |= {name_key(one.name) for one in called} or {name_key(one.file.name) for one in members}
            if called:
                found.append(called)
        return found

    def _called(self, members: Sequence[Passage], day: str, planned: Collection[str]) -> list[_Called]:
        """The names of what came from one folder under one stem; none: each gets its own, or a number of it.

        They are called as the other half that is here already, or take the first number under which they are free and
        nobody else's half stands: it would keep their own from coming there later. `planned`: the keys of names that
        others of the batch are to have. While the ledger is away nobody knows whose a half is, and none keeps away.

        What stands already is renamed only to come together. Alone it stays where it is, whatever stands beside it: a
        ledger that came back from a backup knows neither half of a pair. For that reason too, what joins it goes to a
        number only where a row says that the half beside it is another's (`_of_others` asks).
        """
        folder, first = self._vault.folder(day), members[0].file.name
        stands = {one.file.path: self._standing[one.file.path] for one in members}

        def called(stem: str, *, alone: bool, beside: bool = False) -> list[_Called] | None:
            names = self._fitting(members, stem, folder, planned, alone=alone, beside=beside)
            if names is None:
                return None
            return [_Called(one, day, names[one.file.path], stands[one.file.path], alone) for one in members]

        partner = next((there for one in members if (there := self._partner(one, day)) is not None), None)
        if partner is not None:
            stem = os.path.splitext(os.path.basename(partner.final_path))[0]
            if (found := called(stem, alone=False)) is not None:
                return found
        for name in filter(None, stands.values()):
            stem = os.path.splitext(name)[0]
            together = all(there is not None and os.path.splitext(there)[0] == stem for there in stands.values())
            if (found := called(stem, alone=self._knows and not together, beside=True)) is not None:
                return found
        if (found := called(os.path.splitext(first)[0], alone=self._knows)) is not None:
            return found
        if (self._knows or not any(stands.values())) and self._stay.isdisjoint(stands):
            for name in islice(_numbers(folder, first), _MOST_NUMBERS):
                if (found := called(os.path.splitext(name)[0], alone=self._knows)) is not None:
                    return found
        return []

    def _of_others(self, groups: Sequence[Sequence[_Called]]) -> dict[str, set[str]]:
        """Of these names, and of those that other halves would have, which are or were another original's.

        By day, the keys of names. No path is used twice (promise 1). The recorder would move such a half aside, and
        that one alone.
        """
        ours: defaultdict[str, set[str]] = defaultdict(set)  # the contents that are to stand at a path
        halves: defaultdict[str, set[str]] = defaultdict(set)  # with what other halves will end, by path without ending
        for one in (one for group in groups for one in group):
            ours[f"{one.day}/{one.name}"].add(one.passage.found.sha256)
            if one.alone:
                halves[os.path.splitext(f"{one.day}/{one.name}")[0]].update(other_halves(one.name))
        asked = partial(relations.of_others, ours=ours, halves=halves)
        found: defaultdict[str, set[str]] = defaultdict(set)
        for path in (self._recorder.ask(asked) if self._knows and groups else None) or ():
            day, name = os.path.split(path)
            found[day].add(name_key(name))
        return found

    def _ahead(self, groups: Sequence[Sequence[_Called]], others: Mapping[str, Collection[str]]) -> list[list[_Called]]:
        """What those groups would be called next whose names are others': asked for at once, not one a round."""
        found: list[list[_Called]] = []
        for group in groups:
            first, barred = group[0], others.get(group[0].day, ())
            if _keys(group, os.path.splitext(first.name)[0]).isdisjoint(barred):
                continue
            stem = os.path.splitext(first.name)[0]
            is_own = stem == os.path.splitext(first.file.name)[0]
            numbers = _numbers(self._vault.folder(first.day), first.file.name)
            stems = [os.path.splitext(name)[0] for name in islice(numbers, _AT_ONCE if is_own else _MOST_NUMBERS)]
            start = stems.index(stem) + 1 if stem in stems else 0
            for stem in stems[start : start + _AT_ONCE]:
                found.append([one._replace(name=stem + os.path.splitext(one.file.name)[1]) for one in group])
        return found

    def _move(self, called: Sequence[_Called]) -> dict[str, str]:
        """Gives what stands unrecorded under another name the name that it is to have.

        The names of the rest, by incoming path: what the ledger has recorded meanwhile, or cannot be asked about, and
        what cannot be renamed, stays as it is. (Where the same bytes stand under the name that is wanted, that is it.)
        """
        elsewhere = {
            f"{one.day}/{one.stands}": one
            for one in called
            if one.stands is not None
            and name_key(one.stands) != name_key(one.name)
            and self._vault.folder(one.day).holder(one.name) is None
        }
        unrecorded = (self._recorder.unrecorded(list(elsewhere)) or []) if elsewhere else []
        moved = {path for path in unrecorded if self._vault.rename_unrecorded(path, elsewhere[path].name)}
        return {one.file.path: one.stands for path, one in elsewhere.items() if path not in moved and one.stands}

    def _fitting(
        self,
        members: Sequence[Passage],
        stem: str,
        folder: VaultFolder,
        planned: Collection[str],
        *,
        alone: bool,
        beside: bool,
    ) -> dict[str, str] | None:
        """The names of this stem, where all may have them.

        `alone`: and where no half stands that is not theirs; `beside`: it may stand, but be none that is to come.
        """
        called = {one.file.path: stem + os.path.splitext(one.file.name)[1] for one in members}
        own, beginning = {name_key(name) for name in called.values()}, key_of_stem(stem)
        if len(own) < len(called) or not own.isdisjoint(planned):
            return None
        for one in members:
            name = called[one.file.path]
            if not self._may_be_called(one, name, folder):
                return None
            standing = self._standing[one.file.path]
            if standing is not None and name_key(standing) == name_key(name):
                called[one.file.path] = standing  # be it in other case
            halves = {beginning + ending for ending in other_halves(name)} - own if alone else set()
            if (not beside and folder.holds_any(halves)) or not halves.isdisjoint(planned):
                return None
        return called

    def _may_be_called(self, one: Passage, name: str, folder: VaultFolder) -> bool:
        """Whether nothing but its own content has the name, and what stands of it may leave its own."""
        path = one.file.path
        standing = self._standing[path]
        if standing is not None and name_key(standing) == name_key(name):
            return True
        if path in self._stay:
            return False
        if folder.holder(name) is None:
            return True
        if (path, name) not in self._same:  # read once
            there = folder.standing(name, one.file.state.size, one.found.sha256, only_name=True)
            self._same[path, name] = there is not None
        return self._same[path, name]

    def _stands(self, one: Passage, folder: VaultFolder) -> str | None:
        """The name under which it stands here already: its own or a number of it, or another half's."""
        state = one.file.state
        name = folder.name_of(state.inode) if one.file.source == "inbox" else None
        if name is not None and folder.is_file(name, state.inode, state.device):
            return name
        standing = folder.standing(one.file.name, state.size, one.found.sha256)
        return None if standing is None else standing[0]

    def record(self, media: Sequence[Inspected], outcomes: Sequence[Outcome]) -> None:
        """Records what filed files are to each other and to what was filed before. After `names` of the same batch."""
        filed = {one.file.path for one in outcomes if one.result in _FILED and one.reported}
        told = relations.between([_neighbour(one) for one in media if one.file.path in filed], self._known)
        if told:
            self._recorder.ask(partial(relations.add, relations=told))

    def _partner(self, one: Passage, day: str) -> Neighbour | None:
        """Its other half, in the folder of its day; else what came from its folder under its stem, and may be one."""
        here, item = _neighbour(one.found), _item(one.found)
        known = [there for key in relations.keys(here) for there in self._known.get(key, ())]
        known = [there for there in known if os.path.dirname(there.final_path) == day]
        stem, halves = os.path.splitext(item.name)[0], other_halves(item.name)
        for there in known:
            if is_pair(item, there.item):
                return there
        for there in known:
            beside, ending = os.path.splitext(there.item.name)
            is_beside = (there.source, there.folder, beside) == (here.source, here.folder, stem)
            if is_beside and ending.lower() in halves and not _are_strangers(item, there.item):
                return there
        return None

    def _day_of(self, one: Passage) -> str:
        return self._vault.day_folder(one.found.metadata.captured_at.date())


def _numbers(folder: VaultFolder, name: str) -> Iterator[str]:
    """The numbered names of a name, from the first that is free."""
    return numbered_names(name, start=max(1, folder.free_from(name)))


def _keys(group: Sequence[_Called], stem: str) -> set[str]:
    """Of the names that these and their other halves would have."""
    own = {name_key(stem + os.path.splitext(one.file.name)[1]) for one in group}
    beginning = key_of_stem(stem)
    return own | {beginning + ending for one in group if one.alone for ending in other_halves(one.name)}


def _followed(folder: VaultFolder, names: Collection[str]) -> dict[str, set[str]]:
    """What else in the folder is named after which of these names."""
    by_start: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        key = name_key(name)
        for start in (key, os.path.splitext(key)[0]):
            by_start[start].add(name)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for there in folder.names():
        if there not in names:
            parts = name_key(there).split(".")
            for count in range(1, len(parts)):
                for name in by_start.get(".".join(parts[:count]), ()):
                    if is_named_after(name_key(there), name_key(name)):
                        found[name].add(there)
    return found


def _are_strangers(one: Item, other: Item) -> bool:
    return bool(one.content_id and other.content_id)  # and no pair


def films_apart(media: Sequence[Inspected]) -> set[str]:
    """The paths of films whose Live Photo is among these under another name: filed after it, they take its name.

    (Together, a run that is killed and begins again with one of them would not find what it has placed of the other.)
    """
    of_id: defaultdict[str, list[Inspected]] = defaultdict(list)
    for one in media:
        if one.metadata.shot.content_id is not None:
            of_id[one.metadata.shot.content_id].append(one)
    return {
        film.file.path
        for some in of_id.values()
        for film in some
        if film.kind.is_video
        for photos in [[one for one in some if is_pair(_item(film), _item(one))]]
        if photos and all(_stem_in_folder(one.file) != _stem_in_folder(film.file) for one in photos)
    }


def _stem_in_folder(file: IncomingFile) -> str:
    return os.path.splitext(file.original_path)[0]


def _neighbour(found: Inspected) -> Neighbour:
    return Neighbour(found.file.source, os.path.dirname(found.file.original_path), _item(found), "")


def _item(found: Inspected) -> Item:
    metadata = found.metadata
    content_id = metadata.shot.content_id
    return Item(found.sha256, found.file.name, found.kind.name, metadata.captured_at, metadata.camera_model, content_id)
