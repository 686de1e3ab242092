"""What an act does to files: which shall go where, and which rows say so in the end."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from Src.Library.move_plan import Wanted
from Src.Library.open_places import OpenPlaces
from Src.Shared.models import Act, OverlayEvent


@dataclass
class Asked:
    """What an act wants of some originals."""

    wanted: list[Wanted] = field(default_factory=list)
    in_place: list[str] = field(default_factory=list)  # hashes of those whose rows change, and no file moves
    refused: dict[str, str] = field(default_factory=dict)  # by hash: the reason


@dataclass
class Settled:
    """What was moved. Paths are as on disk; None: it stands where it stood, or nowhere any more."""

    paths: dict[str, str | None] = field(default_factory=dict)  # by the original's hash
    companions: dict[uuid.UUID, str | None] = field(default_factory=dict)


class Deed(ABC):
    """One kind of act. Under the vault's lock."""

    @abstractmethod
    def check(self, session: Session, hashes: Sequence[str]) -> None:
        """Raises a FactoryError where nothing of it may be done."""

    @abstractmethod
    def wanted(self, session: Session, hashes: Sequence[str], places: OpenPlaces) -> Asked:
        """What is to move; nothing is changed by asking."""

    @abstractmethod
    def settle(self, session: Session, act: Act, settled: Settled) -> None:
        """Writes rows and events of what was moved, in the transaction in which its plan goes."""


def taken_back(session: Session, act: Act, about: str) -> dict[str, uuid.UUID]:
    """Which events about one field an act takes back, by the original's hash; none where it takes nothing back."""
    if act.undoes is None:
        return {}
    asked = select(OverlayEvent.file_hash, OverlayEvent.id).where(
        OverlayEvent.act_id == act.undoes, OverlayEvent.field == about
    )
    return {sha256: id_ for sha256, id_ in session.execute(asked) if sha256 is not None}
