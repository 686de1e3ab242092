"""`./factory check` and `./factory test`: what developers run before a commit, and CI after it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from Src.Shared.errors import ExitCode
from Src.Shared.settings import PROJECT_ROOT

# Without PostgreSQL, programs that an image lacks and slow parts of a machine. The images' builds run these too.
QUICK = "not ledger and not slow and not needs_programs and not stack"
ON_ALL_CORES = ("-n", "auto", "--dist", "loadgroup")
STACKS_AT_ONCE = ("-n", "2", "--dist", "loadgroup")  # most of their time they wait for containers

_CHECKS = (  # the cheapest first
    ("lint", (sys.executable, "-m", "ruff", "check")),
    ("format", (sys.executable, "-m", "ruff", "format", "--check")),
    ("rooms", (str(Path(sys.executable).with_name("lint-imports")), "--no-logo")),
    ("types", (sys.executable, "-m", "mypy")),
)


def run_checks() -> int:
    """Runs every check, so that one run shows all there is to fix; the first failure's exit code."""
    result = 0
    for name, command in _CHECKS:
        began = time.monotonic()
        code = subprocess.call(command, cwd=PROJECT_ROOT)
        print(f"{name}: {'failed' if code else 'passed'} ({time.monotonic() - began:.0f} s)", flush=True)
        result = result or code
    return result


def run_tests(arguments: Sequence[str]) -> int:
    """Runs pytest with its own arguments, and ours: `--quick [PATH…]`, `--stack` and `--cov`; pytest's exit code."""
    if "--cov" in arguments:
        return _run_with_coverage([argument for argument in arguments if argument != "--cov"])
    ours = {"--quick", "--stack"} & set(arguments)
    rest = [argument for argument in arguments if argument not in ours]
    if ours == {"--quick", "--stack"}:
        print("factory: test: --quick leaves out what --stack tests; give one of them", file=sys.stderr)
        return ExitCode.WRONG
    if "--stack" in ours:
        rest = ["-m", "stack", *STACKS_AT_ONCE, *rest]
    elif "--quick" in ours:
        rest = ["-m", QUICK, *ON_ALL_CORES, *([] if any(map(_is_path, rest)) else ["Src"]), *rest]
    elif not rest:  # all of them
        rest = list(ON_ALL_CORES)
    # Where that is set, each of the many processes compiles anew all that it imports: 20 s for all tests, and 5 s else.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.call([sys.executable, "-m", "pytest", *rest], cwd=PROJECT_ROOT, env=environment)


def _run_with_coverage(arguments: Sequence[str]) -> int:
    """Runs tests, and prints what share of each room's lines they ran, processes that tests start left aside."""
    if not any(argument in ("--quick", "--stack") or _is_path(argument) for argument in arguments):
        arguments = [*ON_ALL_CORES, *arguments]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "coverage"
        os.environ |= {
            "COVERAGE_FILE": str(data),
            "COVERAGE_CORE": "sysmon" if sys.version_info >= (3, 12) else "ctrace",
        }
        code = run_tests([*arguments, "--cov=Src", "--cov-report="])
        _print_rooms(data)
    return code


def _print_rooms(data: Path) -> None:
    from coverage import Coverage

    measured = Coverage(data_file=data)
    measured.load()
    lines: dict[str, list[int]] = defaultdict(lambda: [0, 0])  # of a room: all, and those that were run
    for path in measured.get_data().measured_files():
        room, *rest = Path(path).relative_to(PROJECT_ROOT / "Src").parts
        if rest and "tests" not in rest:
            _, statements, _, missing, _ = measured.analysis2(path)
            lines[room][0] += len(statements)
            lines[room][1] += len(statements) - len(missing)
    for room, (number, run) in sorted(lines.items()):
        print(f"{room:<12}{100 * run / max(number, 1):4.0f}% of {number:,} lines")


def _is_path(argument: str) -> bool:
    return not argument.startswith("-") and (PROJECT_ROOT / argument.partition("::")[0]).exists()
