"""Passwords and folders of the Docker stack: made once, kept for ever, each service its own."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from Src.Shared import stack_init, stack_roles
from Src.Shared.stack_folders import FOLDERS
from Src.Shared.stack_init import HOLDERS, README, InitError, Owner, Places, new_secret, prepare

ME = Owner(os.geteuid(), os.getegid())


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The folders as Docker gives them: empty."""
    monkeypatch.setattr(stack_init, "POSTGRES", ME)  # only root may give files away
    places = Places(*(tmp_path / name for name in ("data", "secrets", "syncthing", "ledger")))
    for folder in (places.data, places.secrets, places.syncthing, places.ledger):
        folder.mkdir()
    return places


def _secrets(places: Places) -> dict[str, str]:
    """All but what PostgreSQL's container is told of them."""
    files = [path for path in sorted(places.secrets.glob("*/*")) if path.suffix != ".sql"]
    return {str(path.relative_to(places.secrets)): path.read_text() for path in files}


def test_everything_is_made_from_nothing(places: Places) -> None:
    prepare(places, ME, {})
    assert all((places.data / folder).is_dir() for folder in FOLDERS)
    secrets = _secrets(places)
    assert set(secrets) == {f"{service}/{name}" for name, services in HOLDERS.items() for service in services}
    for name, services in HOLDERS.items():
        values = {secrets[f"{service}/{name}"] for service in services}
        assert len(values) == 1, "all who share a secret have the same"
        assert len(values.pop()) >= 24 or name == "alert_urls"
    made = {name: secrets[f"{services[0]}/{name}"] for name, services in HOLDERS.items()}
    assert len(set(made.values())) == len(made), "no secret is used twice"


def test_only_the_owner_reads_a_secret(places: Places) -> None:
    prepare(places, ME, {})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in places.secrets.glob("*/*")}
    assert modes == {0o400}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in places.secrets.iterdir() if path.is_dir()}
    assert folders == {0o700}


def test_the_next_start_changes_nothing(places: Places) -> None:
    prepare(places, ME, {})
    before = _secrets(places)
    prepare(places, ME, {})
    assert _secrets(places) == before


def test_a_copy_that_is_missing_is_made_from_the_others(places: Places) -> None:
    """As after a start that was killed half-way, or a service that came with an upgrade."""
    prepare(places, ME, {})
    before = _secrets(places)
    (places.secrets / "factory-db" / "db_password").unlink()
    (places.secrets / "service-monitor" / "syncthing_api_key").unlink()
    (places.secrets / "service-monitor" / "syncthing_api_key").touch()
    prepare(places, ME, {})
    assert _secrets(places) == before


def test_a_secret_that_a_service_no_longer_needs_goes(places: Places) -> None:
    """And where it was the only copy its value stays."""
    prepare(places, ME, {})
    (places.secrets / "syncthing" / "syncthing_gui_password").rename(
        places.secrets / "service-monitor" / "syncthing_gui_password"
    )
    before = (places.secrets / "service-monitor" / "syncthing_gui_password").read_text()
    prepare(places, ME, {})
    assert not (places.secrets / "service-monitor" / "syncthing_gui_password").exists()
    assert (places.secrets / "syncthing" / "syncthing_gui_password").read_text() == before


def test_what_a_person_has_set_counts(places: Places) -> None:
    prepare(places, ME, {})
    prepare(places, ME, {"dashboard_password": "my own", "alert_urls": "ntfy://topic"})
    assert _secrets(places)["dashboard/dashboard_password"] == "my own"
    assert _secrets(places)["service-monitor/alert_urls"] == "ntfy://topic"
    prepare(places, ME, {})
    assert _secrets(places)["dashboard/dashboard_password"] == "my own", "kept when it is no longer said"


def test_new_secrets_differ() -> None:
    assert len({new_secret() for _ in range(100)}) == 100


def test_folders_that_cannot_be_made_are_one_clear_line(places: Places) -> None:
    (places.data / "Storage").write_text("a file is in the way")
    with pytest.raises(InitError, match=r"^FACTORY_DATA/Storage is not a folder; ") as caught:
        prepare(places, ME, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "me", "-1", "1.5"])
def test_an_owner_that_is_no_number(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PUID", value)
    monkeypatch.setenv("PGID", "1000")
    assert stack_init.main() == 2
    assert capsys.readouterr().err == f"PUID={value}: should be a number; `id -u` and `id -g` show yours\n"


def test_each_folder_says_that_it_must_stay(places: Places) -> None:
    prepare(places, ME, {})
    for folder in (places.secrets, places.syncthing, places.ledger):
        assert "not delete" in (folder / README).read_text()
        (folder / README).write_text("my own words")
    prepare(places, ME, {})
    assert (places.ledger / README).read_text() == "my own words"


def test_where_the_host_has_its_own_syncthing_nobody_looks_for_the_stacks(places: Places) -> None:
    prepare(places, ME, {}, with_syncthing=False)
    holders = ("syncthing", "service-monitor", "dashboard")
    keys = [(places.secrets / holder / "syncthing_api_key").read_text() for holder in holders]
    assert keys[0] and keys[1:] == ["", ""]
    prepare(places, ME, {})
    keys = [(places.secrets / holder / "syncthing_api_key").read_text() for holder in holders]
    assert len(set(keys)) == 1 and keys[0], "the same again, where the stack has one again"


def test_the_ledger_of_another_way_to_run_is_not_taken(places: Places) -> None:
    (places.ledger / "18").mkdir()
    (places.ledger / "18" / "PG_VERSION").touch()
    with pytest.raises(InitError, match="a database without Docker"):
        prepare(places, ME, {})


def test_a_folder_of_something_else_is_no_place_for_the_ledger(places: Places) -> None:
    (places.ledger / "holiday.jpg").touch()
    before = places.ledger.stat()
    with pytest.raises(InitError, match=r"holds something else than a database \(holiday\.jpg\)"):
        prepare(places, ME, {})
    after = places.ledger.stat()
    assert (before.st_uid, before.st_mode) == (after.st_uid, after.st_mode)
    assert os.listdir(places.ledger) == ["holiday.jpg"]


VAULTS = ("6f0a1c1e-5a7b-4c53-9a43-0c7a3ad5a0c1", "b7a1d9b2-6a0e-4a2e-8f5e-55b0a5a1d0c2")


def _marked(data: Path, vault: str | None, kind: str = "stack") -> None:
    originals = data / "Storage" / "Originals"
    originals.mkdir(parents=True, exist_ok=True)
    line = f"\nvault_id: {vault}\nledger: {kind}\n" if vault else ""
    (originals / ".photo-factory-vault").write_text(f"This file marks the vault of a Photo Factory.\n{line}")


def _ledger_is_made(places: Places) -> None:
    (places.ledger / "18" / "docker").mkdir(parents=True)
    (places.ledger / "18" / "docker" / "PG_VERSION").touch()


def test_a_vault_with_a_ledger_of_another_kind_gets_no_second_one(places: Places) -> None:
    _marked(places.data, VAULTS[0], "embedded")
    with pytest.raises(InitError, match="a second one"):
        prepare(places, ME, {})


def test_the_photos_of_another_vault_are_refused(places: Places) -> None:
    prepare(places, ME, {})
    _ledger_is_made(places)
    _marked(places.data, VAULTS[0])
    prepare(places, ME, {})  # they belong together from now on
    prepare(places, ME, {})
    _marked(places.data, VAULTS[1])
    with pytest.raises(
        InitError, match=f"belongs to another vault .{VAULTS[0]}. than the one in FACTORY_DATA"
    ) as caught:
        prepare(places, ME, {})
    assert "\n" not in str(caught.value)
    _marked(places.data, VAULTS[0])
    prepare(places, ME, {})


def test_a_vault_without_an_id_and_a_new_ledger_are_taken(places: Places) -> None:
    """Of an earlier version; and a disk that is not mounted has no marker at all."""
    _marked(places.data, None)
    _ledger_is_made(places)
    prepare(places, ME, {})
    assert not (places.ledger / "vault-id").exists()
    shutil.rmtree(places.ledger / "18")
    _marked(places.data, VAULTS[0])
    prepare(places, ME, {})
    assert not (places.ledger / "vault-id").exists(), "it is not said before there is a ledger"


@pytest.mark.parametrize("name", ["Two", "a.b", "-a", "ü", "a b"])
def test_a_name_that_is_none(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FACTORY_NAME", name)
    assert stack_init.main() == 2
    assert capsys.readouterr().err.startswith(f"FACTORY_NAME={name}: use small letters")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_folders_of_root_get_their_owner_and_others_keep_theirs(places: Places) -> None:
    data = places.data
    (data / "Storage").mkdir(parents=True)
    os.chown(data / "Storage", 5555, 5555)
    (places.syncthing / "config").mkdir()
    (places.syncthing / "config" / "config.xml").touch()
    prepare(places, Owner(4321, 4322), {})
    assert _owner(data) == _owner(data / "Photos_Inbox") == (4321, 4322)
    assert _owner(data / "Storage") == (5555, 5555)
    assert _owner(places.syncthing / "config" / "config.xml") == (4321, 4322)
    assert _owner(places.secrets / "dashboard" / "dashboard_password") == (4321, 4322)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_root_follows_nobody_out_of_syncthings_folder(places: Places, tmp_path: Path) -> None:
    """Who may write there plants links: to a folder, to a file, and a hard link."""
    (tmp_path / "elsewhere").mkdir()
    victim = tmp_path / "elsewhere" / "shadow"
    victim.touch()
    (places.syncthing / "folder").symlink_to(tmp_path / "elsewhere")
    (places.syncthing / "file").symlink_to(victim)
    os.link(victim, places.syncthing / "hard")
    prepare(places, Owner(4321, 4322), {})
    assert _owner(victim) == (0, 0)


def _owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def test_the_databases_container_is_told_what_to_keep_of_passwords_and_no_password(places: Places) -> None:
    prepare(places, ME, {"db_password": "it's mine"})
    told = (places.secrets / "factory-db" / "roles.sql").read_text()
    assert "photo_factory" in (places.secrets / "factory-db" / "databases.sql").read_text()
    for name in stack_roles.HOLDERS:
        (holder, *_) = stack_roles.HOLDERS[name]
        assert (places.secrets / holder / name).read_text() not in told
    assert told.count("PASSWORD 'SCRAM-SHA-256$") == len(stack_roles.HOLDERS)


def test_a_password_that_is_not_a_services_any_more_is_taken_from_it(places: Places) -> None:
    """An earlier version gave everybody the password of the ledger's owner, who was a superuser then."""
    for service in ("factory-db", "librarian", "dashboard", "service-monitor"):
        (places.secrets / service).mkdir()
        (places.secrets / service / "db_password").write_text("as it was")
    prepare(places, ME, {})
    holders = {path.parent.name for path in places.secrets.glob("*/db_password")}
    assert holders == {"factory-db", "migrate"}
    assert {path.read_text() for path in places.secrets.glob("*/db_password")} == {"as it was"}
