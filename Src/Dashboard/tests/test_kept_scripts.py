"""Streamlit's scripts come packed, and nothing else comes that way."""

from __future__ import annotations

import asyncio
import gzip
import re

import pytest
from starlette.types import Message, Receive, Scope, Send

from Src.Dashboard.kept_scripts import _FOLDER, KeptScripts

_SCRIPT = re.findall(r'src="\.(/static/js/index[^"]+)"', (_FOLDER / "index.html").read_text())[0]


async def _streamlit(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"Streamlit's"})


def _ask(path: str, *, packed: str = "gzip, br", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    headers = [(b"accept-encoding", packed.encode())] if packed else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(KeptScripts(_streamlit)(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in answers[0]["headers"]}
    return answers[0]["status"], found, answers[1]["body"]


def test_a_script_comes_packed_and_is_kept_by_the_browser() -> None:
    status, headers, body = _ask(_SCRIPT)
    content = (_FOLDER / _SCRIPT[1:]).read_bytes()
    assert status == 200 and gzip.decompress(body) == content and 3 * len(body) < 2 * len(content)
    assert headers["content-encoding"] == "gzip" and headers["vary"] == "Accept-Encoding"
    assert headers["content-type"].startswith("text/javascript") and "immutable" in headers["cache-control"]


@pytest.mark.parametrize(
    "about",
    [
        {"path": _SCRIPT, "packed": ""},
        {"path": _SCRIPT, "method": "HEAD"},
        {"path": f"{_SCRIPT}x"},
        {"path": f"/static/js/../js/{_SCRIPT.rpartition('/')[2]}"},
        {"path": "/static/js/../../../__init__.py"},
        {"path": "/index.html"},
        {"path": "/"},
    ],
)
def test_all_else_is_streamlits(about: dict[str, str]) -> None:
    assert _ask(**about)[0] == 299
