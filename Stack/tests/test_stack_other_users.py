"""Other users put photos into the inbox of the real stack: through its bind mount, on the host."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from Src.Shared.settings import Settings, load_settings
from Src.Testing.patience import wait_until
from Src.Testing.promise import Source, assert_promise_kept
from Stack.tests.other_users import SOMEBODY, Upload
from Stack.tests.photos import unique_jpeg
from Stack.tests.stack import LIMIT, Stack, stack_beside

pytestmark = [pytest.mark.stack, pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")]

# Run in a container: between its standard streams and the ledger.
RELAY = """
import os, socket, threading
ledger = socket.create_connection((os.environ["DB_HOST"], 5432))
def bring():
    while data := os.read(0, 65536):
        ledger.sendall(data)
    ledger.shutdown(socket.SHUT_WR)
threading.Thread(target=bring, daemon=True).start()
while data := ledger.recv(65536):
    os.write(1, data)
"""
NAME = "photo-factory-test-others"
REST = 3.0  # seconds; several times STABILITY_DELAY
OWNER = 4321


@pytest.fixture
def own_stack(images: Stack, folder: Path) -> Iterator[Stack]:
    """One that knows no other photos, of a librarian who is no root, and into whose inbox all may write."""
    settings = {"PUID": str(OWNER), "PGID": str(OWNER), "REST_WITHOUT_LEASE": str(REST), "LEAVING_GRACE": "1"}
    with stack_beside(images, NAME, folder, settings) as own:
        own.up()
        own.inbox.chmod(0o777)
        yield own


@contextmanager
def seen_from_the_host(stack: Stack) -> Iterator[Settings]:
    """To look at its vault, and at its ledger. Its network is closed: the way is through a container that is in it."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as relays:
        relay = ["docker", "exec", "-i", stack.container("librarian"), "python", "-c", RELAY]

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        both = connection.fileno()
                        relays.enter_context(subprocess.Popen(relay, stdin=both, stdout=both))

        threading.Thread(target=serve, daemon=True).start()
        password = stack.secret("factory_postgres", "db_password")
        url = f"postgresql://photo_factory:{password}@127.0.0.1:{server.getsockname()[1]}/photo_factory"
        yield load_settings({"FACTORY_DATA": str(stack.data), "DATABASE_URL": url}, env_file=stack.data / "no.env")
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("user", [SOMEBODY, 0])
def test_a_slow_upload_of_another_user_is_filed_whole(own_stack: Stack, user: int) -> None:
    """It pauses for longer than a file must rest, twice, while the owner's photos are filed."""
    parts = [unique_jpeg(number) for number in (1, 2, 3)]  # each is a photo by itself
    path = own_stack.inbox / "upload.jpg"
    sources = []
    upload = Upload(user, path)
    for number, part in enumerate(parts):
        upload.write(part)
        # In each pause others come, and are filed: it is longer than any delay.
        for other in range(4):
            name, content = f"own {number} {other}.jpg", unique_jpeg(100 + 10 * number + other)
            own_stack.drop(name, content)
            sources.append(Source(name, hashlib.sha256(content).hexdigest()))
            own_stack.filed(len(sources))
        assert path.exists(), "it is open"
    upload.close()
    sources.append(Source("upload.jpg", hashlib.sha256(b"".join(parts)).hexdigest()))
    own_stack.filed(len(sources))
    wait_until(lambda: not path.exists(), LIMIT, "the inbox copy is gone")
    with seen_from_the_host(own_stack) as settings:
        assert_promise_kept(settings, sources)
    assert {path.stat().st_uid for path in own_stack.originals.rglob("*.jpg")} == {OWNER}
