"""How much of a disk is free."""

from __future__ import annotations

import os
from pathlib import Path

from Src.Shared import words
from Src.Shared.monitor.finding import Finding, Findings, State


class Disk:
    """The check of the disk that a folder is on, or will be on."""

    def __init__(self, name: str, folder: Path, warning: float, error: float) -> None:
        """`warning` and `error`: percent free, below which it is one."""
        self._name = name
        self._folder = folder
        self._warning = warning
        self._error = error

    def look(self) -> Findings:
        try:
            folder = _existing(self._folder)
            device, disk = os.stat(folder).st_dev, os.statvfs(folder)
        except OSError as error:
            message = f"{self._folder} cannot be looked at: {error.strerror}"
            return {self._name: Finding("ERROR", message, "see whether its disk is there and mounted (dmesg, mount)")}
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        percent = 100.0 * free / total if total else 100.0  # some network shares do not tell
        details = {"device": device, "free": free, "total": total, "percent_free": round(percent, 2)}
        if percent >= self._warning and percent >= self._error:
            return {self._name: Finding("OK", details=details)}
        state: State = "ERROR" if percent < self._error else "WARNING"
        message = f"{percent:.1f} % free ({words.size(free)} of {words.size(total)}) on the disk of {self._folder}"
        advice = "free space or move to a larger disk; when it is full, photos wait in the inbox"
        return {self._name: Finding(state, message, advice, details=details)}


def drop_same_disk(findings: Findings) -> dict[str, Finding]:
    """The findings with each disk only once, under the name of the last."""
    last = {one.details["device"]: subject for subject, one in findings.items() if "device" in one.details}
    return {
        subject: one for subject, one in findings.items() if last.get(one.details.get("device"), subject) == subject
    }


def _existing(folder: Path) -> Path:
    """The folder, or the one in which it will be made."""
    while True:
        try:
            os.stat(folder)
            return folder
        except FileNotFoundError:
            folder = folder.parent
