"""Logs: to stderr, one line a record, as text to read or as JSON to collect.

File names end up in messages, and they may hold anything: whatever would break the line or steer the terminal
is written escaped. Passwords in URLs are masked.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from datetime import datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from Src.Shared.disk.making import PRIVATE, make_folder, private_file
from Src.Shared.runner_watch import VARIABLE as RUNNER
from Src.Shared.settings import Settings

LOG_FILE_SIZE = 1_000_000  # bytes; as much again of what was before

# Control characters (ANSI escapes begin with one), line and paragraph separators, what turns the writing
# direction, bytes that are no UTF-8 (lone surrogates), the byte order mark.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Greedy up to the last @: a password may hold one.
_PASSWORD_IN_URL = re.compile(r"(://[^\s/:@]*):\S*@")
_PASSWORD_IN_DSN = re.compile(r"(\bpassword=)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CHATTY = ("alembic", "PIL", "watchdog", "sqlalchemy")


def configure_logging(settings: Settings, service: str) -> None:
    """Sends all logs of this process to stderr, as the settings say. May be called again.

    Under `./factory up` they also go to a file for the dashboard to show: there is no Docker to ask for them.
    """
    formatter = (_Json if settings.log_format == "json" else _Text)(service, settings.zone)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if RUNNER in os.environ:
        handlers += _log_file(local_log(settings, service))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, _Text | _Json):
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(settings.log_level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to fill stderr


def local_log(settings: Settings, service: str) -> Path:
    """Where `./factory up` keeps a service's log."""
    return settings.run / "logs" / f"{service}.log"


class _PrivateLog(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        return cast(TextIOWrapper, open(self.baseFilename, self.mode, encoding=self.encoding, opener=private_file))


def _log_file(path: Path) -> list[logging.Handler]:
    try:
        make_folder(path.parent, PRIVATE, below=path.parent.parent)
        return [_PrivateLog(path, maxBytes=LOG_FILE_SIZE, backupCount=1, encoding="utf-8")]
    except OSError as error:
        print(f"{path}: cannot be written, so the dashboard has no log to show: {error.strerror}", file=sys.stderr)
        return []


def escaped(text: str) -> str:
    """The text with everything escaped that would break its line or steer the terminal."""
    return _UNSAFE.sub(_escape, text)


def masked(text: str) -> str:
    """The text with the passwords of URLs and connection strings replaced by `***`."""
    return _PASSWORD_IN_DSN.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1:***@", text))


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is no UTF-8
        return f"\\x{code & 0xFF:02x}"
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit, or cannot be shown: the rest is still worth having
        return f"{record.msg!s} (its arguments cannot be shown)"


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


class _Text(logging.Formatter):
    def __init__(self, service: str, zone: ZoneInfo) -> None:
        super().__init__()
        self._service = service
        self._zone = zone

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, self._zone)
        extra = "".join(f" {name}={_shown(value)}" for name, value in _extra(record).items())
        text = escaped(masked(_message(record) + extra))
        milliseconds = moment.microsecond // 1000
        line = f"{moment:%Y-%m-%d %H:%M:%S}.{milliseconds:03d} {record.levelname} {self._service}: {text}"
        # A traceback takes lines of its own, indented, so that none of them can pass for a record.
        return "".join([line, *(f"\n    {escaped(masked(more))}" for more in _traceback(self, record))])


class _Json(logging.Formatter):
    def __init__(self, service: str, zone: ZoneInfo) -> None:
        super().__init__()
        self._service = service
        self._zone = zone

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            **_extra(record),
            "ts": datetime.fromtimestamp(record.created, self._zone).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": _message(record),
        }
        if traceback := _traceback(self, record):
            fields["traceback"] = "\n".join(traceback)
        return json.dumps(_plain(fields))  # ASCII: nothing to escape


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    try:
        parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    except Exception:
        parts = ["(the traceback cannot be shown)"]
    parts += [formatter.formatStack(record.stack_info)] if record.stack_info else []
    return [line for part in parts for line in part.split("\n")]


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {_json_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _json_text(value)


def _json_text(value: object) -> str:
    return masked(re.sub("[\ud800-\udfff]", _escape, _shown(value)))  # JSON readers refuse lone surrogates
