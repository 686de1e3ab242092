"""Serves the dashboard: Streamlit as a well-behaved service of the factory.

What must not wait for a first viewer happens here: the heartbeat, the liveness file, the end with the process runner.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout, suppress
from pathlib import Path

from Src.Dashboard.exposure import SECRETS, has_oidc, is_loopback, refusal, url
from Src.Shared.logs import configure_logging
from Src.Shared.runner_watch import end_with_runner
from Src.Shared.settings import Settings, SettingsError, load_settings

SERVICE_NAME = "dashboard"
HEARTBEAT_INTERVAL = 300.0  # seconds
PORT_RETRY = 2.0  # seconds
SCRIPT = Path(__file__).parent / "dashboard.py"

log = logging.getLogger(__name__)


def main() -> int:
    """Runs the service until SIGTERM or SIGINT; the exit code."""
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"dashboard: {error}", file=sys.stderr)
        return 2
    if settings.dashboard_port == 0:
        print("dashboard: DASHBOARD_PORT=0: it is switched off", file=sys.stderr)
        return 0
    problem = refusal(settings)
    if problem is not None:
        print(f"dashboard: {problem}", file=sys.stderr)
        return 2
    configure_logging(settings, SERVICE_NAME)
    end_with_runner()
    try:
        _wait_for_port(settings)
    except OSError as error:
        log.error("DASHBOARD_ADDRESS=%s: cannot listen there: %s", settings.dashboard_address, error.strerror)
        return 2
    _serve(settings)
    return 0


def _wait_for_port(settings: Settings) -> None:
    """Another program's port is no reason to end: that program may."""
    import errno

    family, _, _, _, address = socket.getaddrinfo(
        settings.dashboard_address, settings.dashboard_port, type=socket.SOCK_STREAM
    )[0]
    told = False
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        if not told:
            log.warning(
                "port %d is in use by another program; the dashboard waits for it. DASHBOARD_PORT sets another, 0 none",
                settings.dashboard_port,
            )
            told = True
        time.sleep(PORT_RETRY)


def _serve(settings: Settings) -> None:
    # Caches are declared when modules are imported, which is before Streamlit's runtime is there: no fault.
    logging.getLogger("streamlit.runtime.caching").setLevel(logging.ERROR)

    import streamlit as st
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from Src.Dashboard.headers import SecurityHeaders
    from Src.Dashboard.login import Gate, LoginMiddleware
    from Src.Dashboard.routes import ROUTES

    middleware = [Middleware(SecurityHeaders, tiles=settings.map_tiles)]
    if settings.dashboard_password and not has_oidc():
        middleware.append(Middleware(LoginMiddleware, gate=Gate(settings.dashboard_password)))
    elif is_loopback(settings.dashboard_address):
        # Without a login only this machine may ask, and not a web page whose name was made to point here.
        hosts = ["localhost", "127.0.0.1", "[::1]", settings.dashboard_address]
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=hosts))

    app = st.App(SCRIPT, lifespan=_lifespan, middleware=middleware, routes=ROUTES)
    log.info("serving %s", url(settings))
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
async def _lifespan(_app: object) -> AsyncIterator[None]:
    from Src.Dashboard.resources import ledger, settings
    from Src.Shared.heartbeat_service import HeartbeatService

    heartbeat = HeartbeatService(
        ledger().database, SERVICE_NAME, HEARTBEAT_INTERVAL, settings().run / f"{SERVICE_NAME}.alive"
    )
    heartbeat.report("OK", "serving")
    heartbeat.start()
    pulse = asyncio.create_task(_pulse(heartbeat.touch))
    try:
        yield
    finally:
        pulse.cancel()
        with suppress(asyncio.CancelledError):
            await pulse
        heartbeat.stop()
        ledger().database.close()


async def _pulse(touch: object) -> None:
    """Shows that the loop which serves everybody goes round."""
    assert callable(touch)
    while True:
        touch()
        await asyncio.sleep(1.0)
