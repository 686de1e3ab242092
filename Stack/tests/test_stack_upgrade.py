"""Restarts and upgrades of the stack: whatever is stopped, removed or replaced, nothing is lost."""

from __future__ import annotations

import hashlib
import uuid
from signal import SIGTERM

import pytest

from Src.Shared.migrations import HEAD
from Src.Testing.patience import wait_until
from Stack.tests.real_factory import SAMPLES
from Stack.tests.stack import LIMIT, OURS, SERVICES, Stack, docker, docker_says

pytestmark = pytest.mark.stack

PHOTOS = ("Canon_40D.jpg", "Kodak_CX7530.jpg", "Nikon_D70.jpg")
OLD_ROWS = 500

# Runs in the librarian's image: the ledger of the very first version.
FIRST_SCHEMA = """
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from Src.Shared import migrations
from Src.Shared.settings import load_settings
config = Config()
config.set_main_option("script_location", migrations.__path__[0])
with create_engine(load_settings().database_url).connect() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
"""


def _ingest(stack: Stack, folder: str) -> dict[str, str]:
    """Files some photos; their SHA-256 by path below the storage."""
    for name in PHOTOS:
        stack.drop(f"{folder}/{name}", (SAMPLES / name).read_bytes() + folder.encode())
    rows = stack.filed(len(PHOTOS), where=f"original_path LIKE '{folder}/%'")
    return {path: sha256 for _, path, sha256 in rows}


def _assert_there(stack: Stack, originals: dict[str, str]) -> None:
    rows = dict(stack.sql("SELECT final_path, file_hash FROM media_assets"))
    assert rows.items() >= originals.items()
    for path, sha256 in originals.items():
        assert hashlib.sha256((stack.storage / path).read_bytes()).hexdigest() == sha256, path


def _identity(stack: Stack) -> list[str]:
    """What must stay the same for as long as there is this factory: its passwords and Syncthing's own ID."""
    certificate = stack.exec("syncthing", "cat", "/var/syncthing/config/cert.pem")
    names = ("pf_dashboard_password", "syncthing_api_key", "dashboard_password")
    return [certificate, *(stack.secret("dashboard", name) for name in names)]


def test_down_and_up_with_nothing_lost(stack: Stack) -> None:
    originals = _ingest(stack, "before-down")
    identity = _identity(stack)
    stack.compose("stop", "--timeout", "120")
    codes = {name: stack.inspect(name)["State"]["ExitCode"] for name in (*OURS, "factory_postgres")}
    assert set(codes.values()) <= {0, 128 + SIGTERM}, f"all ended when they were asked to; none was killed: {codes}"
    assert "database system is shut down" in docker_says("logs", "--tail", "5", "factory_postgres")
    stack.down()
    dropped = stack.drop("while-down/GIF.gif", (SAMPLES / "GIF.gif").read_bytes() + b"dropped while all was down")
    stack.up()
    assert _identity(stack) == identity
    _assert_there(stack, originals)
    stack.filed(1, where="original_path = 'while-down/GIF.gif'")
    wait_until(lambda: not dropped.exists(), LIMIT, "the inbox copy is gone")


def test_restarting_services_loses_nothing(stack: Stack) -> None:
    """All at the same moment: none can rely on another."""
    originals = _ingest(stack, "before-restart")
    services = ("librarian", "factory-db", "syncthing", "service-monitor", "dashboard", "docker-proxy", "gate")
    stack.compose("restart", "--timeout", "20", *services)
    stack.wait_healthy()
    originals |= _ingest(stack, "after-restart")
    _assert_there(stack, originals)


def test_an_upgrade_from_the_first_version_loses_nothing(stack: Stack) -> None:
    """A ledger and a vault as the first version left them; then today's images."""
    stack.remove()
    stack.compose("up", "-d", "factory-db")
    stack.wait_healthy("factory_postgres")
    stack.compose("run", "--rm", "--no-deps", "migrate", "python", "-c", FIRST_SCHEMA)
    assert stack.sql("SELECT version_num FROM alembic_version") == [["0001"]]
    originals = _old_vault(stack)
    rows = "SELECT count(*), min(captured_at), max(captured_at), sum(file_size) FROM media_assets"
    before = stack.sql(rows)

    stack.up()

    assert stack.sql("SELECT version_num FROM alembic_version") == [[HEAD]]
    assert stack.sql(rows) == before
    _assert_there(stack, originals)
    said = stack.compose("logs", "--no-color", "migrate", "librarian", "service-monitor", "dashboard")
    updates = said.count("Updating the tables of the database from schema")
    assert updates == (HEAD != "0001"), "once, by one service; the others wait"
    name = next(iter(originals)).rpartition("/")[2]
    stack.drop(f"again/{name}", (stack.storage / next(iter(originals))).read_bytes())
    [[fate]] = wait_until(
        lambda: stack.sql("SELECT fate FROM ingest_events WHERE original_path LIKE 'again/%'"), LIMIT, "its fate"
    )
    assert fate == "duplicate", "what the first version filed is known"


def _old_vault(stack: Stack) -> dict[str, str]:
    """Originals on disk and their rows, as the first version wrote them; their SHA-256 by path."""
    originals, rows = {}, []
    for number in range(OLD_ROWS):
        content = b"GIF89a" + number.to_bytes(4, "big")
        day = f"20{number % 20:02}-06-{number % 28 + 1:02}"
        path = f"Originals/{day[:4]}/{day}/old_{number}.gif"
        sha256 = hashlib.sha256(content).hexdigest()
        originals[path] = sha256
        (stack.storage / path).parent.mkdir(parents=True, exist_ok=True)
        (stack.storage / path).write_bytes(content)
        rows.append(
            f"('{uuid.uuid4()}', '{sha256}', {len(content)}, 'old_{number}.gif', 'old_{number}.gif', '{path}', 'GIF',"
            f" 'image/gif', '{day} 12:00', 'mtime')"
        )
    (stack.originals / ".photo-factory-vault").touch()
    stack.give(stack.storage)
    stack.sql(
        "INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind,"
        f" mime_type, captured_at, date_source) VALUES {','.join(rows)};"
    )
    return originals


def test_new_images_replace_the_containers_and_nothing_else(stack: Stack) -> None:
    """As after `git pull` and `docker compose up -d --build`."""
    originals = _ingest(stack, "before-new-images")
    identity = _identity(stack)
    before = docker("inspect", "--format", "{{.Id}}", *SERVICES)
    stack.compose("up", "-d", "--force-recreate")
    stack.wait_healthy()
    assert not set(before.split()) & set(docker("inspect", "--format", "{{.Id}}", *SERVICES).split())
    assert _identity(stack) == identity
    _assert_there(stack, originals)
