"""What the process is told from outside: typed, complete, and refused when unsafe.

Every variable `X` may also be given as `X_FILE`: the path of a file that holds its value (a mounted secret).
"""

import json
import os
import secrets
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError, conninfo
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

HERE = Path(__file__).resolve()
ROOT = next((folder for folder in HERE.parents if (folder / "manage.py").exists()), Path.cwd())

# Words that stand in examples and manuals; as a password each is as good as none.
KNOWN_PASSWORDS = frozenset(
    "admin changeme change-me default example guest password postgres ratchet redis root secret".split()
)
DJANGO_MADE_KEY_PREFIX = "django-insecure-"
SHORTEST_SECRET_KEY = 50


class EnvironmentRefused(ImproperlyConfigured):
    """The process must not start with this environment; the message names every variable at fault."""


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(word.strip() for word in value.split(",") if word.strip())


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Environment(BaseModel):
    """The variables Ratchet reads; a field is the variable's name in lower case. `repr` shows no secret."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    ratchet_mode: Literal["embedded", "production", "test"] = "embedded"
    ratchet_home: Path = ROOT / "var"
    port: int = Field(default=8000, ge=1, le=65535)
    database_url: str = Field(default="", repr=False)
    celery_broker_url: str = Field(default="", repr=False)
    secret_key: str = Field(default="", repr=False)
    allowed_hosts: Words = ()
    csrf_trusted_origins: Words = ()
    ratchet_https: bool = False
    ratchet_encryption_keys: Words = Field(default=(), repr=False)
    ratchet_outbound_allow: Words = ()
    openai_base_url: str = ""
    openai_api_key: str = Field(default="", repr=False)
    ratchet_lease_seconds: float = Field(default=20.0, gt=0)
    ratchet_reaper_seconds: float = Field(default=5.0, gt=0)
    ratchet_largest_import: int = Field(default=2 * 1024**3, gt=0)
    ratchet_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"

    @property
    def is_production(self) -> bool:
        """Whether unsafe values refuse to start."""
        return self.ratchet_mode == "production"

    @property
    def run_folder(self) -> Path:
        """Where a running site leaves its lock and its addresses."""
        return self.ratchet_home / "run"

    def databases(self) -> dict[str, dict[str, Any]]:
        """Django's DATABASES; without a known database an engine that says so at the first query."""
        if not self.database_url:
            absent = {"ENGINE": "config.absent_database", "NAME": "ratchet"}
            return {"default": {**absent, "OPTIONS": {"home": str(self.ratchet_home)}}}
        return {"default": parse_database_url(self.database_url)}

    @field_validator("ratchet_log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("ratchet_home", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser() if value.expanduser().is_absolute() else ROOT / value.expanduser()

    @field_validator("ratchet_encryption_keys", mode="after")
    @classmethod
    def _fernet_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, key in enumerate(value, start=1):
            if not _is_fernet_key(key):
                raise ValueError(f"key {number} is not 32 url-safe base64 bytes; {ENCRYPTION_KEY_ADVICE}")
        return value

    @field_validator("csrf_trusted_origins", mode="after")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not origin.startswith(("https://", "http://")):
                raise ValueError(f"{origin!r} has no scheme; write https://{origin}")
        return value

    @field_validator("openai_base_url", mode="after")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("is not an http(s) address; write for instance https://api.openai.com/v1")
        return value

    @field_validator("database_url", mode="after")
    @classmethod
    def _postgresql(cls, value: str) -> str:
        if value:
            parse_database_url(value)
        return value


DJANGO_NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
DATABASE_ADVICE = "write postgresql://user:password@host:5432/name"
ENCRYPTION_KEY_ADVICE = (
    'make one with: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)
SIGNING_ADVICE = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(64))"'


def templates_folder() -> Path:
    """Where the pages' templates stand: beside `manage.py`, or inside this package in a wheel."""
    return ROOT / "templates" if (ROOT / "manage.py").exists() else HERE.parent / "templates"


def load(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment, or refuse it.

    In production nothing is assumed: what is missing or unsafe is named, all of it at once. In the embedded
    and test modes the secrets come from `<RATCHET_HOME>/secrets.json` (made at the first call, mode 0600,
    never replaced) and the addresses of a running site from `<RATCHET_HOME>/run/environment.json`; what the
    environment says goes before both.

    Args:
        variables: the process's own by default.

    Raises:
        EnvironmentRefused: with one line per variable at fault.
    """
    given, faults = said(os.environ if variables is None else variables)
    given.setdefault("ratchet_https", str(given.get("ratchet_mode") == "production"))
    environment, invalid = _validated(given)
    faults += invalid
    if environment.is_production:
        named = {fault.split()[0].rstrip(":") for fault in faults}
        faults += [fault for fault in _unsafe(environment) if fault.split()[0] not in named]
    if faults:
        raise EnvironmentRefused(_refusal(faults))
    if environment.is_production:
        return environment
    return Environment.model_validate({**_at_home(environment), **given})


def said(variables: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The values given by variable or secret file, by field name, and what was wrong with the files."""
    values: dict[str, str] = {}
    faults: list[str] = []
    for field in Environment.model_fields:
        name = field.upper()
        value, path = variables.get(name, ""), variables.get(f"{name}_FILE", "")
        if value and path:
            faults.append(f"{name} and {name}_FILE are both set; keep one of them")
        elif path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as problem:
                reason = problem.strerror if isinstance(problem, OSError) else "is not UTF-8 text"
                faults.append(f"{name}_FILE names {path}, which cannot be read: {reason}")
        if value:
            values[field] = value
    return values, faults


def _validated(values: Mapping[str, Any]) -> tuple[Environment, list[str]]:
    """The environment without the values at fault, and a sentence on each of those."""
    try:
        return Environment.model_validate(values), []
    except ValidationError as problem:
        wrong = {str(error["loc"][0]): error["msg"] for error in problem.errors(include_input=False)}
    kept = {name: value for name, value in values.items() if name not in wrong}
    faults = [f"{name.upper()}: {message.removeprefix('Value error, ')}" for name, message in wrong.items()]
    return Environment.model_validate(kept), faults


def _refusal(faults: list[str]) -> str:
    lines = "\n".join(f"  - {fault}" for fault in faults)
    return f"Ratchet does not start with this environment:\n{lines}\nEach may be given as NAME_FILE, too."


def _unsafe(environment: Environment) -> list[str]:
    """One sentence for each thing production cannot be run with."""
    return [
        *_secret_key_faults(environment.secret_key),
        *_host_faults(environment.allowed_hosts),
        *_database_faults(environment.database_url),
        *_broker_faults(environment.celery_broker_url),
        *_encryption_faults(environment.ratchet_encryption_keys),
    ]


def _secret_key_faults(key: str) -> list[str]:
    if not key:
        return [f"SECRET_KEY is missing; {SIGNING_ADVICE}"]
    if len(key) < SHORTEST_SECRET_KEY:
        return [f"SECRET_KEY has {len(key)} characters and needs {SHORTEST_SECRET_KEY}; {SIGNING_ADVICE}"]
    if key.startswith(DJANGO_MADE_KEY_PREFIX) or len(set(key)) < 10:
        return [f"SECRET_KEY is a known default or a repeated pattern; {SIGNING_ADVICE}"]
    return []


def _host_faults(hosts: tuple[str, ...]) -> list[str]:
    if not hosts:
        return ["ALLOWED_HOSTS is missing; name the hosts this site answers for, separated by commas"]
    if any("*" in host for host in hosts):
        return ["ALLOWED_HOSTS contains `*`, which answers for any host; name them (`.example.org`: subdomains)"]
    return []


def _database_faults(url: str) -> list[str]:
    if not url:
        return [f"DATABASE_URL is missing; {DATABASE_ADVICE}"]
    database = parse_database_url(url)
    by_socket = database["HOST"].startswith("/")
    return [] if by_socket else _password_faults("DATABASE_URL", database["USER"], database["PASSWORD"])


def _broker_faults(url: str) -> list[str]:
    if not url:
        return ["CELERY_BROKER_URL is missing; write rediss://:password@host:6379/0 or amqps://user:password@host//"]
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "redis+socket":
        return []
    if parts.scheme not in ("redis", "rediss", "amqp", "amqps", "pyamqp"):
        return [f"CELERY_BROKER_URL has the scheme {parts.scheme!r}; Redis, Valkey or RabbitMQ are supported"]
    user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    return _password_faults("CELERY_BROKER_URL", user, password)


def _password_faults(name: str, user: str, password: str) -> list[str]:
    if not password:
        return [f"{name} has no password; over a network each service needs one"]
    if password.lower() in KNOWN_PASSWORDS or password == user:
        return [f"{name} has a password known from examples; choose another"]
    return []


def _encryption_faults(keys: tuple[str, ...]) -> list[str]:
    return [] if keys else [f"RATCHET_ENCRYPTION_KEYS is missing; {ENCRYPTION_KEY_ADVICE}"]


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key.encode())
    except ValueError:
        return False
    return True


def _at_home(environment: Environment) -> dict[str, Any]:
    """What the data folder knows: its own secrets, and the addresses of the site that runs on it."""
    known: dict[str, Any] = {
        "allowed_hosts": ("localhost", "127.0.0.1", "[::1]"),
        # Bells rung with no site running go nowhere; the rows they ring for are found by the next sweep.
        "celery_broker_url": "memory://",
        **_secrets(environment.ratchet_home / "secrets.json"),
    }
    addresses = environment.run_folder / "environment.json"
    if addresses.exists():
        known |= {name.lower(): value for name, value in json.loads(addresses.read_text()).items()}
    return known


def _secrets(path: Path) -> dict[str, Any]:
    """This data folder's own secrets; whoever comes first makes them, the others read the same ones."""
    try:
        if not path.exists():
            sealing = Fernet.generate_key().decode()
            made = {"secret_key": secrets.token_urlsafe(64), "ratchet_encryption_keys": [sealing]}
            write_privately(path, json.dumps(made), replace=False)
        return dict(json.loads(path.read_text()))
    except OSError as problem:
        raise EnvironmentRefused(
            f"RATCHET_HOME: {path} cannot be made or read ({problem.strerror}); "
            "start as the owner of that folder or choose another RATCHET_HOME"
        ) from problem


def write_privately(path: Path, text: str, *, replace: bool) -> None:
    """The file holds `text`, readable by its owner alone; others see the old or the new content, never half.

    Args:
        path: its parent is made when absent.
        text: the whole content.
        replace: False leaves an existing file as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            _link_unless_there(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link_unless_there(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)  # unlike a rename, a link never replaces what another process made meanwhile
    except FileExistsError:
        return


def parse_database_url(url: str) -> dict[str, Any]:
    """One entry of Django's DATABASES from `postgresql://user:password@host:port/name?option=value`.

    A folder as `?host=` (or percent-encoded as the host) is a unix socket. Other options are handed to libpq.

    Raises:
        ValueError: the address is not PostgreSQL's or names no database.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(f"is not an address of PostgreSQL; {DATABASE_ADVICE}")
    try:
        options = conninfo.conninfo_to_dict(url)
    except ProgrammingError as problem:
        raise ValueError(f"cannot be read as an address of PostgreSQL; {DATABASE_ADVICE}") from problem
    ports = str(options.get("port", "")).split(",")
    if any(port and not (port.isdecimal() and 1 <= int(port) <= 65535) for port in ports):
        raise ValueError(f"has a port that is not a number from 1 to 65535; {DATABASE_ADVICE}")
    if not options.get("dbname"):
        raise ValueError(f"names no database; {DATABASE_ADVICE}")
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{django: str(options.pop(libpq, "")) for django, libpq in DJANGO_NAMES.items()},
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
