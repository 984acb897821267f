import json
import socket
import stat

import psycopg
import pytest

from config import environment
from config.launcher import LaunchError, Site, programs


@pytest.fixture
def sites(home):
    """Sites are made here, so that each is stopped whatever happens, before its folder goes."""
    made: list[Site] = []

    def make(home, port=8000, **options) -> Site:
        made.append(Site(home, port, **{"web": False, "workers": 0, "beat": False, **options}))
        return made[-1]

    yield make
    for site in made:
        site.stop()


def counted(site: Site) -> int:
    with psycopg.connect(site.database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS visits (number int)")
        connection.execute("INSERT INTO visits VALUES (1)")
        return connection.execute("SELECT count(*) FROM visits").fetchone()[0]


def answers(site: Site) -> bool:
    try:
        psycopg.connect(site.database_url).close()
    except psycopg.OperationalError:
        return False
    return True


class TestStart:
    def test_a_second_start_resumes_where_the_first_one_stopped(self, sites, made_home):
        site = sites(made_home)
        site.start()
        assert counted(site) == 1
        site.stop()
        assert site.children == {}
        site.start()
        assert counted(site) == 2

    def test_two_sites_run_side_by_side(self, sites, made_home):
        first, second = sites(made_home), sites(made_home.with_name("second"))
        first.start()
        second.start()
        assert counted(first) == 1
        assert counted(second) == 1
        first.stop()
        assert counted(second) == 2

    def test_refuses_a_folder_another_site_runs_on_and_leaves_that_alone(self, sites, made_home):
        first = sites(made_home, 8123)
        first.start()
        with pytest.raises(LaunchError, match=r"Another site runs on .*8123.*another RATCHET_HOME and PORT"):
            sites(made_home).start()
        assert counted(first) == 1

    def test_refuses_a_taken_port_before_anything_is_started(self, sites, home):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(LaunchError, match=rf"Port {port} .*PORT={port + 1} make up"):
                sites(home, port, web=True).start()
        assert not (home / "postgres").exists()

    def test_starts_no_service_whose_address_is_given(self, sites, home, fresh_database_url):
        site = sites(home, database_url=fresh_database_url, broker_url="memory://")
        site.start()
        assert site.children == {}
        assert site.environment["DATABASE_URL"] == fresh_database_url

    def test_says_that_the_folder_cannot_be_used(self, sites, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(LaunchError, match="choose another RATCHET_HOME"):
            sites(tmp_path / "file" / "home").start()

    def test_ends_what_an_earlier_launcher_left(self, sites, made_home):
        left = programs.Program(
            name="left",
            command=["sleep", "600"],
            environment={programs.HOME_TAG: str(made_home), "PATH": "/usr/bin:/bin"},
            folder=made_home.parent,
            log=made_home.parent / "left.log",
        )
        left.start()
        sites(made_home).start()
        assert not left.is_running
        left.stop()


class TestWatch:
    def test_starts_again_what_was_killed(self, sites, made_home):
        site = sites(made_home)
        site.start()
        assert counted(site) == 1
        before = site.children
        for name in ("postgres", "valkey"):
            site.kill(name)
        assert programs.wait_for(
            lambda: site.children.keys() == before.keys() and not set(site.children.values()) & set(before.values()),
            seconds=30,
        )
        assert programs.wait_for(lambda: answers(site), seconds=30)
        assert counted(site) == 2

    def test_leaves_dead_what_was_killed_when_told_so(self, sites, made_home):
        site = sites(made_home, restarts=False)
        site.start()
        site.kill("valkey")
        assert programs.wait_for(lambda: "valkey" not in site.children, seconds=10)
        site.restart("valkey")
        assert "valkey" in site.children

    def test_names_the_children_when_asked_for_one_that_is_none(self, sites, made_home):
        site = sites(made_home)
        site.start()
        with pytest.raises(LaunchError, match="none of this site's children: postgres, valkey"):
            site.kill("web")


class TestAddresses:
    def test_stand_in_the_folder_while_the_site_runs_and_for_its_owner_alone(self, sites, made_home):
        site = sites(made_home, 8123)
        site.start()
        published = made_home / "run" / "environment.json"
        assert stat.S_IMODE(published.stat().st_mode) == 0o600
        assert json.loads(published.read_text())["PORT"] == 8123
        found = environment.load({"RATCHET_HOME": str(made_home)})
        assert (found.database_url, found.celery_broker_url) == (site.database_url, site.broker_url)
        site.stop()
        assert not published.exists()

    def test_logs_and_addresses_are_closed_to_others(self, sites, made_home):
        site = sites(made_home)
        site.start()
        for name in ("run", "logs", "postgres", "valkey"):
            assert stat.S_IMODE((made_home / name).stat().st_mode) == 0o700

    def test_each_start_is_noted_as_a_line_of_json(self, sites, made_home):
        site = sites(made_home)
        site.start()
        noted = [json.loads(line) for line in (made_home / "logs" / "launcher.log").read_text().splitlines()]
        assert [line["child"] for line in noted if line["event"] == "started"] == ["postgres", "valkey"]


def test_sets_a_large_log_aside(home):
    log = home / "logs" / "web.log"
    log.parent.mkdir(parents=True)
    with log.open("wb") as file:
        file.truncate(programs.LARGEST_LOG + 1)
    programs.set_aside(log)
    assert not log.exists()
    assert log.with_name("web.log.1").stat().st_size == programs.LARGEST_LOG + 1
