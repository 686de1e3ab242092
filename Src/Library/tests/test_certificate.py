"""Certificates: their script, which needs nothing of ours, finds them right, and finds whatever is changed in them."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from Src.Library.custody.certificate import certificate
from Src.Library.custody.copies.rows import CopyRows, There
from Src.Library.custody.manifests import check_certificate
from Src.Library.custody.manifests.minisign import SecretKey
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import new_id
from Src.Shared.settings import Settings
from Src.Testing.examples import examples
from Src.Testing.filled_vault import fill
from Src.Testing.sealed import Sealed

ODD = [os.fsdecode(b"IMG \\ \xff\n.jpg"), "b.jpg", "c.jpg"]


@pytest.fixture
def sealed(factory_settings: Settings, database: Database) -> Sealed:
    vault = Vault(factory_settings.storage)
    hashes = fill(vault, database, len(ODD), names=ODD)
    sealed = Sealed(factory_settings, database, vault)
    sealed.add(hashes)
    sealed.seal()
    sealed.add(hashes[:1])
    sealed.seal()
    return sealed


def made(sealed: Sealed, name: str = ODD[0]) -> dict[str, Any]:
    with sealed.database.session() as session:
        found = certificate(session, sealed.vault, hash_of(sealed, name))
    assert found is not None
    return found


def hash_of(sealed: Sealed, name: str) -> str:
    [path] = [path for path in (sealed.settings.storage / "Originals").rglob("*.jpg") if path.name == name]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def checked(tmp_path: Path, said: dict[str, Any], *more: str, script: Path | None = None) -> tuple[int, str]:
    """By a Python without our packages and our code."""
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(said))
    script = script or Path(check_certificate.__file__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(path), *more], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_certificate_is_checked_by_its_script(sealed: Sealed, tmp_path: Path) -> None:
    said = made(sealed)
    assert [one["state"] for one in said["events"]] == ["signed"] * 4
    assert said["copies"] == [] and said["signed_line"]["line"].startswith("\\" + said["sha256"])
    photo = sealed.settings.storage / said["signed_line"]["list"]
    [photo] = [path for path in (sealed.settings.storage / "Originals").rglob("*.jpg") if path.name == ODD[0]]
    script = sealed.settings.storage / "Manifests" / "check_certificate.py"
    code, words = checked(tmp_path, said, said["key"], "--photo", str(photo), script=script)
    assert code == 0 and "WRONG" not in words and words.count("right") >= 4 + 2 + 2 + 1, words
    assert "chain.log, beside this script" in words
    code, words = checked(tmp_path, said, "--photo", str(script))
    assert code == 1 and "the photo has other bytes" in words
    assert "the key in the certificate is believed" in words
    assert checked(tmp_path, {"certificate": 2})[0] == 2
    assert checked(tmp_path, {})[0] == 2
    assert checked(tmp_path, said, SecretKey.new().public.text)[0] == 1
    assert "nobody signs what the certificate says in `original`" in words


def test_a_certificate_says_where_copies_are(sealed: Sealed, tmp_path: Path) -> None:
    sha256, id_ = hash_of(sealed, "b.jpg"), new_id()
    rows = CopyRows(sealed.database.session)
    assert rows.add(id_, "Ada's disk", "folder", "/media/ada", is_encrypted=False)
    when = datetime(2026, 3, 1, 9, tzinfo=UTC)
    for at in (when - timedelta(days=1), when):
        rows.note_there(id_, [There("Originals/2024/2024-07-01/b.jpg", sha256, 7, sha256, "stamp", at)])
    said = made(sealed, "b.jpg")
    [copy_] = said["copies"]
    assert copy_ == {
        "name": "Ada's disk",
        "kind": "folder",
        "there_since": "2026-02-28T09:00:00.000000Z",
        "read_back_at": "2026-03-01T09:00:00.000000Z",
    }
    assert checked(tmp_path, said, said["key"])[0] == 0
    assert made(sealed, "c.jpg")["copies"] == []


def test_a_certificate_that_proves_less_than_it_looks_is_not_right(sealed: Sealed, tmp_path: Path) -> None:
    right = made(sealed, "b.jpg")
    assert checked(tmp_path, right)[0] == 0

    def of(**changes: Any) -> tuple[int, str]:
        return checked(tmp_path, {**copy.deepcopy(right), **changes})

    # An event that was changed, and says that it is not signed.
    for state in ("sealed", "waiting"):
        events = copy.deepcopy(right["events"])
        events[0]["line"] = events[0]["line"].replace("ingested", "restored")
        events[0]["state"] = state
        code, words = of(events=events)
        assert code == 1 and "is not what was sealed" in words
        assert of(events=events, stretches=[])[0] == 1
    # Nothing in it.
    assert of(events=[], stretches=[], lists={}, signed_line=None)[0] == 1
    assert of(signed_line=None)[0] == 1
    assert of(events=[])[0] == 1
    assert of(sha256=None)[0] == 2
    # A member twice: one for people, one for the script.
    path = tmp_path / "twice.json"
    path.write_text(json.dumps(right)[:-1] + ', "sha256": ' + json.dumps(right["sha256"]) + "}")
    done = subprocess.run([sys.executable, "-I", "-S", check_certificate.__file__, str(path)], check=False)
    assert done.returncode == 2


def test_a_certificate_of_another_key_than_beside_the_script_is_wrong(sealed: Sealed, tmp_path: Path) -> None:
    said, script = made(sealed), sealed.settings.storage / "Manifests" / "check_certificate.py"
    assert checked(tmp_path, said, script=script)[0] == 0
    script.with_name("minisign.pub").write_bytes(SecretKey.new().public.file())
    for more in ([], [said["key"]]):
        code, words = checked(tmp_path, said, *more, script=script)
        assert code == 1 and "the key is not the one beside this script" in words


def test_what_is_not_proven_is_said(sealed: Sealed, tmp_path: Path) -> None:
    [fate, _] = sealed.add([hash_of(sealed, "b.jpg")])
    said = made(sealed, "b.jpg")
    assert [one["state"] for one in said["events"]] == ["signed", "signed", "waiting", "waiting"]
    code, words = checked(tmp_path, said)
    assert code == 1 and words.count("is not sealed yet: nothing proves it") == 2
    assert "WRONG" not in words and "not all of it is proven" in words
    sealed.seal()
    sealed.sql("UPDATE ingest_events SET message = 'other' WHERE id = :id", id=fate)
    said = made(sealed, "b.jpg")
    assert [one["state"] for one in said["events"]] == ["signed", "signed", "changed", "signed"]
    assert checked(tmp_path, said)[0] == 1


def test_a_photo_that_is_gone_has_a_certificate_too(sealed: Sealed, tmp_path: Path) -> None:
    sha256 = hash_of(sealed, "b.jpg")
    sealed.sql("DELETE FROM media_assets WHERE file_hash = :hash", hash=sha256)
    sealed.seal()
    said = made(sealed, "b.jpg")
    assert (said["original"]["state"], said["signed_line"]) == ("never_kept", None)
    assert [one["state"] for one in said["events"]] == ["signed", "signed"]
    assert checked(tmp_path, said)[0] == 0
    with sealed.database.session() as session:
        assert certificate(session, sealed.vault, "f" * 64) is None


def other(text: str, at: int) -> str:
    at %= len(text)
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def change_event(said: dict[str, Any], at: int) -> None:
    one = said["events"][at % len(said["events"])]
    event = json.loads(one["line"])
    event["happened_at"] = other(event["happened_at"], 3)
    one["line"] = json.dumps(event, separators=(",", ":"))


def change_hash(said: dict[str, Any], at: int) -> None:
    said["sha256"] = other(said["sha256"], at)


def change_list(said: dict[str, Any], at: int) -> None:
    path = sorted(said["lists"])[at % len(said["lists"])]
    said["lists"][path]["text"] = other(said["lists"][path]["text"], at)


def change_link(said: dict[str, Any], at: int) -> None:
    links = said["stretches"][at % len(said["stretches"])]["links"]
    link = links[at % len(links)]
    link[2] = other(link[2], at)


def change_written(said: dict[str, Any], at: int) -> None:
    links = said["stretches"][at % len(said["stretches"])]["links"]
    links[at % len(links)][1] = "2001-01-01T00:00:00.000000Z"


def change_previous(said: dict[str, Any], at: int) -> None:
    one = said["stretches"][at % len(said["stretches"])]
    one["previous"] = other(one["previous"], at)


def exchange_events(said: dict[str, Any], at: int) -> None:
    one, two = said["events"][0], said["events"][1 + at % (len(said["events"]) - 1)]
    one["line"], two["line"] = two["line"], one["line"]


def change_signature(said: dict[str, Any], at: int) -> None:
    one = said["lists"][sorted(said["lists"])[at % len(said["lists"])]]
    lines = one["signature"].split("\n")
    number = (1, 3)[at % 2]
    lines[number] = other(lines[number], at % 80)
    one["signature"] = "\n".join(lines)


def change_line(said: dict[str, Any], at: int) -> None:
    said["signed_line"]["line"] += "x"


CHANGES: list[Callable[[dict[str, Any], int], None]] = [
    *(change_event, change_hash, change_list, change_link, change_written, change_previous, exchange_events),
    *(change_signature, change_line),
]


def test_a_changed_certificate_is_found(sealed: Sealed) -> None:
    right = made(sealed)

    @settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(change=st.sampled_from(CHANGES), at=st.integers(0, 1000))
    def each(change: Callable[[dict[str, Any], int], None], at: int) -> None:
        said = copy.deepcopy(right)
        change(said, at)
        check = check_certificate.Check(said, right["key"])
        try:
            lists = check.lists()
            check.line(lists)
            check.events(check.links(lists))
        except ValueError:
            return
        assert check.bad, change

    each()


@settings(max_examples=examples(20), deadline=None)
@given(st.binary(max_size=80), st.integers(0, 63), st.integers(0, 7))
def test_signatures_are_those_of_a_library(message: bytes, at: int, bit: int) -> None:
    key = SigningKey.generate()
    public, signature = bytes(key.verify_key), key.sign(message).signature
    assert check_certificate.ed25519(public, message, signature)
    changed = bytearray(signature)
    changed[at] ^= 1 << bit
    assert not check_certificate.ed25519(public, message, bytes(changed))
    assert not check_certificate.ed25519(public, message + b"x", signature)
