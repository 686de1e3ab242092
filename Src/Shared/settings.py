"""Settings: read once from the environment and `.env`, validated once, with one clear line for what is wrong.

Every variable is documented in `.env.example`; the environment wins over `.env`.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo

from Src.Shared.deadline import NoAnswer, within
from Src.Shared.env_names import SECRETS
from Src.Shared.errors import FactoryError
from Src.Shared.limits import LIMITS, Limits

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent

PATHS = {"FACTORY_DATA", "INBOX_PATH", "STORAGE_PATH", "FACTORY_DB_DATA", "COPIES_CREDENTIALS"}
# By its name now: what a setting was called before. That is still read where the new name is not given.
RENAMED = {"READERS": "WORKERS"}


_NO_HOST = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_HOST = 64  # characters, as Linux has it
_ANSWER_LIMIT = 5.0  # seconds for a disk

WatchMode = Literal["auto", "events", "polling"]
LogFormat = Literal["text", "json"]
T = TypeVar("T")


class SettingsError(FactoryError):
    """A setting cannot be used. The message is one line: which, what it holds, what it should hold."""

    about = "settings"


@dataclass(frozen=True, slots=True)
class Settings:
    """One factory. Durations are seconds; paths are absolute."""

    data: Path
    inbox: Path
    storage: Path
    db_data: Path
    db_data_is_given: bool  # otherwise, for root, the server's place is another: see postgres/place.py
    limits: Limits
    host: str  # this machine, among those that share one ledger
    group: int | None  # who may look at photos besides their owner, and put some into an inbox that we make
    database_url: str | None  # SQLAlchemy URL naming its driver; None: the embedded PostgreSQL
    stability_delay: float
    min_file_age: float
    scan_interval: float
    look_delay: float
    rest_without_lease: float
    watch_mode: WatchMode
    heartbeat_interval: float
    loop_limit: float  # how long the loop of a service may stand still
    readers: int
    batch_size: int
    leaving_grace: float
    leaving_grace_without_lease: float
    metadata_time_limit: float
    exiftool_unsafe: bool  # whether an ExifTool older than 12.38 may read what strangers made
    xmp_files: bool  # whether what people decide is written into XMP files beside originals
    retry_attempts: int
    retry_first_delay: float
    retry_max_delay: float
    retention_days: int
    copies_credentials: Path | None  # the file that says what opens copies elsewhere
    zone: ZoneInfo
    log_level: str
    log_format: LogFormat
    monitor_interval: float
    infrastructure_interval: float
    disk_warning: float  # percent free
    disk_error: float  # percent free
    alert_urls: tuple[str, ...]  # Apprise's
    alert_reminder: float
    docker_host: str | None
    factory_name: str | None  # begins the names of the stack's containers; None: the usual names
    syncthing_url: str
    syncthing_api_key: str | None
    syncthing_gui_password: str | None
    syncthing_is_ours: bool  # the monitor sets it up
    dashboard_address: str
    dashboard_port: int  # 0: no dashboard
    dashboard_password: str | None
    dashboard_refresh: float  # seconds; 0: pages change only when they are loaded again
    dashboard_users: tuple[str, ...]  # e-mail addresses, lower-case; who may log in by OpenID Connect
    trusted_proxies: tuple[str, ...]  # addresses, networks and host names whose X-Forwarded-* headers are believed
    map_tiles: str | None  # address with {z}, {x} and {y}; None: the map asks no other host
    map_credit: str  # what the tiles' host wants to be named as

    @property
    def originals(self) -> Path:
        """The vault: `Storage/Originals/YYYY/YYYY-MM-DD/`."""
        return self.storage / "Originals"

    @property
    def state(self) -> Path:
        """Beside the vault, on its disk: the journal, the vault's lock and notes of copies under way."""
        return self.storage / ".factory"

    @property
    def run(self) -> Path:
        """Files that matter only while services run: liveness files, the process runner's socket and logs."""
        return self.data / ".run"


def load_settings(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None, limits: Limits = LIMITS
) -> Settings:
    """Reads the settings.

    Raises SettingsError for the first value that cannot be used.
    """
    env_file = PROJECT_ROOT / ".env" if env_file is None else env_file
    from_file = _read_env_file(env_file)
    values = {**from_file, **{k: v for k, v in (os.environ if environ is None else environ).items() if v}}

    values = {now: values[before] for now, before in RENAMED.items() if before in values} | values
    values |= _read_secrets(values)

    data = _path(values, "FACTORY_DATA", PROJECT_ROOT / "Factory_Data")
    return Settings(
        data=data,
        inbox=_path(values, "INBOX_PATH", data / "Photos_Inbox"),
        storage=_path(values, "STORAGE_PATH", data / "Storage"),
        db_data=_path(values, "FACTORY_DB_DATA", data / "factory-db-data"),
        db_data_is_given="FACTORY_DB_DATA" in values,
        limits=limits,
        host=_host(values),
        group=_group(values),
        database_url=_database_url(values),
        stability_delay=_number(values, "STABILITY_DELAY", 5.0, least=0.0),
        min_file_age=_number(values, "MIN_FILE_AGE", 2.0, least=0.0),
        scan_interval=_number(values, "SCAN_INTERVAL", 60.0, least=0.1),
        look_delay=_number(values, "LOOK_DELAY", 60.0, least=0.0),
        rest_without_lease=_number(values, "REST_WITHOUT_LEASE", 300.0, least=0.0),
        watch_mode=_choice(values, "WATCH_MODE", "auto", ("auto", "events", "polling")),
        heartbeat_interval=_number(values, "HEARTBEAT_INTERVAL", 60.0, least=0.1),
        loop_limit=_number(values, "LOOP_LIMIT", 300.0, least=1.0),
        readers=_whole(values, "READERS", 0, least=0) or len(os.sched_getaffinity(0)),
        batch_size=_whole(values, "BATCH_SIZE", 512, least=1),
        leaving_grace=_number(values, "LEAVING_GRACE", 600.0, least=0.0),
        leaving_grace_without_lease=_number(values, "LEAVING_GRACE_WITHOUT_LEASE", 14400.0, least=0.0),
        metadata_time_limit=_number(values, "METADATA_TIME_LIMIT", 20.0, least=0.1),
        exiftool_unsafe=_choice(values, "EXIFTOOL_UNSAFE", "0", ("0", "1")) == "1",
        xmp_files=_choice(values, "XMP_FILES", "1", ("0", "1")) == "1",
        retry_attempts=_whole(values, "RETRY_ATTEMPTS", 8, least=1),
        retry_first_delay=_number(values, "RETRY_FIRST_DELAY", 30.0, least=0.0),
        retry_max_delay=_number(values, "RETRY_MAX_DELAY", 21600.0, least=0.0),
        retention_days=_whole(values, "RETENTION_DAYS", 60, least=1),
        copies_credentials=_file(values, "COPIES_CREDENTIALS"),
        zone=_zone(values),
        log_level=_choice(values, "LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), str.upper),
        log_format=_choice(values, "LOG_FORMAT", "text", ("text", "json")),
        monitor_interval=_number(values, "MONITOR_INTERVAL", 60.0, least=0.1),
        infrastructure_interval=_number(values, "INFRASTRUCTURE_INTERVAL", 300.0, least=0.1),
        disk_warning=_number(values, "DISK_WARNING", 10.0, least=0.0),
        disk_error=_number(values, "DISK_ERROR", 2.0, least=0.0),
        alert_urls=tuple(values.get("ALERT_URLS", "").split()),
        alert_reminder=_number(values, "ALERT_REMINDER", 86400.0, least=0.0),
        docker_host=values.get("DOCKER_HOST"),
        factory_name=values.get("FACTORY_NAME"),
        syncthing_url=values.get("SYNCTHING_URL", "http://127.0.0.1:8384").rstrip("/"),
        syncthing_api_key=values.get("SYNCTHING_API_KEY"),
        syncthing_gui_password=values.get("SYNCTHING_GUI_PASSWORD"),
        syncthing_is_ours=values.get("SYNCTHING_IS_OURS", "0") != "0",
        dashboard_address=values.get("DASHBOARD_ADDRESS", "127.0.0.1"),
        dashboard_port=_whole(values, "DASHBOARD_PORT", 8501, least=0),
        dashboard_password=values.get("DASHBOARD_PASSWORD"),
        dashboard_refresh=_number(values, "DASHBOARD_REFRESH", 2.0, least=0.0),
        dashboard_users=tuple(values.get("DASHBOARD_USERS", "").lower().replace(",", " ").split()),
        trusted_proxies=_proxies(values),
        map_tiles=_tiles(values),
        map_credit=values.get("MAP_CREDIT", ""),
    )


def _read_env_file(env_file: Path) -> dict[str, str]:
    if not env_file.is_file():
        return {}
    from dotenv import dotenv_values  # a tenth of a command's start, and many machines have no such file

    try:
        values = {name: value for name, value in dotenv_values(env_file).items() if value}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file}: cannot be read ({error})") from error
    for name in PATHS & values.keys():
        # From wherever a command is given, it is the same factory.
        if not values[name].startswith("~"):
            values[name] = str(env_file.absolute().parent / values[name])
    return values


def _read_secrets(values: Mapping[str, str]) -> dict[str, str]:
    secrets = {}
    for name in SECRETS - values.keys():
        path = values.get(f"{name}_FILE")
        if path is None:
            continue
        try:
            secret = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise SettingsError(f"{name}_FILE={path}: cannot be read ({error})") from error
        if secret:
            secrets[name] = secret
    return secrets


def _path(values: Mapping[str, str], name: str, default: Path) -> Path:
    text = values.get(name)
    if text is None:
        return default
    if "\0" in text:
        raise SettingsError(f"{name}: holds a NUL character; give a folder's path")
    try:
        path = Path(text).expanduser()
        is_other = within(_ANSWER_LIMIT, lambda: path.exists() and not path.is_dir())
    except NoAnswer:  # its disk hangs, which is for those to say who use it
        is_other = False
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody's home
        raise SettingsError(f"{name}={text}: is no usable path ({error})") from error
    if is_other:
        raise SettingsError(f"{name}={text}: is a file; give a folder's path")
    return path.absolute()


def _file(values: Mapping[str, str], name: str) -> Path | None:
    """Whether it is there and may be read is for those to say who use it."""
    text = values.get(name)
    if text is None:
        return None
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # nobody's home
        raise SettingsError(f"{name}={text}: is no usable path ({error})") from error


def _number(values: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    return _parsed(values, name, default, float, least, "a number")


def _host(values: Mapping[str, str]) -> str:
    given = values.get("FACTORY_HOST")
    if given is None:
        return _NO_HOST.sub("-", socket.gethostname())[:_LONGEST_HOST] or "localhost"
    if _NO_HOST.search(given) or len(given) > _LONGEST_HOST:
        raise SettingsError(
            f"FACTORY_HOST={given}: use letters, digits, '.', '-' and '_', at most {_LONGEST_HOST} of them"
        )
    return given


def _whole(values: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    return _parsed(values, name, default, int, least, "a whole number")


Numeric = TypeVar("Numeric", int, float)


def _parsed(
    values: Mapping[str, str],
    name: str,
    default: Numeric,
    parse: Callable[[str], Numeric],
    least: Numeric,
    noun: str,
) -> Numeric:
    text = values.get(name)
    if text is None:
        return default
    try:
        number = parse(text)
    except ValueError:
        number = None
    if number is None or not least <= number < 1e9:  # NaN fails the comparison too
        raise SettingsError(f"{name}={text}: should be {noun}, {least:g} or more")
    return number


Choice = TypeVar("Choice", bound=str)


def _choice(
    values: Mapping[str, str],
    name: str,
    default: Choice,
    choices: tuple[Choice, ...],
    fold: Callable[[str], str] = str.lower,
) -> Choice:
    text = values.get(name, default)
    for choice in choices:
        if fold(text) == choice:
            return choice
    raise SettingsError(f"{name}={text}: should be one of {', '.join(choices)}")


def _group(values: Mapping[str, str]) -> int | None:
    name = values.get("FACTORY_GROUP")
    if name is None:
        return None
    try:
        group = int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise SettingsError(
            f"FACTORY_GROUP={name}: there is no such group; `getent group` lists them (a number will do, too)"
        ) from None
    if not 0 < group < 2**32 - 1:
        raise SettingsError(f"FACTORY_GROUP={name}: should be a group of people, not root's")
    if os.geteuid() != 0 and group not in (os.getegid(), *os.getgroups()):
        raise SettingsError(
            f"FACTORY_GROUP={name}: this user is not in that group and cannot give it anything; "
            "as root: usermod -aG GROUP USER, then log in again"
        )
    return group


def _zone(values: Mapping[str, str]) -> ZoneInfo:
    name = values.get("TZ", "").removeprefix(":")
    if not name:
        from tzlocal import get_localzone  # only needed where nobody says

        return get_localzone()
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise SettingsError(f"TZ={name}: no such time zone; use a name like Europe/Berlin") from error


def _tiles(values: Mapping[str, str]) -> str | None:
    address = values.get("MAP_TILES")
    if address is None:
        return None
    # It becomes part of a header: nothing that would begin another directive.
    known = re.fullmatch(r"https?://(\{s\}\.)?[A-Za-z0-9.-]+(:[0-9]+)?/[^\s\"';,<>]+", address)
    parts = set(re.findall(r"\{.*?\}", address))
    if known is None or not {"{z}", "{x}", "{y}"} <= parts <= {"{z}", "{x}", "{y}", "{s}", "{r}"}:
        raise SettingsError(f"MAP_TILES={address}: use an address like https://tile.example.org/{{z}}/{{x}}/{{y}}.png")
    return address


def _proxies(values: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(values.get("TRUSTED_PROXIES", "").replace(",", " ").split())
    for name in names:
        try:
            ipaddress.ip_network(name, strict=False)
        except ValueError:
            if re.fullmatch(r"(?![0-9.]*\Z)[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?", name) is None:
                raise SettingsError(
                    f"TRUSTED_PROXIES={name}: should be addresses (192.0.2.1), networks (10.0.0.0/8) or host names"
                ) from None
    return names


def _database_url(values: Mapping[str, str]) -> str | None:
    url = values.get("DATABASE_URL")
    if url is not None:
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg2"):
            # The value may hold a password: it is not repeated.
            raise SettingsError("DATABASE_URL: should begin with postgresql:// (only PostgreSQL will do)")
        return f"postgresql+psycopg2://{rest}"  # SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3
    host = values.get("DB_HOST")
    if host is None:
        return None
    port = _whole(values, "DB_PORT", 5432, least=1)
    user = quote(values.get("DB_USERNAME", "photo_factory"), safe="")
    password = quote(values.get("DB_PASSWORD", ""), safe="")
    name = quote(values.get("DB_DATABASE_NAME", "photo_factory"), safe="")
    login = f"{user}:{password}" if password else user
    if host.startswith("/"):  # the folder of a socket
        return f"postgresql+psycopg2://{login}@/{name}?host={quote(host)}&port={port}"
    if ":" in host:  # IPv6
        host = f"[{host.strip('[]')}]"
    return f"postgresql+psycopg2://{login}@{host}:{port}/{name}"
