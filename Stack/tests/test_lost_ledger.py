"""A ledger that is lost, another one, or a second one, as a person meets it: what is said, and the way out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Testing.patience import wait_until
from Stack.tests.conftest import ExternalLedger
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import LIMIT, Factory, Result


def drop(factory: Factory, *numbers: int) -> None:
    factory.inbox.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))


def ingest(factory: Factory, *numbers: int) -> None:
    drop(factory, *numbers)
    assert factory.run("ingest", "--json").json()["new"] == len(numbers)


def lose_ledger(factory: Factory) -> None:
    wait_until(lambda: not factory.processes(), LIMIT, "the server stops")
    shutil.rmtree(factory.cluster.parent)


def refused(result: Result) -> str:
    assert result.code == 2
    return result.one_line()


def marker(factory: Factory) -> Path:
    return factory.originals / ".photo-factory-vault"


def test_a_lost_ledger_is_told_and_comes_back_from_the_vault(factory: Factory) -> None:
    ingest(factory, 1, 2, 3)
    vault, text = sorted(factory.vault_files()), marker(factory).read_text()
    lose_ledger(factory)
    drop(factory, 1, 4)
    elsewhere = factory.data.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "2.jpg").write_bytes(unique_jpeg(2))

    for command in (("ingest",), ("import", elsewhere), ("retry",), ("rebuild", "--missing", "--dry-run")):
        line = refused(factory.run(*command))
        assert "restore a backup" in line and "./factory rebuild --missing" in line
    status = factory.run("status", "--json").json()
    assert "rebuild --missing" in status["vault"]["wrong_ledger"]
    assert not factory.cluster.parent.exists(), "nothing was made"
    assert sorted(factory.vault_files()) == vault

    done = factory.run("rebuild", "--missing", "--json")
    assert (done.code, done.json()["filed"], done.json()["from_nothing"]) == (0, 3, True)
    assert marker(factory).read_text() == text
    again = factory.run("ingest", "--json").json()
    assert (again["new"], again["duplicates"]) == (1, 1)
    assert len(factory.vault_files()) == 4
    said = factory.run("rebuild", "--missing").out
    assert "4 files" in said and "0 filed" in said
    assert factory.run("status", "--json").json()["vault"]["wrong_ledger"] is None


def test_a_backup_brings_a_lost_ledger_back(factory: Factory) -> None:
    ingest(factory, 1, 2)
    backup = factory.data.parent / "ledger.dump"
    assert factory.run("backup", backup).code == 0
    ingest(factory, 3)
    lose_ledger(factory)
    assert factory.run("restore", backup).code == 0
    assert factory.run("rebuild", "--missing", "--json").json()["filed"] == 1
    drop(factory, 1, 3)
    assert factory.run("ingest", "--json").json()["duplicates"] == 2


def test_the_ledger_of_a_stack_that_is_down_gets_no_second_one(factory: Factory) -> None:
    """`./factory import` beside the stack's vault, as after `docker compose down`."""
    ingest(factory, 1)
    lose_ledger(factory)
    text = marker(factory).read_text()
    marker(factory).write_text(text.replace("ledger: embedded", "ledger: stack"))
    elsewhere = factory.data.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "2.jpg").write_bytes(unique_jpeg(2))
    for command in (("import", elsewhere), ("ingest",), ("rebuild", "--missing"), ("backup", elsewhere / "x")):
        assert "docker compose up -d" in refused(factory.run(*command))
    assert not factory.cluster.parent.exists(), "refused before initdb"
    assert factory.filed() == 1


def test_an_old_factory_without_ids_gets_them_by_one_start(factory: Factory) -> None:
    ingest(factory, 1)
    text = marker(factory).read_text()
    marker(factory).write_text(text.partition("\nvault_id")[0])
    factory.sql_at_rest("DELETE FROM vault")
    assert factory.run("ingest").code == 0
    [[vault_id, kind]] = factory.sql_at_rest("SELECT vault_id::text, ledger_kind FROM vault")
    assert f"vault_id: {vault_id}\nledger: {kind}\nrecorded: yes\n" in marker(factory).read_text()
    assert (factory.cluster.parent / "vault-id").read_text().strip() == vault_id


def test_another_factorys_ledger_is_refused(factory: Factory, folder: Path) -> None:
    ingest(factory, 1)
    other = Factory(folder / "other", {**factory.environment, "FACTORY_DB_DATA": str(factory.cluster.parent)})
    other.originals.mkdir(parents=True)
    marker(other).write_text(_other_id(factory))
    drop(other, 2)
    line = refused(other.run("ingest"))
    assert "belongs to another vault" in line
    assert other.filed() == 0 and os.listdir(other.inbox) == ["2.jpg"]


def _other_id(factory: Factory) -> str:
    lines = marker(factory).read_text().splitlines(keepends=True)
    return "".join(
        "vault_id: 00000000-0000-4000-8000-000000000000\n" if line.startswith("vault_id") else line for line in lines
    )


def test_a_restored_ledger_of_another_kind_is_the_vaults_from_then_on(
    factory: Factory, external_ledger: ExternalLedger
) -> None:
    ingest(factory, 1)
    backup = factory.data.parent / "ledger.dump"
    assert factory.run("backup", backup).code == 0
    programs = f"{EmbeddedPostgres(Path('/nowhere')).bin}:{os.environ['PATH']}"  # as new as the server
    moved = Factory(factory.data, {**factory.environment, "DATABASE_URL": external_ledger.url, "PATH": programs})
    drop(moved, 2)
    beside = moved.run("ingest")  # (it tells first that an empty database gets its tables)
    assert beside.code == 2 and "second one" in beside.err.splitlines()[-1]
    assert moved.run("restore", "--force", backup).code == 0
    assert moved.run("ingest", "--json").json()["new"] == 1
    assert "not-asked-for" not in marker(factory).read_text(), "no password in the marker"
    drop(factory, 3)
    assert "second one" in refused(factory.run("ingest")), "the old one counts no more"


def test_up_tells_of_a_lost_ledger_and_goes_on_by_itself_once_it_is_made_anew(factory: Factory) -> None:
    ingest(factory, 1, 2)
    lose_ledger(factory)
    drop(factory, 2, 3)
    with factory.start("up") as up:
        up.wait_for("rebuild --missing")
        wait_until(lambda: factory.named("Src.Shared.service_monitor"), LIMIT, "the others go on")
        assert not factory.cluster.exists()
        assert factory.run("rebuild", "--missing", "--json").json()["filed"] == 2
        wait_until(lambda: not any(factory.inbox.iterdir()), 2 * LIMIT, "the inbox is served")
        wait_until(lambda: factory.asked("SELECT 1 FROM system_status WHERE status = 'OK'"), LIMIT)
    assert factory.filed() == 3


def test_an_original_that_somebody_removes_is_told(factory: Factory) -> None:
    factory.environment |= {"LOOK_DELAY": "0", "HEARTBEAT_INTERVAL": "1"}
    ingest(factory, 1, 2)
    shutil.rmtree(factory.storage / ".factory" / "leaving")  # it was filed long ago: no inbox copy comes back
    first = min(factory.vault_files())
    first.unlink()
    found = factory.run("find", "1.jpg")
    assert f"GONE: {first.relative_to(factory.storage)}" in found.out
    assert factory.run("find", "1.jpg", "--json").json()["events"][0]["is"] == "gone"
    assert factory.run("find", "2.jpg", "--json").json()["events"][0]["is"] == "there"
    with factory.start("up"):
        told = "SELECT 1 FROM system_status WHERE service_name = 'librarian' AND status = 'ERROR'"
        wait_until(lambda: factory.asked(told), LIMIT, "the heartbeat tells of it")
        status = factory.run("status", "--json").json()
        assert (status["originals"]["gone"], status["originals"]["content"]) == (1, 0)
        [problem] = status["originals"]["problems"]
        assert problem["path"] == str(first.relative_to(factory.storage))
        words = factory.run("status").out
        assert str(first.relative_to(factory.storage)) in words and "./factory verify --restore-from FOLDER" in words
    factory.originals.rename(factory.storage / "away")
    assert "VAULT IS NOT THERE" in factory.run("find", "2.jpg").out
