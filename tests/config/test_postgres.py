import itertools
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from config.launcher import programs
from config.launcher.folders import DataFolder, LaunchError
from config.launcher.postgres import Postgres


@pytest.fixture
def server(home):
    postgres = Postgres(DataFolder(home), report=lambda sentence: None)
    yield postgres
    postgres.stop()


def answers(server: Postgres) -> bool:
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def pid_file(server: Postgres, pid: int) -> str:
    return f"{pid}\n{server.cluster}\n1700000000\n5432\n/tmp\n\n  1 1\nready   \n"


@pytest.fixture
def stopped_server(made_home):
    postgres = Postgres(DataFolder(made_home), report=lambda sentence: None)
    yield postgres
    postgres.stop()


class TestPidFiles:
    def test_starts_over_the_number_of_another_program_and_leaves_that_alone(self, stopped_server):
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
            (stopped_server.cluster / "postmaster.pid").write_text(pid_file(stopped_server, stranger.pid))
            stopped_server.start()
            assert answers(stopped_server)
            assert stranger.poll() is None
            stranger.communicate(b"\n")

    def test_starts_over_the_number_of_a_zombie(self, stopped_server):
        zombie = subprocess.Popen([sys.executable, "-c", ""])
        assert programs.wait_for(lambda: not programs.is_alive(zombie.pid), seconds=10)
        (stopped_server.cluster / "postmaster.pid").write_text(pid_file(stopped_server, zombie.pid))
        stopped_server.start()
        assert answers(stopped_server)
        zombie.wait()

    @pytest.mark.parametrize("left", ["", "1\n", "12345\n/some/where\n17000", "\0\0\0", "not a number\n"])
    def test_starts_over_a_file_cut_short(self, stopped_server, left):
        (stopped_server.cluster / "postmaster.pid").write_text(left)
        stopped_server.start()
        assert answers(stopped_server)

    def test_finds_the_server_an_earlier_launcher_left_though_its_pid_file_is_cut(self, server, home):
        server.start()
        (server.cluster / "postmaster.pid").write_text("")
        successor = Postgres(DataFolder(home), report=lambda sentence: None)
        successor.start()
        assert answers(successor)
        assert not server.is_running
        successor.stop()


class TestCrashes:
    def test_keeps_every_acknowledged_commit_over_kill_9(self, server):
        server.start()
        acknowledged: list[int] = []
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            with pytest.raises(psycopg.OperationalError):
                self._insert_until_killed(connection, server, acknowledged)
        server.start()
        with psycopg.connect(server.url) as connection:
            kept = [number for (number,) in connection.execute("SELECT number FROM kept ORDER BY number")]
        assert kept[: len(acknowledged)] == acknowledged
        assert len(acknowledged) >= 200
        # The one in flight at the kill may have been committed without an answer.
        assert len(kept) <= len(acknowledged) + 1

    def _insert_until_killed(self, connection, server, acknowledged):
        for number in itertools.count():
            if number == 200:
                server.kill()
            connection.execute("INSERT INTO kept VALUES (%s)", [number])
            acknowledged.append(number)

    def test_ends_with_its_launcher(self, home):
        code = (
            "import pathlib, sys\n"
            "from config.launcher.folders import DataFolder\n"
            "from config.launcher.postgres import Postgres\n"
            f"server = Postgres(DataFolder(pathlib.Path({str(home)!r})), report=lambda sentence: None)\n"
            "server.start()\n"
            "print(server.pid, flush=True)\n"
            "input()\n"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as launcher:
            pid = int(launcher.stdout.readline())
            launcher.send_signal(signal.SIGKILL)
        if sys.platform == "linux":
            assert programs.wait_for(lambda: not programs.is_alive(pid), seconds=10)
        successor = Postgres(DataFolder(home), report=lambda sentence: None)
        successor.start()
        assert answers(successor)
        successor.stop()

    def test_makes_its_cluster_whole_after_a_first_start_was_cut(self, server):
        draft = server.cluster.with_name("data.new")
        draft.mkdir(parents=True)
        (draft / "PG_VERSION").write_text("18\n")
        server.start()
        assert answers(server)
        assert not draft.exists()

    def test_says_what_the_server_said_when_it_does_not_start(self, stopped_server):
        stopped_server.settings["shared_buffers"] = "nonsense"
        with pytest.raises(LaunchError, match="shared_buffers"):
            stopped_server.start()
        assert not stopped_server.is_running

    def test_refuses_the_data_of_another_release(self, stopped_server):
        (stopped_server.cluster / "PG_VERSION").write_text("12\n")
        with pytest.raises(LaunchError, match="made by PostgreSQL 12"):
            stopped_server.start()


class TestPaths:
    @pytest.mark.parametrize(
        "name", ["with space", 'it\'s "quoted", and more', "d" * 60 + "/" + "e" * 60, "ünïcode%20"]
    )
    def test_starts_below_any_path_with_its_socket_closed_to_others(self, home, name):
        folder = DataFolder(home / name)
        server = Postgres(folder, report=lambda sentence: None)
        server.start()
        assert answers(server)
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
        assert len(os.fsencode(server.sockets / ".s.PGSQL.5432")) <= 100
        server.stop()
        folder.release()
        assert server.sockets.is_relative_to(home) or not server.sockets.parent.exists()

    def test_refuses_a_short_folder_somebody_else_made(self, home, monkeypatch, tmp_path):
        deep = DataFolder(home / ("d" * 120))
        short = deep.sockets("postgres").parent
        (short / "postgres").rmdir()
        short.rmdir()
        short.symlink_to(tmp_path)
        try:
            with pytest.raises(LaunchError, match="made by somebody else"):
                deep.sockets("postgres")
        finally:
            short.unlink()


class TestAccounts:
    def test_runs_without_root(self, run_without_root):
        said = run_without_root(
            "import pathlib, psycopg, tempfile\n"
            "from config.launcher.folders import DataFolder\n"
            "from config.launcher.postgres import Postgres\n"
            "with tempfile.TemporaryDirectory() as folder:\n"
            "    server = Postgres(DataFolder(pathlib.Path(folder)))\n"
            "    server.start()\n"
            "    print(server.account, psycopg.connect(server.url).execute('SELECT 1').fetchone())\n"
            "    server.stop()\n"
        )
        assert said.split() == ["None", "(1,)"]

    def test_as_root_runs_as_another_account_and_opens_folders_only_to_pass(self, home):
        if os.geteuid():
            pytest.skip("needs root")
        home.mkdir()
        home.chmod(0o700)
        told: list[str] = []
        server = Postgres(DataFolder(home), report=told.append)
        server.start()
        assert server.account is not None
        assert Path(f"/proc/{server.pid}").stat().st_uid == server.account.uid != 0
        assert stat.S_IMODE(home.stat().st_mode) == 0o701
        assert [sentence for sentence in told if str(home) in sentence]
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
        server.stop()

    def test_as_root_goes_on_with_the_account_that_owns_the_data(self, home):
        if os.geteuid():
            pytest.skip("needs root")
        (home / "postgres").mkdir(parents=True)
        os.chown(home / "postgres", 65534, 65534)
        server = Postgres(DataFolder(home), report=lambda sentence: None)
        server.start()
        assert server.account.uid == 65534
        server.stop()

    def test_without_root_refuses_the_data_of_somebody_else(self, home, run_without_root):
        if os.geteuid():
            pytest.skip("needs root")
        (home / "postgres").mkdir(parents=True)
        said = run_without_root(
            "import pathlib\n"
            "from config.launcher.folders import LaunchError\n"
            "from config.launcher import postgres\n"
            "try:\n"
            f"    postgres.account_for(pathlib.Path({str(home / 'postgres')!r}))\n"
            "except LaunchError as problem:\n"
            "    print(problem)\n"
        )
        assert "belongs to root" in said
        assert "RATCHET_HOME" in said
