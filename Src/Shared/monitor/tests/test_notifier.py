"""Sending: real Apprise to real receivers, what is missed is sent again, and no secret is ever shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from Src.Shared.monitor import notifier as module
from Src.Shared.monitor.alerts import Notification
from Src.Shared.monitor.notifier import Notifier
from Src.Shared.monitor.tests.receivers import http_receiver, smtp_receiver
from Src.Testing.patience import wait_until

DISK_FULL = Notification("Photo Factory: vault disk ERROR", "vault disk went from OK to ERROR.\n1.0 % free", "failure")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(module, "STOP_LIMIT", 60.0)  # but a message under way may be late


@contextmanager
def running(*urls: str, unsent: dict[str, list[dict[str, str]]] | None = None) -> Iterator[Notifier]:
    notifier = Notifier(urls)
    notifier.load(unsent or {})
    notifier.start()
    try:
        yield notifier
    finally:
        notifier.stop()


def numbered(number: int) -> Notification:
    return Notification(f"number {number}", "text", "info")


def test_a_web_hook_gets_it() -> None:
    with http_receiver() as receiver, running(receiver.url) as notifier:
        notifier.send(DISK_FULL)
        wait_until(lambda: len(receiver.received) == 1)
    [one] = receiver.received
    assert (one["title"], one["message"], one["type"]) == (DISK_FULL.title, DISK_FULL.body, "failure")


def test_an_e_mail_gets_it() -> None:
    with smtp_receiver() as receiver, running(receiver.url) as notifier:
        notifier.send(DISK_FULL)
        wait_until(lambda: len(receiver.messages) == 1)
    [one] = receiver.messages
    assert DISK_FULL.title in one["Subject"]
    assert "factory@example.org" in one["From"]
    assert "me@example.org" in one["To"]
    part = one.get_body(("plain", "html"))
    assert part is not None
    assert "1.0 % free" in part.get_content()


def test_no_markup_of_a_name_reaches_an_e_mail() -> None:
    with smtp_receiver() as receiver, running(receiver.url) as notifier:
        notifier.send(Notification("title", "<img src=http://example.com/x>.jpg failed", "warning"))
        wait_until(lambda: len(receiver.messages) == 1)
    for part in receiver.messages[0].walk():
        if part.get_content_type() == "text/html":
            assert "<img" not in part.get_content()


def test_each_target_gets_all_of_it_once_however_the_others_are(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with http_receiver() as well, http_receiver() as ill, running(well.url, ill.url) as notifier:
        ill.refusing = True
        for number in range(3):
            notifier.send(numbered(number))
        wait_until(lambda: len(well.received) == 3 and ill.refused >= 3 and notifier.trouble is not None)
        assert notifier.trouble == "alerts do not reach JSON (number 2 of ALERT_URLS)"
        ill.refusing = False
        wait_until(lambda: len(ill.received) == 3)
        wait_until(lambda: notifier.trouble is None)
        wait_until(lambda: notifier.dump() == {})
        assert well.titles == ill.titles == ["number 0", "number 1", "number 2"]
    ours = [record.message for record in caplog.records if record.name == module.__name__]
    assert ours == [
        "Alerts do not reach JSON (number 2 of ALERT_URLS); they are kept and sent again",
        "Alerts reach JSON (number 2 of ALERT_URLS) again",
    ]
    assert "sesame" not in caplog.text


def test_a_long_outage_keeps_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as receiver, running(receiver.url) as notifier:
        receiver.refusing = True
        for number in range(module.BACKLOG + 10):
            notifier.send(numbered(number))
        before = receiver.refused  # the next one may be of what is dropped by now, the one after it is not
        wait_until(lambda: receiver.refused > before + 1)
        receiver.refusing = False
        wait_until(lambda: len(receiver.received) == module.BACKLOG and notifier.dump() == {})
    assert receiver.titles == [f"number {number}" for number in range(10, module.BACKLOG + 10)]


def test_what_was_not_sent_is_sent_after_a_restart() -> None:
    with http_receiver() as receiver:
        receiver.refusing = True
        with running(receiver.url) as notifier:
            notifier.send(DISK_FULL)
            wait_until(lambda: receiver.refused > 0)
        unsent = notifier.dump()
        assert "sesame" not in str(unsent)
        receiver.refusing = False
        with running(receiver.url, unsent=unsent):
            wait_until(lambda: receiver.titles == [DISK_FULL.title])


def test_a_target_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_LIMIT", 0.1)
    with http_receiver() as receiver:
        receiver.delay.clear()
        with running(receiver.url) as notifier:
            notifier.send(DISK_FULL)
            wait_until(lambda: receiver.asked > 0)
        assert notifier._thread.is_alive(), "its answer was waited for"
        receiver.delay.set()
        notifier._thread.join()


@pytest.mark.parametrize("url", ["nonsense", "mailto://", "tgram://sesame", "sesame://sesame@host/", "http://[sesame"])
def test_an_url_that_cannot_be_used_is_one_line_without_it(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with http_receiver() as receiver, running(url, receiver.url) as notifier:
        notifier.send(DISK_FULL)
        wait_until(lambda: len(receiver.received) == 1)
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["Number 1 of ALERT_URLS is no URL that Apprise can use: no alerts go there"]
    out, err = capfd.readouterr()
    assert "sesame" not in caplog.text + out + err


def test_without_targets_there_is_nothing_to_do() -> None:
    with running() as notifier:
        notifier.send(DISK_FULL)
        assert notifier.trouble is None and notifier.dump() == {}
