"""From nothing: `docker compose up -d`, a photo is dropped on the host, and is filed away."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from datetime import datetime, timedelta

import pytest

from Src.Testing.patience import wait_until
from Stack.tests.real_factory import SAMPLES
from Stack.tests.stack import INIT, LIMIT, OURS, SERVICES, Stack, docker

pytestmark = pytest.mark.stack


def test_a_dropped_photo_gets_into_the_vault_and_the_ledger(stack: Stack) -> None:
    content = (SAMPLES / "DSCN0010.jpg").read_bytes()
    dropped = stack.drop("from the host/DSCN0010.jpg", content)
    [[name, final_path, sha256]] = stack.filed(1, where="original_name = 'DSCN0010.jpg'")
    assert (name, final_path) == ("DSCN0010.jpg", "Originals/2008/2008-10-22/DSCN0010.jpg")
    original = stack.storage / final_path
    assert original.read_bytes() == content
    assert hashlib.sha256(content).hexdigest() == sha256
    found = original.stat()
    assert (found.st_uid, found.st_gid) == stack.owner
    assert found.st_mode & 0o222 == 0, "originals are read-only"
    wait_until(lambda: not dropped.exists(), LIMIT, "the inbox copy is gone")


def test_placing_in_the_container_links_and_does_not_copy(stack: Stack) -> None:
    """With the services stopped, what is dropped stays until we have seen its inode."""
    stack.compose("stop", "librarian")
    dropped = stack.drop("GIF.gif", (SAMPLES / "GIF.gif").read_bytes())
    inode = dropped.stat().st_ino
    stack.compose("start", "librarian")
    [[_, final_path, _]] = stack.filed(1, where="original_name = 'GIF.gif'")
    assert (stack.storage / final_path).stat().st_ino == inode
    stack.wait_healthy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_photo_of_somebody_else_gets_into_the_vault_as_the_owners(stack: Stack) -> None:
    """As when root drops it: what the librarian may not link it copies, and the vault has one owner."""
    name = "IPTC.jpg"
    hidden = stack.inbox / f".{name}"
    hidden.write_bytes((SAMPLES / name).read_bytes())
    hidden.chmod(0o644)
    dropped = hidden.rename(stack.inbox / name)
    [[_, final_path, _]] = stack.filed(1, where=f"original_name = '{name}'")
    found = (stack.storage / final_path).stat()
    assert (found.st_uid, found.st_gid) == stack.owner
    wait_until(lambda: not dropped.exists(), LIMIT, "the inbox copy is gone")


def test_every_sample_is_filed_as_it_is_without_docker(stack: Stack) -> None:
    """The image has what the readers need: kinds, dates and cameras are known for photos, RAWs and videos."""
    known = {
        "CanonRaw.cr3": "CR3",
        "QuickTime.heic": "HEIC",
        "QuickTime.mov": "MOV",
        "JXL.jxl": "JXL",
        "M2TS.mts": "M2TS",
    }
    for name in known:
        stack.drop(f"kinds/{name}", (SAMPLES / name).read_bytes())
    stack.filed(len(known), where="original_path LIKE 'kinds/%'")
    rows = dict(stack.sql("SELECT original_name, media_kind FROM media_assets WHERE original_path LIKE 'kinds/%'"))
    assert rows == known
    [[source]] = stack.sql("SELECT date_source FROM media_assets WHERE original_name = 'CanonRaw.cr3'")
    assert source.startswith("exif"), "ExifTool answers"


def test_services_write_heartbeats(stack: Stack) -> None:
    lately = "SELECT service_name, status FROM system_status WHERE last_heartbeat > now() - interval '1 minute'"

    def all_heard() -> bool:
        rows = stack.sql(lately)
        wanted = {"librarian", "service-monitor", "factory-db", "syncthing"}
        return {name for name, _ in rows} >= wanted and ["librarian", "OK"] in rows

    wait_until(all_heard, LIMIT, "all are heard")


def test_the_dashboard_answers_on_loopback(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.dashboard}/_stcore/health", timeout=LIMIT) as answer:
        assert answer.read() == b"ok"


def test_every_page_of_the_dashboard_finds_its_modules(stack: Stack) -> None:
    """They are imported when somebody looks, which the health check does not."""
    program = """
import importlib, pkgutil
import Src.Dashboard, Src.Library, Src.Media.pictures
rooms = (Src.Dashboard, Src.Library, Src.Media.pictures)
names = [module.name for room in rooms for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
answer = [importlib.import_module(name).__name__ for name in names if name not in given]
"""
    entries = ["Src.Dashboard.__main__", "Src.Dashboard.dashboard"]  # these do not only define things
    elsewhere = [f"Src.Library.custody.copies.{name}" for name in ("sftp", "s3", "sealed")]  # the stack makes no copies
    assert "Src.Dashboard.views.problems" in stack.python("dashboard", program, [*entries, *elsewhere])


def test_the_dashboard_s_image_has_nothing_of_the_librarian_s_readers(stack: Stack) -> None:
    program = "import importlib.util\nanswer = [name for name in given if importlib.util.find_spec(name)]"
    assert stack.python("dashboard", program, ["magic", "pylibmagic", "exiftool", "Src.Librarian"]) == []


def test_starting_takes_seconds_and_not_a_minute(stack: Stack) -> None:
    """From a start to the first success of the health check, as the engine has noted it."""
    stack.compose("restart", "librarian")
    stack.wait_healthy("librarian")
    state = stack.inspect("librarian")["State"]
    started = datetime.fromisoformat(state["StartedAt"])
    checks = [(datetime.fromisoformat(one["Start"]), one["ExitCode"]) for one in state["Health"]["Log"]]
    first = min(at for at, code in checks if at > started and code == 0)
    print(f"healthy after {(first - started).total_seconds():.1f} s")
    assert first - started < timedelta(minutes=1)


def test_the_librarian_image_is_small(stack: Stack) -> None:
    def size(image: str) -> int:
        return int(docker("image", "inspect", "--format", "{{.Size}}", image))

    added = size("photo-factory/librarian:2") - size("python:3.13.16-slim-trixie")
    assert added <= 100_000_000, f"{added / 1e6:.0f} MB over its base"


def test_nothing_is_in_the_images_that_does_not_belong_there(stack: Stack) -> None:
    for container in OURS:
        files = stack.exec(container, "find", "/app", "-not", "-path", "*/__pycache__/*").splitlines()
        assert "/app/Src/Shared/settings.py" in files
        assert not [path for path in files if "/tests" in path or path.endswith((".env", "Dockerfile", "pytest.py"))]
        assert stack.python(container, "import importlib.util as u; answer = u.find_spec('pytest') is None")


def test_passwords_are_made_and_never_printed(stack: Stack) -> None:
    secrets = {
        stack.secret("librarian", "pf_librarian_password"),
        stack.secret("factory_postgres", "db_password"),
        stack.secret("dashboard", "dashboard_password"),
        stack.secret("dashboard", "syncthing_api_key"),
        stack.secret("syncthing", "syncthing_gui_password"),
    }
    assert len(secrets) == 5 and all(len(secret) >= 24 for secret in secrets)
    said = stack.compose("logs", "--no-color")
    shown = docker("inspect", INIT, *SERVICES)
    processes = "".join(docker("top", name, "-eo", "pid,args") for name in SERVICES)
    for secret in secrets:
        assert secret not in said, "in a log"
        assert secret not in shown, "in `docker inspect`"
        assert secret not in processes, "in a command line"


def test_the_database_has_checksums_and_sorts_the_same_everywhere(stack: Stack) -> None:
    assert stack.sql("SHOW data_checksums") == [["on"]]
    assert stack.sql("SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'photo_factory'") == [
        ["b", "C.UTF-8"]
    ]


def test_the_folders_are_the_owners(stack: Stack) -> None:
    for folder in (stack.data, stack.inbox, stack.storage, stack.originals):
        found = folder.stat()
        assert (found.st_uid, found.st_gid) == stack.owner, folder
        assert os.access(folder, os.R_OK | os.X_OK)
