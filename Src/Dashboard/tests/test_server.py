"""The service itself, as a process: what it serves to whom, and how it starts and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from sqlalchemy import select
from sqlalchemy.engine import make_url

from Src.Accounts.sessions import end_all
from Src.Shared.database import Database
from Src.Shared.models import SystemStatus
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.ports import reserved_port

LIMIT = 120.0  # seconds; a busy machine takes a while
PATIENT = "Src.Dashboard.tests.patient_dashboard"
PASSWORD = "correct horse"
GUARDED = (
    "/",
    "/library",
    "/places/x.json",
    "/pictures/small/x",
    "/originals/x",
    "/gallery/x/days",
    "/gallery/x/zip",
    "/assets/x",
    "/_stcore/host-config",
    "/static/x.js",
)


class Served:
    """A dashboard process, and what it has said."""

    def __init__(self, settings: Settings, folder: Path, port: int, program: str, more: dict[str, str]) -> None:
        assert settings.database_url is not None
        url = make_url(settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.port = port
        self._log = folder / "dashboard.log"
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(PROJECT_ROOT), "TZ": "Europe/Berlin",
            "FACTORY_DATA": str(settings.data), "DATABASE_URL": url, "DASHBOARD_PORT": str(self.port), **more,
        }  # fmt: skip
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program], env=environment, cwd="/", stdout=log, stderr=log
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.said
        try:
            return requests.get(f"{self.url}/_stcore/health", timeout=LIMIT).status_code == 200
        except requests.ConnectionError:
            return False


@contextmanager
def serving(
    settings: Settings, folder: Path, *, wait: bool = True, program: str = "Src.Dashboard", **more: str
) -> Iterator[Served]:
    with reserved_port() as port:
        served = Served(settings, folder, port, program, more)
        try:
            if wait:
                wait_until(served.is_up)
            yield served
        finally:
            served.process.kill()
            served.process.wait()
            print(served.said)


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_the_heartbeat_comes_without_a_viewer_and_ends_with_the_service(
    factory_settings: Settings, database: Database, tmp_path: Path, password: str
) -> None:
    def status() -> tuple[str, str] | None:
        with database.session() as session:
            row = session.scalar(select(SystemStatus).where(SystemStatus.service_name == "dashboard"))
            return None if row is None else (row.status, row.current_task or "")

    with serving(factory_settings, tmp_path, program=PATIENT, DASHBOARD_PASSWORD=password) as served:
        wait_until(lambda: status() == ("OK", "serving"))
        alive = factory_settings.run / "dashboard.alive"
        touched = alive.stat().st_mtime_ns
        wait_until(lambda: alive.stat().st_mtime_ns > touched)  # again and again
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(LIMIT) == 0
        assert status() == ("OK", "stopped")
        assert "Traceback" not in served.said
        assert "No runtime found" not in served.said
        with database.session() as session:
            assert session.scalar(select(SystemStatus.interval_seconds)) == 300


def test_the_password_keeps_out_who_has_none(factory_settings: Settings, tmp_path: Path) -> None:
    with serving(factory_settings, tmp_path, DASHBOARD_PASSWORD=PASSWORD) as served:
        for path in GUARDED:
            answer = requests.get(served.url + path, timeout=LIMIT)
            assert answer.status_code == 401, path
            assert 'type="password"' in answer.text
        assert upgrade(served, {}) == 403

        visitor = requests.Session()
        assert visitor.post(f"{served.url}/login", {"password": "wrong"}, timeout=LIMIT).status_code == 401
        assert visitor.post(f"{served.url}/login", {"password": "x" * 10_000}, timeout=LIMIT).status_code == 413
        answer = visitor.post(f"{served.url}/login", {"password": PASSWORD}, timeout=LIMIT, allow_redirects=False)
        assert answer.status_code == 303
        cookie = answer.headers["Set-Cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie and PASSWORD not in cookie

        assert 'type="password"' not in visitor.get(served.url, timeout=LIMIT).text
        [(name, value)] = visitor.cookies.items()
        assert upgrade(served, {"Cookie": f"{name}={value}"}) == 101
        forged = {"Cookie": f"{name}={'A' if value[0] != 'A' else 'B'}{value[1:]}"}
        assert requests.get(served.url, headers=forged, timeout=LIMIT).status_code == 401

        visitor.get(f"{served.url}/logout", timeout=LIMIT)
        assert 'type="password"' in visitor.get(served.url, timeout=LIMIT).text
        kept = {"Cookie": f"{name}={value}"}  # of a thief, who kept it
        assert requests.get(served.url, headers=kept, timeout=LIMIT).status_code == 401
        assert upgrade(served, kept) == 403
        assert PASSWORD not in served.said
        assert "a wrong password from 127.0.0.1" in served.said


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("/library?year=2024&kind=Videos", "./library?year=2024&kind=Videos"), ("/", "./"), ("/login", "./"),
        ("//evil.example/x", "./x"), ("//evil.example", "./evil.example"), ("/%5Cevil.example", "./%5Cevil.example"),
        ("/https:evil.example", "./https%3Aevil.example"), ("/a%0d%0ab", "./a%0D%0Ab"),
    ],
)  # fmt: skip
def test_a_login_leads_to_the_page_that_was_asked_for_and_to_no_other_host(
    login_page: Served, asked: str, leads: str
) -> None:
    body = f"password={PASSWORD.replace(' ', '+')}"
    with socket.create_connection(("127.0.0.1", login_page.port), timeout=LIMIT) as connection:  # as it is, not tidied
        connection.sendall(
            f"POST {asked} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}".encode()
        )
        with connection.makefile("rb") as answer:
            said = answer.read().decode()
    assert said.startswith("HTTP/1.1 303"), said
    [location] = [line.partition(": ")[2] for line in said.splitlines() if line.lower().startswith("location:")]
    assert location == leads


@pytest.fixture
def login_page(factory_settings: Settings, tmp_path: Path) -> Iterator[Served]:
    with serving(factory_settings, tmp_path, DASHBOARD_PASSWORD=PASSWORD) as served:
        yield served


def test_guessing_is_slowed_down(factory_settings: Settings, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("1000.0")
    more = {"DASHBOARD_PASSWORD": PASSWORD, "LOGIN_CLOCK": str(clock)}
    with serving(factory_settings, tmp_path, wait=True, program=PATIENT, **more) as served:
        answers = [requests.post(f"{served.url}/login", {"password": "x"}, timeout=LIMIT).status_code for _ in range(3)]
        assert answers == [401, 401, 429]
        assert requests.post(f"{served.url}/login", {"password": PASSWORD}, timeout=LIMIT).status_code == 429
        clock.write_text("1000.9")
        assert requests.post(f"{served.url}/login", {"password": PASSWORD}, timeout=LIMIT).status_code == 429
        clock.write_text("1001.0")  # the pause is over
        right = requests.post(f"{served.url}/login", {"password": PASSWORD}, timeout=LIMIT, allow_redirects=False)
        assert right.status_code == 303


def test_without_a_password_only_this_machine_is_answered_and_no_other_hosts_pages(
    factory_settings: Settings, tmp_path: Path
) -> None:
    with serving(factory_settings, tmp_path) as served:
        here = requests.get(served.url, timeout=LIMIT)
        assert here.status_code == 200
        assert "frame-ancestors 'none'" in here.headers["Content-Security-Policy"]
        # A name of another host's that points here.
        assert requests.get(served.url, headers={"Host": "evil.example"}, timeout=LIMIT).status_code == 400
        assert upgrade(served, {"Host": "evil.example", "Origin": "http://evil.example"}) in (400, 403)
        # Another host's page that asks for this one.
        assert upgrade(served, {"Origin": "http://evil.example"}) == 403
        assert upgrade(served, {"Origin": served.url}) == 101
        assert "No runtime found" not in served.said  # Streamlit's, of caches that are declared before it serves


def test_published_without_a_password_it_makes_one_and_says_how_to_see_it(
    factory_settings: Settings, tmp_path: Path
) -> None:
    with serving(factory_settings, tmp_path, DASHBOARD_ADDRESS="0.0.0.0") as served:
        assert requests.get(served.url, timeout=LIMIT).status_code == 401
        made = (factory_settings.state / "dashboard_password").read_text().strip()
        assert made not in served.said
        assert "./factory password" in served.said
        answer = requests.post(f"{served.url}/login", {"password": made}, timeout=LIMIT, allow_redirects=False)
        assert answer.status_code == 303


def test_a_session_outlives_a_restart_and_ends_with_all_others(
    factory_settings: Settings, database: Database, tmp_path: Path
) -> None:
    visitor = requests.Session()
    with serving(factory_settings, tmp_path, program=PATIENT, DASHBOARD_PASSWORD=PASSWORD) as served:
        visitor.post(f"{served.url}/login", {"password": PASSWORD}, timeout=LIMIT)
        assert visitor.get(served.url, timeout=LIMIT).status_code == 200
    with serving(factory_settings, tmp_path, program=PATIENT, DASHBOARD_PASSWORD=PASSWORD) as served:
        assert visitor.get(served.url, timeout=LIMIT).status_code == 200
        assert end_all(database.session) == 1
        wait_until(lambda: visitor.get(served.url, timeout=LIMIT).status_code == 401)


def test_behind_a_named_proxy_strangers_wait_alone_and_the_cookie_is_for_tls_only(
    factory_settings: Settings, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"  # which stands still: else a slow machine's third try may come after the pause
    clock.write_text("1000.0")
    with serving(
        factory_settings,
        tmp_path,
        program=PATIENT,
        DASHBOARD_PASSWORD=PASSWORD,
        TRUSTED_PROXIES="127.0.0.1",
        LOGIN_CLOCK=str(clock),
    ) as served:

        def log_in(password: str, **headers: str) -> requests.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return requests.post(
                f"{served.url}/login", {"password": password}, headers=named, timeout=LIMIT, allow_redirects=False
            )

        stranger, owner = {"X_Forwarded_For": "203.0.113.9"}, {"X_Forwarded_For": "192.0.2.7"}
        assert [log_in("x", **stranger).status_code for _ in range(3)] == [401, 401, 429]
        answer = log_in(PASSWORD, **owner, X_Forwarded_Proto="https")
        assert answer.status_code == 303
        assert "; secure" in answer.headers["Set-Cookie"].lower()
        assert "; secure" not in log_in(PASSWORD, **owner).headers["Set-Cookie"].lower()
        assert "a wrong password from 203.0.113.9" in served.said


def test_it_waits_for_a_port_that_is_taken(factory_settings: Settings, tmp_path: Path) -> None:
    with (
        reserved_port() as port,
        socket.create_server(("127.0.0.1", port)) as other,
        serving(factory_settings, tmp_path, wait=False, DASHBOARD_PORT=str(port)) as served,
    ):
        served.port = port
        wait_until(lambda: f"port {port} is in use" in served.said)
        other.close()
        wait_until(served.is_up)
        assert served.said.count("is in use") == 1


def upgrade(served: Served, headers: dict[str, str]) -> int:
    """The status with which a WebSocket is answered."""
    asked = {
        "Host": f"127.0.0.1:{served.port}", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers,
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in asked.items())
    with socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT) as connection:
        connection.sendall(f"GET /_stcore/stream HTTP/1.1\r\n{lines}\r\n".encode())
        with connection.makefile("rb") as answer:
            return int(answer.readline().split(b" ")[1])


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
