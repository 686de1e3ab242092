"""The door: nothing of the dashboard answers without the password, not even a picture.

A middleware and not a page: it also guards what Streamlit serves besides its script, and the cookie outlives a reload.
Where Streamlit's OpenID Connect is configured (`st.login`) that takes the place of the password.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, quote

import streamlit as st
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from Src.Accounts.limits import TryLimits
from Src.Accounts.passwords import COST, Cost, hash_password, is_password
from Src.Accounts.proxies import Client, Proxies
from Src.Accounts.sessions import LASTS, Connect, Sessions
from Src.Shared.dashboard_exposure import has_oidc
from Src.Shared.database import LedgerUnavailable

COOKIE = "photo_factory_login"
LOGIN, LOGOUT = "/login", "/logout"
_FIRST_PAGE = "./"  # seen from both
OPEN_PATHS = ("/_stcore/health",)  # what health checks ask
BODY_LIMIT = 4096  # bytes of a login form

_PAGE = (Path(__file__).parent / "login.html").read_text(encoding="utf-8")

logger = logging.getLogger(__name__)


class Gate:
    """Compares passwords and keeps sessions; whoever guesses wrong waits. Thread-safe."""

    def __init__(
        self,
        password: str,
        connect: Connect,
        clock: Callable[[], float] = time.monotonic,
        *,
        cost: Cost = COST,
    ) -> None:
        """`connect` opens a session on the ledger that may write; `cost` is that of a guess."""
        self._hash = hash_password(password, cost)
        self._limits = TryLimits(clock)
        self.sessions = Sessions(connect, password)

    def wait(self, address: str) -> float:
        """Seconds until the next try from an address is compared; 0: now."""
        return self._limits.wait(address)

    def admits(self, password: str, address: str) -> bool:
        """Whether it is the password. While an address has to wait, no password is."""
        if self._limits.wait(address):
            return False
        if is_password(password, self._hash):
            self._limits.right(address)
            return True
        self._limits.wrong(address)
        return False


class LoginMiddleware:
    """Passes on what comes from a device that has logged in, and shows the form to everybody else."""

    def __init__(self, app: ASGIApp, gate: Gate, proxies: Proxies) -> None:
        self._app = app
        self._gate = gate
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not await self._is_in(scope):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http" and (answer := await self._answer(scope, receive)) is not None:
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        path = scope["path"]
        if path == LOGOUT:
            return await self._log_out(scope)
        if path != LOGIN and (path in OPEN_PATHS or await self._is_in(scope)):
            return None
        # The form stands at the address that was asked for, and posts to it: so that is where a login leads.
        return await self._try(Request(scope, receive)) if scope["method"] == "POST" else _form("", 401)

    async def _try(self, request: Request) -> Response:
        body = b""
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_LIMIT:
                    return _form("That is too long for a password.", 413)
        except ClientDisconnect:
            return _form("", 400)
        client = await asyncio.to_thread(self._client, request.scope)
        if not (pause := self._gate.wait(client.address)):
            password = parse_qs(body.decode(errors="replace")).get("password", [""])[0]
            if await asyncio.to_thread(self._gate.admits, password, client.address):
                device = request.headers.get("user-agent", "")
                token = await asyncio.to_thread(self._gate.sessions.begin, device, client.address)
                there = RedirectResponse(_asked_for(request.scope), 303)
                lasts = int(LASTS.total_seconds())
                there.set_cookie(COOKIE, token, lasts, httponly=True, samesite="lax", secure=client.is_secure)
                return there
            logger.warning("a wrong password from %s", client.address)
            pause = self._gate.wait(client.address)
        wrong = "Wrong password. Run ./factory password to see it."
        return _form(f"{wrong} Next try in {math.ceil(pause)} s.", 429) if pause else _form(wrong, 401)

    async def _log_out(self, scope: Scope) -> Response:
        away = RedirectResponse(_FIRST_PAGE, 303)
        for token in tokens_of(Headers(scope=scope)):
            try:
                await asyncio.to_thread(self._gate.sessions.end, token)
            except LedgerUnavailable:
                logger.warning("a device logged out while the database is away; only this process knows that")
        away.delete_cookie(COOKIE)
        return away

    async def _is_in(self, scope: Scope) -> bool:
        for token in tokens_of(Headers(scope=scope)):
            if self._gate.sessions.is_fresh(token) or await asyncio.to_thread(self._gate.sessions.knows, token):
                return True
        return False

    def _client(self, scope: Scope) -> Client:
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded_for = ",".join(headers.getlist("x-forwarded-for"))
        return self._proxies.client(peer, scope["scheme"], forwarded_for, headers.get("x-forwarded-proto", ""))


def tokens_of(headers: Headers) -> list[str]:
    """The login tokens that a request brings; hardly ever more than one."""
    found = []
    for value in headers.getlist("cookie"):
        try:
            token = SimpleCookie(value).get(COOKIE)
        except CookieError:
            continue
        if token is not None:
            found.append(token.value)
    return found


def require_login(users: tuple[str, ...]) -> None:
    """On a page: where OpenID Connect is configured, ends the run unless one of `users` has logged in with it."""
    if not has_oidc():
        return
    st_user = st.user
    if not st_user.is_logged_in:
        st.title("Photo Factory")
        st.button("Log in", icon=":material/login:", type="primary", on_click=st.login)
        st.stop()
    if not may_look(dict(st_user), users):
        st.title("Photo Factory")
        st.error("This account may not see the photos here. The owner can add its address to DASHBOARD_USERS.")
        st.button("Log out", icon=":material/logout:", on_click=st.logout)
        st.stop()


def may_look(claims: dict[str, object], users: tuple[str, ...]) -> bool:
    """Whether the claims of an OpenID Connect login name one of `users`, with an address that is not unverified."""
    email = claims.get("email")
    return isinstance(email, str) and email.lower() in users and claims.get("email_verified") in (None, True)


def _asked_for(scope: Scope) -> str:
    """The page to which a login leads: the one that was asked for, relative to itself, because a proxy may serve all of
    this below a path that it takes off. So it is on this host in any case."""
    name = quote(scope["path"].rpartition("/")[2])
    query = scope["query_string"].decode("ascii", "replace")
    return _FIRST_PAGE if scope["path"] == LOGIN else f"./{name}?{query}" if query else f"./{name}"


def _form(message: str, status: int) -> Response:
    """Nothing of a visitor's own goes into the page."""
    return HTMLResponse(_PAGE.replace("{message}", message), status, headers={"Cache-Control": "no-store"})
