"""The page in a copy that explains it to a finder."""

from __future__ import annotations

NAME = "README.txt"
CONTENT = """\
This is a copy of a Photo Factory's photos. You need no program of ours to use it.

Originals/   the photos and videos, a folder for each day; beside them the files that belong to them
Manifests/   signed lists with the SHA-256 of all of them; README.txt there says how to check them:
                 cd Originals && sha256sum -c ../Manifests/2019/2019-07-04.sha256
Overlay/     what people have decided: ratings, tags, albums, ..., as lines of JSON
Database/    backups of the database (pg_restore reads them; ./factory restore FILE does all of it)
Earlier/     what was replaced here by something newer, by the day on which that was done
Damaged/     what stood here in the place of something else, or had lost its bytes

To get everything back: put Originals and Overlay into the Storage folder of a new Photo Factory, then
./factory restore Database/NEWEST.dump; or, without a database, ./factory rebuild --missing.
In an encrypted copy each name ends with .age, and age (https://age-encryption.org) opens it with your key.
"""
