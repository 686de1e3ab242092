"""What the monitor must know after a restart, in a small file: the database may be away just then."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.disk.whole_file import write_whole

logger = logging.getLogger(__name__)


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
            logger.warning("%s cannot be read (%s): alerts may be sent once more", self._path, error)
            return {}
        return value

    def save(self, value: dict[str, Any]) -> None:
        """Writes it if it has changed; never raises."""
        text = json.dumps(value)
        if text == self._saved:
            return
        try:
            make_folder(self._path.parent, PRIVATE)
            write_whole(self._path, text.encode(), durable=False)
        except OSError as error:
            if not self._failing:
                logger.warning("%s cannot be written, after a restart alerts are sent once more: %s", self._path, error)
            self._failing = True
            return
        self._saved, self._failing = text, False
