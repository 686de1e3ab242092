"""Who the person at the command line is.

Nothing but the standard library: the commands for the stack say it to those in the containers, which cannot know.
"""

from __future__ import annotations

import getpass
import os

PERSON = "FACTORY_PERSON"  # what the host says to a command in a container


def login_name() -> str:
    """Their login name; of one who uses sudo, their own."""
    try:
        return os.environ.get(PERSON) or os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"uid {os.getuid()}"
