"""ExifTool in batches: whatever a file is called and whatever it does to ExifTool."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from Src.Media.readers import exiftool_answers, exiftool_reader
from Src.Media.readers.exiftool_reader import ExifToolReader
from Src.Media.readers.stay_open import Look, StayOpen
from Src.Media.tags import Answer
from Src.Shared.confinement import confine, parts_here
from Src.Shared.disk.files import OpenFile
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.exiftool import LimitOnlyFor
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import WaitFor, lives

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"
CANON = SAMPLES / "Canon_40D.jpg"
KODAK = SAMPLES / "Kodak_CX7530.jpg"

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture(scope="module")
def reader() -> Iterator[ExifToolReader]:
    with ExifToolReader(PATIENCE) as shared:
        yield shared


def models(answers: list[Answer]) -> list[str | None]:
    return [answer.tags.get("EXIF:Model") for answer in answers]


def test_answers_come_in_the_order_of_the_questions(reader: ExifToolReader) -> None:
    paths = [str(KODAK), str(CANON), str(SAMPLES / "GIF.gif"), str(CANON)]
    assert models(reader.read(paths)) == [
        "KODAK CX7530 ZOOM DIGITAL CAMERA", "Canon EOS 40D", None, "Canon EOS 40D",
    ]  # fmt: skip


def test_one_process_answers_for_many_batches(reader: ExifToolReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exiftool_reader, "BATCH", 3)
    reader.read([str(CANON)])
    process = reader.process_id
    assert models(reader.read([str(CANON)] * 10)) == ["Canon EOS 40D"] * 10
    assert reader.process_id == process is not None


def test_a_process_that_has_become_large_is_started_anew(monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor) -> None:
    with ExifToolReader(PATIENCE) as reader:
        reader.read([str(CANON)])
        process = psutil.Process(reader.process_id)
        monkeypatch.setattr(exiftool_reader, "KEPT_MEMORY", 1)
        assert models(reader.read([str(CANON)])) == ["Canon EOS 40D"]
        assert reader.process_id not in (None, process.pid), "another starts at once, for what comes next"
        assert models(reader.read([str(KODAK)])) == ["KODAK CX7530 ZOOM DIGITAL CAMERA"]
        wait_for(lambda: not lives(process))


def test_one_that_was_started_ahead_answers_the_first_question() -> None:
    with ExifToolReader(PATIENCE) as reader:
        assert reader.process_id is None
        reader.start_ahead()
        ahead = reader.process_id
        reader.start_ahead()
        assert models(reader.read([str(CANON)])) == ["Canon EOS 40D"]
        assert reader.process_id == ahead is not None
        reader.start_ahead()
        assert reader.process_id == ahead, "one that is there is enough"


def test_one_that_was_started_ahead_and_killed_is_replaced(wait_for: WaitFor) -> None:
    with ExifToolReader(PATIENCE) as reader:
        reader.start_ahead()
        ahead = psutil.Process(reader.process_id)
        ahead.kill()
        wait_for(lambda: not lives(ahead))
        assert models(reader.read([str(CANON)])) == ["Canon EOS 40D"]
        assert reader.process_id not in (None, ahead.pid)


def test_rest_ends_one_that_was_used_and_keeps_one_that_was_not() -> None:
    with ExifToolReader(PATIENCE) as reader:
        reader.start_ahead()
        ahead = reader.process_id
        reader.rest()
        assert reader.process_id == ahead is not None
        reader.read([str(CANON)])
        reader.rest()
        assert reader.process_id is None
        reader.start_ahead()
        fresh = reader.process_id
        reader.rest()
        assert reader.process_id == fresh is not None


NAMES = [
    b"-rf.jpg", b"-ver", b"#comment.jpg", b"#[CSTR]x.jpg", b" leading.jpg", b"trailing.jpg ",
    b"two\nlines.jpg",
    b"\n", b"x\n-ver\n.jpg", b"ends.jpg\n", b"carriage\rreturn.jpg", b"ends.jpg\r", b"tab\t.jpg",
    b"$dollar@at.jpg", b"$both\n@.jpg", b"back\\slash\\n.jpg", b"\"quotes'.jpg", b"pipe |", b"| pipe",
    b"< in", b"*.jpg", b"%d%f.jpg", b"{ready1}", b"caf\xe9.jpg", b"\xff\xfe\n\xfd",
    "שלום\u202egpj.exe".encode(),
    b"\x01\x7f.jpg", b"x" * 250 + b".jpg", b"no ending", b"&amp;.jpg", b"~",
    b"-stay_open", b"-execute", b"=.jpg",
]  # fmt: skip


def test_no_name_is_an_option_or_loses_its_answer(reader: ExifToolReader, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/line\nbreak"
    os.mkdir(folder)
    paths: list[str] = []
    for base in (os.fsencode(tmp_path), folder):
        for name in NAMES:
            paths.append(os.fsdecode(base + b"/" + name))
            shutil.copyfile(KODAK if len(paths) % 2 else CANON, paths[-1])
    expected = ["KODAK CX7530 ZOOM DIGITAL CAMERA", "Canon EOS 40D"] * len(NAMES)
    assert reader.version, "it runs, also where a test before made it take so much that it was ended"
    before = reader.process_id
    for path, model, answer in zip(paths, expected, reader.read(paths), strict=True):
        assert (answer.error, answer.tags.get("EXIF:Model")) == (None, model), path
    assert reader.process_id == before


def test_aliases_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    named = tmp_path / "a\nb.jpg"
    shutil.copyfile(CANON, named)
    with ExifToolReader(PATIENCE) as reader:
        assert models(reader.read([str(named)])) == ["Canon EOS 40D"]
        (folder,) = tmp_path.glob("exiftool-names-*")
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [named]


def test_what_is_no_regular_file_is_never_handed_over(reader: ExifToolReader, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "link.jpg").symlink_to(CANON)
    (tmp_path / "folder.jpg").mkdir()
    names = ["fifo.jpg", "link.jpg", "folder.jpg", "gone.jpg", "null\0byte.jpg"]
    answers = reader.read([str(CANON), *(str(tmp_path / name) for name in names), str(KODAK)])
    assert [answer.error for answer in answers[1:-1]] == ["not a readable regular file"] * 5
    assert models(answers)[0] == "Canon EOS 40D"
    assert models(answers)[-1] == "KODAK CX7530 ZOOM DIGITAL CAMERA"


def test_a_file_that_vanishes_on_the_way_takes_no_other_s_answer(
    reader: ExifToolReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exiftool_reader, "_is_regular", lambda path: True)
    first, gone, last = reader.read([str(CANON), str(tmp_path / "gone.jpg"), str(KODAK)])
    assert models([first, last]) == ["Canon EOS 40D", "KODAK CX7530 ZOOM DIGITAL CAMERA"]
    assert gone == Answer(error="ExifTool could not read it")


@pytest.mark.slow
def test_a_fifo_swapped_in_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_only_for: LimitOnlyFor
) -> None:
    limit_only_for("fifo.jpg")
    monkeypatch.setattr(exiftool_reader, "_is_regular", lambda path: True)
    os.mkfifo(tmp_path / "fifo.jpg")
    with ExifToolReader(time_limit=1.5) as reader:
        first, hanging, last = reader.read([str(CANON), str(tmp_path / "fifo.jpg"), str(KODAK)])
    assert models([first, last]) == ["Canon EOS 40D", "KODAK CX7530 ZOOM DIGITAL CAMERA"]
    # 12.57 opens it and finds nothing to read; a version that waits for a writer is not waited for.
    assert hanging.error in ("ExifTool could not read it", "ExifTool gave no answer in 1.5 s")


def test_a_killed_exiftool_is_started_again(reader: ExifToolReader) -> None:
    reader.read([str(CANON)])
    process = psutil.Process(reader.process_id)
    process.kill()
    process.wait(PATIENCE)
    assert models(reader.read([str(CANON)])) == ["Canon EOS 40D"]
    assert psutil.Process(reader.process_id) != process


@pytest.mark.slow
def test_a_stopped_exiftool_that_reads_nothing_does_not_block_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    """More than a pipe holds is to be written: the write itself would never return."""
    folder = tmp_path / ("x" * 250) / ("y" * 250) / ("z" * 250) / ("w" * 250)
    folder.mkdir(parents=True)
    paths = []
    for number in range(exiftool_reader.BATCH):
        paths.append(str(folder / f"{number:0200}.jpg"))
        os.link(shutil.copyfile(CANON, tmp_path / "0"), paths[-1])
    assert sum(map(len, paths)) > 65_536  # what a pipe holds
    run = StayOpen.run

    def patient(self: StayOpen) -> None:  # only the stopped one has little time
        self.time_limit = PATIENCE
        run(self)

    monkeypatch.setattr(StayOpen, "run", patient)
    with ExifToolReader() as reader:
        reader.read([str(CANON)])
        process = psutil.Process(reader.process_id)
        process.suspend()
        assert reader._process is not None
        reader._process.time_limit = 1.5
        assert models(reader.read(paths + paths)) == ["Canon EOS 40D"] * 2 * len(paths)
        wait_for(lambda: not lives(process))


# An ExifTool that breaks at will: crashes or hangs on files named so, floods stderr.
FAKE = """#!{python}
import json, os, signal, sys
lines = []
for line in sys.stdin:
    line = line.rstrip("\\n")
    if [*lines, line] == ["-stay_open", "False"]:
        break
    if not line.startswith("-execute"):
        lines.append(line)
        continue
    files = [each for each in lines if each.startswith("/")]
    sys.stderr.write("x" * 200_000 if files else "")
    if any("crash" in each for each in files):
        os._exit(1)
    if any("hang" in each for each in files):
        signal.pause()
    text = json.dumps([{{"SourceFile": "?", "EXIF:Model": each[-5:]}} for each in files])
    if "-ver" in lines:
        text = "12.57"
    if any("nonsense" in each for each in files):
        text = "[{{"
    sys.stderr.write(lines[lines.index("-echo4") + 1] + "\\n")
    sys.stderr.flush()
    print(text + "{{ready" + line[len("-execute"):] + "}}", flush=True)
    lines = []
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tool = tmp_path / "bin" / "exiftool"
    tool.parent.mkdir()
    tool.write_text(FAKE.format(python=sys.executable))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    return tmp_path


NAMED = ("0.jpg", "crash.jpg", "2.jpg", "hang.jpg", "4.jpg", "nonsense.jpg")


@pytest.mark.slow
def test_a_file_that_breaks_exiftool_breaks_it_alone(fake: Path, limit_only_for: LimitOnlyFor) -> None:
    limit_only_for("hang.jpg")
    paths = [str(fake / name) for name in NAMED]
    for path in paths:
        Path(path).touch()
    with ExifToolReader(time_limit=1.0) as reader:
        answers = reader.read(paths)
    assert models(answers) == ["0.jpg", None, "2.jpg", None, "4.jpg", None]
    assert [answer.error for answer in answers] == [
        None, "ExifTool crashed on this file, or needs too much memory for it", None,
        "ExifTool gave no answer in 1 s", None, "ExifTool could not read it",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_file_for_which_exiftool_would_take_all_memory_costs_only_its_own_tags(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    text = zlib.compress(bytes(1 << 30), 1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), (b"zTXt", b"Comment\0\0" + text), (b"IEND", b"")]
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
    )
    with ExifToolReader(PATIENCE) as reader:
        bombed, calm = reader.read([str(bomb), str(CANON)])
    assert bombed.error == "ExifTool crashed on this file, or needs too much memory for it"
    assert calm.error is None and calm.tags["Model"] == "Canon EOS 40D"


def test_what_cannot_be_started_ahead_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with ExifToolReader(PATIENCE) as missing:
        missing.start_ahead()
        assert missing.process_id is None
    (tmp_path / "exiftool").write_text("#!/nowhere\n")
    (tmp_path / "exiftool").chmod(0o755)
    with ExifToolReader(PATIENCE) as broken:
        broken.start_ahead()
        broken.start_ahead()
        assert broken.process_id is None
    assert len([record for record in caplog.records if "ExifTool does not start" in record.getMessage()]) == 1


def test_an_exiftool_that_does_not_start_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "exiftool"
    tool.write_text("#!/bin/sh\nread line\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with ExifToolReader(PATIENCE) as reader:
        assert reader.version is None
        assert reader.read([str(CANON)]) == [Answer(error="ExifTool does not start")]


def test_no_exiftool_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with ExifToolReader(PATIENCE) as reader:
        assert reader.version is None


def test_closing_ends_the_process_and_its_pipes(wait_for: WaitFor) -> None:
    reader = ExifToolReader(PATIENCE)
    assert reader.version == reader.version is not None
    process = psutil.Process(reader.process_id)
    reader.close()
    reader.close()
    wait_for(lambda: not lives(process))
    assert reader.process_id is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_exiftool_dies_with_its_parent(wait_for: WaitFor) -> None:
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # as workers do, and children inherit
        "from Src.Media.readers.exiftool_reader import ExifToolReader\n"
        "reader = ExifToolReader(120.0)\n"
        "assert reader.version\n"
        "print(reader.process_id, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_for(lambda: not lives(child))


def test_numbers_stay_the_text_they_are_in_the_file(reader: ExifToolReader, tmp_path: Path) -> None:
    path = tmp_path / "numbers.jpg"
    shutil.copyfile(CANON, path)
    written = ["-EXIF:Model=1.50", "-EXIF:Make=0012", "-EXIF:SubSecTimeOriginal=010"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *written, str(path)], check=True)
    (answer,) = reader.read([str(path)])
    assert answer.tags["EXIF:Model"] == "1.50"
    assert answer.tags["EXIF:Make"] == "0012"
    assert answer.tags["EXIF:SubSecTimeOriginal"] == "010"


@pytest.mark.slow
def test_the_preferred_of_several_tags_is_the_one_that_exiftool_prints(reader: ExifToolReader) -> None:
    for name in ("Nikon.nef", "CanonRaw.cr3", "DNG.dng", "Panasonic.rw2", "FujiFilm.raf", "CanonRaw.cr2"):
        path = str(SAMPLES / name)
        run = subprocess.run(["exiftool", "-n", "-j", path], capture_output=True, check=True)
        (printed,) = json.loads(run.stdout)
        (answer,) = reader.read([path])
        assert answer.tags.get("ImageWidth") == str(printed["ImageWidth"]), name
        assert answer.tags.get("ImageHeight") == str(printed["ImageHeight"]), name


def test_all_warnings_are_told_and_the_user_s_configuration_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hiding = "%Image::ExifTool::UserDefined::Options = (Exclude => ['Model']);\n1;\n"
    (tmp_path / ".ExifTool_config").write_text(hiding)
    monkeypatch.setenv("HOME", str(tmp_path))
    broken = tmp_path / "cut.png"
    broken.write_bytes((SAMPLES / "PNG.png").read_bytes()[:300])
    with ExifToolReader(PATIENCE) as reader:
        canon, cut = reader.read([str(CANON), str(broken)])
    assert canon.tags["EXIF:Model"] == "Canon EOS 40D"
    # A minor one comes first; the one that matters must not hide behind it.
    assert [warning.startswith("[minor]") for warning in cut.warnings] == [True, False]


def test_of_several_tags_in_a_group_the_first_counts_unless_exiftool_prefers_another() -> None:
    record = {"SourceFile": "x", "EXIF:Copy1:Make": "a", "EXIF:Copy2:Make": "b", "XMP:Make": "c"}
    record |= {"EXIF:Copy1:Model": "d", "EXIF:Model": "e", "ExifTool:Copy1:Warning": "f", "ExifTool:Error": "g"}
    answer = exiftool_answers.answer(record)
    assert answer.tags == {"EXIF:Make": "a", "XMP:Make": "c", "Make": "c", "EXIF:Model": "e", "Model": "e"}
    assert (answer.warnings, answer.error) == (("f",), "g")


def test_a_file_that_exiftool_may_not_open_is_asked_for_again(tmp_path: Path) -> None:
    """It stands where a confined reader reads nothing: moved out of the inbox while it was read."""
    path = tmp_path / "a.jpg"
    shutil.copy(CANON, path)
    program = "import sys; from Src.Media.tests.test_exiftool_reader import read_confined; read_confined(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, path, tmp_path / "inbox"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "no Landlock" in done.stdout:
        pytest.skip("no Landlock here")
    assert done.stdout.strip() == "Error opening file, ours: True", done.stderr


def read_confined(path: str, inbox: str) -> None:
    """In a process of its own: an open file that is not below what may be read."""
    os.mkdir(inbox)
    if not parts_here().files:
        print("no Landlock")
        return
    names = tempfile.mkdtemp(dir=os.path.dirname(path))
    with open(path, "rb") as file:
        confine([Path(inbox)], names_in=Path(names), memory=1 << 30)
        with ExifToolReader(PATIENCE, names_in=names, look_at=lambda _: Look(0, "S")) as reader:
            (answer,) = reader.read([OpenFile(file.fileno(), os.path.basename(path))])
        print(f"{answer.error}, ours: {answer.ours}", flush=True)


def test_json_that_is_not_quite_json_is_read() -> None:
    assert exiftool_answers.records(b'[{"EXIF:Make": "a\x01\xff"}]') == [{"EXIF:Make": "a\x01\ufffd"}]
    assert exiftool_answers.records(b"") == exiftool_answers.records(b"[" * 100_000) == []


# -- a damaged file costs only itself ----------------------------------------------------------------------


def greedy_png(megabytes: int) -> bytes:
    """Fewer than a hundred bytes that claim to be many: ExifTool makes room for them, and keeps it."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    first = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + first + struct.pack(">I", megabytes << 20) + b"zTXtComment\0\0" + b"x" * 40


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [62, 64, 65])
def test_a_file_that_makes_exiftool_large_costs_its_neighbours_nothing(
    reader: ExifToolReader, tmp_path: Path, megabytes: int
) -> None:
    greedy = tmp_path / "greedy.png"
    greedy.write_bytes(greedy_png(megabytes))
    photos = sorted(str(path) for path in SAMPLES.iterdir() if path.suffix != ".md")
    alone = reader.read(photos)
    together = reader.read([path for photo in photos for path in (str(greedy), photo)])
    assert together[1::2] == alone
    assert {answer.error for answer in alone} == {None}


@pytest.mark.slow
def test_who_failed_in_a_process_that_was_used_is_asked_again_in_a_fresh_one(fake: Path) -> None:
    """The first of a pair makes it crash at the second, whatever that is."""
    (fake / "poison.jpg").touch()
    (fake / "after.jpg").touch()
    (fake / "crash.jpg").touch()
    tool = Path(fake / "bin" / "exiftool")
    poisoned = 'if any("poison" in each for each in seen):\n        os._exit(1)\n    seen += files\n    if any("crash"'
    tool.write_text(
        tool.read_text().replace("lines = []\n", "lines = []\nseen = []\n", 1).replace('if any("crash"', poisoned, 1)
    )
    with ExifToolReader(PATIENCE) as reader:
        assert [answer.error for answer in reader.read([str(fake / "poison.jpg")])] == [None]
        (after,) = reader.read([str(fake / "after.jpg")])
        assert (after.error, after.tags["EXIF:Model"]) == (None, "r.jpg")
        (crash,) = reader.read([str(fake / "crash.jpg")])
    assert crash.error is not None and not crash.ours


@pytest.mark.slow
def test_an_exiftool_that_others_kill_says_nothing_of_the_file(fake: Path) -> None:
    (fake / "crash.jpg").touch()
    tool = Path(fake / "bin" / "exiftool")
    tool.write_text(tool.read_text().replace("os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"))
    with ExifToolReader(PATIENCE) as reader:
        (killed,) = reader.read([str(fake / "crash.jpg")])
    assert killed == Answer(error="ExifTool was killed") and killed.ours


@pytest.mark.slow
def test_files_that_fail_cost_no_more_than_their_budget(fake: Path, limit_only_for: LimitOnlyFor) -> None:
    limit_only_for("hang")
    paths = [fake / f"{number} hang.jpg" for number in range(20)]
    for path in paths:
        path.touch()
    with ExifToolReader(time_limit=0.5) as reader:
        answers = reader.read([*map(str, paths)], budget=1.0)
    waiting = [answer for answer in answers if answer.ours]
    assert len(waiting) >= 18 and all(answer.error for answer in answers)


# -- which ExifTool may read what strangers made ------------------------------------------------------------


def of_version(fake: Path, version: str) -> None:
    tool = fake / "bin" / "exiftool"
    tool.write_text(tool.read_text().replace('"12.57"', f'"{version}"'))


@pytest.mark.parametrize("version", ["12.37", "11.88", "9.99", "12.1"])
def test_an_exiftool_that_a_name_could_make_run_commands_is_never_asked_about_a_file(fake: Path, version: str) -> None:
    of_version(fake, version)
    tool = fake / "bin" / "exiftool"
    (fake / "a.jpg").touch()
    tool.write_text(
        tool.read_text().replace(
            'if any("crash"', f'open("{fake}/asked", "a").write("x" if files else "")\n    if any("crash"'
        )
    )
    with ExifToolReader(PATIENCE) as reader:
        assert reader.version is None and not reader.may_start
        assert reader.process_id is None
        (answer,) = reader.read([str(fake / "a.jpg")])
    assert answer.error is not None and answer.tags == {}
    assert (fake / "asked").read_text() == ""


@pytest.mark.parametrize("version", ["12.38", "12.57", "13.10", "13.00"])
def test_newer_ones_are_used(fake: Path, version: str) -> None:
    of_version(fake, version)
    with ExifToolReader(PATIENCE) as reader:
        assert reader.version == version


def test_an_old_one_is_used_where_somebody_says_that_it_is_fixed(fake: Path) -> None:
    of_version(fake, "12.16")
    with ExifToolReader(PATIENCE, trust_any_version=True) as reader:
        assert reader.version == "12.16"


def test_names_reach_exiftool_only_if_they_are_plain(fake: Path) -> None:
    tool = fake / "bin" / "exiftool"
    heard = fake / "heard"
    tool.write_text(
        tool.read_text().replace(
            'if any("crash"', f'open("{heard}", "a").write("\\n".join(files) + "\\n")\n    if any("crash"'
        )
    )
    folder = fake / "x"
    folder.mkdir()
    for name in NAMES:
        (folder / os.fsdecode(name)).touch()
    (folder / "IMG_2031 (1).jpg").touch()
    with ExifToolReader(PATIENCE) as reader:
        answers = reader.read([str(path) for path in folder.iterdir()])
    assert not [answer for answer in answers if answer.error]
    lines = heard.read_text().splitlines()
    assert f"{folder}/IMG_2031 (1).jpg" in lines
    assert len(set(lines)) >= len(NAMES)
    assert not [line for line in lines if line and re.search(r"[^A-Za-z0-9_./ ()+,@=-]", line)]
