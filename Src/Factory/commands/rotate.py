from __future__ import annotations

from Src.Factory.declaration import Argument, decision

ROTATE = decision(
    "rotate",
    "Turn how originals are shown, clockwise from now. No file is changed.",
    Argument("degrees", "90|180|270", "By how much."),
)
