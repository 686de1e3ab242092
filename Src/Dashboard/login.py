"""The door: nothing of the dashboard answers without the password, not even a picture.

A middleware and not a page: it also guards what Streamlit serves besides its script, and the cookie outlives a reload.
Where Streamlit's OpenID Connect is configured (`st.login`) that takes the place of the password.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import threading
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

import streamlit as st
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from Src.Dashboard.exposure import has_oidc

COOKIE = "photo_factory_login"
LOGIN, LOGOUT = "/login", "/logout"
OPEN_PATHS = ("/_stcore/health",)  # what health checks ask
STAYS_LOGGED_IN = 30 * 86400  # seconds

FREE_TRIES = 3
LONGEST_PAUSE = 30.0  # seconds
BODY_LIMIT = 4096  # bytes of a login form

_PAGE = (Path(__file__).parent / "login.html").read_text(encoding="utf-8")

log = logging.getLogger(__name__)


class Gate:
    """Compares passwords, and makes those who guess wait: after a few wrong ones each costs twice the last pause."""

    def __init__(self, password: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._hash = _hash(password)
        self._clock = clock
        self._mutex = threading.Lock()
        self._wrong = 0
        self._closed_until = -math.inf
        # Made from the password: a restart logs nobody out, another password everybody.
        self._serializer = URLSafeTimedSerializer(self._hash, salt="dashboard-login")

    def wait(self) -> float:
        """Seconds until the next try is heard; 0: now."""
        return max(0.0, self._closed_until - self._clock())

    def admits(self, password: str) -> bool:
        """Whether it is the password. While there is a pause, no password is."""
        with self._mutex:
            if self.wait():
                return False
            if hmac.compare_digest(_hash(password), self._hash):
                self._wrong = 0
                return True
            self._wrong += 1
            if self._wrong >= FREE_TRIES:
                self._closed_until = self._clock() + min(LONGEST_PAUSE, 2.0 ** (self._wrong - FREE_TRIES))
            return False

    def token(self) -> str:
        """Proves later that its holder knew the password."""
        return self._serializer.dumps("in")

    def knows(self, token: str) -> bool:
        try:
            return bool(self._serializer.loads(token, max_age=STAYS_LOGGED_IN) == "in")
        except BadSignature:
            return False


class LoginMiddleware:
    """Lets through who has logged in, and shows the form to everybody else."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not self._is_in(scope):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http" and (answer := await self._answer(scope, receive)) is not None:
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        path = scope["path"]
        if path == LOGIN and scope["method"] == "POST":
            return await self._try(Request(scope, receive))
        if path == LOGOUT:
            away = RedirectResponse("/", 303)
            away.delete_cookie(COOKIE)
            return away
        if path in OPEN_PATHS or self._is_in(scope):
            return None
        return _form("", 401)

    async def _try(self, request: Request) -> Response:
        body = b""
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_LIMIT:
                    return _form("That is too long for a password.", 413)
        except ClientDisconnect:
            return _form("", 400)
        password = parse_qs(body.decode(errors="replace")).get("password", [""])[0]
        if self._gate.admits(password):
            home = RedirectResponse("/", 303)
            secure = request.url.scheme == "https"
            home.set_cookie(COOKIE, self._gate.token(), STAYS_LOGGED_IN, httponly=True, samesite="lax", secure=secure)
            return home
        log.warning("a wrong password from %s", request.client.host if request.client else "somewhere")
        pause = self._gate.wait()
        if pause:
            return _form(f"Not right. Next try in {math.ceil(pause)} s.", 429)
        return _form("Not right.", 401)

    def _is_in(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"cookie":
                try:
                    token = SimpleCookie(value.decode("latin-1")).get(COOKIE)
                except CookieError:
                    continue
                if token is not None and self._gate.knows(token.value):
                    return True
        return False


def require_login() -> None:
    """On a page: where OpenID Connect is configured, ends the run for who has not logged in with it."""
    if not has_oidc() or st.user.is_logged_in:
        return
    st.title("Photo Factory")
    st.button("Log in", icon=":material/login:", type="primary", on_click=st.login)
    st.stop()


def _hash(password: str) -> bytes:
    return hashlib.sha256(password.encode(errors="surrogateescape")).digest()


def _form(message: str, status: int) -> Response:
    """Nothing of a visitor's own goes into the page."""
    return HTMLResponse(_PAGE.replace("{message}", message), status, headers={"Cache-Control": "no-store"})
