"""Rows that the ledger refuses: they wait beside the vault, in a file of the journal's, for a person."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from Src.Library.vault_trouble import vault_trouble

REFUSED = "rejected.json-lines"  # in the journal's folder


class RefusedRow(NamedTuple):
    """Of one original."""

    path: str  # ledger text: in the vault, or as it came
    reason: str


def refused_rows(state: Path) -> list[RefusedRow]:
    """All of them; `state` is the folder beside the vault. Raises VaultTrouble."""
    file = state / "journal" / REFUSED
    with vault_trouble(f"read {file}"):
        try:
            lines = file.read_bytes().splitlines()
        except FileNotFoundError:
            return []
    found = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            value = json.loads(line)
            event = value["event"]
            path = event["final_path"] or event["original_path"]
            found.append(RefusedRow(str(path), str(value.get("reason") or "unknown")))
    return found
