"""Whoever waits for a verdict through a restart of the database is answered after it."""

import contextlib
import http.client
import json
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.outputs import face, live
from tests.outputs.live import Live

pytestmark = pytest.mark.faults

WAITERS = 40  # more than Django's face has threads
PATH = "/api/v1/outputs/escalated/verdict"
QUESTION = {"key": "correct", "type": "yes_no", "text": "Right?", "required": True}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live.running(tmp_path_factory.mktemp("waiting")) as found:
        yield found


def test_forty_who_wait_hold_up_nobody_and_outlast_a_restart(site: Live) -> None:
    web = site.site.children["web"]
    admin = site.site.manage("create_api_key", "live", "--name", "boss", "--scopes", "admin,evaluate,review").strip()

    def told(path: str, **body: Any) -> Any:
        status, document = site.call("POST", path, json.dumps(body).encode(), key=admin)
        assert status in (200, 201), document
        return document

    assert site.post(face.OUTPUTS, face.an_output(id="escalated"))["accepted"] == 1
    quality = {"question": "correct", "map": {"yes": 1, "no": 0}}
    told("/api/v1/rubrics", name="right", questions=[QUESTION], quality=quality)
    told("/api/v1/queues", name="desk", rubric="right")
    assert told("/api/v1/queues/desk/items", outputs=["escalated"])["added"] == 1
    with psycopg.connect(site.site.database_url) as connection:
        item = connection.execute("SELECT id FROM reviews_item").fetchone()
    assert item is not None
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(asked(site)) for _ in range(WAITERS)]
        for _ in range(3):
            assert site.get("/api/v1/outputs/count") == {"count": 1}
        site.site.kill("postgres", signal.SIGQUIT)
        site.site.restart("postgres")
        told(f"/api/v1/items/{item[0]}/verdict", answers={"correct": "no"}, correction="No.", rationale="policy 3")
        found = [connection.getresponse() for connection in waiting]
        corrections = [json.load(answer)["correction"] for answer in found if answer.status == 200]
    assert site.site.children["web"] == web
    # Whose first question was still on its way when the blow fell is told to come again.
    assert {answer.status for answer in found} <= {200, 503}
    assert set(corrections) == {"No."}
    assert len(corrections) > WAITERS // 2


@contextlib.contextmanager
def asked(site: Live) -> Iterator[http.client.HTTPConnection]:
    """A request for the verdict, sent and not yet answered."""
    connection = http.client.HTTPConnection("127.0.0.1", site.site.port, timeout=live.PATIENCE_S)
    try:
        connection.request("GET", f"{PATH}?wait=30", headers={"Authorization": f"Bearer {site.reader}"})
        yield connection
    finally:
        connection.close()
