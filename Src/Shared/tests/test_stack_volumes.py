"""What an earlier version kept in volumes gets into folders: whole, once, whatever happens in between.

The engine is one of these tests' own, at a socket, with tar streams of real folders.
"""

from __future__ import annotations

import io
import json
import os
import socketserver
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from Src.Shared import stack_volumes
from Src.Shared.docker_engine import Engine, EngineError
from Src.Shared.stack_volumes import (
    LEDGER,
    RECORD,
    SECRETS,
    STAGE,
    SYNCTHING,
    MoveRefused,
    Myself,
    Places,
    claim_name,
    move_in,
)

ROOT = Path(__file__).parents[3]
PROJECT = "photo-factory"
MANY_STEPS = 400  # more than a whole move takes


class FakeEngine:
    """Volumes are folders below `folder`; answers what a Docker Engine does."""

    def __init__(self, folder: Path) -> None:
        self.volumes = folder / "volumes"
        self.volumes.mkdir()
        self.path = folder / "engine.sock"
        self.running: dict[str, str] = {}  # volume -> container
        self.binds: dict[str, list[str]] = {}  # container -> mounts
        self.breaks_off_after: int | None = None  # bytes of a tar stream
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                words = [unquote(word) for word in parts.path.strip("/").split("/")]
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                if words[0] == "volumes":
                    there = (engine.volumes / words[1]).is_dir()
                    self.answer(200 if there else 404, {"Name": words[1]} if there else {"message": "no such volume"})
                elif words == ["containers", "json"]:
                    wanted = json.loads(query["filters"])["volume"]
                    users = [(volume, engine.running[volume]) for volume in wanted if volume in engine.running]
                    self.answer(200, [{"Names": [f"/{name}"], "Mounts": [{"Name": volume}]} for volume, name in users])
                elif words[2:] == ["archive"] and words[1] in engine.binds:
                    self.archive(engine.folder_of(words[1], query["path"]))
                else:
                    self.answer(404, {"message": f"no such container: {words}"})

            def do_POST(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                description = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                [name] = query["name"]
                if name in engine.binds:
                    self.answer(409, {"message": f"the container name {name} is in use"})
                    return
                engine.binds[name] = description["HostConfig"]["Binds"]
                self.answer(201, {"Id": name})

            def do_DELETE(self) -> None:
                name = unquote(urlsplit(self.path).path.split("/")[2])
                there = engine.binds.pop(name, None) is not None
                self.answer(204 if there else 404, None if there else {"message": "no such container"})

            def answer(self, status: int, content: object) -> None:
                text = b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def archive(self, folder: Path) -> None:
                packed = io.BytesIO()
                with tarfile.open(fileobj=packed, mode="w") as tar:
                    tar.add(folder, arcname=".")
                content = packed.getvalue()[: engine.breaks_off_after]
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for at in range(0, len(content), 50_000):
                    piece = content[at : at + 50_000]
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                if engine.breaks_off_after is None:
                    self.wfile.write(b"0\r\n\r\n")
                self.close_connection = True

            def address_string(self) -> str:
                return "client"

            def log_message(self, *_: object) -> None:
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients are killed."""

        self.server = Server(str(self.path), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def folder_of(self, container: str, inside: str) -> Path:
        for bind in self.binds[container]:
            volume, target, options = bind.split(":")
            assert options == "ro,nocopy"
            if inside == f"{target}/.":
                return self.volumes / volume
        raise AssertionError(inside)

    def fill(self, key: str, files: dict[str, str], mode: int = 0o600) -> None:
        for name, text in files.items():
            path = self.volumes / f"{PROJECT}_{key}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(mode)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path)
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """New folders, empty, and FACTORY_DATA with a vault."""
    places = Places(*(tmp_path / name for name in ("data", "ledger", "syncthing", "secrets", "claim")))
    for folder in (places.ledger, places.syncthing, places.secrets, places.claim):
        folder.mkdir()
    originals = places.data / "Storage" / "Originals"
    originals.mkdir(parents=True)
    (originals / ".photo-factory-vault").touch()
    return places


def myself(places: Places, checkout: str = "/home/anna/photo-factory", volume: str | None = None) -> Myself:
    mounts: list[dict[str, Any]] = [
        {"Type": "bind", "Source": f"{checkout}/Stack/App_Data/{place.name}", "Destination": str(place)}
        for place in (places.data, places.ledger, places.syncthing, places.secrets)
    ]
    if volume is not None:
        mounts.append({"Type": "volume", "Name": volume, "Source": "/var/lib/docker", "Destination": "/elsewhere"})
    labels = {"com.docker.compose.project": PROJECT, "com.docker.compose.project.working_dir": checkout}
    return Myself({"Config": {"Labels": labels}, "Image": "sha256:f00", "Mounts": mounts})


def fill(engine: FakeEngine) -> dict[str, str]:
    """An installation of the earlier version; what the new folders must hold afterwards."""
    ledger = {"18/docker/PG_VERSION": "18\n", "18/docker/base/1": "rows" * 50_000, "18/docker/global/pg_control": "c"}
    keys = {"config/cert.pem": "certificate", "config/key.pem": "key", "config/index/db": "index" * 20_000}
    engine.fill(LEDGER, ledger)
    engine.fill(SYNCTHING, keys)
    wanted = {f"ledger/{name}": text for name, text in ledger.items()}
    wanted |= {f"syncthing/{name}": text for name, text in keys.items()}
    for key in SECRETS:
        service = key.removesuffix("-secrets")
        engine.fill(key, {"db_password": "the one and only", "own": service}, 0o400)
        wanted |= {f"secrets/{service}/db_password": "the one and only", f"secrets/{service}/own": service}
    return wanted


def found(places: Places) -> dict[str, str]:
    """All that stands in the new folders, but our own notes."""
    files = {}
    for place in (places.ledger, places.syncthing, places.secrets):
        for path in place.rglob("*"):
            if path.is_file() and path.parent != places.secrets:
                files[f"{place.name}/{path.relative_to(place)}"] = path.read_text()
    return files


def old(engine: FakeEngine) -> dict[str, str]:
    return {
        str(path.relative_to(engine.volumes)): path.read_text() for path in engine.volumes.rglob("*") if path.is_file()
    }


def test_all_is_moved_once_and_the_volumes_stay(engine: FakeEngine, places: Places) -> None:
    wanted, before = fill(engine), old(engine)
    said: list[str] = []
    move_in(Engine(engine.path), myself(places), places, said.append)
    assert found(places) == wanted
    assert old(engine) == before
    assert engine.binds == {}, "the container through which they were read is gone"
    assert any(line.startswith("moved the database: 3 files") for line in said)
    assert f"docker volume rm {PROJECT}_factory-db-data" in said[-1]
    (places.secrets / "dashboard" / "own").unlink()
    (places.secrets / "dashboard" / "own").write_text("changed since")
    said.clear()
    move_in(Engine(engine.path), myself(places), places, said.append)
    assert said == []
    assert (places.secrets / "dashboard" / "own").read_text() == "changed since"


def test_modes_and_owners_are_kept(engine: FakeEngine, places: Places) -> None:
    fill(engine)
    control = engine.volumes / f"{PROJECT}_{LEDGER}" / "18" / "docker" / "global" / "pg_control"
    control.parent.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(control, 999, 998)
    move_in(Engine(engine.path), myself(places), places, lambda _: None)
    moved = places.ledger / "18" / "docker" / "global" / "pg_control"
    for one, other in ((control, moved), (control.parent, moved.parent)):
        assert (one.stat().st_mode, one.stat().st_uid, one.stat().st_gid) == (
            other.stat().st_mode,
            other.stat().st_uid,
            other.stat().st_gid,
        )


def test_nothing_old_nothing_moved(engine: FakeEngine, places: Places) -> None:
    said: list[str] = []
    move_in(Engine(engine.path), myself(places), places, said.append)
    assert (said, found(places), engine.binds) == ([], {}, {})


# Run in a process of its own, which dies right before its nth change to a file.
DIES = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from Src.Shared import stack_volumes as moving
from Src.Shared.docker_engine import Engine
from Src.Shared.tests.test_stack_volumes import myself
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.utime")
left = int(sys.argv[1])
def watch(event, given):
    global left
    writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
    if event in CHANGES or writes:
        left -= 1
        if left == 0:
            os._exit(9)
name = moving.rename_unless_taken
def rename_unless_taken(*given):  # a call of libc's, which Python does not report
    watch("os.rename", None)
    name(*given)
moving.rename_unless_taken = rename_unless_taken
places = moving.Places(*(Path(text) for text in sys.argv[3:]))
sys.addaudithook(watch)
moving.move_in(Engine(Path(sys.argv[2])), myself(places), places)
"""


@pytest.mark.slow
def test_killed_at_every_step_nothing_is_lost(engine: FakeEngine, places: Places) -> None:
    """Each run dies one change later than the one before. Nothing half-done is ever under a name that counts."""
    wanted, before = fill(engine), old(engine)
    paths = [str(place) for place in (places.data, places.ledger, places.syncthing, places.secrets, places.claim)]
    code, step = 9, 0
    while code == 9:
        step += 1
        assert step < MANY_STEPS
        command = [sys.executable, "-c", DIES.format(root=str(ROOT)), str(step), str(engine.path), *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        code = done.returncode
        assert code in (0, 9), done.stderr
        for name, text in found(places).items():
            assert STAGE in name or "/." in name or wanted[name] == text, f"half-done after {step} steps: {name}"
        assert old(engine) == before
        if (places.ledger / "18").exists():
            there = {name for name in found(places) if name.startswith("ledger/18/")}
            assert there == {name for name in wanted if name.startswith("ledger/")}, step
    assert step > 20
    assert found(places) == wanted


def test_killed_again_and_again_from_the_beginning(engine: FakeEngine, places: Places, tmp_path: Path) -> None:
    """One kill at a time, at some steps, each in an installation of its own, then an undisturbed run."""
    wanted = fill(engine)
    for step in (1, 3, 8, 15, 25, 40):
        here = Places(
            places.data, *(tmp_path / str(step) / name for name in ("ledger", "syncthing", "secrets", "claim"))
        )
        for folder in (here.ledger, here.syncthing, here.secrets, here.claim):
            folder.mkdir(parents=True)
        paths = [str(place) for place in (here.data, here.ledger, here.syncthing, here.secrets, here.claim)]
        command = [sys.executable, "-c", DIES.format(root=str(ROOT)), str(step), str(engine.path), *paths]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 9
        move_in(Engine(engine.path), myself(here), here, lambda _: None)
        assert found(here) == wanted


def test_a_stream_that_breaks_off_is_no_ledger(engine: FakeEngine, places: Places) -> None:
    wanted = fill(engine)
    for length in (700, 60_000, 120_000):
        engine.breaks_off_after = length
        with pytest.raises(EngineError):
            move_in(Engine(engine.path), myself(places), places, lambda _: None)
        assert not (places.ledger / "18").exists()
    engine.breaks_off_after = None
    move_in(Engine(engine.path), myself(places), places, lambda _: None)
    assert found(places) == wanted


def test_a_copy_that_rots_is_noticed(engine: FakeEngine, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine)

    def rots(fd: int) -> None:
        path = places.ledger / STAGE / "18" / "docker" / "base" / "1"
        if path.exists():
            path.write_text("rot")

    monkeypatch.setattr(stack_volumes, "syncfs", rots)
    with pytest.raises(MoveRefused, match="is not equal"):
        move_in(Engine(engine.path), myself(places), places, lambda _: None)
    assert not (places.ledger / "18").exists()


def test_what_is_there_is_never_overwritten(engine: FakeEngine, places: Places) -> None:
    fill(engine)
    (places.ledger / "18" / "docker").mkdir(parents=True)
    (places.ledger / "18" / "docker" / "PG_VERSION").write_text("a newer ledger")
    (places.secrets / "librarian").mkdir()
    (places.secrets / "librarian" / "db_password").write_text("its password")
    said: list[str] = []
    move_in(Engine(engine.path), myself(places), places, said.append)
    after = found(places)
    assert {name: text for name, text in after.items() if name.startswith("ledger/")} == {
        "ledger/18/docker/PG_VERSION": "a newer ledger"
    }
    assert after["secrets/librarian/db_password"] == "its password"
    assert any("has the database already" in line for line in said)


def test_volumes_of_another_checkout_are_not_taken(engine: FakeEngine, places: Places) -> None:
    """The photos tell whose they are: an empty FACTORY_DATA is a new checkout's, or its disk is not mounted."""
    fill(engine)
    (places.data / "Storage" / "Originals" / ".photo-factory-vault").unlink()
    with pytest.raises(MoveRefused, match=r"holds no vault.*FACTORY_NAME"):
        move_in(Engine(engine.path), myself(places), places, lambda _: None)
    assert found(places) == {}


def test_a_volume_in_use_is_not_copied(engine: FakeEngine, places: Places) -> None:
    fill(engine)
    engine.running[f"{PROJECT}_{LEDGER}"] = "somebody"
    with pytest.raises(MoveRefused, match="somebody still uses the volume"):
        move_in(Engine(engine.path), myself(places), places, lambda _: None)
    assert found(places) == {}


def test_an_empty_ledger_is_not_started_beside_an_old_one(engine: FakeEngine, places: Places) -> None:
    """The folder is gone (`git clean -x`, another FACTORY_DB_DATA), the volume of long ago is still there."""
    fill(engine)
    move_in(Engine(engine.path), myself(places), places, lambda _: None)
    (places.ledger / "18").rename(places.data / "moved away")
    with pytest.raises(MoveRefused, match="no empty one is started"):
        move_in(Engine(engine.path), myself(places), places, lambda _: None)
    (places.secrets / RECORD).unlink()
    move_in(Engine(engine.path), myself(places), places, lambda _: None)
    assert (places.ledger / "18" / "docker" / "PG_VERSION").exists()


def test_a_volume_that_is_still_the_ledger_stays_it(engine: FakeEngine, places: Places) -> None:
    """FACTORY_DB_DATA=factory-db-data."""
    wanted = fill(engine)
    move_in(Engine(engine.path), myself(places, volume=f"{PROJECT}_{LEDGER}"), places, lambda _: None)
    assert found(places) == {name: text for name, text in wanted.items() if not name.startswith("ledger/")}


def test_no_path_leads_out_of_the_folder(engine: FakeEngine, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine)
    add = tarfile.TarFile.add

    def hostile(tar: tarfile.TarFile, *given: Any, **more: Any) -> None:
        add(tar, *given, **more)
        tar.addfile(tarfile.TarInfo("../../outside"), io.BytesIO())

    monkeypatch.setattr(tarfile.TarFile, "add", hostile)
    with pytest.raises(EngineError, match="leads outside"):
        move_in(Engine(engine.path), myself(places), places, lambda _: None)
    assert not (places.ledger.parent / "outside").exists()


def test_an_engine_that_is_away_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^the Docker Engine cannot be reached: .*No such file") as caught:
        Engine(tmp_path / "nowhere").container("x")
    assert "\n" not in str(caught.value)


def test_the_name_belongs_to_one_checkout(places: Places, tmp_path: Path) -> None:
    mine = myself(places, "/home/anna/photo-factory")
    claim_name(mine, places)
    claim_name(mine, places)
    other = Places(places.data, places.ledger, places.syncthing, tmp_path / "other secrets", places.claim)
    other.secrets.mkdir()
    with pytest.raises(MoveRefused, match="belongs to another checkout, /home/anna/photo-factory") as caught:
        claim_name(myself(other, "/home/anna/second"), other)
    assert "FACTORY_NAME" in str(caught.value)
    claim_name(mine, places)
    claim_name(myself(places, "/srv/photo-factory"), places)  # it was moved
    claim_name(myself(other, "/srv/photo-factory"), other)  # and cloned anew in the same place
    (places.claim / "checkout.json").unlink()  # docker compose down --volumes
    claim_name(myself(other, "/home/anna/second"), other)
