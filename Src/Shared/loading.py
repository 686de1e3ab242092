"""What a process loads before it begins."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any


def loaded(named: str) -> Any:
    """The function of a `module:function`.

    All that is loaded stays: to look through it for garbage again and again took a fifth of a command's CPU. So it is
    not looked at meanwhile, nor afterwards.
    """
    module, _, function = named.partition(":")
    gc.disable()
    try:
        return getattr(import_module(module), function)
    finally:
        gc.freeze()
        gc.enable()
