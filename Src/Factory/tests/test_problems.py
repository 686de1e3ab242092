"""Problems of the user's are one line, defects of ours are not hidden."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from Src.Factory import cli
from Src.Factory.problems import Problem
from Src.Library.belonging import WrongLedger
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import LedgerRefused
from Src.Shared.errors import ExitCode, FactoryError
from Src.Shared.settings import SettingsError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Problem("psql is not installed"), "factory: psql is not installed"),
        (SettingsError("TZ=Mars: no such time zone"), "factory: settings: TZ=Mars: no such time zone"),
        (VaultTrouble("the disk is full"), "factory: vault: the disk is full"),
        (WrongLedger("it is another vault's"), "factory: database: it is another vault's"),
        (LedgerRefused("there is none"), "factory: database: there is none"),
    ],
)
def test_one_line(
    error: FactoryError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "run", raising(error))
    assert cli.main() == ExitCode.WRONG
    assert capsys.readouterr() == ("", f"{line}\n")


def test_a_defect_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run", raising(ValueError("ours")))
    with pytest.raises(ValueError, match="ours"):
        cli.main()


def raising(error: Exception) -> Callable[..., int]:
    def run(*_: object) -> int:
        raise error

    return run
