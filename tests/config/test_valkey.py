import kombu
import pytest

from config.launcher.folders import DataFolder
from config.launcher.valkey import Valkey


@pytest.fixture
def broker(home):
    valkey = Valkey(DataFolder(home))
    valkey.start()
    yield valkey
    valkey.stop()


def put(broker: Valkey, payload: str) -> None:
    with kombu.Connection(broker.url) as connection, connection.SimpleQueue("bells") as queue:
        queue.put(payload)


def take(broker: Valkey) -> str:
    with kombu.Connection(broker.url) as connection, connection.SimpleQueue("bells") as queue:
        message = queue.get(timeout=5)
        message.ack()
        return message.payload


def test_keeps_its_messages_over_kill_9(broker):
    put(broker, "kept")
    broker.kill()
    broker.start()
    assert take(broker) == "kept"


def test_stops_one_that_an_earlier_launcher_left(broker, home):
    put(broker, "kept")
    successor = Valkey(DataFolder(home))
    successor.start()
    assert not broker.is_running
    assert take(successor) == "kept"
    successor.stop()


def test_starts_over_a_socket_nobody_listens_at(broker):
    broker.stop()
    broker.socket.write_text("left")
    broker.start()
    put(broker, "heard")
    assert take(broker) == "heard"


def test_sets_messages_aside_that_cannot_be_read_and_starts(broker):
    put(broker, "lost")
    broker.stop()
    for part in (broker.folder / "appendonlydir").iterdir():
        part.write_bytes(b"\x00garbage\r\n" * 50)
    broker.start()
    put(broker, "new")
    assert take(broker) == "new"
    assert list(broker.folder.glob("unreadable-*"))


def test_listens_at_no_port_and_forgets_nothing_for_want_of_memory(broker):
    with kombu.Connection(broker.url) as connection:
        client = connection.default_channel.client
        kept = client.config_get("port", "maxmemory-policy", "appendonly")
    assert kept == {"port": "0", "maxmemory-policy": "noeviction", "appendonly": "yes"}


@pytest.mark.parametrize("name", ["with space", "d" * 60 + "/" + "e" * 60, "100%25"])
def test_is_reached_by_celery_below_any_path(home, name):
    folder = DataFolder(home / name)
    broker = Valkey(folder)
    broker.start()
    put(broker, "heard")
    assert take(broker) == "heard"
    broker.stop()
    folder.release()
