"""Passwords and folders of the Docker stack: made once, kept for ever, each service its own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from Src.Shared import stack_init
from Src.Shared.stack_init import FOLDERS, HOLDERS, InitError, Owner, new_secret, prepare

ME = Owner(os.geteuid(), os.getegid())


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """Data, volumes and Syncthing's folder, as Docker gives them: empty."""
    monkeypatch.setattr(stack_init, "POSTGRES", ME)  # only root may give files away
    volumes = tmp_path / "secrets"
    for service in {service for holders in HOLDERS.values() for service in holders}:
        (volumes / service).mkdir(parents=True)
    (tmp_path / "syncthing").mkdir()
    return tmp_path / "data", volumes, tmp_path / "syncthing"


def _secrets(volumes: Path) -> dict[str, str]:
    return {str(path.relative_to(volumes)): path.read_text() for path in sorted(volumes.glob("*/*"))}


def test_everything_is_made_from_nothing(places: tuple[Path, Path, Path]) -> None:
    data, volumes, _ = places
    prepare(*places, ME, {})
    assert all((data / folder).is_dir() for folder in FOLDERS)
    secrets = _secrets(volumes)
    assert set(secrets) == {f"{service}/{name}" for name, services in HOLDERS.items() for service in services}
    for name, services in HOLDERS.items():
        values = {secrets[f"{service}/{name}"] for service in services}
        assert len(values) == 1, "all who share a secret have the same"
        assert len(values.pop()) >= 24 or name == "alert_urls"
    made = {name: secrets[f"{services[0]}/{name}"] for name, services in HOLDERS.items()}
    assert len(set(made.values())) == len(made), "no secret is used twice"


def test_only_the_owner_reads_a_secret(places: tuple[Path, Path, Path]) -> None:
    prepare(*places, ME, {})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in places[1].glob("*/*")}
    assert modes == {0o400}


def test_the_next_start_changes_nothing(places: tuple[Path, Path, Path]) -> None:
    prepare(*places, ME, {})
    before = _secrets(places[1])
    prepare(*places, ME, {})
    assert _secrets(places[1]) == before


def test_a_copy_that_is_missing_is_made_from_the_others(places: tuple[Path, Path, Path]) -> None:
    """As after a start that was killed half-way, or a service that came with an upgrade."""
    prepare(*places, ME, {})
    before = _secrets(places[1])
    (places[1] / "factory-db" / "db_password").unlink()
    (places[1] / "librarian" / "db_password").unlink()
    (places[1] / "librarian" / "db_password").touch()
    prepare(*places, ME, {})
    assert _secrets(places[1]) == before


def test_what_a_person_has_set_counts(places: tuple[Path, Path, Path]) -> None:
    prepare(*places, ME, {})
    prepare(*places, ME, {"dashboard_password": "my own", "alert_urls": "ntfy://topic"})
    assert _secrets(places[1])["dashboard/dashboard_password"] == "my own"
    assert _secrets(places[1])["service-monitor/alert_urls"] == "ntfy://topic"
    prepare(*places, ME, {})
    assert _secrets(places[1])["dashboard/dashboard_password"] == "my own", "kept when it is no longer said"


def test_new_secrets_differ() -> None:
    assert len({new_secret() for _ in range(100)}) == 100


def test_folders_that_cannot_be_made_are_one_clear_line(places: tuple[Path, Path, Path]) -> None:
    data, _, _ = places
    data.parent.joinpath("data").write_text("a file is in the way")
    with pytest.raises(
        InitError, match=r"^FACTORY_DATA: cannot make .*data.*PUID:PGID.*docker compose up -d"
    ) as caught:
        prepare(*places, ME, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "me", "-1", "1.5"])
def test_an_owner_that_is_no_number(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PUID", value)
    monkeypatch.setenv("PGID", "1000")
    assert stack_init.main() == 2
    assert capsys.readouterr().err == f"PUID={value}: should be a number; `id -u` and `id -g` tell yours\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_folders_of_root_get_their_owner_and_others_keep_theirs(places: tuple[Path, Path, Path]) -> None:
    data, volumes, syncthing = places
    (data / "Storage").mkdir(parents=True)
    os.chown(data / "Storage", 5555, 5555)
    (syncthing / "config").mkdir()
    (syncthing / "config" / "config.xml").touch()
    prepare(*places, Owner(4321, 4322), {})
    assert _owner(data) == _owner(data / "Photos_Inbox") == (4321, 4322)
    assert _owner(data / "Storage") == (5555, 5555)
    assert _owner(syncthing / "config" / "config.xml") == (4321, 4322)
    assert _owner(volumes / "dashboard" / "dashboard_password") == (4321, 4322)


def _owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid
