"""The bad ways in which programs write into an inbox. Each is a function of one Writer; its docstring says how."""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from Stack.faults.writer import Job, Left, Writer, write_all

Pattern = Callable[[Writer], None]

PATTERNS: dict[str, Pattern] = {}


def pattern(write: Pattern) -> Pattern:
    PATTERNS[write.__name__.replace("_", " ")] = write
    return write


def carry_out(job: Job) -> Left:
    """Does one job. What fails is told, and with it nothing is known of what the writer has left."""
    writer = Writer(job)
    try:
        PATTERNS[job.pattern](writer)
    except Exception as error:
        writer.left.errors.append(f"the writer of {writer.folder.name} failed: {error!r}")
    return writer.done()


# -- growing -----------------------------------------------------------------------------------------------


@pattern
def kept_open(writer: Writer) -> None:
    """In chunks with long pauses, the file open all the while."""
    path, content = writer.name(), b"".join(writer.two_photos())
    fd = writer.create(path)
    writer.trickle(fd, content)
    writer.close(fd, path, content)


@pattern
def closed_between(writer: Writer) -> None:
    """In pieces with the file closed for a short while between them."""
    path, content = writer.name(), writer.photo()
    writer.put(path, content)
    for _ in range(3):
        writer.pause("short")
        content = writer.append(path, content, writer.photo())


@pattern
def appended_after_rest(writer: Writer) -> None:
    """Closed, complete by every sign for about as long as a file must rest; and then something is added."""
    path, (content, more) = writer.name(), writer.two_photos()
    writer.put(path, content)
    time.sleep(writer.delay * writer.chance.uniform(0.9, 1.3))
    writer.append(path, content, more)


@pattern
def appended_while_read(writer: Writer) -> None:
    """Something is added just when the factory has opened the file."""
    path, (content, more) = writer.name(), writer.two_photos()
    writer.put(path, content)
    writer.until_read(path, 4)
    writer.append(path, content, more)


@pattern
def stalled_then_reopened(writer: Writer) -> None:
    """Open and silent for a while, then closed for a moment only, and added to."""
    path, (content, more) = writer.name(), writer.two_photos()
    fd = writer.create(path)
    write_all(fd, content)
    writer.any_pause_with(fd)
    writer.close(fd, path, content)
    writer.pause("short")
    writer.append(path, content, more)


@pattern
def open_twice(writer: Writer) -> None:
    """Two programs have it open: the first closes it, and the second goes on after a pause."""
    path, (content, more) = writer.name(), writer.two_photos()
    first = writer.create(path)
    second = os.open(path, os.O_WRONLY | os.O_APPEND)
    write_all(first, content)
    os.close(first)
    writer.any_pause_with(second)
    write_all(second, more)
    writer.close(second, path, content + more)


@pattern
def empty_at_first(writer: Writer) -> None:
    """Made empty and closed, as file shares do; the content comes long after."""
    path, content = writer.name(), writer.photo()
    os.close(writer.create(path))
    writer.pause("long")
    fd = os.open(path, os.O_WRONLY)
    writer.trickle(fd, content, 1)
    writer.close(fd, path, content)


@pattern
def preallocated(writer: Writer) -> None:
    """All of the room is taken first, and filled from the end to the beginning or the other way round."""
    path, content = writer.name(), b"".join(writer.two_photos())
    fd = writer.create(path)
    os.posix_fallocate(fd, 0, len(content))
    middle = len(content) // 2
    parts = [(0, content[:middle]), (middle, content[middle:])]
    if writer.chance.random() < 0.5:
        parts.reverse()
    for offset, part in parts:
        os.pwrite(fd, part, offset)
        writer.any_pause_with(fd)
    writer.close(fd, path, content)


@pattern
def mapped(writer: Writer) -> None:
    """Through memory: the descriptor is closed, the mapping still writes."""
    path, content = writer.name(), b"".join(writer.two_photos())
    fd = writer.create(path)
    os.ftruncate(fd, len(content))
    middle = len(content) // 2
    reader = os.open(path, os.O_RDONLY)  # only to see who opens the file
    with mmap.mmap(fd, len(content)) as memory:  # holds it open for writing by itself
        os.close(fd)
        memory[:middle] = content[:middle]
        writer.any_pause_with(reader)
        memory[middle:] = content[middle:]
        writer.any_pause_with(reader)
        closed = time.monotonic()
    os.close(reader)
    writer.leave(path, content, closed)


@pattern
def sparse(writer: Writer) -> None:
    """Large, mostly a hole, written at both ends with a pause between."""
    path, head, tail = writer.name(), writer.photo(), writer.photo()
    size = writer.chance.randrange(8, 32) << 20
    fd = writer.create(path)
    os.ftruncate(fd, size)
    os.pwrite(fd, head, 0)
    writer.any_pause_with(fd)
    os.pwrite(fd, tail, size - len(tail))
    writer.close(fd, path, head + bytes(size - len(head) - len(tail)) + tail)


@pattern
def truncated_and_rewritten(writer: Writer) -> None:
    """Left for a while, then cut to nothing and written anew, slowly."""
    path, content, other = writer.name(), writer.photo(), writer.photo()
    writer.put(path, content)
    writer.any_pause()
    fd = writer.open_again(path)
    if fd is None:
        fd = writer.create(path)
    os.ftruncate(fd, 0)
    writer.trickle(fd, other, 2)
    writer.close(fd, path, other)


# -- names -------------------------------------------------------------------------------------------------


@pattern
def renamed_late(writer: Writer) -> None:
    """Under a temporary name, with long pauses, open or closed; then renamed into place."""
    path, (content, more) = writer.name(), writer.two_photos()
    name = writer.chance.choice(
        (".syncthing.{}.tmp", "~syncthing~{}.tmp", "{}.part", "{}.tmp", "{}.crdownload", ".{}.Xy12ab")
    )
    temporary = writer.folder / name.format(path.name)
    fd = writer.create(temporary)
    write_all(fd, content)
    os.close(fd)
    writer.any_pause()
    fd = os.open(temporary, os.O_WRONLY | os.O_APPEND)
    writer.trickle(fd, more, 1)
    os.close(fd)
    if writer.chance.random() < 0.5:
        os.utime(temporary, (1e9, 1e9))  # as sync tools do
    writer.arrive(temporary, path, content + more)


@pattern
def renamed_while_open(writer: Writer) -> None:
    """Gets its final name while it is still written to."""
    path, (content, more) = writer.name(), writer.two_photos()
    temporary = writer.folder / f".{path.name}"
    fd = writer.create(temporary)
    write_all(fd, content)
    os.rename(temporary, path)
    writer.any_pause_with(fd)
    write_all(fd, more)
    writer.close(fd, path, content + more)


@pattern
def linked_into_place(writer: Writer) -> None:
    """Made without a name and given one when half of it is there."""
    path, (content, more) = writer.name(), writer.two_photos()
    fd = os.open(writer.folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    write_all(fd, content)
    os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd)  # any: it makes Python call linkat(2), which follows
    writer.any_pause_with(fd)
    write_all(fd, more)
    writer.close(fd, path, content + more)


@pattern
def one_name(writer: Writer) -> None:
    """Several complete photos come by rename under the same name, one over the other."""
    path = writer.name()
    for number in range(writer.chance.randint(3, 6)):
        content = writer.photo()
        temporary = writer.folder / f".{number}"
        temporary.write_bytes(content)
        writer.arrive(temporary, path, content)
        time.sleep(writer.delay * writer.chance.choice((0.0, 0.01, 0.1, 0.5)))


@pattern
def moved_between_folders(writer: Writer) -> None:
    """Moved about, at rest, while it is read, and while it is written to."""
    path, content = writer.name(), writer.photo()
    writer.put(path, content)
    if writer.chance.random() < 0.5:
        writer.until_read(path, 3)
    else:
        writer.any_pause()
    for name in ("a", "b"):
        (writer.folder / name).mkdir()
        target = writer.folder / name / path.name
        if not writer.move(path, target):
            break
        path = target
    other, half, more = writer.name(), *writer.two_photos()
    fd = writer.create(other)
    write_all(fd, half)
    (writer.folder / "c").mkdir()
    os.rename(other, writer.folder / "c" / other.name)
    writer.any_pause_with(fd)
    write_all(fd, more)
    writer.close(fd, writer.folder / "c" / other.name, half + more)


@pattern
def folder_renamed(writer: Writer) -> None:
    """Its folder gets another name: one file is open, one just closed, one has rested."""
    before, after = writer.folder / "before", writer.folder / "after"
    before.mkdir()
    rested, closed, half = (before / writer.name().name for _ in range(3))
    for path in (rested, closed):
        writer.put(path, writer.photo())
        writer.any_pause()
    content, more = writer.two_photos()
    fd = writer.create(half)
    write_all(fd, content)
    before.rename(after)
    for path in (rested, closed):
        writer.moved(path, after / path.name)
    writer.any_pause_with(fd)
    write_all(fd, more)
    writer.close(fd, after / half.name, content + more)


@pattern
def hard_links(writer: Writer) -> None:
    """One file under two names for a while; then one of them goes."""
    path, content = writer.name(), writer.photo()
    second = writer.folder / f"second {path.name}"
    fd = writer.create(path)
    os.link(path, second)
    writer.trickle(fd, content, 2)
    closed = time.monotonic()
    os.close(fd)
    writer.leave(path, content, closed)
    writer.leave(second, content, closed)
    writer.any_pause()
    writer.remove(writer.chance.choice((path, second)))


# -- under the factory's hands -----------------------------------------------------------------------------


@pattern
def replaced_while_read(writer: Writer) -> None:
    """A large file; another takes its name while it is hashed, or when it has just been placed."""
    path, content, other = writer.name(), writer.large_photo(), writer.photo()
    writer.put(path, content)
    temporary = writer.folder / ".other"
    temporary.write_bytes(other)
    if writer.chance.random() < 0.7:
        writer.until_read(path, 2)
    else:
        writer.until_placed(path)
    time.sleep(writer.chance.uniform(0, 0.03))
    writer.arrive(temporary, path, other)


@pattern
def rewritten_while_read(writer: Writer) -> None:
    """A large file: bytes at both ends are changed in place while it is hashed; size and mtime stay."""
    _rewrite_in_place(writer, writer.large_photo(), 2, writer.chance.uniform(0, 0.03))


@pattern
def rewritten_while_placed(writer: Writer) -> None:
    """The same with a small file, as soon as the factory opens it, be it to read or to place it."""
    _rewrite_in_place(writer, writer.photo(64 << 10), 4, 0.0)


@pattern
def duplicate_rewritten(writer: Writer) -> None:
    """A duplicate of a photo that is in the vault is made another photo in place, as soon as it has been read."""
    path, content = writer.name(), writer.photo(64 << 10)
    temporary = writer.folder / ".first"
    temporary.write_bytes(content)
    writer.arrive(temporary, path, content)
    writer.until_gone(path)
    _rewrite_in_place(writer, content, 2, writer.chance.uniform(0, 0.01))


def _rewrite_in_place(writer: Writer, content: bytes, opens: int, wait: float) -> None:
    path, mark = writer.name(), writer.chance.randbytes(16)
    at = len(content) - 64
    changed = content[:at] + mark + content[at + len(mark) :]
    fd = writer.create(path)
    since = write_all(fd, content)
    times = os.fstat(fd)
    writer.close(fd, path, content, since)
    writer.until_read(path, opens)
    time.sleep(wait)
    again = writer.open_again(path)
    if again is None:
        writer.put(path, changed)
    else:
        os.pwrite(again, mark, at)
        os.utime(again, ns=(times.st_atime_ns, times.st_mtime_ns))
        writer.close(again, path, changed)


@pattern
def deleted_while_read(writer: Writer) -> None:
    """Gone when the factory has just opened it."""
    path = writer.name()
    writer.put(path, writer.photo() if writer.chance.random() < 0.7 else writer.large_photo())
    writer.until_read(path, 3)
    writer.remove(path)


@pattern
def a_fifo_in_its_place(writer: Writer) -> None:
    """A FIFO, which holds up whoever opens it, takes the name of a file that is being read."""
    path = writer.name()
    writer.put(path, writer.photo())
    writer.until_read(path, 3)
    temporary = writer.folder / ".fifo"
    os.mkfifo(temporary)
    os.rename(temporary, path)
    writer.touched(path)
    _stays(writer, path)


@pattern
def no_files(writer: Writer) -> None:
    """FIFOs, sockets, and symlinks to a photo outside, to nothing, to themselves, to the inbox; and one photo."""
    fifo, to_photo, to_nothing, to_itself, to_inbox, at_socket = (writer.name() for _ in range(6))
    os.mkfifo(fifo)
    outside = writer.inbox.parent / f"outside {writer.folder.name}.jpg"
    outside.write_bytes(writer.photo())
    to_photo.symlink_to(outside)
    to_nothing.symlink_to("nothing.jpg")
    to_itself.symlink_to(to_itself.name)
    to_inbox.symlink_to(writer.inbox)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(writer.folder, os.O_PATH)  # a socket's address is short
        server.bind(f"/proc/self/fd/{here}/{at_socket.name}")
        os.close(here)
    for path in (fifo, to_photo, to_nothing, to_itself, to_inbox, at_socket):
        _stays(writer, path)
    writer.put(writer.name(), writer.photo())


def _stays(writer: Writer, path: Path) -> None:
    writer.left.strangers.append(str(path.relative_to(writer.inbox)))
