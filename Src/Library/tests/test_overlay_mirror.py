"""The mirror alone reproduces every decision; and what kills, full disks and strange files make of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from Src.Library.overlay import albums, changes
from Src.Library.overlay import mirror as mirror_module
from Src.Library.overlay.lines import read_line
from Src.Library.overlay.mirror import Mirror, Unread
from Src.Library.overlay.replay import replay, settle
from Src.Library.tests.overlay_bench import OverlayBench, sha256_of
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.settings import PROJECT_ROOT, Settings


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> OverlayBench:
    return OverlayBench(factory_settings, database)


def lines_of(bench: OverlayBench) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for path in bench.mirror.files()
        for line in (bench.vault.storage / path).read_bytes().splitlines()
    ]


def replayed(bench: OverlayBench) -> list[Unread]:
    with bench.database.session() as session:
        return replay(session, bench.mirror).unread


# Everything comes back


def act(bench: OverlayBench, chance: random.Random) -> None:
    """One act of any kind, about some of the originals."""
    some = " or ".join(f"{number}.jpg" for number in chance.sample(range(bench.originals), chance.randint(1, 4)))
    word = chance.choice(["Oma", "oma", "Meer", 'Ä "\\ \U0001f4f7'])
    name = chance.choice(["Sommer", "sommer", "Winter"])
    match chance.randrange(12):
        case 0:
            bench.decide(changes.rate(chance.randrange(6)), some)
        case 1:
            bench.decide(changes.favour(chance.random() < 0.5), some)
        case 2:
            bench.decide(changes.place(chance.uniform(-90, 90), chance.uniform(-180, 180)), some)
        case 3:
            bench.decide(changes.tag([word, "x"], remove=False), some)
        case 4:
            bench.decide(changes.tag([word], remove=True), some)
        case 5:
            bench.decide(changes.title(chance.choice(["", "Titel \\ \n zwei"])), some)
        case 6:
            bench.decide(changes.describe(chance.choice(["", "Wie es war"])), some)
        case 7:
            bench.decide(changes.rotate(chance.choice([90, 180, 270])), some)
        case 8:
            bench.decide(changes.hide(chance.random() < 0.5), some)
        case 9:
            bench.decide(albums.add(name), some)
        case 10:
            bench.remove_from_album(name, some)
        case 11:
            acts = bench.state()["acts"]
            bench.undo(chance.choice(acts)[0] if acts and chance.random() < 0.6 else None)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_the_mirror_alone_reproduces_every_decision(bench: OverlayBench, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        act(bench, chance)
        if chance.random() < 0.2:
            bench.bring_up()
    bench.bring_up()
    before = bench.state()
    assert before["events"]
    bench.lose_ledger()
    assert bench.state() != before
    assert replayed(bench) == []
    assert bench.state() == before
    assert replayed(bench) == []
    assert bench.state() == before, "to replay twice does no harm"
    # What is in the ledger is enough where only rows of originals were made anew.
    with bench.database.session() as session:
        session.execute(text("TRUNCATE media_assets, asset_tags, album_items"))
    bench.fill()
    with bench.database.session() as session:
        settle(session, [sha256_of(number) for number in range(bench.originals)])
    assert bench.state() == before


def test_a_date_comes_back_too(bench: OverlayBench) -> None:
    event = {
        "event": str(uuid.uuid4()),
        "act": str(uuid.uuid4()),
        "at": "2026-01-01T00:00:00+00:00",
        "who": "ada",
        "original": sha256_of(0),
        "field": "captured_at",
        "before": None,
        "after": {
            "captured_at": "1999-12-31T23:59:58",
            "captured_at_offset": -180,
            "date_source": "overlay",
            "date_precision": "day",
        },
        "undoes": None,
    }
    folder = bench.vault.storage / "Overlay" / "2026"
    folder.mkdir(parents=True)
    (folder / "2026-01.jsonl").write_text(json.dumps(event) + "\n")
    assert replayed(bench) == []
    names = ("captured_at", "captured_at_offset", "date_source", "date_precision")
    assert [bench.of(0, name) for name in names] == [datetime(1999, 12, 31, 23, 59, 58), -180, "overlay", "day"]


def test_decisions_about_what_the_ledger_does_not_know_are_kept_until_it_comes(bench: OverlayBench) -> None:
    bench.decide(changes.rate(4), "0.jpg")
    bench.bring_up()
    bench.lose_ledger()
    with bench.database.session() as session:
        session.execute(text(f"DELETE FROM media_assets WHERE file_hash = '{sha256_of(0)}'"))
    with bench.database.session() as session:
        done = replay(session, bench.mirror)
    assert (done.events, done.originals, done.unknown) == (1, 1, 1)
    with bench.database.session() as session:
        session.execute(text("TRUNCATE media_assets, asset_tags"))
    bench.fill()
    with bench.database.session() as session:
        assert settle(session, [sha256_of(0), sha256_of(1)]) == 1
    assert (bench.of(0, "rating"), bench.of(1, "rating")) == (4, 1)


# The files


def test_the_lines_are_there_for_their_owner_only_and_in_order(bench: OverlayBench) -> None:
    bench.decide(changes.rate(4), "0.jpg")
    bench.decide(changes.title("Zwei"), "0.jpg or 1.jpg")
    assert bench.bring_up() == 3
    assert bench.bring_up() == 0
    [path] = bench.mirror.files()
    assert path == f"Overlay/{datetime.now(UTC):%Y/%Y-%m}.jsonl"
    assert [line.get("kind") or line["field"] for line in lines_of(bench)] == [
        *("rate", "rating", "title", "title", "title")
    ]
    modes = [os.stat(bench.vault.storage / one).st_mode & 0o777 for one in (path, Path(path).parent, "Overlay")]
    assert modes == [0o600, 0o700, 0o700]


@pytest.mark.parametrize("is_another_month", [False, True])
def test_what_an_older_ledger_decides_hides_not_what_it_lacks(bench: OverlayBench, is_another_month: bool) -> None:
    bench.decide(changes.rate(1))
    bench.bring_up()
    with bench.database.session() as session:
        assert not bench.mirror.knows_more(session)
        session.execute(text("CREATE TABLE backup AS TABLE overlay_events"))
    bench.decide(changes.rate(5))
    bench.bring_up()
    with bench.database.session() as session:
        session.execute(text("TRUNCATE overlay_events"))
        session.execute(text("INSERT INTO overlay_events OVERRIDING SYSTEM VALUE TABLE backup"))
        session.execute(text("UPDATE overlay_events SET is_mirrored = true"))
        session.execute(text("DROP TABLE backup"))
        assert bench.mirror.knows_more(session)
    bench.decide(changes.title("since"), "0.jpg")
    later = Mirror(bench.vault, lambda: datetime(2099, 1, 1, tzinfo=UTC)) if is_another_month else bench.mirror
    later.bring_up(bench.database, None)
    assert len(bench.mirror.files()) == 1 + is_another_month
    with bench.database.session() as session:
        assert bench.mirror.knows_more(session)
        replay(session, bench.mirror)
        assert not bench.mirror.knows_more(session)


def test_a_clock_that_went_back_changes_no_order(bench: OverlayBench) -> None:
    later, earlier = datetime(2027, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)
    bench.decide(changes.rate(1), "5.jpg")
    Mirror(bench.vault, lambda: later).bring_up(bench.database, None)
    bench.decide(changes.rate(2), "5.jpg")
    Mirror(bench.vault, lambda: earlier).bring_up(bench.database, None)
    assert bench.mirror.files() == ["Overlay/2027/2027-01.jsonl"]
    bench.lose_ledger()
    replayed(bench)
    assert bench.of(5, "rating") == 2


def test_a_line_that_was_cut_off_harms_no_other(bench: OverlayBench) -> None:
    bench.decide(changes.rate(4), "0.jpg")
    bench.bring_up()
    path = bench.vault.storage / bench.mirror.files()[0]
    with open(path, "ab") as file:
        file.write(b'{"event": "01')
    bench.decide(changes.rate(5), "0.jpg")
    bench.bring_up()
    bench.lose_ledger()
    [unread] = replayed(bench)
    assert unread.where == f"{bench.mirror.files()[0]}:3"
    assert bench.of(0, "rating") == 5


def test_a_mirror_that_was_lost_is_written_anew_as_a_whole(bench: OverlayBench) -> None:
    bench.decide(changes.rate(4), "0.jpg")
    bench.bring_up()
    os.rename(bench.vault.storage / "Overlay", bench.vault.storage / "elsewhere")
    bench.decide(changes.title("x"), "0.jpg")
    assert bench.bring_up() == 2
    assert [line.get("kind") or line["field"] for line in lines_of(bench)] == ["rate", "rating", "title", "title"]


GOOD: dict[str, object] = {
    "event": str(uuid.uuid4()),
    "act": str(uuid.uuid4()),
    "at": "2026-01-01T00:00:00+00:00",
    "who": "ada",
    "original": sha256_of(0),
    "field": "rating",
    "before": None,
    "after": 5,
    "undoes": None,
}
BAD: list[dict[str, object]] = [
    {"after": "5"},
    {"after": 1000},
    {"after": True},
    {"original": "../../etc/passwd"},
    {"original": None},
    {"original": 5},
    {"field": "final_path"},
    {"field": "rotation", "after": 45},
    {"field": "title", "after": "a\0b"},
    {"field": "title", "after": "\ud800"},
    {"field": "location", "after": {"lat": 1}},
    {"field": "location", "after": {"lat": float("nan"), "lon": 1}},
    {"field": "location", "after": {"lat": float("inf"), "lon": 1}},
    {"field": "album", "after": {"id": "x", "name": "y", "position": 1}},
    {"field": "album", "after": None},
    {"field": "tag", "after": 5},
    {"field": "removed", "after": "gone"},
    {"field": "captured_at", "after": {"captured_at": "yesterday"}},
    {"at": "2026-01-01"},
    {"act": "x"},
    {"event": None},
]


@pytest.mark.parametrize("wrong", BAD, ids=str)
def test_what_is_none_of_our_lines_is_refused(wrong: dict[str, object]) -> None:
    assert read_line(json.dumps(GOOD).encode()).who == "ada"
    with pytest.raises(ValueError, match=r"\w"):
        read_line(json.dumps({**GOOD, **wrong}).encode())


def test_lines_that_are_none_of_ours_are_reported_and_the_rest_is_read(bench: OverlayBench) -> None:
    folder = bench.vault.storage / "Overlay" / "2026"
    folder.mkdir(parents=True)
    lines = [json.dumps({**GOOD, **wrong}) for wrong in BAD]
    lines += ["[]", "5", "{", "[" * 100_000, "", json.dumps(GOOD), "\0"]
    (folder / "2026-01.jsonl").write_text("\n".join(lines))
    unread = replayed(bench)
    wrong = [*range(1, len(BAD) + 5), len(lines)]
    assert [one.where for one in unread] == [f"Overlay/2026/2026-01.jsonl:{number}" for number in wrong]
    assert bench.of(0, "rating") == 5


def test_other_files_beside_the_mirror_are_left_alone(bench: OverlayBench) -> None:
    overlay = bench.vault.storage / "Overlay"
    (overlay / "2026").mkdir(parents=True)
    for name in ("notes.txt", "2026/2026-13.jsonl", "2026/2025-01.jsonl", "2026/.2026-01.jsonl.swp"):
        (overlay / name).write_text("mine\n")
    assert bench.mirror.files() == []
    assert replayed(bench) == []


@pytest.mark.parametrize("name", ["Overlay", "Overlay/{year}", "Overlay/{year}/{year}-{month}.jsonl"])
def test_no_link_leads_out_of_the_mirror(bench: OverlayBench, tmp_path: Path, name: str) -> None:
    now = datetime.now(UTC)
    path = bench.vault.storage / name.format(year=now.year, month=f"{now.month:02}")
    path.parent.mkdir(parents=True, exist_ok=True)
    target = tmp_path / "elsewhere"
    if name.endswith("jsonl"):
        target.write_bytes(b"")
    else:
        target.mkdir()
    path.symlink_to(target)
    bench.decide(changes.rate(4), "0.jpg")
    with pytest.raises(VaultTrouble):
        bench.bring_up()
    assert target.read_bytes() == b"" if target.is_file() else list(target.iterdir()) == []
    assert bench.state()["events"], "the decision is made all the same"
    path.unlink()
    assert bench.bring_up() == 1


@pytest.mark.parametrize("what", ["fifo", "folder"])
def test_what_stands_in_the_place_of_a_file_is_the_vaults_trouble(bench: OverlayBench, what: str) -> None:
    path = bench.vault.storage / "Overlay" / f"{datetime.now(UTC):%Y/%Y-%m}.jsonl"
    path.parent.mkdir(parents=True)
    os.mkfifo(path) if what == "fifo" else path.mkdir()
    bench.decide(changes.rate(4), "0.jpg")
    with pytest.raises(VaultTrouble):
        bench.bring_up()
    [unread] = replayed(bench)
    assert unread.where == f"Overlay/{datetime.now(UTC):%Y/%Y-%m}.jsonl"


def test_without_the_vault_nothing_is_made_in_its_place(bench: OverlayBench) -> None:
    bench.decide(changes.rate(4), "0.jpg")
    (bench.vault.originals / ".photo-factory-vault").unlink()
    with pytest.raises(VaultTrouble):
        bench.bring_up()
    assert not (bench.vault.storage / "Overlay").exists()


def test_a_write_that_fails_leaves_no_half_of_it(bench: OverlayBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.decide(changes.rate(4), "0.jpg")
    bench.bring_up()
    path = bench.vault.storage / bench.mirror.files()[0]
    size = path.stat().st_size
    bench.decide(changes.title("x" * 500), "0.jpg")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(mirror_module, "fsync", full)
        with pytest.raises(VaultTrouble, match="disk is full"):
            bench.bring_up()
    assert path.stat().st_size == size
    assert bench.bring_up() == 1


_KILLED = """
import os, signal, sys
from pathlib import Path
from Src.Library.overlay import mirror
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.settings import load_settings

settings = load_settings(dict(FACTORY_DATA=sys.argv[1], DATABASE_URL=sys.argv[2]), Path(sys.argv[3]))
mirror._AT_ONCE = 2
left = int(sys.argv[4])
real = getattr(mirror, sys.argv[5])

def once_more(*given, **named):
    global left
    done = real(*given, **named) if sys.argv[6] == "after" else None
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done if sys.argv[6] == "after" else real(*given, **named)

setattr(mirror, sys.argv[5], once_more)
mirror.Mirror(Vault(settings.storage)).bring_up(Database(settings), None)
"""


@pytest.mark.parametrize(
    ("call", "when"), [("_append_to", "before"), ("_append_to", "after"), ("fsync", "before"), ("_waiting", "after")]
)
def test_a_kill_between_writing_and_marking_loses_and_doubles_nothing(
    bench: OverlayBench, factory_settings: Settings, tmp_path: Path, call: str, when: str
) -> None:
    for rating in (1, 2, 3):
        bench.decide(changes.rate(rating), "0.jpg or 1.jpg or 5.jpg")
    before = bench.state()
    given = [str(factory_settings.data), str(factory_settings.database_url), str(tmp_path / "no.env")]
    kills = 0
    for number in (2, 1, 2, 1):
        program = [sys.executable, "-c", _KILLED, *given, str(number), call, when]
        ended = subprocess.run(program, cwd=PROJECT_ROOT, capture_output=True, check=False)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        kills += ended.returncode != 0
    assert kills >= 2
    bench.bring_up()
    ids = [line["event"] for line in lines_of(bench) if "event" in line]
    assert set(ids) == {str(row[0]) for row in before["events"]}
    bench.lose_ledger()
    assert replayed(bench) == []
    assert bench.state() == before
