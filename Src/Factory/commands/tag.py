from __future__ import annotations

from Src.Factory.declaration import Argument, Flag, decision

TAG = decision(
    "tag",
    "Add words to originals.",
    Argument("words", "WORD...", "One or more; one of several parts in quotation marks.", many=True),
    Flag("--remove", "Take the words away.", "remove"),
)
