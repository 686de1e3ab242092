from __future__ import annotations

from Src.Factory.declaration import Argument, decision

TITLE = decision("title", "Give originals a title.", Argument("text", "TEXT", "The title; '' takes it away."))
