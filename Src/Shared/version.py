"""Which Photo Factory this is: one version for the code, the images and the ledger's schema.

Nothing but the standard library.
"""

from __future__ import annotations

VERSION = "2.0.0"
IMAGE_TAG = VERSION.partition(".")[0]  # of the stack's images in the compose file
SCHEMA = "0023"  # the newest file in Src/Shared/migrations/versions/
