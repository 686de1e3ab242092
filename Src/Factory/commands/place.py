from __future__ import annotations

from Src.Factory.declaration import Argument, decision

PLACE = decision(
    "place",
    "Say where originals were taken.",
    Argument("position", "LAT,LON", "Degrees, south and west negative, as -33.8568,151.2153."),
)
