"""The fault campaign in short: a little of each kind of fault, the same each time (see `Stack/faults`)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from Stack.faults.__main__ import BROKEN, FAULTS, NOT_POSSIBLE, load, main
from Stack.faults.orders import NotPossible, Orders

SEED = int(os.environ.get("FACTORY_SEED") or 1)


@pytest.mark.timeout(1200)  # on a busy machine; what does not end by itself is told by the limits of each fault
@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_breaks_the_promise(name: str, folder: Path) -> None:
    fault = load(name)
    try:
        figures = fault.run(Orders(folder, SEED, fault.SHORT))
    except NotPossible as reason:
        pytest.skip(str(reason))
    assert figures.violations == []
    assert figures.done > 0
    print(f"{figures.done} {figures.unit}, {figures.measured}")


def test_one_fault_that_breaks_down_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runner's table, its exit code and its JSON, with faults of our own."""
    for name, source in {
        "impossible": "def run(orders): raise NotPossible('no such disk')",
        "crash": "def run(orders): raise KeyError('a defect of the campaign')",
        "fine": "def run(orders): return Figures('cuts', orders.amount)",
    }.items():
        module = tmp_path / f"campaign_{name}.py"
        module.write_text(f"from Stack.faults.orders import *\nUNIT, FULL, SHORT = 'cuts', 1000, 10\n{source}\n")
        monkeypatch.setitem(FAULTS, name, module.stem)
    monkeypatch.syspath_prepend(tmp_path)
    figures = tmp_path / "figures.json"

    def campaign(*faults: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr("sys.argv", ["campaign", *faults, "--short", "--seed", "7", "--json", str(figures)])
        code = main()
        told = json.loads(figures.read_text())
        assert told["seed"] == 7
        assert list(told["faults"]) == list(faults)
        return code, told["faults"]

    code, told = campaign("impossible", "crash", "fine")
    assert code == BROKEN
    assert told["impossible"] == {"not_possible": "no such disk"}
    assert told["crash"]["violations"] == ["crash, seed 7: KeyError: 'a defect of the campaign'"]
    assert (told["fine"]["done"], told["fine"]["violations"]) == (10, [])
    said = capsys.readouterr()
    assert "Traceback" in said.err
    assert re.search(r"^fine +10 +cuts +0 ", said.out, re.MULTILINE)

    assert campaign("impossible", "fine")[0] == NOT_POSSIBLE
    assert campaign("fine")[0] == 0
