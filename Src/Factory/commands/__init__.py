"""The commands of `./factory`, one file each, in the order of `./factory --help`.

Nothing but the standard library: whoever runs the stack has no .venv.
"""

from __future__ import annotations

from Src.Factory.commands.account import ACCOUNT
from Src.Factory.commands.album import ALBUM
from Src.Factory.commands.backup import BACKUP
from Src.Factory.commands.certificate import CERTIFICATE
from Src.Factory.commands.check import CHECK
from Src.Factory.commands.copies import COPIES
from Src.Factory.commands.describe import DESCRIBE
from Src.Factory.commands.doctor import DOCTOR
from Src.Factory.commands.duplicates import DUPLICATES
from Src.Factory.commands.export import EXPORT
from Src.Factory.commands.favourite import FAVOURITE
from Src.Factory.commands.find import FIND
from Src.Factory.commands.hide import HIDE
from Src.Factory.commands.history import HISTORY
from Src.Factory.commands.images import IMAGES
from Src.Factory.commands.import_ import IMPORT
from Src.Factory.commands.ingest import INGEST
from Src.Factory.commands.list_ import LIST
from Src.Factory.commands.migrate import MIGRATE
from Src.Factory.commands.operations import OPERATIONS
from Src.Factory.commands.password import PASSWORD
from Src.Factory.commands.phone import PHONE
from Src.Factory.commands.place import PLACE
from Src.Factory.commands.problems import PROBLEMS
from Src.Factory.commands.psql import PSQL
from Src.Factory.commands.rate import RATE
from Src.Factory.commands.rebuild import REBUILD
from Src.Factory.commands.redate import REDATE
from Src.Factory.commands.remove import REMOVE
from Src.Factory.commands.restore import RESTORE
from Src.Factory.commands.restored import RESTORED
from Src.Factory.commands.retry import RETRY
from Src.Factory.commands.rotate import ROTATE
from Src.Factory.commands.safe import SAFE
from Src.Factory.commands.status import STATUS
from Src.Factory.commands.tag import TAG
from Src.Factory.commands.test import TEST
from Src.Factory.commands.title import TITLE
from Src.Factory.commands.trash import TRASH
from Src.Factory.commands.undo import UNDO
from Src.Factory.commands.up import UP
from Src.Factory.commands.verify import VERIFY
from Src.Factory.commands.xmp import XMP
from Src.Factory.declaration import Command

COMMANDS: tuple[Command, ...] = (
    UP,
    INGEST,
    IMPORT,
    RETRY,
    PHONE,
    STATUS,
    PROBLEMS,
    FIND,
    LIST,
    EXPORT,
    HISTORY,
    DUPLICATES,
    RATE,
    FAVOURITE,
    PLACE,
    TAG,
    TITLE,
    DESCRIBE,
    ROTATE,
    ALBUM,
    HIDE,
    REDATE,
    REMOVE,
    TRASH,
    UNDO,
    XMP,
    DOCTOR,
    VERIFY,
    SAFE,
    ACCOUNT,
    CERTIFICATE,
    COPIES,
    BACKUP,
    RESTORE,
    REBUILD,
    OPERATIONS,
    PSQL,
    PASSWORD,
    IMAGES,
    MIGRATE,
    RESTORED,
    CHECK,
    TEST,
)
BY_NAME = {command.name: command for command in COMMANDS}
