from __future__ import annotations

from Src.Factory.declaration import Flag, decision

FAVOURITE = decision(
    "favourite",
    "Make originals favourites, which is five stars.",
    Flag("--off", "Take the five stars away again.", "off"),
)
