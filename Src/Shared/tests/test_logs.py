"""Logs: a line is a record, whatever a file may be called, and no password is in it."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Src.Shared.logs import configure_logging, escaped, local_log, masked
from Src.Shared.settings import Settings, load_settings

ALL_CHARACTERS = st.characters(codec=None, exclude_categories=())
HOSTILE = "a\nb\rc\x1b[31mred\x07\x9b2J\u2028d\u202egnp.exe\u2066\udcff\ud800\ufeff\t\0"


@pytest.fixture
def plain_settings() -> Settings:
    return load_settings({"TZ": "Europe/Berlin"}, Path("no.env"))


class Log:
    """A logger that is set up by `configure_logging`, and what it wrote."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self._settings = settings
        self._patch = patch
        self._stream = io.StringIO()
        self.logger = logging.getLogger("test.logs")

    def use(self, **changes: Any) -> logging.Logger:
        self._stream = io.StringIO()
        self._patch.setattr(sys, "stderr", self._stream)  # now: pytest has another for each phase of a test
        configure_logging(replace(self._settings, **changes), "librarian")
        return self.logger

    def lines(self) -> list[str]:
        written = self._stream.getvalue()
        assert written == "" or written.endswith("\n")
        return written.split("\n")[:-1]

    def record(self) -> dict[str, Any]:
        (line,) = self.lines()
        record: dict[str, Any] = json.loads(line)
        return record


@pytest.fixture
def log(plain_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    yield Log(plain_settings, monkeypatch)
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_tells_when_how_bad_who_and_what(log: Log) -> None:
    log.use().warning("placed %s", "a.jpg")
    (line,) = log.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} WARNING librarian: placed a\.jpg", line)


def test_json_is_one_object_a_line(log: Log) -> None:
    log.use(log_format="json").warning("placed %s", "a.jpg", extra={"bytes": 7, "path": Path("x")})
    record = log.record()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", record.pop("ts"))
    assert record == {
        "level": "WARNING",
        "service": "librarian",
        "logger": "test.logs",
        "message": "placed a.jpg",
        "bytes": 7,
        "path": "x",
    }


def test_times_are_the_factorys(log: Log) -> None:
    logger = log.use(log_format="json")
    record = logger.makeRecord("x", logging.WARNING, "f", 1, "m", (), None)
    record.created = 1_700_000_000.25
    logger.handle(record)
    assert log.record()["ts"] == "2023-11-14T23:13:20.250+01:00"


def test_extra_fields_are_in_the_text_too(log: Log) -> None:
    log.use().warning("placed", extra={"bytes": 7})
    assert log.lines()[0].endswith("placed bytes=7")


def test_the_level_is_the_settings(log: Log) -> None:
    log.use(log_level="WARNING").info("quiet")
    assert log.lines() == []
    log.use(log_level="DEBUG").debug("loud")
    assert len(log.lines()) == 1


def test_libraries_are_not_asked_for_their_every_step(log: Log) -> None:
    log.use(log_level="DEBUG")
    logging.getLogger("alembic.runtime.migration").info("Context impl")
    logging.getLogger("PIL.Image").debug("chunk")
    assert log.lines() == []


def test_configuring_again_does_not_double_the_lines(log: Log) -> None:
    log.use()
    log.use().warning("once")
    assert len(log.lines()) == 1


def test_warnings_are_logged(log: Log) -> None:
    log.use()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", stacklevel=1)
    assert any("old ways" in line for line in log.lines())


@pytest.mark.parametrize("form", ["text", "json"])
@given(name=st.text(ALL_CHARACTERS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_name_is_one_clean_line(log: Log, form: str, name: str) -> None:
    log.use(log_format=form).warning("file %s", name, extra={"more": name})
    (line,) = log.lines()
    line.encode()
    assert escaped(line) == line
    if form == "json":
        json.loads(line)["message"].encode()


def test_what_escaped_text_looks_like() -> None:
    assert escaped(HOSTILE) == (r"a\nb\rc\x1b[31mred\x07\x9b2J\u2028d\u202egnp.exe\u2066\xff\ud800\ufeff\t\x00")
    assert escaped("größer – 写真 🌅") == "größer – 写真 🌅"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_cannot_pass_for_a_record(log: Log, form: str) -> None:
    forged = "x\n2024-01-01 00:00:00.000 INFO librarian: all is well"
    try:
        raise ValueError(forged)
    except ValueError:
        log.use(log_format=form).exception("failed")
    first, *more = log.lines()
    assert "failed" in first
    assert all(line.startswith("    ") for line in more)
    assert bool(more) == (form == "text")
    assert "ValueError" in "\n".join([first, *more])


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("message", "arguments"), [("%d", ("x",)), ("no place", (1,)), ("%s", (Unprintable(),)), (Path("a"), ())]
)
def test_a_wrong_call_is_logged_still(log: Log, form: str, message: Any, arguments: tuple[Any, ...]) -> None:
    log.use(log_format=form).warning(message, *arguments, extra={"odd": Unprintable()})
    assert len(log.lines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@h/d",
        "postgresql+psycopg2://u:s3cret@h:5432/d?x=1",
        "postgresql://u:a@s3cret@h/d",
        "postgresql://u:a/s3cret@h/d",
        "postgresql://:s3cret@h",
        "host=h password=s3cret user=u",
        "password='a s3cret' host=h",
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_passwords_are_masked(log: Log, form: str, url: str) -> None:
    try:
        raise ValueError(f"cannot reach {url}")
    except ValueError:
        log.use(log_format=form).exception("trying %s", url, extra={"url": url, "urls": [{"url": url}]})
    written = "\n".join(log.lines())
    assert "s3cret" not in written
    assert "***" in written


def test_only_passwords_are_masked() -> None:
    assert masked("postgresql://u:p@h/d") == "postgresql://u:***@h/d"
    assert masked("see http://h:8080/x, a@b") == "see http://h:8080/x, a@b"


def test_under_the_process_runner_the_log_is_also_kept_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"FACTORY_DATA": str(tmp_path)}, tmp_path / "no.env")
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        for runner in ("", "1"):
            if runner:
                monkeypatch.setenv("FACTORY_RUNNER", runner)
            configure_logging(settings, "librarian")
            logging.getLogger("test.logs").info("under %r", runner)
    finally:
        for handler in set(root.handlers) - set(before[0]):
            handler.close()
        root.handlers[:], root.level = before
    [line] = local_log(settings, "librarian").read_text().splitlines()
    assert line.endswith("INFO librarian: under '1'")
