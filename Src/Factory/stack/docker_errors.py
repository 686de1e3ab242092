"""What Docker says when it fails, in words that say what to do. Nothing but the standard library."""

from __future__ import annotations

import re

# The first that fits; texts of Docker Engine 20.10 to 29 and Compose 2.20 to 5.
_KNOWN = (
    (r"permission denied.*docker\S*\.sock|permission denied while trying to connect",
     "this user may not use Docker: put sudo before the command, or join its group (sudo usermod -aG docker $USER, "
     "then log in again)"),
    (r"Cannot connect to the Docker daemon|error during connect|connection refused|docker\.sock: no such file"
     r"|failed to connect to the docker API",
     "Docker's engine does not answer: start it (sudo systemctl start docker, or Docker Desktop)"),
    (r"'compose' is not a docker command|unknown command: docker compose|unknown (?:shorthand )?flag: '?(?:p|--?\w+)"
     r".*\n.*docker --help",
     "Docker's Compose is not installed: install it (sudo apt install docker-compose-v2, or docker-compose-plugin "
     "from Docker's own packages)"),
    (r"port is already allocated|address already in use|ports are not available",
     "a port of this machine is taken by another program: set another one in .env (DASHBOARD_PORT, SYNC_PORT, "
     "SYNCTHING_GUI_PORT), then docker compose up -d"),
    (r"[Cc]onflict.*name .* is already in use",
     "another container has that name: set FACTORY_NAME in .env where that is another stack, or remove it "
     "(docker rm NAME), then docker compose up -d"),
    (r"no space left on device", "a disk is full: free some space (docker system df says what Docker has)"),
    (r"is restarting, wait until", "its container restarts again and again: ./factory status says why"),
    (r"is paused", "its container is paused: docker compose unpause"),
    (r"is not running|No such container", "its container does not run: docker compose up -d"),
    (r"context \"?[^\n]*not found|context .* does not exist",
     "Docker has no context of that name: see docker context ls, or unset DOCKER_CONTEXT"),
    (r"pull access denied|manifest unknown|No such image|failed to resolve reference",
     "an image is missing and cannot be had from its registry: docker compose build, or check the network"),
    (r"mounts denied|bind source path does not exist",
     "a folder of the host cannot be shown to the container: is it there, and may Docker use it?"),
)  # fmt: skip
_COMPOSE_FILE = re.compile(
    r"yaml|validating|parsing|failed to (?:read|parse)|service \S+ (?:has|refers|depends)|invalid (?:spec|compose|proto"
    r"|interpolation|hostPort)|additional propert|undefined (?:volume|network)|error while interpolating|unmarshal"
    r"|env file .* not found|no configuration file",
    re.IGNORECASE,
)
_DOCKERS = re.compile(
    r"Error response from daemon: |Cannot connect to the Docker daemon|permission denied while trying to connect to the"
    r"|error during connect: |failed to connect to the docker API|OCI runtime exec failed|docker: |unable to get image "
    r"|unknown (?:shorthand )?flag: |time=\"[^\"]*\" level=(?:fatal|error|warning)|no configuration file provided"
)
_PREFIXES = re.compile(r"^(?:(?:docker|Error response from daemon|ERROR|error|Error): )+", re.MULTILINE)


def explained(said: str) -> str:
    """One line, for what a docker command said when it failed."""
    for pattern, words in _KNOWN:
        if re.search(pattern, said):
            return words
    lines = [plain(_PREFIXES.sub("", line)).strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "it gave no reason"
    if _COMPOSE_FILE.search(said):
        return f"docker compose cannot use its files (docker-compose.yml, .env): {last}"
    return f"Docker says: {last}"


def is_dockers(line: str) -> bool:
    """Whether a line is what Docker itself says when it fails, and not the program in the container."""
    return _DOCKERS.match(line) is not None


def plain(text: str) -> str:
    """Without what would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
