"""What the commands declare: there is a function for each, and the parser takes what a call gives."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Factory import cli, commands
from Src.Factory.commands import BY_NAME, COMMANDS
from Src.Factory.declaration import Argument, BesideStack, Command, Flag, Group, OnHost, Option
from Src.Factory.overview import VERSION_LINE, overview
from Src.Factory.parser import parse
from Src.Factory.problems import Problem
from Src.Factory.tests.bare_checkout import ROOT, BareCheckout
from Src.Shared.errors import ExitCode
from Src.Shared.version import VERSION

LIKE_OPTIONS = ("--json", "--move", "--", "-", "-x", "-1", "--accept=x", "--help")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = TEXTS | st.sampled_from(LIKE_OPTIONS)
ALL = pytest.mark.parametrize("command", COMMANDS, ids=lambda one: str(one.name))


@st.composite
def calls(draw: st.DrawFn) -> tuple[Command, dict[str, Any]]:
    """A command, and what somebody gives it."""
    command = draw(st.sampled_from([one for one in COMMANDS if not one.passes_on]))
    taken: dict[str, Any] = {}
    ended = False
    for one in command.takes:
        if isinstance(one, Argument) and one.optional and not one.many:  # behind one that is not given comes no other
            ended = ended or draw(st.booleans())
            taken[one.parameter] = None if ended else draw(VALUES)
            continue
        kinds = {Flag: st.booleans(), Option: st.none() | VALUES, Argument: VALUES}
        many = isinstance(one, Argument) and one.many
        least = 0 if isinstance(one, Argument) and one.optional else 1
        taken[one.parameter] = draw(st.lists(VALUES, min_size=least, max_size=3) if many else kinds[type(one)])
    return command, taken


@given(calls())
def test_what_is_given_is_what_the_function_takes(call: tuple[Command, dict[str, Any]]) -> None:
    command, taken = call
    assert parse(command, command.words(taken)) == taken


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.passes_on], ids=lambda one: str(one.name))
def test_what_is_another_programs_is_passed_on(command: Command) -> None:
    words = ["--help", "-c", "SELECT 1", "--", "--json"]
    assert parse(command, words) == {"arguments": words}


def test_what_looks_like_an_option_may_be_a_file() -> None:
    """Nothing is moved, or made anew by force, because a file is called so."""
    taken = parse(BY_NAME["import"], ["--", "--move"])
    assert (taken["sources"], taken["move"]) == (["--move"], False)


@pytest.mark.parametrize("words", [["a", "--json", "b"], ["--json", "a", "b"], ["a", "b", "--json"]])
def test_options_may_stand_anywhere(words: list[str]) -> None:
    taken = parse(BY_NAME["import"], words)
    assert (taken["sources"], taken["as_json"], taken["move"]) == (["a", "b"], True, False)


@pytest.mark.parametrize("position", ["-33.8568,151.2153", "-22.9,-43.2", "-22.9, -43.2", "-90,0", "-.5,.5"])
@pytest.mark.parametrize("order", [0, 1])
def test_a_negative_number_needs_no_other_sign(position: str, order: int) -> None:
    words = [["*", position, "--json"], ["--json", "*", position]][order]
    taken = parse(BY_NAME["place"], words)
    assert (taken["selection"], taken["position"], taken["as_json"]) == ("*", position, True)


@pytest.mark.parametrize(
    "words",
    [
        ["place", "*", "-x"],
        ["place", "*", "-1,2", "-1,2"],
        ["album", "a", "add", "*", "b"],
        ["import"],
        ["status", "more"],
        ["find", "a", "b"],
        ["phone", "--accept"],
        ["status", "--js"],
    ],
)
def test_wrong_words_end_it_before_anything_is_done(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "run_here", lambda *_: pytest.fail("nothing is run"))
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == ExitCode.WRONG
    said = capsys.readouterr()
    assert (said.out, f"factory {words[0]}: error: " in said.err) == ("", True)


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense", "status"], [""], ["--version", "status"]])
def test_what_is_no_command_is_a_problem(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == ExitCode.WRONG
    assert capsys.readouterr() == ("", f"factory: there is no command {words[0]!r}; ./factory --help has them all\n")


def test_without_a_command_all_of_them_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == ExitCode.WRONG
    assert capsys.readouterr() == (f"{overview()}\n", "")


def test_what_a_person_interrupts_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_here", interrupted)
    assert cli.main(["status"]) == ExitCode.INTERRUPTED


def test_who_has_read_enough_gets_no_traceback() -> None:
    """As `./factory … | head` does."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-u", "-m", "Src.Factory", "--version"]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (ExitCode.FOUND, "")


@ALL
def test_its_functions_take_what_it_declares(command: Command) -> None:
    """They are named by their modules, so that nothing is loaded before it is needed."""
    given = {"arguments"} if command.passes_on else {one.parameter for one in command.takes}
    named = {command.here: {"settings"} if command.reads_settings else set()} if isinstance(command.here, str) else {}
    if isinstance(command.stack, OnHost | BesideStack):
        named[command.stack.function] = {"stack" if isinstance(command.stack, OnHost) else "root"}
    for function, before in named.items():
        module, _, name = function.partition(":")
        assert set(inspect.signature(getattr(import_module(module), name)).parameters) == given | before


@ALL
def test_paths_name_a_flag_that_is_there(command: Command) -> None:
    flags = {one.parameter for one in command.takes if isinstance(one, Flag)}
    for one in command.takes:
        if not isinstance(one, Flag) and one.path is not None and one.path.written_with is not None:
            assert one.path.written_with in flags


def test_a_file_for_each_command() -> None:
    files = {path.stem for path in Path(commands.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.removesuffix("_") for name in files} == {command.name for command in COMMANDS}
    assert len(BY_NAME) == len(COMMANDS)


def test_an_empty_path_is_a_problem_with_advice() -> None:
    """As of an unset variable."""
    with pytest.raises(Problem, match=r"^import: a source is empty; give a folder or a file$"):
        BY_NAME["import"].paths({"sources": ["a", ""], "move": False, "as_json": False})
    with pytest.raises(Problem, match=r"^backup: a target is empty; give a file$"):
        BY_NAME["backup"].paths({"file": "", "force": False, "as_json": False})


def test_help_has_each_command_in_its_group() -> None:
    text = overview()
    for group in Group:
        [section] = [part for part in text.split("\n\n") if part.startswith(f"{group}:\n")]
        for command in COMMANDS:
            assert (f"\n  {command.name} " in section) == (command.group is group and not command.hidden)
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize(("option", "said"), [("--help", overview()), ("--version", VERSION_LINE)])
def test_help_and_version_need_no_environment(
    tmp_path: Path, bare_checkout: BareCheckout, option: str, said: str
) -> None:
    """The launcher answers in a bare Python, and with its environment the app says the same."""
    bare_checkout(tmp_path)
    for command in ([sys.executable, "-IS", str(tmp_path / "factory")], [sys.executable, "-m", "Src.Factory"]):
        done = subprocess.run([*command, option], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{said}\n", "")
    assert not (tmp_path / ".venv").exists()
    assert VERSION in VERSION_LINE


def test_the_readme_has_each_command_and_each_exit_code() -> None:
    text = (ROOT / "README.md").read_text()
    assert {command.name for command in COMMANDS if not command.hidden} == set(
        re.findall(r"^\| `\./factory ([a-z]+)", text, re.MULTILINE)
    )
    assert set(ExitCode) == {int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)}
