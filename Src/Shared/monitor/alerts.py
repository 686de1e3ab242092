"""When people are told, and what: each change that holds, once; what stays wrong, again after a while.

A change must hold for two rounds before it is told: a service that is restarted is nobody's trouble. One that goes on
changing becomes boring: each change told within the last hour doubles the rounds that the next must hold, which makes
five alerts an hour the most for any one thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from Src.Shared.logs import escaped, masked
from Src.Shared.monitor.finding import Finding, Findings, State
from Src.Shared.words import rough_span

HOLD = 2  # rounds
HOUR = 3600.0  # seconds that a change is remembered for
FORGOTTEN = 7 * 86400.0  # seconds after which what was not seen any more is forgotten
MESSAGE_LIMIT = 500  # characters
TITLE_LIMIT = 120

Kind = Literal["info", "success", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing worth telling."""

    subject: str
    before: State
    finding: Finding
    lasted: float  # seconds: how long it was as before
    was: str | None  # the reason that was given for that
    reminder: bool = False  # no change


@dataclass(frozen=True, slots=True)
class Notification:
    """What is sent: the alerts of one round, in one message."""

    title: str
    body: str
    kind: Kind

    @property
    def line(self) -> str:
        """All of it as one line, for the log."""
        return " ".join(self.body.split())


@dataclass(frozen=True, slots=True)
class _Told:
    """What people know of one thing. Times are seconds since 1970."""

    since: float  # it is so
    at: float  # they were told, or reminded
    seen: float  # it was last looked at
    state: State = "OK"  # nobody needs to be told that all is well at first
    message: str | None = None
    other_rounds: int = 0  # in a row in which it was not so any more
    other_since: float = 0.0
    changes: tuple[float, ...] = field(default=())  # when they were told, within the last hour


class Alerts:
    """Decides in each round what is worth an alert. Has no clock of its own."""

    def __init__(self, reminder: float) -> None:
        """`reminder`: seconds after which what is still wrong is told again; 0: never."""
        self._reminder = reminder
        self._told: dict[str, _Told] = {}

    def round(self, findings: Findings, now: float) -> list[Alert]:
        """What to tell after a round that had these findings; what was not looked at stays as it was."""
        alerts = []
        for subject, finding in findings.items():
            told = self._told.get(subject) or _Told(since=now, at=now, seen=now)
            told, alert = self._weigh(subject, told, finding, now)
            self._told[subject] = replace(told, seen=now)
            if alert is not None:
                alerts.append(alert)
        self._told = {subject: told for subject, told in self._told.items() if now - told.seen < FORGOTTEN}
        return alerts

    def _weigh(self, subject: str, told: _Told, finding: Finding, now: float) -> tuple[_Told, Alert | None]:
        changes = tuple(at for at in told.changes if 0 <= now - at < HOUR)
        told = replace(told, changes=changes, at=min(told.at, now))
        if finding.state == told.state:
            told = replace(told, other_rounds=0)
            wrong = told.state in ("WARNING", "ERROR")
            if not wrong or not 0 < self._reminder <= now - told.at:
                return told, None
            alert = Alert(subject, told.state, finding, max(0.0, now - told.since), told.message, reminder=True)
            return replace(told, at=now, message=finding.message), alert
        since = told.other_since if told.other_rounds else now
        told = replace(told, other_rounds=told.other_rounds + 1, other_since=since)
        if told.other_rounds < HOLD * 2 ** len(changes):
            return told, None
        alert = Alert(subject, told.state, finding, max(0.0, since - told.since), told.message)
        return _Told(since, now, now, finding.state, finding.message, changes=(*changes, now)), alert

    def dump(self) -> dict[str, dict[str, Any]]:
        """What must be known after a restart, as JSON can hold it."""
        return {
            subject: {**asdict(told), "seen": round(told.seen / HOUR) * HOUR}  # else it would change each round
            for subject, told in self._told.items()
            if told.state != "OK" or told.other_rounds or told.changes
        }

    def load(self, dumped: Mapping[str, Mapping[str, Any]]) -> None:
        """Goes on where another one ended. Raises TypeError or KeyError if that is not what it dumped."""
        self._told = {
            subject: _Told(**{**values, "changes": tuple(values["changes"])}) for subject, values in dumped.items()
        }


def notification(alerts: Sequence[Alert], moment: datetime) -> Notification:
    """The message that tells these alerts. Nothing in it can steer a terminal, whatever file names it holds.

    `moment`: when they were found; the message may arrive much later.
    """
    title = _short("Photo Factory: " + ", ".join(map(_headline, alerts)), TITLE_LIMIT)
    states = {alert.finding.state for alert in alerts}
    kind: Kind = "failure" if "ERROR" in states else "success" if states == {"OK"} else "warning"
    body = "\n\n".join([*map(_paragraph, alerts), f"{moment:%Y-%m-%d %H:%M:%S %Z}"])
    return Notification(title, body, kind)


def _headline(alert: Alert) -> str:
    state = alert.finding.state
    return f"{_safe(alert.subject)} " + ("OK again" if state == "OK" else f"still {state}" if alert.reminder else state)


def _paragraph(alert: Alert) -> str:
    subject, finding, lasted = _safe(alert.subject), alert.finding, rough_span(alert.lasted)
    if finding.state == "OK":
        return f"{subject} went from {alert.before} to OK, after {lasted}." + (
            f"\nIt was: {_sentence(alert.was)}" if alert.was else ""
        )
    if alert.reminder:
        first = f"{subject} is still {finding.state}, for {lasted}."
    else:
        first = f"{subject} went from {alert.before} to {finding.state}."
    message = f"\n{_sentence(finding.message)}" if finding.message else ""
    return first + message + (f"\nWhat to do: {_sentence(finding.advice)}" if finding.advice else "")


def _sentence(text: str) -> str:
    """With its end: some of those that alerts go to show all lines as one."""
    safe = _safe(text)
    return safe if safe.endswith((".", "!", "?", "…")) else f"{safe}."


def _safe(text: str) -> str:
    return _short(escaped(masked(text)), MESSAGE_LIMIT)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
