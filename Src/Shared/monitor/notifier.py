"""Sends notifications through Apprise, to each target until it has them.

A target that cannot be reached is tried again with growing pauses and gets what it missed. Apprise's URLs hold
passwords and tokens, and so do some of its own log lines: neither is ever shown.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from Src.Shared.monitor.alerts import Notification

if TYPE_CHECKING:
    from apprise import Apprise

BACKLOG = 20  # notifications kept for a target that cannot be reached; older ones are dropped
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 900.0  # seconds between tries
STOP_LIMIT = 3.0  # seconds that a message under way may take at the end

logger = logging.getLogger(__name__)


class Target:
    """One of ALERT_URLS."""

    def __init__(self, number: int, service: str, key: str, apprise: Apprise) -> None:
        self.name = f"{service} (number {number} of ALERT_URLS)"
        self.key = key  # tells it from others without telling the URL
        self.backlog: deque[Notification] = deque(maxlen=BACKLOG)
        self.failing = False
        self.due = 0.0  # of `time.monotonic`
        self._pause = FIRST_PAUSE
        self._apprise = apprise

    def send(self, one: Notification) -> bool:
        """Whether it took it. Takes as long as the target likes; Apprise itself waits seconds, not minutes."""
        from apprise import NotifyFormat, NotifyType

        try:
            return bool(
                self._apprise.notify(
                    body=one.body, title=one.title, notify_type=NotifyType(one.kind), body_format=NotifyFormat.TEXT
                )
            )
        except Exception as error:  # a plugin's defect
            logger.debug("%s: %s", self.name, type(error).__name__)
            return False

    def note(self, sent: bool) -> None:
        if sent:
            if self.failing:
                logger.info("Alerts reach %s again", self.name)
            self.failing, self._pause, self.due = False, FIRST_PAUSE, 0.0
            return
        if not self.failing:
            logger.warning("Alerts do not reach %s; they are kept and sent again", self.name)
        self.failing = True
        self.due = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def targets(urls: Sequence[str]) -> list[Target]:
    """The usable ones; a warning names each other by its number."""
    if not urls:
        return []
    from apprise import Apprise  # large: only where alerts are wanted

    for name in ("apprise", "urllib3"):  # their words hold parts of the URLs
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    found = []
    for number, url in enumerate(urls, start=1):
        plugin = Apprise.instantiate(url)
        if plugin is None:
            logger.warning("Number %d of ALERT_URLS is no URL that Apprise can use: no alerts go there", number)
            continue
        apprise = Apprise()
        apprise.add(plugin)
        key = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()[:16]
        found.append(Target(number, str(plugin.service_name), key, apprise))
    return found


class Notifier:
    """A thread that sends. Nothing that happens to it reaches the monitor."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._targets = targets(urls)
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        if self._targets:
            self._thread.start()

    def send(self, one: Notification) -> None:
        """To all targets, soon. Takes microseconds."""
        with self._changed:
            for target in self._targets:
                target.backlog.append(one)
            self._changed.notify()

    @property
    def trouble(self) -> str | None:
        """Whom alerts do not reach."""
        failing = [target.name for target in self._targets if target.failing]
        return f"alerts do not reach {', '.join(failing)}" if failing else None

    def stop(self) -> None:
        """Ends soon; what was not sent is in `dump`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT)

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """What has not been sent, as JSON can hold it."""
        with self._changed:
            return {one.key: [asdict(missed) for missed in one.backlog] for one in self._targets if one.backlog}

    def load(self, dumped: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Goes on where another one ended. Raises TypeError if that is not what it dumped."""
        for target in self._targets:
            target.backlog.extend(Notification(**values) for values in dumped.get(target.key, ()))

    def _run(self) -> None:
        while (target := self._next()) is not None:
            one = target.backlog[0]
            sent = target.send(one)
            with self._changed:
                if sent and target.backlog and target.backlog[0] is one:
                    target.backlog.popleft()
                target.note(sent)

    def _next(self) -> Target | None:
        """The next that is due to be sent to; None: it is time to end."""
        with self._changed:
            while not self._stopping:
                waiting = [target for target in self._targets if target.backlog]
                first = min(waiting, key=lambda target: target.due, default=None)
                left = None if first is None else first.due - time.monotonic()
                if first is not None and left is not None and left <= 0:
                    return first
                self._changed.wait(left)
            return None
