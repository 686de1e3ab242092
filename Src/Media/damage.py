"""Is the file broken, by its own structure and by what ExifTool says of it?"""

import re
from collections.abc import Sequence

from Src.Media.metadata import Subject
from Src.Media.readers import jpeg_structure
from Src.Media.structure import structure_of
from Src.Media.tags import Answer

# ExifTool's warnings that mean the file itself is damaged or incomplete. Those about maker notes and about
# metadata that another program wrote oddly do not: the picture is whole.
_DAMAGE = re.compile(
    r"truncated|corrupt|missing JPEG SOS|format error\Z|unexpected end|error reading (?!maker|preview|thumb)"
    r"|invalid (atom|chunk|extended) (size|length)|invalid \w+ chunk size|bad \w*IFD\d* directory",
    re.IGNORECASE,
)
_HARMLESS_DAMAGE = re.compile(r"\[minor\]|maker ?notes|XMP|IPTC|ICC_Profile|sample table", re.IGNORECASE)
UNREAD = "its date and place are compressed (brob), which the ExifTool on this machine cannot read"
_WITHOUT_METADATA = frozenset({"H264", "HEVC"})
_JPEG_DAMAGE = frozenset({"missing jpeg sos", "jpeg format error"})


def damage_in(warnings: Sequence[str]) -> str | None:
    """The first of ExifTool's warnings that tells of a damaged file."""
    for warning in warnings:
        if _DAMAGE.search(warning) and not _HARMLESS_DAMAGE.search(warning):
            return warning
    return None


def with_structure(subject: Subject, answer: Answer) -> Answer:
    """The answer with what the file's own structure says: why it is broken, if it is, and how long it is."""
    structure = structure_of(subject.file, subject.kind)
    tags = answer.tags
    if structure.duration is not None:
        tags = {**tags, "Structure:Duration": repr(structure.duration)}
    elif subject.kind == "AVI":  # ExifTool would count frames that are not there
        tags = {name: value for name, value in tags.items() if not name.endswith("Duration")}
    if subject.kind in _WITHOUT_METADATA:  # nothing that ExifTool could know
        return Answer(tags)
    if answer.error is not None:
        return Answer(tags, answer.warnings, answer.error)
    # Where the structure is known only that counts: ExifTool also warns of what does no harm.
    if subject.kind == "JPEG":  # the fast reader sees its structure, but none of the warnings
        told = [warning for warning in answer.warnings if warning.lower() in _JPEG_DAMAGE]
        return Answer(tags, answer.warnings, told[0] if told else jpeg_structure.jpeg_damage(subject.file))
    if structure.packed_metadata and not any(name.startswith(("EXIF:", "XMP:")) for name in tags):
        return Answer(tags, answer.warnings, structure.damage or UNREAD)
    damage = structure.damage or (None if structure.is_known else damage_in(answer.warnings))
    return Answer(tags, answer.warnings, damage)
