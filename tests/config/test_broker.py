import kombu
import psycopg


def test_a_message_put_is_a_message_got(broker_url):
    with kombu.Connection(broker_url) as connection, connection.SimpleQueue("ratchet") as queue:
        queue.put({"id": 1})
        message = queue.get(timeout=5)
        message.ack()
        assert message.payload == {"id": 1}


def test_a_fresh_database_is_empty_and_goes_again(fresh_database_url):
    with psycopg.connect(fresh_database_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert tables.fetchone() == (0,)
