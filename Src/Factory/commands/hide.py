from __future__ import annotations

from Src.Factory.declaration import Flag, decision

HIDE = decision(
    "hide",
    "Hide originals from everyday views; list and selections still have them.",
    Flag("--off", "Show them again.", "off"),
)
