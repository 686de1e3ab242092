"""Files of other users in the inbox of a Librarian that is no root: a family's Samba share, SFTP, `sudo cp`.

Only for the owner of a file does the kernel say who has it open for writing. All users here are real, and so is the
kernel's refusal.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from functools import partial
from pathlib import Path

import pytest

from Src.Shared.settings import load_settings
from Src.Testing.patience import wait_until
from Src.Testing.promise import Source, assert_promise_kept
from Stack.tests.other_users import (
    LIBRARIAN,
    ROOT,
    SOMEBODY,
    Upload,
    as_user,
    factory_of_another,
    librarian_up,
    wait_for_empty_inbox,
)
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import LIMIT, Factory

REST = "0.5"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be other users")


@pytest.fixture
def factory(bare_factory: Factory, folder: Path) -> Factory:
    folder.chmod(0o755)
    # However rarely it speaks: that it has begun to watch it says at once.
    delays = {"REST_WITHOUT_LEASE": REST, "LEAVING_GRACE": "1", "HEARTBEAT_INTERVAL": "3600"}
    return factory_of_another(bare_factory.data, bare_factory.environment | delays)


def _has_gone(path: Path) -> bool:
    return not path.exists()


def others_pass_by(factory: Factory, start: int) -> list[Source]:
    """The Librarian's own photos are filed meanwhile, one after the other: for many times the delays."""
    sources = []
    for number in range(start, start + 4):
        name, content = f"own {number}.jpg", unique_jpeg(number)
        hidden = factory.inbox / f".{name}"
        hidden.write_bytes(content)
        os.chown(hidden, LIBRARIAN, LIBRARIAN)
        hidden.rename(factory.inbox / name)
        wait_until(partial(_has_gone, factory.inbox / name), LIMIT, "others are filed")
        sources.append(Source(name, hashlib.sha256(content).hexdigest()))
    return sources


def check(factory: Factory, sources: list[Source]) -> None:
    settings = load_settings(factory.env(), env_file=factory.data / "no.env")
    told = "SELECT 1 FROM ingest_events WHERE file_hash = %s"
    wait_until(lambda: all(factory.asked(told, one.sha256) for one in sources), LIMIT, "all is filed")
    wait_for_empty_inbox(factory)
    assert_promise_kept(settings, sources)
    for path in factory.vault_files():
        assert (os.lstat(path).st_uid, stat.S_IMODE(os.lstat(path).st_mode) & 0o222) == (LIBRARIAN, 0), path


@pytest.mark.parametrize("user", [SOMEBODY, ROOT])
def test_an_upload_that_pauses_is_filed_whole(factory: Factory, user: int) -> None:
    content = unique_jpeg(1) + unique_jpeg(2)  # each half is a photo by itself
    path = factory.inbox / "upload.jpg"
    with librarian_up(factory):
        upload = Upload(user, path)
        upload.write(content[: len(unique_jpeg(1))])
        sources = others_pass_by(factory, 100)
        assert path.exists(), "it is open"
        upload.write(content[len(unique_jpeg(1)) :])
        upload.close()
        wait_until(lambda: not path.exists(), LIMIT, "it is filed")
        check(factory, [*sources, Source("upload.jpg", hashlib.sha256(content).hexdigest())])


def test_an_upload_that_was_there_before_anybody_watched_loses_nothing(factory: Factory) -> None:
    """Nobody saw that it was opened: it is taken too early. The rest goes on in the file that is kept aside."""
    half = unique_jpeg(1)
    content = half + unique_jpeg(2)
    upload = Upload(SOMEBODY, factory.inbox / "upload.jpg")
    upload.write(half)
    with librarian_up(factory):
        wait_until(lambda: not (factory.inbox / "upload.jpg").exists(), LIMIT, "it is taken")
        upload.write(content[len(half) :])
        upload.close()
        whole = hashlib.sha256(content).hexdigest()
        sources = [Source("upload.jpg", hashlib.sha256(half).hexdigest()), Source("upload.jpg", whole)]
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets WHERE file_hash = %s", whole), LIMIT, "the whole")
        check(factory, sources)


def test_a_photo_that_is_linked_into_the_inbox_stays_its_owners(factory: Factory) -> None:
    """`cp -al`: the file outside stays writable, and what its owner writes does not change the original."""
    outside = factory.data.parent / "album"
    outside.mkdir()
    os.chown(outside, SOMEBODY, SOMEBODY)
    content = unique_jpeg(1)
    (outside / "a.jpg").write_bytes(content)
    os.chown(outside / "a.jpg", SOMEBODY, SOMEBODY)
    (outside / "a.jpg").chmod(0o644)
    with librarian_up(factory):
        subprocess.run(
            [*as_user(SOMEBODY), "cp", "-al", str(outside / "a.jpg"), str(factory.inbox / "a.jpg")], check=True
        )
        wait_until(lambda: not (factory.inbox / "a.jpg").exists(), LIMIT, "it is filed")
        assert stat.S_IMODE((outside / "a.jpg").stat().st_mode) == 0o644
        edit = Upload(SOMEBODY, outside / "a.jpg", "cat >>")
        edit.write(b"edited")
        edit.close()
        # What was in the inbox is that same file, so the edited one comes back, and is filed beside the first.
        sources = [Source("a.jpg", hashlib.sha256(one).hexdigest()) for one in (content, content + b"edited")]
        check(factory, sources)


def test_a_move_leaves_another_users_files_where_they_are_and_says_so(factory: Factory) -> None:
    source = factory.data.parent / "card"
    source.mkdir()
    os.chown(source, LIBRARIAN, LIBRARIAN)
    for number, user in ((1, LIBRARIAN), (2, SOMEBODY)):
        (source / f"{number}.jpg").write_bytes(unique_jpeg(number))
        os.chown(source / f"{number}.jpg", user, user)
        (source / f"{number}.jpg").chmod(0o644)
    done = factory.run("import", "--move", "--json", source, wrapper=as_user(LIBRARIAN))
    report = done.json()
    assert (report["new"], report["left"], report["failed"], done.code) == (2, 1, 0, 1)
    assert "2.jpg is added, and stays at its source: the kernel does not say" in done.err
    assert os.listdir(source) == ["2.jpg"]
    again = factory.run("import", "--move", source, wrapper=as_user(LIBRARIAN))
    assert again.code == 1 and "not moved" in again.out
