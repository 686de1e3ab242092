"""The states of what stays in the inbox, and what a person can do about each. In words, without the ledger."""

from __future__ import annotations

from typing import Literal

from Src.Shared import words

HeldState = Literal["failing", "dead_letter", "not_media", "companion", "sidecar", "unreadable", "link", "special"]

# What nobody can file as it is, and what a person can do about it. The rows go by themselves when that is done.
WAYS_OUT: dict[HeldState, str] = {
    "unreadable": "give the user that runs the librarian the right to read it (chmod, chown), or check its disk",
    "link": "put the file or folder itself there, or remove the link",
    "special": "remove it",
}

# The same with a sidecar that is joined to no photo, though it is a file that can be read.
ADVICE: dict[HeldState, str] = {
    **WAYS_OUT,
    "sidecar": "put its photo there too; or file it by itself: ./factory problems --file NAME; or remove it",
}

# What failed, in the words that a command and the dashboard have for it.
FAILED: dict[str, str] = {"dead_letter": "failed for good", "failing": "failed, tried again by itself"}


def failed_words(failing: int, dead_letters: int) -> str:
    """2 files failed, 1 of them for good: what of the inbox ./factory retry tries again."""
    for_good = f", {dead_letters:,} of them for good" if dead_letters else ""
    return f"{words.counted(failing + dead_letters, 'file')} failed{for_good}"
