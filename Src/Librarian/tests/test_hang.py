"""A Librarian that stands still reports it, names the process that blocks it, and ends at a signal. Real locks."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from Src.Factory.status import gather
from Src.Librarian.tests.test_service import Factory, factory, own_process, photo
from Src.Testing.patience import PATIENCE

__all__ = ["factory"]

pytestmark = pytest.mark.slow

LIMIT = 2.0


@contextmanager
def held(path: Path, factory: Factory) -> Iterator[subprocess.Popen[bytes]]:
    """Locked by flock(1), as soon as it is free."""
    note = factory.settings.data / "held"
    command = ["flock", str(path), "sh", "-c", 'echo > "$0"; exec sleep 600', str(note)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        factory.wait_for(note.exists, what="the lock is held")
        yield process
    finally:
        with suppress(ProcessLookupError):  # a test has ended it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        note.unlink(missing_ok=True)


@pytest.fixture
def impatient(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> Factory:
    monkeypatch.setenv("LOOP_LIMIT", f"{LIMIT:g}")
    factory.settings = replace(factory.settings, loop_limit=LIMIT)
    return factory


def vault_lock(factory: Factory) -> Path:
    factory.settings.state.mkdir(parents=True, exist_ok=True)
    path = factory.settings.state / "vault.lock"
    path.touch()
    return path


def test_a_vault_that_another_program_has_locked_is_an_error_that_names_it(impatient: Factory) -> None:
    with impatient.serving() as serving:
        impatient.wait_for(serving.is_watching)
        with held(vault_lock(impatient), impatient) as other:
            impatient.drop("a.jpg", photo(1))
            impatient.wait_for(serving.is_in_trouble(f"locked by flock (pid {other.pid})"))
        impatient.wait_for(impatient.filed(1))
        impatient.wait_for(lambda: serving.status == "OK")
    impatient.check()


def test_one_that_waits_for_the_lock_before_it_has_begun_ends_by_sigterm(impatient: Factory) -> None:
    with held(vault_lock(impatient), impatient) as other, own_process(impatient.settings) as service:
        told = "SELECT message FROM system_status WHERE service_name = 'librarian' AND status = 'ERROR'"
        impatient.wait_for(lambda: any(f"pid {other.pid}" in (row["message"] or "") for row in impatient.sql(told)))
        service.terminate()
        assert service.wait(PATIENCE) == 0


def test_one_pass_that_waits_can_be_stopped(impatient: Factory) -> None:
    impatient.drop("a.jpg", photo(1))
    with held(vault_lock(impatient), impatient):
        with impatient.serving() as serving:
            impatient.wait_for(lambda: serving.beats.last is not None)
        assert not serving.thread.is_alive()


def test_an_inbox_that_another_program_has_locked_is_an_error_that_names_it(impatient: Factory) -> None:
    impatient.settings.inbox.mkdir(parents=True, exist_ok=True)
    with held(impatient.settings.inbox, impatient) as other, impatient.serving() as serving:
        impatient.wait_for(serving.is_in_trouble(f"is locked by flock (pid {other.pid}), which is no Librarian"))
        os.killpg(other.pid, signal.SIGKILL)
        impatient.drop("a.jpg", photo(1))
        impatient.wait_for(impatient.filed(1))
    impatient.check()


def test_status_says_that_a_stopped_process_stands_still(impatient: Factory) -> None:
    with own_process(impatient.settings) as service:
        impatient.drop("a.jpg", photo(1))
        impatient.wait_for(impatient.filed(1))

        def librarian() -> dict[str, object]:
            (one,) = [one for one in gather(impatient.settings)["services"] if one["name"] == "librarian"]
            return dict(one)

        impatient.wait_for(lambda: not librarian()["stands_still"])  # it does where the machine leaves it no time
        os.kill(service.pid, signal.SIGSTOP)
        impatient.wait_for(lambda: librarian()["stands_still"])
        assert librarian()["status"] == "ERROR" and "the loop has stood still for" in str(librarian()["message"])
        os.kill(service.pid, signal.SIGCONT)
        impatient.wait_for(lambda: not librarian()["stands_still"])


def test_lock_files_are_nobody_else_s(impatient: Factory) -> None:
    impatient.drop("a.jpg", photo(1))
    impatient.ingest()
    for name in ("vault.lock", "librarian.lock"):
        path = impatient.settings.state / name
        assert not path.exists() or path.stat().st_mode & 0o077 == 0
    assert (impatient.settings.state / "vault.lock").exists()
