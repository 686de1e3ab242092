"""Serves the dashboard: Streamlit as a well-behaved service of the factory.

What must not wait for a first viewer happens here: the heartbeat, the liveness file, the end with the process runner.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, redirect_stdout, suppress
from pathlib import Path

from Src.Dashboard import ledger
from Src.Shared import service
from Src.Shared.dashboard_exposure import SECRETS, has_oidc, is_loopback, password_file, password_of, refusal, url
from Src.Shared.limits import LIMITS, Limits
from Src.Shared.services import DASHBOARD
from Src.Shared.settings import Settings, SettingsError

PORT_RETRY = 2.0  # seconds
SCRIPT = Path(__file__).parent / "dashboard.py"

logger = logging.getLogger(__name__)


def main(limits: Limits = LIMITS) -> int:
    """Runs the service until a signal stops it; returns the exit code."""
    return service.run(DASHBOARD, make, answer_limit=ledger.ANSWER_LIMIT, limits=limits)


def make(start: service.Start) -> DashboardServer | None:
    """The service; None where it is switched off. Raises SettingsError where it must not be served as it is set."""
    if start.settings.dashboard_port == 0:
        logger.info("DASHBOARD_PORT=0: it is switched off")
        return None
    problem = refusal(start.settings)
    if problem is not None:
        raise SettingsError(problem)
    return DashboardServer(start)


class DashboardServer:
    """Streamlit, and what must not wait for a first viewer."""

    def __init__(self, start: service.Start) -> None:
        self._start = start
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ends the wait for the port. Once it serves, the server hears signals itself."""
        self._stopping.set()

    def run(self) -> None:
        """Serves. Raises SettingsError where it cannot, as it is set."""
        settings = self._start.settings
        try:
            self._wait_for_port()
        except OSError as error:
            raise SettingsError(
                f"DASHBOARD_ADDRESS={settings.dashboard_address}: cannot listen there: {error.strerror}"
            ) from error
        if self._stopping.is_set():
            return
        try:
            password = password_of(settings)
        except OSError as error:
            raise SettingsError(
                f"DASHBOARD_ADDRESS={settings.dashboard_address} needs a password, and {password_file(settings)} "
                f"cannot be written ({error.strerror}); set DASHBOARD_PASSWORD"
            ) from error
        _say_who_may_look(settings, password)
        self._serve(password)

    def _wait_for_port(self) -> None:
        """Another program's port is no reason to end: that program may."""
        import errno

        settings = self._start.settings
        family, _, _, _, address = socket.getaddrinfo(
            settings.dashboard_address, settings.dashboard_port, type=socket.SOCK_STREAM
        )[0]
        told = False
        while not self._stopping.is_set():
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(address)
                    return
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
            if not told:
                logger.warning(
                    "port %d is in use by another program; the dashboard waits for it. DASHBOARD_PORT sets another, "
                    "0 none",
                    settings.dashboard_port,
                )
                told = True
            self._stopping.wait(PORT_RETRY)

    def _serve(self, password: str | None) -> None:
        settings = self._start.settings
        hush_caches_declared_early()

        import streamlit as st
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from Src.Accounts.proxies import Proxies
        from Src.Dashboard import resources
        from Src.Dashboard.headers import SecurityHeaders
        from Src.Dashboard.kept_scripts import KeptScripts
        from Src.Dashboard.login import Gate, LoginMiddleware
        from Src.Dashboard.routes import ROUTES

        resources.database = self._start.database
        middleware = [Middleware(SecurityHeaders, tiles=settings.map_tiles)]
        if password is not None and not has_oidc():
            gate = Gate(password, resources.connect_to_write)
            resources.sessions = gate.sessions
            middleware.append(Middleware(LoginMiddleware, gate=gate, proxies=Proxies(settings.trusted_proxies)))
        elif is_loopback(settings.dashboard_address):
            # Without a login only this machine may ask, and not a web page whose name was made to point here.
            hosts = ["localhost", "127.0.0.1", "[::1]", settings.dashboard_address]
            middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=hosts))
        middleware.append(Middleware(KeptScripts))  # behind the login, as all else

        app = st.App(SCRIPT, lifespan=self._lifespan, middleware=middleware, routes=ROUTES)
        logger.info("serving %s", url(settings))
        # Streamlit greets on stdout; what matters it logs.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            app.run(
                config={
                    "server.address": settings.dashboard_address,
                    "server.port": settings.dashboard_port,
                    "server.headless": True,
                    "browser.serverAddress": "localhost",  # else it asks a host on the internet for our address
                    "browser.gatherUsageStats": False,
                    "secrets.files": [str(SECRETS)] if has_oidc() else [],
                }
            )

    @asynccontextmanager
    async def _lifespan(self, _app: object) -> AsyncIterator[None]:
        heartbeat = self._start.heartbeat
        heartbeat.report("OK", "serving")
        heartbeat.start()
        pulse = asyncio.create_task(_pulse(heartbeat.touch))
        threading.Thread(target=_get_ready, name="get-ready", daemon=True).start()
        try:
            yield
        finally:
            pulse.cancel()
            with suppress(asyncio.CancelledError):
                await pulse


def hush_caches_declared_early() -> None:
    """To be called before modules of ours that have caches are imported.

    Each is declared before Streamlit's runtime is there: no fault, but Streamlit warns of it. And it gives each of its
    loggers a level of its own, so that their parent's does not count.
    """
    import streamlit  # noqa: F401 (it sets the level of all its loggers while it is imported)
    from streamlit.logger import get_logger

    get_logger("streamlit.runtime.caching.cache_data_api").setLevel(logging.ERROR)


def _say_who_may_look(settings: Settings, password: str | None) -> None:
    if password is not None and settings.dashboard_password is None:
        logger.info("DASHBOARD_PASSWORD is not set: a password was made; `./factory password` shows it")
    elif password is None and not has_oidc():
        logger.info("it needs no password: only this machine can open it (every program and every account here)")


def _get_ready() -> None:
    """What the first viewer would wait for, after it is served: the modules of pages, and the way to the database."""
    from Src.Dashboard import addresses, resources

    try:
        resources.ledger()
        addresses.import_all()
    except Exception:  # that page shows why when a viewer opens it
        logger.exception("pages could not be loaded before the first viewer comes")


async def _pulse(touch: Callable[[], None]) -> None:
    """Shows that the loop which serves everybody goes round."""
    while True:
        touch()
        await asyncio.sleep(1.0)
