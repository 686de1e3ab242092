from __future__ import annotations

from Src.Factory.declaration import Argument, decision

DESCRIBE = decision("describe", "Describe originals.", Argument("text", "TEXT", "The words; '' takes them away."))
