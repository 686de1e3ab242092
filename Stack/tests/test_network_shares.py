"""The inbox on a network: sshfs mounts, and clients of Samba's server that write to a local disk.

Whoever writes is on the other side: no event, or no lease, says who has a file open. Servers, clients, mounts and
users here are real, and so are the cut connections. (Mounts by the kernel itself, NFS and cifs, are not: few kernels of
test machines have them.)
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from Src.Shared.settings import load_settings
from Src.Testing.patience import wait_until
from Src.Testing.ports import reserved_port
from Src.Testing.promise import Source, assert_promise_kept
from Stack.tests.other_users import LIBRARIAN, FactoryOfAnother, librarian_up, wait_for_empty_inbox
from Stack.tests.photos import sha256, unique_jpeg
from Stack.tests.real_factory import LIMIT, Factory, parent
from Stack.tests.test_other_users import factory as factory
from Stack.tests.test_other_users import others_pass_by

PROGRAMS = ("sshfs", "fusermount3", "ssh-keygen", "/usr/sbin/sshd", "smbd", "smbclient")
UPLOADER = "games"  # an account of every Debian: Samba asks for one
SEEN_BY_A_CLIENT = 24 << 20  # bytes of which smbclient has sent some before it has read all
VERY_LONG = "600"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and be other users"),
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in PROGRAMS), reason=f"needs {', '.join(PROGRAMS)} (Debian packages)"
    ),
]


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=LIMIT):
        return True
    return False


def children_of(pid: int) -> list[int]:
    """At any depth."""
    found = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and parent(int(entry)) == pid]
    return [*found, *(inner for one in found for inner in children_of(one))]


@contextmanager
def server(command: Sequence[str | Path], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground, with all that it starts, for as long as it is needed."""
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        wait_until(lambda: process.poll() is not None or answers(port), LIMIT, f"{command[0]} answers")
        assert process.poll() is None, log.read_text(errors="replace")
        yield process
    finally:
        for pid in [process.pid, *children_of(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(LIMIT)


# By SSH


@dataclass
class Share:
    """A folder of a server, and where an SSH client has mounted it."""

    there: Path
    here: Path
    settings: Path  # keys and the server's configuration
    port: int
    sshd: int

    def mount(self) -> None:
        options = [
            f"IdentityFile={self.settings}/client",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "allow_other,default_permissions",
            f"uid={LIBRARIAN},gid={LIBRARIAN}",
            "dcache_timeout=1",  # for so long it does not look for what has changed there; 20 s if not said
        ]
        subprocess.run(
            ["sshfs", "-F", "/dev/null", "-p", str(self.port)]
            + [word for option in options for word in ("-o", option)]
            + [f"root@127.0.0.1:{self.there}", str(self.here)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        assert os.path.ismount(self.here)

    def lose_connection(self) -> None:
        """The server's process for this client is killed; the client's mount answers nothing but errors, or goes."""
        for pid in children_of(self.sshd):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(self._is_lost, LIMIT, "the connection is lost")

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.here)], check=False, stderr=subprocess.DEVNULL)

    def _is_lost(self) -> bool:
        """sshfs unmounts when it learns of it, where nobody has a file open; what is left then is an empty folder."""
        try:
            os.listdir(self.here)
        except OSError:
            return True
        return not os.path.ismount(self.here)


@contextmanager
def shared_by_ssh(there: Path, here: Path, settings: Path) -> Iterator[Share]:
    """Starts a server of its own for one client, and mounts the folder."""
    for path in (there, here, settings):
        path.mkdir(exist_ok=True)
    for key in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(settings / key)], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)  # where any sshd shuts its child in; the system's makes it at its start
    command = ("/usr/sbin/sshd", "-D", "-e", "-f", settings / "sshd_config")
    with reserved_port() as port:
        (settings / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {settings}/host\nPidFile none\n"
            f"AuthorizedKeysFile {settings}/client.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        )
        with server(command, port, settings / "log") as process:
            share = Share(there, here, settings, port, process.pid)
            share.mount()
            try:
                yield share
            finally:
                share.unmount()


class FactoryOnShare(FactoryOfAnother):
    """Its inbox is elsewhere."""

    @property
    def inbox(self) -> Path:
        return Path(self.environment["INBOX_PATH"])


@pytest.fixture
def share(factory: Factory, folder: Path) -> Iterator[Share]:
    with shared_by_ssh(folder / "server", folder / "mounted", folder / "ssh") as share:
        yield share


@pytest.fixture
def remote(factory: Factory, share: Share) -> Factory:
    """A factory whose inbox is the share; its vault is here."""
    factory.inbox.rmdir()
    (share.there / "Photos_Inbox").mkdir()
    more = {"INBOX_PATH": str(share.here / "Photos_Inbox"), "HEARTBEAT_INTERVAL": "0.5", "LEAVING_GRACE": "0.5"}
    # Longer than a client does not look: else all it sees is the half that it saw before.
    more |= {"REST_WITHOUT_LEASE": "3", "LEAVING_GRACE_WITHOUT_LEASE": VERY_LONG}
    return FactoryOnShare(factory.data, {**factory.environment, **more})


def rests(factory: Factory, beats: int = 8) -> None:
    """The Librarian has gone on for many times all its short delays."""
    ask = "SELECT last_heartbeat FROM system_status WHERE service_name = 'librarian'"
    seen = set[object]()

    def has_gone_on() -> bool:
        seen.update(factory.asked(ask))
        return len(seen) > beats

    wait_until(has_gone_on, LIMIT, "the Librarian goes on")


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check(factory: Factory, sources: list[Source]) -> None:
    told = "SELECT 1 FROM ingest_events WHERE file_hash = %s"
    wait_until(lambda: all(factory.asked(told, one.sha256) for one in sources), LIMIT, "all is filed")
    settings = load_settings(factory.env(), env_file=factory.data / "no.env")
    wait_for_empty_inbox(factory)
    assert_promise_kept(settings, sources)


def test_a_file_whose_writer_on_the_server_pauses_is_filed_whole(remote: Factory, share: Share) -> None:
    """The kernel gives a lease here, for no program of this computer writes."""
    there = share.there / "Photos_Inbox" / "slow.jpg"
    half, whole = unique_jpeg(1), unique_jpeg(1) + unique_jpeg(2)
    with open(there, "wb", buffering=0) as writer:
        writer.write(half)
        remote.environment["REST_WITHOUT_LEASE"] = VERY_LONG
        with librarian_up(remote):
            rests(remote)
            assert there.read_bytes() == half and remote.filed() == 0
            writer.write(whole[len(half) :])
    remote.environment["REST_WITHOUT_LEASE"] = "3"
    with librarian_up(remote):
        check(remote, [Source("slow.jpg", sha256_of(whole))])


def test_a_writer_on_the_server_that_is_silent_for_too_long_loses_nothing(remote: Factory, share: Share) -> None:
    """Its half is filed. The rest goes on in the file that is kept aside, which comes back and is filed too."""
    there = share.there / "Photos_Inbox" / "slow.jpg"
    half, whole = unique_jpeg(1), unique_jpeg(1) + unique_jpeg(2)
    with librarian_up(remote):
        with open(there, "wb", buffering=0) as writer:
            writer.write(half)
            wait_until(lambda: not there.exists(), LIMIT, "the half is filed")
            rests(remote)
            writer.write(whole[len(half) :])
        check(remote, [Source("slow.jpg", sha256_of(one)) for one in (half, whole)])


@pytest.mark.parametrize("vault", ["here", "there"])
def test_a_lost_connection_loses_no_file(remote: Factory, share: Share, folder: Path, vault: str) -> None:
    """Of the client that writes and of the Librarian, while it files; the vault is here, or on the same share."""
    if vault == "there":
        remote.environment["STORAGE_PATH"] = str(share.here / "Storage")
    inbox = share.there / "Photos_Inbox"
    sources = []

    def comes_by_rename(number: int) -> None:
        content = unique_jpeg(number)
        (inbox / "upload.part").write_bytes(content)
        (inbox / "upload.part").rename(inbox / f"{number}.jpg")
        sources.append(Source(f"{number}.jpg", sha256_of(content)))

    half, whole = unique_jpeg(1), unique_jpeg(1) + unique_jpeg(2)
    with ExitStack() as ends, librarian_up(remote):
        writer_at = ends.enter_context(shared_by_ssh(share.there, folder / "client", folder / "ssh-of-client"))
        upload = writer_at.here / "Photos_Inbox" / "cut.jpg"
        with suppress(OSError), open(upload, "wb", buffering=0) as writer:
            writer.write(half)
            os.fsync(writer.fileno())
            wait_until(lambda: (inbox / "cut.jpg").stat().st_size == len(half), LIMIT, "half is there")
            writer_at.lose_connection()
        for number in range(100, 120):
            comes_by_rename(number)
        wait_until(lambda: not (inbox / "cut.jpg").exists() and remote.filed() >= 3, LIMIT, "some are filed")
        share.lose_connection()
        for number in range(140, 146):
            comes_by_rename(number)
        rests(remote, 2)
        share.unmount()
        rests(remote, 2)
        for one in (share, writer_at):
            one.unmount()
            one.mount()
        upload.write_bytes(whole)
        check(remote, [*sources, Source("cut.jpg", sha256_of(half)), Source("cut.jpg", sha256_of(whole))])


# By SMB


@dataclass
class Samba:
    """Samba's server; its share is an inbox on a local disk, and all clients write as one other user."""

    settings: Path
    port: int
    smbd: int

    def client(self, commands: str) -> subprocess.Popen[bytes]:
        command = ["smbclient", "-s", str(self.settings / "smb.conf"), "-p", str(self.port), "-N", "//127.0.0.1/inbox"]
        return subprocess.Popen(
            [*command, "-c", commands], cwd=self.settings, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )

    def cut(self, path: Path) -> None:
        """The server's process that writes a file is killed."""
        with_it_open = [pid for pid in children_of(self.smbd) if has_open(pid, path)]
        assert with_it_open, f"nobody has {path} open"
        for pid in with_it_open:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(has_open(pid, path) for pid in with_it_open), LIMIT, "it has gone")


def has_open(pid: int, path: Path) -> bool:
    try:
        return any(os.readlink(one) == str(path) for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has gone, or a file of it
        return False


@pytest.fixture
def samba(factory: Factory, folder: Path) -> Iterator[Samba]:
    with reserved_port() as port:
        yield from _samba(factory, folder / "samba", port)


def _samba(factory: Factory, settings: Path, port: int) -> Iterator[Samba]:
    settings.mkdir()
    own = {f"{name} dir": name for name in ("private", "ncalrpc")}
    own |= {f"{name} directory": name for name in ("state", "cache", "lock", "pid")}
    for name in own.values():
        (settings / name).mkdir()
    lines = [
        f"[global]\nsmb ports = {port}\ninterfaces = 127.0.0.1/8\nbind interfaces only = yes",
        "server role = standalone server\nmap to guest = Bad User\nload printers = no\ndisable spoolss = yes",
        *(f"{name} = {settings}/{place}" for name, place in own.items()),
        f"log file = {settings}/log",
        f"[inbox]\npath = {factory.inbox}\nguest ok = yes\nread only = no\nforce user = {UPLOADER}\n",
    ]
    (settings / "smb.conf").write_text("\n".join(lines))
    command = ("smbd", "--foreground", "--no-process-group", "-s", settings / "smb.conf")
    with server(command, port, settings / "out") as process:
        yield Samba(settings, port, process.pid)


def half_sent(samba: Samba, name: str, whole: bytes, inbox: Path) -> subprocess.Popen[bytes]:
    """A client that has sent a part of a file, has it open, and waits for the rest of it on its stdin."""
    client = samba.client(f'put - "{name}"')
    assert client.stdin is not None
    client.stdin.write(whole[:SEEN_BY_A_CLIENT])
    client.stdin.flush()
    wait_until(lambda: (inbox / name).exists() and (inbox / name).stat().st_size > 0, LIMIT, "some has come")
    assert (inbox / name).stat().st_uid == pwd.getpwnam(UPLOADER).pw_uid != LIBRARIAN
    return client


def test_a_pausing_upload_by_smb_is_filed_whole(factory: Factory, samba: Samba) -> None:
    whole = unique_jpeg(1, size=SEEN_BY_A_CLIENT) + unique_jpeg(2)
    path = factory.inbox / "slow.jpg"
    with librarian_up(factory):
        client = half_sent(samba, "slow.jpg", whole, factory.inbox)
        sources = others_pass_by(factory, 100)
        assert path.exists(), "it is open"
        client.communicate(whole[SEEN_BY_A_CLIENT:])
        assert client.returncode == 0
        check(factory, [*sources, Source("slow.jpg", sha256_of(whole))])


def test_an_upload_by_smb_that_is_renamed_into_place_is_filed_whole(factory: Factory, samba: Samba) -> None:
    whole = unique_jpeg(1, size=SEEN_BY_A_CLIENT) + unique_jpeg(2)
    with librarian_up(factory):
        (samba.settings / "sent").write_bytes(whole)
        client = samba.client("put sent upload.part; rename upload.part whole.jpg")
        client.communicate()
        assert client.returncode == 0
        check(factory, [Source("whole.jpg", sha256_of(whole))])


def test_an_upload_by_smb_whose_connection_is_cut_loses_nothing(factory: Factory, samba: Samba) -> None:
    """What had come is a file of its own; the next try, of the same name, is whole."""
    whole = unique_jpeg(1, size=SEEN_BY_A_CLIENT) + unique_jpeg(2)
    path = factory.inbox / "cut.jpg"
    with librarian_up(factory):
        client = half_sent(samba, "cut.jpg", whole, factory.inbox)
        came = os.open(path, os.O_RDONLY)
        try:
            samba.cut(path)
            client.kill()
            with suppress(BrokenPipeError):
                client.communicate()
            part = Source("cut.jpg", sha256(f"/proc/self/fd/{came}"))
        finally:
            os.close(came)
        assert part.sha256 != sha256_of(whole)
        wait_until(lambda: not path.exists(), LIMIT, "it is filed")  # else the client writes over it
        again = samba.client('put - "cut.jpg"')
        again.communicate(whole)
        assert again.returncode == 0
        check(factory, [part, Source("cut.jpg", sha256_of(whole))])
