import concurrent.futures
import json
import secrets
import stat

import pytest
from cryptography.fernet import Fernet

from config import environment
from config.environment import EnvironmentRefused

SAFE = {
    "RATCHET_MODE": "production",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "ALLOWED_HOSTS": "ratchet.example.org, .example.net",
    "DATABASE_URL": "postgresql://ratchet:Xk29-qPz@database.example.org/ratchet",
    "CELERY_BROKER_URL": "rediss://:Xk29-qPz@broker.example.org:6379/0",
    "RATCHET_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
}


class TestProduction:
    def test_starts_with_everything_given(self):
        loaded = environment.load(SAFE)
        assert loaded.is_production
        assert loaded.ratchet_https
        assert loaded.allowed_hosts == ("ratchet.example.org", ".example.net")

    def test_names_everything_missing_at_once(self):
        with pytest.raises(EnvironmentRefused) as refusal:
            environment.load({"RATCHET_MODE": "production"})
        for name in SAFE.keys() - {"RATCHET_MODE"}:
            assert f"{name} is missing" in str(refusal.value)

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("SECRET_KEY", "short", "has 5 characters and needs 50"),
            (
                "SECRET_KEY",
                "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz-0123456789",
                "known default",
            ),
            ("SECRET_KEY", "ab" * 40, "repeated pattern"),
            ("ALLOWED_HOSTS", "example.org,*", "answers for any host"),
            ("DATABASE_URL", "postgresql://ratchet@database/ratchet", "no password"),
            ("DATABASE_URL", "postgresql://ratchet:ratchet@database/ratchet", "known from examples"),
            ("DATABASE_URL", "postgresql://ratchet:changeme@database/ratchet", "known from examples"),
            ("DATABASE_URL", "mysql://ratchet:Xk29@database/ratchet", "not an address of PostgreSQL"),
            ("DATABASE_URL", "postgresql://ratchet:Xk29@database/", "names no database"),
            ("DATABASE_URL", "postgresql://ratchet:Xk29@database:five/ratchet", "port that is not a number"),
            ("CELERY_BROKER_URL", "redis://broker:6379/0", "no password"),
            ("CELERY_BROKER_URL", "amqp://guest:guest@broker//", "known from examples"),
            ("CELERY_BROKER_URL", "filesystem://", "scheme"),
            ("RATCHET_ENCRYPTION_KEYS", "not-a-key", "key 1 is not 32 url-safe base64 bytes"),
            ("PORT", "70000", "65535"),
            ("PORT", "web", "integer"),
            ("RATCHET_LEASE_SECONDS", "0", "greater than 0"),
            ("CSRF_TRUSTED_ORIGINS", "ratchet.example.org", "has no scheme"),
            ("OPENAI_BASE_URL", "api.openai.com/v1", "not an http(s) address"),
        ],
    )
    def test_refuses_what_is_unsafe_and_names_it(self, name, value, said):
        with pytest.raises(EnvironmentRefused) as refusal:
            environment.load({**SAFE, name: value})
        message = str(refusal.value)
        assert message.count("\n  - ") == 1
        assert f"- {name}" in message
        assert said in message

    def test_names_wrong_and_missing_values_together(self):
        with pytest.raises(EnvironmentRefused) as refusal:
            environment.load({"RATCHET_MODE": "production", "PORT": "0", "DATABASE_URL": "mysql://x/y"})
        message = str(refusal.value)
        assert all(f"- {name}" in message for name in ("PORT", "SECRET_KEY", "ALLOWED_HOSTS"))
        assert message.count("- DATABASE_URL") == 1

    def test_never_repeats_a_secret(self):
        with pytest.raises(EnvironmentRefused) as refusal:
            environment.load({**SAFE, "SECRET_KEY": "hunter2-hunter2", "RATCHET_ENCRYPTION_KEYS": "hunter2"})
        assert "hunter2" not in str(refusal.value)
        shown = repr(environment.load(SAFE))
        assert not any(SAFE[name] in shown for name in SAFE.keys() - {"RATCHET_MODE", "ALLOWED_HOSTS"})

    def test_allows_a_socket_without_password(self):
        url = "postgresql://ratchet@/ratchet?host=%2Frun%2Fpostgresql"
        assert environment.load({**SAFE, "DATABASE_URL": url}).database_url == url


class TestSecretFiles:
    def test_reads_a_value_from_the_named_file(self, tmp_path):
        key = secrets.token_urlsafe(64)
        (tmp_path / "key").write_text(f"{key}\n")
        given = {name: value for name, value in SAFE.items() if name != "SECRET_KEY"}
        assert environment.load({**given, "SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == key

    def test_refuses_both_forms_at_once(self, tmp_path):
        (tmp_path / "key").write_text("x")
        with pytest.raises(EnvironmentRefused, match="SECRET_KEY and SECRET_KEY_FILE are both set"):
            environment.load({**SAFE, "SECRET_KEY_FILE": str(tmp_path / "key")})

    def test_names_a_file_that_cannot_be_read(self, tmp_path):
        given = {**SAFE, "OPENAI_API_KEY_FILE": str(tmp_path / "absent")}
        with pytest.raises(EnvironmentRefused, match=r"OPENAI_API_KEY_FILE names .*absent, which cannot be read"):
            environment.load(given)


class TestEmbedded:
    def test_makes_its_secrets_once_and_for_its_owner_alone(self, tmp_path):
        given = {"RATCHET_HOME": str(tmp_path / "home")}
        first, second = environment.load(given), environment.load(given)
        assert first == second
        assert len(first.secret_key) >= environment.SHORTEST_SECRET_KEY
        assert stat.S_IMODE((tmp_path / "home" / "secrets.json").stat().st_mode) == 0o600

    def test_makes_one_set_of_secrets_however_many_come_first(self, tmp_path):
        given = {"RATCHET_HOME": str(tmp_path)}
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            keys = {loaded.secret_key for loaded in pool.map(environment.load, [given] * 64)}
        assert len(keys) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]

    def test_the_first_to_write_wins_where_nothing_may_be_replaced(self, tmp_path):
        path = tmp_path / "secrets.json"
        environment.write_privately(path, "first", replace=False)
        environment.write_privately(path, "second", replace=False)
        assert path.read_text() == "first"
        environment.write_privately(path, "third", replace=True)
        assert path.read_text() == "third"
        assert list(tmp_path.iterdir()) == [path]

    def test_finds_a_running_site_but_obeys_what_is_said(self, tmp_path):
        (tmp_path / "run").mkdir()
        published = {
            "DATABASE_URL": "postgresql://postgres@/there",
            "CELERY_BROKER_URL": "redis://x",
            "PORT": 8123,
        }
        (tmp_path / "run" / "environment.json").write_text(json.dumps(published))
        found = environment.load({"RATCHET_HOME": str(tmp_path)})
        assert (found.database_url, found.celery_broker_url, found.port) == tuple(published.values())
        said = environment.load({"RATCHET_HOME": str(tmp_path), "DATABASE_URL": "postgresql://postgres@/here"})
        assert said.databases()["default"]["NAME"] == "here"

    def test_says_how_to_get_a_database_when_there_is_none(self, tmp_path):
        from django.db.utils import OperationalError

        from config.absent_database.base import DatabaseWrapper

        database = environment.load({"RATCHET_HOME": str(tmp_path)}).databases()["default"]
        assert database["ENGINE"] == "config.absent_database"
        wrapper = DatabaseWrapper({**database, "TIME_ZONE": None})
        with pytest.raises(OperationalError, match=r"make up.*RATCHET_HOME") as refusal:
            wrapper.get_new_connection({})
        assert str(tmp_path) in str(refusal.value)

    def test_says_whose_folder_it_cannot_use(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(EnvironmentRefused, match="choose another RATCHET_HOME"):
            environment.load({"RATCHET_HOME": str(tmp_path / "file" / "home")})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40w@host:5433/name", ("name", "u", "p@w", "host", "5433")),
        ("postgres://u@/name?host=%2Ftmp%2FA%20b", ("name", "u", "", "/tmp/A b", "")),
        ("postgresql://u@%2Ftmp%2FRun/n%20n", ("n n", "u", "", "/tmp/Run", "")),
        ("postgresql://u@[::1]:5432/name", ("name", "u", "", "::1", "5432")),
    ],
)
def test_reads_an_address_of_postgresql(url, expected):
    database = environment.parse_database_url(url)
    assert tuple(database[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")) == expected


def test_hands_other_options_to_libpq():
    assert environment.parse_database_url("postgresql://u@h/n?sslmode=require")["OPTIONS"] == {"sslmode": "require"}
