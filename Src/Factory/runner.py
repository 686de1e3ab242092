"""`up`: all services of one factory on this machine, under supervisor (supervisord.org)."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from typing import NoReturn

from Src.Dashboard.exposure import refusal, url
from Src.Factory import report
from Src.Shared.runner_watch import VARIABLE as RUNNER
from Src.Shared.settings import PROJECT_ROOT, Settings

# What runs, and how. `up` grows by a line for each service that comes.
SERVICES = {
    "librarian": ("-m", "Src.Librarian.librarian"),
    "service-monitor": ("-m", "Src.Shared.service_monitor"),
    "dashboard": ("-m", "Src.Dashboard"),
}
_PYTHON = "FACTORY_PYTHON"  # variable that tells supervisor, in its shell's words, which Python it starts


def run_services(settings: Settings) -> NoReturn:
    """Becomes the process runner: Ctrl-C or SIGTERM stops all services, then the database, then itself."""
    settings.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = settings.run / "supervisord.conf"
    config.write_text(_config(settings), encoding="utf-8", errors="surrogateescape")
    database = (settings.database_url is None and f"embedded, in {settings.db_data}") or "external"
    report.heading("Photo Factory is starting; Ctrl-C stops it.")
    report.line("inbox", str(settings.inbox))
    report.line("vault", str(settings.originals))
    report.line("database", f"{database}; look into it with ./factory psql")
    report.line("dashboard", _no_dashboard(settings) or url(settings))
    report.line("status", "./factory status")
    sys.stdout.flush()
    # Several processes write here; into a file only appending keeps them from writing over each other.
    fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_APPEND)
    environment = dict(os.environ, PYTHONPATH=str(PROJECT_ROOT), **{RUNNER: str(os.getpid())})
    environment[_PYTHON] = shlex.quote(sys.executable)
    # The services run in another folder than ours: a relative path would mean something else there.
    folders = (settings.data, settings.inbox, settings.storage, settings.db_data)
    environment.update(
        zip(("FACTORY_DATA", "INBOX_PATH", "STORAGE_PATH", "FACTORY_DB_DATA"), map(str, folders), strict=True)
    )
    environment["PYTHONWARNINGS"] = "ignore"  # supervisor's own, about a package it can do without
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config)]
    os.execve(sys.executable, command, environment)


def _no_dashboard(settings: Settings) -> str | None:
    """Why there is none; the other services do not depend on it."""
    return "none (DASHBOARD_PORT=0)" if settings.dashboard_port == 0 else refusal(settings)


def _config(settings: Settings) -> str:
    """Without any path in it: where one holds ` ;` or ` #`, supervisor would take the rest for a comment."""
    user = "user=root\n" if os.geteuid() == 0 else ""  # said explicitly, or supervisor warns about it
    parts = [
        "[supervisord]\n"
        "nodaemon=true\n"
        f"{user}"
        f"loglevel={'error' if settings.log_format == 'json' else 'warn'}\n"  # its words are no JSON
        "logfile=/dev/null\n"
        "logfile_maxbytes=0\n"
        "pidfile=%(here)s/supervisord.pid\n"
        "childlogdir=%(here)s\n"
    ]
    for name, arguments in SERVICES.items():
        if name == "dashboard" and _no_dashboard(settings):
            continue
        parts.append(
            f"[program:{name}]\n"
            f"command=%(ENV_{_PYTHON})s {' '.join(arguments)}\n"
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
