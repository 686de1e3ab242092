"""`up`: what all services of one factory on this machine are started with."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
from typing import NoReturn

from Src.Factory import report
from Src.Factory.doctor import examine
from Src.Shared.dashboard_exposure import refusal
from Src.Shared.disk.making import PRIVATE, make_folder, private_file
from Src.Shared.services import DASHBOARD, SERVICES, Service
from Src.Shared.settings import PROJECT_ROOT, Settings

_PYTHON = "FACTORY_PYTHON"  # variable that tells supervisor, in its shell's words, which Python it starts


def run_services(settings: Settings) -> NoReturn:
    """Becomes the process runner: Ctrl-C or SIGTERM stops all services, then the database, then itself."""
    make_folder(settings.run, PRIVATE)
    config = settings.run / "supervisord.conf"
    with open(config, "w", encoding="utf-8", errors="surrogateescape", opener=private_file) as file:
        file.write(_config(settings))
    report.heading(f"Photo Factory is starting in {settings.data} ...")
    if no_dashboard := _no_dashboard(settings):
        report.line("dashboard", no_dashboard)
    for one in examine(settings, ("disks", "permissions", "settings", "port")):
        if one.state != "ok":
            report.line("WARNING", f"{one.found}; {one.fix}" if one.fix else one.found, "yellow")
    sys.stdout.flush()
    _make_output_reopenable()
    # Several processes write here; into a file only appending keeps them from writing over each other.
    fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_APPEND)
    environment = dict(os.environ, PYTHONPATH=str(PROJECT_ROOT))
    environment[_PYTHON] = shlex.quote(sys.executable)
    # The services run in another folder than ours: a relative path would mean something else there.
    folders = {"FACTORY_DATA": settings.data, "INBOX_PATH": settings.inbox, "STORAGE_PATH": settings.storage}
    if settings.db_data_is_given:
        folders["FACTORY_DB_DATA"] = settings.db_data
    environment.update({name: str(folder) for name, folder in folders.items()})
    environment["PYTHONWARNINGS"] = "ignore"  # supervisor's own, about a package it can do without
    command = [
        sys.executable,
        "-m",
        "Src.Factory.runner_process",
        str(config),
        *(one.name for one in _services(settings)),
    ]
    os.execve(sys.executable, command, environment)


def _make_output_reopenable() -> None:
    """Supervisor opens /dev/stdout by its name, for each service.

    The kernel refuses that for a socket (systemd), and for another user's pipe, file or terminal (`sudo -u photos
    ./factory up | tee log`): no service would start, and nobody would say so.
    """
    try:
        os.close(os.open("/dev/stdout", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK))
        return
    except OSError:
        pass
    # A pipe of our own can be opened. What passes it on ends with the last service, so Ctrl-C is not for it.
    reading, writing = os.pipe()
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in stops]
    subprocess.Popen(["cat"], stdin=reading)
    for number, handler in zip(stops, before, strict=True):
        signal.signal(number, handler)
    os.dup2(writing, 1)
    os.close(reading)
    os.close(writing)


def _no_dashboard(settings: Settings) -> str | None:
    """Why there is none; the other services do not depend on it."""
    return "none (DASHBOARD_PORT=0)" if settings.dashboard_port == 0 else refusal(settings)


def _services(settings: Settings) -> list[Service]:
    """What is started here."""
    has_dashboard = _no_dashboard(settings) is None
    return [one for one in SERVICES if one.module is not None and (one.name != DASHBOARD or has_dashboard)]


def _config(settings: Settings) -> str:
    """Without any path in it: where one holds ` ;` or ` #`, supervisor would take the rest for a comment."""
    user = "user=root\n" if os.geteuid() == 0 else ""  # said explicitly, or supervisor warns about it
    parts = [
        "[supervisord]\n"
        "nodaemon=true\n"
        f"{user}"
        "loglevel=warn\n"
        "logfile=/dev/null\n"
        "logfile_maxbytes=0\n"
        "pidfile=%(here)s/supervisord.pid\n"
        "childlogdir=%(here)s\n"
    ]
    for service in _services(settings):
        parts.append(
            f"[program:{service.name}]\n"
            f"command=%(ENV_{_PYTHON})s -m {service.module}\n"
            "directory=%(ENV_PYTHONPATH)s\n"
            "redirect_stderr=true\n"
            "stdout_logfile=/dev/stdout\n"
            "stdout_logfile_maxbytes=0\n"
            "autorestart=true\n"
            "startsecs=1\n"
            "startretries=1000000\n"  # a factory that nobody minds must not give up
            "stopwaitsecs=20\n"
            "stopasgroup=false\n"
            "killasgroup=true\n"
        )
    return "\n".join(parts)
