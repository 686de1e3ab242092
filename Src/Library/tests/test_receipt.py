"""Receipts: only bytes that the vault has, and has read back, are safe; a name or a size alone never is."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import CursorResult, insert, text

from Src.Library.belonging import Belonging
from Src.Library.custody.listed import ListProblem, is_list, read_list
from Src.Library.custody.receipt import Elsewhere, Line, Receipts
from Src.Library.custody.verify import Plan, Verify
from Src.Library.tests.spoiling import a_link, flip_a_bit
from Src.Library.trash import Removed
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.ledger_text import to_ledger
from Src.Shared.models import Companion
from Src.Shared.settings import Settings
from Src.Testing.examples import examples
from Src.Testing.filled_vault import fill

COUNT = 12
ODD_NAME = os.fsdecode(b"IMG \\ \xff\n.jpg")


@dataclass
class Bench:
    settings: Settings
    database: Database
    paths: list[str]
    files: list[Elsewhere]  # the same bytes under the same names

    def say(self, *files: Elsewhere, read: bool = False, within: int = 90) -> list[Line]:
        receipts = Receipts(self.settings, self.database, within=timedelta(days=within))
        if read:
            items = receipts.to_read(files, receipts.lines(files))
            verify = receipts.reading(items, set)
            verify.run()
            receipts.take_over(verify)
        return receipts.lines(files)

    def verdict(self, number: int, **how: Any) -> str:
        [line] = self.say(self.files[number], **how)
        assert (line.verdict == "safe") == (line.reason == "")
        return line.verdict

    def at(self, number: int) -> Path:
        return self.settings.storage / self.paths[number]

    def verify(self) -> None:
        assert Verify(self.settings, self.database, Plan("full")).run().is_well

    def sql(self, statement: str, **values: object) -> list[Any]:
        with self.database.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement), values))
            return list(answer.all()) if answer.returns_rows else []


@pytest.fixture
def bench(factory_settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("Src.Library.hash_cache.COARSEST_CLOCK", 0.0)  # originals were written just now
    vault = Vault(factory_settings.storage)
    fill(vault, database, COUNT, names=[ODD_NAME], step=timedelta(hours=5))
    Belonging(factory_settings, vault).establish(database)
    bench = Bench(factory_settings, database, [], [])
    for name, path in bench.sql("SELECT original_name, final_path FROM media_assets ORDER BY captured_at"):
        is_odd = name == to_ledger(ODD_NAME)
        bench.paths.append(f"{os.path.dirname(path)}/{ODD_NAME}" if is_odd else path)
        bench.files.append(of(bench.at(len(bench.paths) - 1).read_bytes(), ODD_NAME if is_odd else name))
    return bench


def of(content: bytes, name: str) -> Elsewhere:
    return Elsewhere(f"/card/{name}", hashlib.sha256(content).hexdigest(), len(content))


def test_what_was_read_back_is_safe_and_nothing_else_is(bench: Bench) -> None:
    assert {line.verdict for line in bench.say(*bench.files)} == {"not_reread"}
    assert {line.verdict for line in bench.say(*bench.files, read=True)} == {"safe"}
    lines = bench.say(*bench.files)
    assert [(line.path, line.verdict, line.kept_at) for line in lines] == [
        (file.path, "safe", path) for file, path in zip(bench.files, bench.paths, strict=True)
    ]
    assert all(line.read_back_at is not None and line.copies == 0 for line in lines)
    json.dumps([line.as_json() for line in lines], default=str).encode()


def test_it_was_read_back_long_ago_or_at_a_time_to_come(bench: Bench) -> None:
    bench.verify()
    os.utime(bench.at(1), ns=(1, bench.at(1).stat().st_mtime_ns))  # its ctime is another one now
    assert bench.verdict(1) == "not_reread", "somebody may have written to it"
    bench.sql("UPDATE media_assets SET verified_at = now() + interval '1 day' WHERE final_path = :p", p=bench.paths[2])
    assert bench.verdict(2, within=5) == "not_reread", "a clock is wrong"
    bench.sql("UPDATE media_assets SET verified_at = now() + interval '1 minute'")
    assert (bench.verdict(3, within=1), bench.verdict(3)) == ("safe", "safe")
    bench.sql("UPDATE media_assets SET verified_at = now() - interval '10 days'")
    assert (bench.verdict(3, within=5), bench.verdict(3, within=5, read=True)) == ("not_reread", "safe")


def truncate(path: Path) -> None:
    path.chmod(0o640)
    os.truncate(path, 5)


@pytest.mark.parametrize("change", [flip_a_bit, Path.unlink, a_link, truncate])
@pytest.mark.parametrize("read", [True, False])
def test_what_is_wrong_in_the_vault_is_not_safe(bench: Bench, change: Callable[[Path], None], read: bool) -> None:
    bench.verify()
    assert bench.verdict(3) == "safe"
    change(bench.at(3))
    assert bench.verdict(3, read=read) in ("not_here", "not_reread")
    if read:
        assert bench.verdict(3, read=read) == "not_here", "what the reading has found is known from then on"
    assert bench.verdict(4, read=read) == "safe"


def test_another_mode_alone_costs_a_reading(bench: Bench) -> None:
    bench.verify()
    bench.at(3).chmod(0o640)
    assert (bench.verdict(3), bench.verdict(3, read=True)) == ("not_reread", "safe")


def test_a_vault_that_is_not_there_says_nothing(bench: Bench) -> None:
    bench.verify()
    bench.settings.originals.rename(bench.settings.storage / "away")
    bench.settings.originals.mkdir()
    with pytest.raises(VaultTrouble):
        bench.say(bench.files[0])


def test_names_and_sizes_say_nothing_by_themselves(bench: Bench) -> None:
    bench.verify()
    one = bench.files[3]
    said = bench.say(
        one._replace(sha256=None),
        one._replace(sha256=None, size=None),
        one._replace(sha256=None, size=1),
        Elsewhere(one.path.upper(), "0" * 64, one.size),
        Elsewhere("new.jpg", "0" * 64),
        one._replace(size=1),
        one._replace(path="deduplicated/other name.heic"),
    )
    assert [line.verdict for line in said] == [
        *("not_here", "not_here", "other_bytes", "other_bytes", "not_here", "other_bytes", "safe")
    ]
    assert [line.kept_at for line in said[2:4]] == [bench.paths[3]] * 2


def test_what_belongs_to_originals_is_read_now(bench: Bench) -> None:
    def file(name: str, kind: str, content: bytes) -> Path:
        path = bench.at(1).with_name(name)
        path.write_bytes(content)
        row = {
            "original_hash": bench.files[1].sha256,
            "kind": kind,
            "path_id": uuid.uuid4(),
            "original_path": name,
            "companion_hash": hashlib.sha256(content).hexdigest(),
            "companion_size": len(content),
            "final_path": str(path.relative_to(bench.settings.storage)),
            "filed_at": datetime.now(UTC),
        }
        with bench.database.session() as session:
            session.execute(insert(Companion).values(**row))
        return path

    aae, xmp = file("a.AAE", "aae", b"<plist/>"), file("a.jpg.xmp", "xmp", b"<x:xmpmeta/>")
    both = of(b"<plist/>", "a.AAE"), of(b"<x:xmpmeta/>", "a.jpg.xmp")
    assert [line.verdict for line in bench.say(*both)] == ["safe", "safe"]
    aae.write_bytes(b"<plist />")
    xmp.write_bytes(b"<x:xmpmeta>*****</x:xmpmeta>")
    assert [line.verdict for line in bench.say(*both)] == ["not_here", "not_here"]
    kept = bench.settings.storage / "Overlay" / "Sidecars" / f"{both[1].sha256}.xmp"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"<x:xmpmeta/>")
    [line] = bench.say(both[1])
    assert (line.verdict, line.kept_at) == ("safe", f"Overlay/Sidecars/{both[1].sha256}.xmp")
    kept.write_bytes(b"<x:xmpmeta />")
    assert bench.say(both[1])[0].verdict == "not_here"


def test_the_vaults_own_file_is_never_another_copy(bench: Bench) -> None:
    """By another mount, through a pool or a share with numbers of its own, or by one of a pool's disks."""
    os.utime(bench.at(3), ns=(1, 1))  # as when it was filed: with the time that it came with
    bench.verify()
    one, state = bench.files[3], FileState.of(bench.at(3).stat())
    other = state._replace(inode=state.inode + 1, device=state.device + 1)
    own = one._replace(state=state._replace(ctime_ns=state.ctime_ns + 12_345))
    of_a_pool = one._replace(state=other)
    copied = one._replace(state=other._replace(ctime_ns=state.ctime_ns + 12_345))
    of_a_disk = one._replace(path=f"/mnt/disk2/{bench.paths[3]}")
    listed = one._replace(path=bench.paths[3])
    lines = bench.say(own, of_a_pool, copied, of_a_disk, listed)
    assert [line.verdict for line in lines] == ["own", "own", "safe", "own", "own"]
    assert all(line.kept_at == bench.paths[3] for line in lines)
    assert all(line.reason for line in lines if line.verdict == "own")
    assert bench.verdict(3) == "safe"


def test_on_a_share_only_what_was_read_just_now_is_safe(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.verify()
    monkeypatch.setattr("Src.Library.custody.examine.sends_events", lambda _: False)
    assert (bench.verdict(3), bench.verdict(3, read=True)) == ("not_reread", "safe")


def test_what_is_in_the_trash_has_its_reason(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Removed("anna", datetime(2026, 5, 4, tzinfo=UTC), 1, None)
    monkeypatch.setattr("Src.Library.custody.receipt.removed", lambda _, hashes: dict.fromkeys(hashes, gone))
    [line] = bench.say(Elsewhere("/card/x.jpg", "0" * 64, 1))
    assert (line.verdict, line.reason.partition(" on ")[0]) == ("not_here", "removed by anna")


MUTATIONS = st.sampled_from(
    ["none", "flip", "zero", "rename", "other_hash", "truncate", "no_hash", "wrong_size", "new"]
)
LISTS = st.lists(
    st.tuples(st.integers(0, COUNT - 1), MUTATIONS, st.integers(0, 63), st.sampled_from(["sum", "tag", "json", "tab"])),
    min_size=1,
    max_size=40,
)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(LISTS)
def test_no_mutated_list_has_a_false_safe(
    bench: Bench, tmp_path: Path, wanted: list[tuple[int, str, int, str]]
) -> None:
    """Whatever a list says, safe is only what has the hash of bytes that stand in the vault."""
    if bench.sql("SELECT id FROM media_assets WHERE verified_at IS NULL LIMIT 1"):
        bench.verify()
    standing = {hashlib.sha256(bench.at(number).read_bytes()).hexdigest(): number for number in range(COUNT)}
    lines: list[bytes] = []
    for number, mutation, at, form in wanted:
        lines.append(_written(bench, number, mutation, at, form))
    listed = tmp_path / "list.txt"
    listed.write_bytes(b"\n".join(lines) + b"\n")
    files = read_list(listed)
    assert len(files) == len(wanted), "each line is a file"
    for line, file, (number, mutation, _, _) in zip(bench.say(*files), files, wanted, strict=True):
        is_same = mutation in ("none", "rename") and file.sha256 is not None
        assert (line.verdict == "safe") <= (file.sha256 in standing)
        assert (line.verdict in ("safe", "not_reread")) == is_same, (mutation, line)
        if is_same:
            assert (line.verdict, line.kept_at) == ("safe", bench.paths[number])


def _written(bench: Bench, number: int, mutation: str, at: int, form: str) -> bytes:
    content = bench.at(number).read_bytes()
    name = bench.files[number].path
    match mutation:
        case "flip":
            flipped = bytearray(content)
            flipped[at % len(content)] ^= 1 << at % 8
            content = bytes(flipped)
        case "zero":
            content = b""
        case "rename":
            name = f"/card/upload ({at}).jpg"
        case "truncate":
            content = content[: at % len(content)]
        case "new":
            content, name = b"new %d" % at, f"/card/new {at}.jpg"
    sha256, size = hashlib.sha256(content).hexdigest(), len(content)
    if mutation == "other_hash":
        sha256 = sha256[:at] + ("0" if sha256[at] != "0" else "1") + sha256[at + 1 :]
    if mutation == "wrong_size":
        size, form = size + 1, "tab" if form in ("sum", "tag") else form
    raw = os.fsencode(name)
    if form == "json" or (form == "tab" and b"\n" in raw):
        if b"\xff" in raw:
            raw, form = raw.replace(b"\xff", b""), "json"
        said: dict[str, object] = {"path": raw.decode(), "size": size}
        return json.dumps(said if mutation == "no_hash" else {**said, "sha256": sha256}).encode()
    if mutation == "no_hash":
        raw = raw.replace(b"\n", b" ")
        return raw + b"\t%d" % size if form == "tab" else raw
    if form == "tab":
        return raw + b"\t%d\t%s" % (size, sha256.encode())
    mark = b"\\" if b"\\" in raw or b"\n" in raw else b""
    raw = raw.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    if form == "tag":
        return mark + b"SHA256 (" + raw + b") = " + sha256.encode()
    return mark + sha256.encode() + b"  " + raw


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("d41d8cd98f00b204e9800998ecf8427e  a.jpg", "SHA-256"),
        ("MD5 (a.jpg) = d41d8cd98f00b204e9800998ecf8427e", "only SHA-256"),
        ('{"path": "a.jpg"', "JSON"),
        ('{"name": "a.jpg"}', "path"),
        ('{"path": "a.jpg", "size": "1"}', "size"),
        ('{"path": "a.jpg", "sha256": "1"}', "hash"),
        ("a.jpg\tbig", "number of bytes"),
        ("a.jpg\t1\t" + "g" * 64, "hash"),
        ("a\t1\t\tb", "a name is expected"),
        ("a\0b", "no text"),
        ("\\" + "0" * 64 + "  a\\x", "escaped"),
        ("0" * 64 + "  a.jpg\r" + "1" * 64 + "  b.jpg", "carriage return"),
        ("a.jpg\rb.jpg", "carriage return"),
    ],
)
def test_a_line_that_means_nothing_is_refused(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"good.jpg\n{line}\n", newline="")
    with pytest.raises(ListProblem, match=f"line 2: .*{why}"):
        read_list(path)


def test_what_is_a_list(tmp_path: Path) -> None:
    assert all(is_list(Path(name)) for name in ("a.TXT", "SHA256SUMS", "2024-07-01.sha256", "x.jsonl"))
    assert not any(is_list(Path(name)) for name in ("a.jpg", "a.xmp", "a.json", "a.zip", "noname"))
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa.jpg\r\n\r\nb\xff.jpg\t5\r\n")
    assert read_list(path) == [Elsewhere("a.jpg", None), Elsewhere("b\udcff.jpg", None, 5)]
    path.write_bytes(b"\n")
    with pytest.raises(ListProblem, match="names no file"):
        read_list(path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ListProblem, match="cannot be read"):
        read_list(path)
