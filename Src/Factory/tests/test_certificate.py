"""`certificate` and `verify --events` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from Src.Factory.certificate import run_certificate
from Src.Factory.problems import Problem
from Src.Factory.verify import run_verify
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill
from Src.Testing.sealed import Sealed


def verified(settings: Settings, accept: str | None = None) -> int:
    return run_verify(settings, quick=False, sample=None, budget=None, as_json=True, events=True, accept=accept)


def test_a_photo_has_a_certificate_and_its_events_are_verified(
    factory_settings: Settings, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = Vault(factory_settings.storage)
    hashes = fill(vault, database, 2, names=["<b>.jpg", "c.jpg"])
    sealed = Sealed(factory_settings, database, vault)
    [fate, *_] = sealed.add(hashes)
    page = tmp_path / "page.html"
    assert run_certificate(factory_settings, name="c.jpg", page=None, as_json=False) == ExitCode.FOUND
    assert "not sealed yet" in capsys.readouterr().out
    sealed.seal()
    assert run_certificate(factory_settings, name=hashes[0], page=str(page), as_json=True) == ExitCode.WELL
    said = json.loads(capsys.readouterr().out)
    assert (said["sha256"], [one["state"] for one in said["events"]]) == (hashes[0], ["signed", "signed"])
    assert "&lt;b&gt;.jpg" in page.read_text() and "<b>" not in page.read_text()
    assert run_certificate(factory_settings, name="c.jpg", page=None, as_json=False) == ExitCode.WELL
    assert "none known" in capsys.readouterr().out
    with pytest.raises(Problem, match="more than one original"):
        run_certificate(factory_settings, name="*", page=None, as_json=True)
    assert run_certificate(factory_settings, name="never.jpg", page=None, as_json=True) == ExitCode.FOUND

    assert verified(factory_settings) == ExitCode.WELL
    assert json.loads(capsys.readouterr().out)["sealed"] == 5
    with pytest.raises(Problem, match="nothing to accept"):
        verified(factory_settings, accept="words")
    sealed.sql("UPDATE ingest_events SET message = 'other' WHERE id = :id", id=fate)
    assert verified(factory_settings) == ExitCode.FOUND
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["changed"]] == [str(fate)]
    assert run_verify(factory_settings, quick=False, sample=None, budget=None, as_json=False, events=True) == 1
    assert "not what was sealed" in capsys.readouterr().out
    assert run_certificate(factory_settings, name=hashes[0], page=None, as_json=False) == ExitCode.FOUND


def test_what_is_lost_is_accepted_with_a_signature(
    factory_settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = Vault(factory_settings.storage)
    hashes = fill(vault, database, 2)
    sealed = Sealed(factory_settings, database, vault)
    for sha256 in hashes:
        sealed.add([sha256])
        sealed.seal()
    [(last,)] = sealed.sql("SELECT max(number) FROM event_seals")
    # As an older backup has it; and something waits.
    ids = [row[0] for row in sealed.sql("DELETE FROM event_seals WHERE number > 3 RETURNING event_id")]
    sealed.sql("DELETE FROM seal_heads WHERE number > 3")
    for table in ("ingest_events", "overlay_events"):
        sealed.sql(f"DELETE FROM {table} WHERE id = ANY (:ids)", ids=ids)
    sealed.add(["a" * 64])
    assert verified(factory_settings) == ExitCode.FOUND
    said = json.loads(capsys.readouterr().out)
    assert ([one["number"] for one in said["lost"]], said["waiting"]) == ([last], 2)
    assert verified(factory_settings, accept="the backup of Sunday") == ExitCode.WELL
    said = json.loads(capsys.readouterr().out)
    assert (said["accepted"], said["waiting"], said["notes"][-1]["is_signed"]) == (1, 0, True)
    assert said["notes"][-1]["message"].startswith("the backup of Sunday (1 signed seal lost")
    sealed.sql("UPDATE seal_notes SET signature = NULL WHERE kind = 'accepted'")
    assert run_verify(factory_settings, quick=False, sample=None, budget=None, as_json=False, events=True) == 1
    assert "is not signed with the factory's key" in " ".join(capsys.readouterr().out.split())
