"""Settings: defaults, one clear line for what is wrong, and an example file that tells the truth."""

from __future__ import annotations

import ast
import dataclasses
import grp
import os
import re
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from Src.Shared import settings as module
from Src.Shared.settings import PROJECT_ROOT, SettingsError, load_settings

NO_FILE = Path("no.env")
EXAMPLE = PROJECT_ROOT / ".env.example"
COMPOSE_ONLY = {  # read by docker-compose.yml, see Stack/tests/test_compose_files.py
    "PUID",
    "PGID",
    "SYNC_ADDRESS",
    "SYNC_PORT",
    "SYNCTHING_GUI_ADDRESS",
    "SYNCTHING_GUI_PORT",
    "FACTORY_SECRETS",
    "SYNCTHING_CONFIG",
    "SYNCTHING",
    "POSTGRES_IMAGE",
    "SYNCTHING_IMAGE",
    "DOCKER_PROXY_IMAGE",
    "PYTHON_IMAGE",
}


def _read_by_load_settings() -> set[str]:
    """Every name that is looked up in `values`, from the source."""
    names = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if not isinstance(node, ast.Call):
            continue
        arguments = node.args
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            arguments = [node.func.value, *node.args]
        match arguments:
            case [ast.Name("values"), ast.Constant(str(name)), *_]:
                names.add(name)
    return names


def _example() -> dict[str, str]:
    return dict(re.findall(r"^# ([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def test_the_example_names_exactly_what_is_read() -> None:
    read = _read_by_load_settings()
    assert len(read) > 20
    assert set(_example()) == read | COMPOSE_ONLY


@pytest.mark.parametrize("name", sorted(_example()))
def test_the_example_shows_the_defaults(name: str, tmp_path: Path) -> None:
    value = _example()[name]
    if name in module.PATHS:
        value = value and str(PROJECT_ROOT / value)
    # The other parts of the URL are read where there is a host.
    rest = {"DB_HOST": "db"} if name.startswith("DB_") else {}
    shown = dataclasses.replace(load_settings({name: value, **rest}, NO_FILE), db_data_is_given=False)
    assert shown == load_settings(rest, NO_FILE)


def test_every_variable_of_the_example_is_commented_out() -> None:
    assert [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")] == []


def test_one_folder_is_one_factory(tmp_path: Path) -> None:
    settings = load_settings({"FACTORY_DATA": str(tmp_path)}, NO_FILE)
    assert settings.inbox == tmp_path / "Photos_Inbox"
    assert settings.originals == tmp_path / "Storage" / "Originals"
    assert settings.state == tmp_path / "Storage" / ".factory"
    assert settings.db_data == tmp_path / "factory-db-data"
    assert settings.database_url is None


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({"FACTORY_DATA": "here"}, NO_FILE).data == tmp_path / "here"


def test_a_relative_path_in_the_file_is_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("FACTORY_DATA=mine\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_settings({}, tmp_path / ".env").data == tmp_path / "mine"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SCAN_INTERVAL=10\nBATCH_SIZE=7\n")
    settings = load_settings({"SCAN_INTERVAL": "20", "BATCH_SIZE": ""}, tmp_path / ".env")
    assert (settings.scan_interval, settings.batch_size) == (20, 7)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("STABILITY_DELAY", "soon", "a number"),
        ("STABILITY_DELAY", "-1", "0 or more"),
        ("STABILITY_DELAY", "nan", "a number"),
        ("STABILITY_DELAY", "inf", "a number"),
        ("BATCH_SIZE", "0", "1 or more"),
        ("BATCH_SIZE", "1.5", "a whole number"),
        ("WATCH_MODE", "sometimes", "auto, events, polling"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING, ERROR"),
        ("LOG_FORMAT", "xml", "text, json"),
        ("TZ", "Mars/Olympus", "Europe/Berlin"),
        ("TZ", "../../etc/passwd", "Europe/Berlin"),
        ("DB_PORT", "x", "a whole number"),
        ("FACTORY_DATA", "~nobody-has-this-name/x", "no usable path"),
        ("FACTORY_DATA", __file__, "is a file"),
        ("MAP_TILES", "https://tile.example.org/", "{z}/{x}/{y}"),
        ("MAP_TILES", "https://tile.example.org/{z}/{x}/{y}/{key}.png", "{z}/{x}/{y}"),
        ("MAP_TILES", "https://tile.example.org; script-src *; x/{z}/{x}/{y}.png", "{z}/{x}/{y}"),
        ("MAP_TILES", "ftp://tile.example.org/{z}/{x}/{y}.png", "{z}/{x}/{y}"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value, "DB_HOST": "db"}, NO_FILE)
    message = str(caught.value)
    assert message.startswith(name) and says in message and "\n" not in message


def test_a_file_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"TZ=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env: cannot be read"):
        load_settings({}, tmp_path / ".env")


def test_choices_may_be_written_in_any_case() -> None:
    settings = load_settings({"LOG_LEVEL": "debug", "WATCH_MODE": "Polling", "LOG_FORMAT": "JSON"}, NO_FILE)
    assert (settings.log_level, settings.watch_mode, settings.log_format) == ("DEBUG", "polling", "json")


@pytest.mark.parametrize(
    "address", ["https://tile.example.org/{z}/{x}/{y}.png", "http://{s}.tiles:8080/v1/{z}/{y}/{x}{r}.webp?key=a-b_c"]
)
def test_tiles_may_be_anywhere(address: str) -> None:
    assert load_settings({"MAP_TILES": address}, NO_FILE).map_tiles == address
    assert load_settings({}, NO_FILE).map_tiles is None


def test_no_number_of_workers_means_all_cores() -> None:
    assert load_settings({}, NO_FILE).readers == len(os.sched_getaffinity(0))
    assert load_settings({"READERS": "3"}, NO_FILE).readers == 3


@pytest.mark.parametrize(("now", "before"), sorted(module.RENAMED.items()))
def test_a_setting_of_an_earlier_name_is_still_read(now: str, before: str) -> None:
    assert now in _example() and before not in _example()
    by_now = load_settings({now: "3"}, NO_FILE)
    assert by_now != load_settings({}, NO_FILE)
    assert load_settings({before: "3"}, NO_FILE) == load_settings({now: "3", before: "5"}, NO_FILE) == by_now


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_a_database_url_gets_its_driver(scheme: str) -> None:
    url = load_settings({"DATABASE_URL": f"{scheme}://u:p@h/d"}, NO_FILE).database_url
    assert url == "postgresql+psycopg2://u:p@h/d"


def test_a_wrong_database_url_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="postgresql://") as caught:
        load_settings({"DATABASE_URL": "mysql://u:secret@h/d"}, NO_FILE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["simple", "p@ss:w/rd?#%&", "pässwörd"])
def test_the_parts_of_a_url_are_quoted(password: str) -> None:
    values = {"DB_HOST": "db.example", "DB_PORT": "5433", "DB_USERNAME": "me@home", "DB_PASSWORD": password}
    text = load_settings(values, NO_FILE).database_url
    assert text is not None
    url = make_url(text)
    assert (url.host, url.port, url.username, url.password) == ("db.example", 5433, "me@home", password)
    assert url.database == "photo_factory"


@pytest.mark.parametrize("host", ["/run/postgresql", "::1", "[::1]"])
def test_a_host_may_be_a_socket_or_ipv6(host: str) -> None:
    text = load_settings({"DB_HOST": host}, NO_FILE).database_url
    assert text is not None
    url = make_url(text)
    assert (url.host or url.query["host"]) == host.strip("[]")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_settings({}, NO_FILE).batch_size = 3  # type: ignore[misc]


def test_a_group_by_name_or_number() -> None:
    ours = grp.getgrgid(os.getegid())
    if ours.gr_gid != 0:
        assert load_settings({"FACTORY_GROUP": ours.gr_name}, NO_FILE).group == ours.gr_gid
        assert load_settings({"FACTORY_GROUP": str(ours.gr_gid)}, NO_FILE).group == ours.gr_gid
    assert load_settings({}, NO_FILE).group is None


@pytest.mark.parametrize("group", ["no such group", "0", "-1", "4294967295", "1.5"])
def test_a_group_that_is_none_is_refused(group: str) -> None:
    with pytest.raises(SettingsError, match=f"^FACTORY_GROUP={group}: "):
        load_settings({"FACTORY_GROUP": group}, NO_FILE)


def test_only_a_group_that_one_is_in_can_be_given_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(SettingsError, match="not in that group"):
        load_settings({"FACTORY_GROUP": "54321"}, NO_FILE)
