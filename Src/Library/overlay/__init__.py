"""The overlay: what people decide about originals (docs/OVERLAY.md). Nothing of it is written into an original.

`acts.py` writes who did what, `events.py` what that changed, original by original.
"""
