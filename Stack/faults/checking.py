"""What a running factory must have made of what was put into its inbox, seen from outside."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from Src.Shared.settings import load_settings
from Src.Testing.patience import wait_until
from Src.Testing.promise import Source, assert_promise_kept, fates, sha256_of_file, vault_files
from Stack.faults.writer import Left
from Stack.tests.real_factory import Factory, Row

_LIMIT = 300.0  # seconds for the factory to come to rest
_LINE = 600  # letters of a violation, which may be about any number of files

# What Python itself prints in a reader that was just being started when its parent was killed.
_ORPHAN = re.compile(
    r'Traceback [^\n]*\n  File "<string>", line 1, in <module>\n(?:  [^\n]*\n)+EOFError: Ran out of input\n'
)


def has_traceback(said: str) -> bool:
    """Whether the factory has printed a traceback of its own."""
    return "Traceback" in _ORPHAN.sub("", said)


def broken(factory: Factory, lefts: Sequence[Left], not_media: Mapping[str, str] | None = None) -> Iterator[str]:
    """What a factory that runs, once it has come to rest, does not keep of its promise.

    `not_media`: what stays in the inbox, its path there and its SHA-256. What came in the vault without being final
    must have been complete for a while, and is then held to the promise like all else.
    """
    staying = dict(not_media or {})
    settings = load_settings(factory.env(), env_file=factory.data / "no.env")
    try:
        wait_until(lambda: not (in_journal(factory) or waiting(factory) - staying.keys()), _LIMIT)
    except AssertionError:
        left = sorted(waiting(factory) - staying.keys())
        yield f"not at rest after {_LIMIT:g} s: {len(left)} in the inbox ({left[:3]}), journal {in_journal(factory)}"
        return
    last = {one.sha256 for left in lefts for one in left.final}
    with suppress(AssertionError):  # what was written to after it had left the inbox comes back; else see below
        wait_until(lambda: not last - {source.sha256 for _, source in fates(settings)}, _LIMIT)
    for path in (path for left in lefts for path in left.strangers):
        if not os.path.lexists(factory.inbox / path):
            yield f"{path} is no regular file, and was removed"

    told = fates(settings)
    yield from _not_media_broken(
        factory, staying, {source.original_path for fate, source in told if fate == "not_media"}
    )
    names = defaultdict(set)  # of each content, those under which it came
    for _, source in told:
        names[source.sha256].add(source.original_path)
    finals = {one.sha256: one for left in lefts for one in left.final}
    allowed = {sha256 for left in lefts for sha256 in left.allowed | left.paused}
    wanted = set()
    for one in (one for left in lefts for one in left.final):  # of several names, the one under which it was taken
        path = next((path for path in one.paths if path in names[one.sha256]), one.paths[-1])
        wanted.add(Source(path, one.sha256))
    for path, sha256 in vault_files(settings).items():
        if sha256 not in finals:
            wanted.update(Source(name, sha256) for name in names[sha256])
            if sha256 not in allowed:
                yield f"{path} was never complete; it came as {sorted(names[sha256])}"
    try:
        assert_promise_kept(settings, wanted)
    except AssertionError as error:
        yield str(error).partition("\n")[0][:_LINE]


def _not_media_broken(factory: Factory, staying: Mapping[str, str], told: set[str]) -> Iterator[str]:
    for path, sha256 in staying.items():
        if not (factory.inbox / path).is_file() or sha256_of_file(factory.inbox / path) != sha256:
            yield f"{path} is no media, and does not stand in the inbox as it was"
        elif path not in told:
            yield f"{path} is no media, and no fate of it is told"


def noted_as_staying(ask: Callable[[], list[Row]]) -> list[Row]:
    """Rows of what stays in the inbox, where none should: a running Librarian looks every few seconds what does."""
    with suppress(AssertionError):
        wait_until(lambda: not ask())
    return ask()


def waiting(factory: Factory) -> set[str]:
    """Regular files that wait in the inbox, by their path there. (Filed ones may be kept aside in a hidden folder.)"""
    return {
        os.path.relpath(path, factory.inbox)
        for base, _, names in os.walk(factory.inbox)
        for name in names
        if os.path.basename(base) != ".factory-leaving"
        and os.path.isfile(path := os.path.join(base, name))
        and not os.path.islink(path)
    }


def in_journal(factory: Factory) -> int:
    """Segments of the journal."""
    try:
        return len(os.listdir(factory.storage / ".factory" / "journal"))
    except FileNotFoundError:
        return 0
