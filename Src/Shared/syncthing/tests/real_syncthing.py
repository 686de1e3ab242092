"""Real Syncthings for tests: each a process with a folder of its own, on loopback, that looks for nobody."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import psutil
import pytest

from Src.Shared.syncthing.client import Config, FolderState, Syncthing, SyncthingError

API_KEY = "key-of-a-test"
LIMIT = 120.0  # seconds; a Syncthing that was not let in at first calls again after one minute

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, limit: float = LIMIT) -> T:
    """Waits until the condition is true and returns its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {limit:g} s in vain: {what}"
        time.sleep(0.05)


class RealSyncthing:
    """One Syncthing. `client` asks it; `url` and `API_KEY` are what a setting would say."""

    def __init__(self, home: Path, name: str) -> None:
        program = shutil.which("syncthing")
        if program is None:
            pytest.skip("syncthing is not installed")
        self._program: str = program
        self._home = home
        self.name = name
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self.client = Syncthing(self.url, API_KEY, timeout=LIMIT)
        self._process: subprocess.Popen[bytes] | None = None
        self._configure()

    @property
    def id(self) -> str:
        return self.client.my_id()

    def start(self) -> None:
        """Returns when it answers."""
        with open(self._home / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._program, "serve", f"--home={self._home}", "--no-browser", "--no-restart"],
                env=_environment(self._home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, f"{self.name} answers")

    def stop(self) -> None:
        """As its user's machine stops it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(LIMIT)
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        if self._process is not None:
            # There is nothing left to save. It is two processes, the second in a process group of its own.
            processes = [psutil.Process(self._process.pid)]
            processes += processes[0].children(recursive=True)
            for process in processes:
                process.kill()
            self._process.wait(LIMIT)
            psutil.wait_procs(processes, LIMIT)
        self.client.close()
        print((self._home / "log").read_text(errors="replace"))  # pytest shows it where a test fails

    def add(self, device: str, address: str = "dynamic", **more: Any) -> None:
        """As a person adds a device: by its ID and, where nothing finds it, its address."""
        self.client.add_device({"deviceID": device, "addresses": [address], **more})

    def share(self, folder: str, path: Path, device: str, **more: Any) -> None:
        """As a person accepts a folder that is offered, or makes one."""
        path.mkdir(parents=True, exist_ok=True)
        self.client.add_folder(
            {"id": folder, "label": folder, "path": str(path), "devices": [{"deviceID": device}], **more}
        )

    def state(self, folder: str) -> FolderState:
        return self.client.folder_state(folder)

    def is_connected(self, device: str) -> bool:
        connection = self.client.connections().get(device)
        return connection is not None and connection.connected

    def configuration(self) -> bytes:
        """config.xml as it is on disk."""
        return (self._home / "config.xml").read_bytes()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._home / "log").read_text(errors="replace")
        try:
            self.client.my_id()
        except SyncthingError:
            return False
        return True

    def _configure(self) -> None:
        self._home.mkdir(parents=True)
        subprocess.run(
            [self._program, "generate", f"--home={self._home}"],
            env=_environment(self._home),
            check=True,
            capture_output=True,
        )
        path = self._home / "config.xml"
        tree = ElementTree.parse(path)
        root = tree.getroot()
        for folder in root.findall("folder"):
            root.remove(folder)
        options, gui = root.find("options"), root.find("gui")
        assert options is not None
        assert gui is not None
        for old in options.findall("listenAddress"):
            options.remove(old)
        for name, value in {
            "listenAddress": self.address,
            "globalAnnounceEnabled": "false",
            "localAnnounceEnabled": "false",
            "relaysEnabled": "false",
            "natEnabled": "false",
            "reconnectionIntervalS": "1",
            "stunKeepaliveStartS": "0",
        }.items():
            _set(options, name, value)
        _set(gui, "address", self.url.removeprefix("http://"))
        _set(gui, "apikey", API_KEY)
        device = root.find("device")
        assert device is not None
        device.set("name", self.name)
        tree.write(path)


@contextmanager
def running(home: Path, name: str) -> Iterator[RealSyncthing]:
    """A Syncthing that runs until the end of the block."""
    syncthing = RealSyncthing(home, name)
    try:
        syncthing.start()
        yield syncthing
    finally:
        syncthing.close()


def folder_config(syncthing: RealSyncthing, folder: str) -> Config:
    return next(one for one in syncthing.client.config_folders() if one["id"] == folder)


def _set(element: ElementTree.Element, name: str, value: str) -> None:
    child = element.find(name)
    if child is None:
        child = ElementTree.SubElement(element, name)
    child.text = value


def _environment(home: Path) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "STNOUPGRADE": "1", "LC_ALL": "C.UTF-8"}


def _free_port() -> int:
    """Below those that the kernel gives to whoever asks for any, which could be gone when Syncthing comes to it; and
    below those of the stack's tests (Stack/tests/stack.py), which are free until its containers start."""
    while True:
        port = random.SystemRandom().randrange(12_000, 23_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
