"""Where an MLflow store is: one reading of an address, for every step that uses it.

A database's address is read as SQLAlchemy reads it: percent signs in a path are escapes, and what
follows "?" are the driver's parameters. Checked before anything is trained: the form, the file, the
parameters' names, and that the driver is installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from harness.errors import ConfigError, nearest, shown
from harness.paths import check_path

if TYPE_CHECKING:
    from sqlalchemy import URL

SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks", "uc")
PACKAGES = {  # Python module of a driver -> what pip calls it
    "psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "pymysql": "pymysql",
    "MySQLdb": "mysqlclient", "pyodbc": "pyodbc", "pymssql": "pymssql",
}  # fmt: skip
POSTGRES_DRIVERS = ("psycopg", "psycopg2")  # either serves a plain postgresql:// address
SQLITE_PARAMETERS = ("timeout",)  # seconds that a locked database is waited for
_PLAIN = re.compile(r"sqlite:///([\w ./+~-]+)", re.ASCII)  # means the same to every reader
_SECRET = re.compile(  # a parameter of an address whose name says that its value is secret
    r"([?&][\w.-]*(?:password|passwd|pwd|secret|token|signature|credential|key)[\w.-]*=)[^&\s'\"]+",
    re.IGNORECASE,
)


def store_address(uri: str | None) -> str:
    """The absolute tracking address: the setting, else MLFLOW_TRACKING_URI, else ./mlflow.db.

    ConfigError for an address MLflow 3 has no store for (plain folders among them), for a file that
    is no SQLite database, for an unknown parameter, and for a driver that is not installed.
    """
    given = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    where = "tracking.uri" if uri else "MLFLOW_TRACKING_URI"
    scheme, _, rest = given.partition(":")
    kind = scheme.partition("+")[0]
    if kind not in SCHEMES or not rest:
        raise _refuse(where, given, nearest(kind, SCHEMES))
    if kind in ("http", "https"):
        return _server(where, given)
    if kind in ("databricks", "uc"):
        return given
    if kind == "sqlite":
        return _sqlite(where, given)
    return _database(where, given)


def redacted(text: str) -> str:
    """The text with every password in an address (user:password@, ?password=...) as ***."""
    text = re.sub(r"(://[^/:@\s]*):(?!\d+/)[^\s'\"]*@", r"\1:***@", text)
    return _SECRET.sub(r"\1***", text)


def sqlite_file(uri: str) -> Path | None:
    """The file behind a SQLite address, None for any other store."""
    if not uri.startswith("sqlite:"):
        return None
    plain = _PLAIN.fullmatch(uri)
    return Path(plain[1] if plain else str(_url("the address", uri).database))


def sqlite_address(path: Path, query: Iterable[tuple[str, str]] = ()) -> str:
    """The address of a SQLite file, whatever characters its path has."""
    uri = f"sqlite:///{path}"
    if not query and _PLAIN.fullmatch(uri):
        return uri
    from sqlalchemy import URL

    made = URL.create("sqlite", database=str(path), query=dict(query))
    return made.render_as_string(hide_password=False)


def lock_seconds(uri: str, usual: float) -> float:
    """How long a locked database is waited for: ?timeout= of a SQLite address, or what is usual."""
    if not uri.startswith("sqlite:"):
        return usual
    return float(dict(parse_qsl(uri.partition("?")[2])).get("timeout", usual))


def _refuse(where: str, given: str, hint: str = "") -> ConfigError:
    return ConfigError(
        f"{where} is '{redacted(given)}'; allowed: sqlite:///FILE.db, postgresql://..., "
        f"mysql://..., http(s)://SERVER. For a file beside you: sqlite:///mlflow.db.{hint}"
    )


def _no_address(where: str, given: str, error: Exception) -> ConfigError:
    reason = redacted(str(error).splitlines()[0])
    return ConfigError(f"{where} is '{redacted(given)}', which is no address: {reason}.")


def _server(where: str, given: str) -> str:
    try:
        parts = urlsplit(given)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # a port that is no number
        raise _no_address(where, given, error) from None
    if not named or parts.query or parts.fragment:
        raise ConfigError(
            f"{where} is '{redacted(given)}'; allowed: http(s)://SERVER[:PORT][/PREFIX], without "
            "parameters."
        )
    return given


def _url(where: str, given: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(given)
    except (ArgumentError, ValueError) as error:
        raise _no_address(where, given, error) from None


def _sqlite(where: str, given: str) -> str:
    plain = _PLAIN.fullmatch(given)
    query: dict[str, str] = {}
    if plain:
        name = plain[1]
    else:
        url = _url(where, given)
        if url.host or url.username or not url.database:
            raise _refuse(where, given, " A relative path has three slashes, an absolute one four.")
        name = url.database
        query = {key: value for key, value in url.query.items() if isinstance(value, str)}
        _check_parameters(where, url.query, SQLITE_PARAMETERS, "sqlite:///FILE.db?timeout=SECONDS")
        _check_seconds(where, query.get("timeout"))
    if name == ":memory:":
        raise ConfigError(f"{where} is '{given}', a store in memory: nothing would be kept there.")
    path = Path(name).absolute()
    _check_file(where, path)
    made = sqlite_address(path, query.items())
    if sqlite_file(made) != path:  # an older SQLAlchemy reads no escapes
        raise ConfigError(
            f"{where} names {str(path)!r}, which the installed SQLAlchemy cannot open; choose a "
            "path without '%' and '?', or `pip install 'sqlalchemy>=2.1'`."
        )
    return made


def _check_parameters(where: str, given: Iterable[str], known: Iterable[str], form: str) -> None:
    known = sorted(known)
    for key in given:
        if key not in known:
            raise ConfigError(
                f"{where} has the parameter {shown(key)}; allowed: {form}.{nearest(key, known)}"
            )


def _check_seconds(where: str, text: str | None) -> None:
    if text is None:
        return
    if not re.fullmatch(r"\d{1,6}(\.\d*)?", text):
        raise ConfigError(f"{where} has timeout={shown(text)}; allowed: seconds, such as 30.")


def _check_file(where: str, path: Path) -> None:
    """ConfigError for a file that is there and no SQLite database: it is never written into."""
    check_path(where, str(path))
    try:
        if not path.exists():
            return
        begin = b""
        if path.is_file():
            with path.open("rb") as file:
                begin = file.read(16)
    except OSError as error:
        raise ConfigError(
            f"{where} names {path}, which cannot be read: {error.strerror}."
        ) from None
    if not path.is_file() or begin not in (b"", b"SQLite format 3\x00"):
        raise ConfigError(
            f"{where} names {path}, which is no SQLite database; allowed: one that MLflow made, or "
            "a name that is not taken yet."
        )


def _database(where: str, given: str) -> str:
    """An address of a database server, its driver named where the default one is not installed."""
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    url = _url(where, given)
    choices = [url]
    if url.drivername == "postgresql":
        choices += [url.set(drivername=f"postgresql+{driver}") for driver in POSTGRES_DRIVERS]
    missing = ""
    for choice in choices:
        try:
            module: Any = choice.get_dialect().import_dbapi()
        except ModuleNotFoundError as error:
            missing = missing or (error.name or "").partition(".")[0]
            continue
        except (ArgumentError, NoSuchModuleError) as error:
            raise _refuse(where, given, f" {str(error).splitlines()[0]}.") from None
        _check_options(where, url, module)
        return given if choice is url else choice.render_as_string(hide_password=False)
    raise ConfigError(
        f"{where} is '{redacted(given)}', and the driver {missing} is not installed; get it with "
        f"`pip install '{PACKAGES.get(missing, missing)}'`."
    )


def _check_options(where: str, url: URL, module: Any) -> None:
    """Names of PostgreSQL's parameters, which its own library knows."""
    if module.__name__ != "psycopg":
        return
    options = {one.keyword.decode() for one in module.pq.Conninfo.get_defaults()}
    _check_parameters(where, url.query, options, "PostgreSQL's own, such as sslmode=require")
