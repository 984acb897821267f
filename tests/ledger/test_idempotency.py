import datetime as dt
import threading

import pytest
from django.db import connection, transaction

from ledger import idempotency
from ledger.idempotency import KeyReused, StoredAnswer
from ledger.models import IdempotentAnswer

pytestmark = pytest.mark.django_db(transaction=True)

DIGEST = idempotency.digest("POST", "/api/v1/outputs", b"{}")


def begin(key: str = "k", *, actor: str = "a", project_id: int = 1, digest: bytes = DIGEST) -> StoredAnswer | None:
    return idempotency.begin(project_id=project_id, actor=actor, key=key, digest=digest)


def answer(body: bytes, key: str = "k") -> None:
    idempotency.finish(project_id=1, actor="a", key=key, status=201, headers={"Location": "/x"}, body=body)


def test_the_second_time_the_first_answer_comes_byte_for_byte():
    with transaction.atomic():
        assert begin() is None
        answer(b'{"id": 1}')
    with transaction.atomic():
        assert begin() == StoredAnswer(201, {"Location": "/x"}, b'{"id": 1}')


def test_the_same_key_with_another_request_is_refused():
    with transaction.atomic():
        begin()
        answer(b"1")
    with pytest.raises(KeyReused, match="was used for another request"), transaction.atomic():
        begin(digest=idempotency.digest("POST", "/api/v1/outputs", b"{ }"))


@pytest.mark.parametrize(
    "other",
    [("PUT", "/a", b"x"), ("POST", "/b", b"x"), ("POST", "/a", b"y"), ("POST", "/ax", b""), ("POS", "T/a", b"x")],
)
def test_requests_that_differ_anywhere_have_other_digests(other):
    assert idempotency.digest(*other) != idempotency.digest("POST", "/a", b"x")


def test_keys_of_others_are_not_shared():
    with transaction.atomic():
        assert begin() is None
        assert begin(actor="b") is None
        assert begin(project_id=2) is None


def test_a_write_that_failed_leaves_no_answer_behind():
    with transaction.atomic():
        begin()
        transaction.set_rollback(True)
    with transaction.atomic():
        assert begin() is None


def test_two_at_once_wait_for_each_other():
    found: list[StoredAnswer | None] = []

    def second() -> None:
        try:
            with transaction.atomic():
                found.append(begin())
        finally:
            connection.close()

    with transaction.atomic():
        begin()
        other = threading.Thread(target=second)
        other.start()
        answer(b"1")
        assert found == []
    other.join()
    assert found == [StoredAnswer(201, {"Location": "/x"}, b"1")]


def test_answers_are_forgotten_after_48_hours():
    now = dt.datetime(2026, 1, 3, tzinfo=dt.UTC)
    with transaction.atomic():
        begin()
    IdempotentAnswer.objects.update(created_at=now - idempotency.KEPT_FOR)
    assert idempotency.forget(now=now) == 0
    assert idempotency.forget(now=now + dt.timedelta(seconds=1)) == 1
