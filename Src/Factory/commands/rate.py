from __future__ import annotations

from Src.Factory.declaration import Argument, decision

RATE = decision("rate", "Give originals 0 to 5 stars.", Argument("rating", "0..5", "The stars."))
