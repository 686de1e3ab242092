"""What the monitor must know after a restart, in a small file: the database may be away just then."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class Memory:
    """A JSON object in a file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = ""
        self._failing = False

    def load(self) -> dict[str, Any]:
        """Empty where nothing was saved, or where it cannot be read, which is logged."""
        try:
            self._saved = self._path.read_text(encoding="utf-8")
            value = json.loads(self._saved)
            if not isinstance(value, dict):
                raise ValueError("no JSON object")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read (%s): alerts may be told once more", self._path, error)
            return {}
        return value

    def save(self, value: dict[str, Any]) -> None:
        """Writes it if it has changed; never raises."""
        text = json.dumps(value)
        if text == self._saved:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(new, self._path)
        except OSError as error:
            if not self._failing:
                log.warning("%s cannot be written, after a restart alerts are told once more: %s", self._path, error)
            self._failing = True
            return
        self._saved, self._failing = text, False
