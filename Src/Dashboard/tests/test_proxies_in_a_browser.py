"""The examples of `docs/PROXY.md`, but for names and ports: a browser logs in through them and sees a photo."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.dashboard import serving
from Src.Dashboard.tests.browsing import LIMIT, PATIENT
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.patience import wait_until
from Src.Testing.ports import reserved_port

pytestmark = pytest.mark.needs_programs

PASSWORD = "correct horse"
EXAMPLES = sorted((PROJECT_ROOT / "docs" / "examples").glob("*.conf"))


@pytest.fixture
def dashboard_url(library: Settings) -> Iterator[str]:
    with serving(library, PATIENT, DASHBOARD_PASSWORD=PASSWORD, TRUSTED_PROXIES="127.0.0.1") as (url, _process):
        yield url


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_photo_comes_through(example: Path, browser: Any, dashboard_url: str, tmp_path: Path) -> None:
    program = example.stem.partition("-")[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here: requirements/debian-ci.txt")
    with reserved_port() as port, reserved_port() as plain, _proxy(example, dashboard_url, port, plain, tmp_path):
        below = "/photos" if "below-a-path" in example.stem else ""
        with browser.new_context(base_url=f"https://localhost:{port}", ignore_https_errors=True) as context:
            page = context.new_page()
            page.set_default_timeout(LIMIT)
            page.goto(f"{below}/library?year=2024")
            page.locator("#password").fill(PASSWORD)
            page.get_by_role("button").click()
            page.locator(".open img.there").first.wait_for()
            assert page.url == f"https://localhost:{port}{below}/gallery?q=year%3A2024"
            [cookie] = [cookie for cookie in context.cookies() if cookie["name"] == "photo_factory_login"]
            assert cookie["secure"], "X-Forwarded-Proto did not arrive"
            page.get_by_role("link", name="Map", exact=True).click()
            page.locator(".cluster").wait_for()
            assert page.url.startswith(f"https://localhost:{port}{below}/map")
            page.goto(f"{below}/logout")
            page.locator("#password").wait_for()
            assert page.url == f"https://localhost:{port}{below}/"


class _proxy:
    """The program of an example, with its folders in one of ours."""

    def __init__(self, example: Path, url: str, port: int, plain: int, folder: Path) -> None:
        self._log, self._port = folder / "proxy.log", port
        written = example.read_text().replace("photos.example.org", "localhost")
        written = written.replace("127.0.0.1:8501", url.removeprefix("http://"))
        if example.stem.startswith("caddy"):
            config = folder / "Caddyfile"
            ports = f"http_port {plain}\nhttps_port {port}\nadmin off\nskip_install_trust\n"
            config.write_text(f"{{\n{ports}}}\n{written.replace('# tls internal', 'tls internal')}")
            self._command = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
        else:
            written = re.sub(r"listen \[::\].*\n", "", written).replace("listen 443", f"listen 127.0.0.1:{port}")
            written = written.replace("listen 80", f"listen 127.0.0.1:{plain}").replace("/etc/ssl/", f"{folder}/")
            config = folder / "nginx.conf"
            own = "".join(
                f"{what}_temp_path {folder}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            user = "user root;" if os.geteuid() == 0 else ""
            config.write_text(
                f"daemon off; {user} pid {folder}/pid; error_log {folder}/error; events {{}}\n"
                f"http {{ access_log off; {own}\n{written}}}\n"
            )
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                 "-keyout", str(folder / "localhost.key"), "-out", str(folder / "localhost.pem")],
                check=True, capture_output=True,
            )  # fmt: skip
            self._command = ["nginx", "-c", str(config)]
        self._environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}

    def __enter__(self) -> None:
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        wait_until(self._listens, what="the proxy listens")

    def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        asked = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self._port}", "-servername", "localhost"],
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
        return asked.returncode == 0

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
