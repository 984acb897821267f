"""The decision carried back into the flow that asked for it: `GET /api/v1/outputs/{output}/verdict?wait=`."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import Client

from core import clock
from outputs.models import Output
from projects.models import Project
from reviews.models import Item
from reviews.services import adjudication
from reviews.waiting import MARK, Waiting
from tests import factories
from tests.outputs.face import Reply, Request
from tests.reviews import desk

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")
SOON = 0.02
# What was put to Django.
asked: list[str] = []


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def output(project: Project) -> Output:
    """An output that waits for one person."""
    queue = desk.a_queue(project)
    return desk.filled(queue, "May I return it?", prompt=factories.a_prompt(project))[0]


@pytest.fixture
def key(project: Project) -> str:
    return factories.a_key(project, "read")


def django(environ: Any, start_response: Any) -> Any:
    """Django, which leaves no connection behind in its threads."""
    asked.append(environ["PATH_INFO"])
    try:
        return get_wsgi_application()(environ, start_response)
    finally:
        connections.close_all()


def during(talk: Callable[[Waiting], Awaitable[T]], **settings: Any) -> T:
    """What `talk` returns, told to a running face."""

    async def live() -> T:
        inner = WSGIMiddleware(django, workers=2)
        app = Waiting(inner, **{"poll_seconds": SOON, **settings})  # type: ignore[arg-type]
        await app.start()
        try:
            return await talk(app)
        finally:
            await app.stop()
            inner.executor.shutdown()

    return asyncio.run(live())


def asks(output: Output | str, key: str, *, wait: int | None = None, hangs_up: bool = False) -> Request:
    name = output if isinstance(output, str) else output.external_id
    pieces: list[bytes | None] = [b"", None] if hangs_up else [b""]
    return Request(
        {"Authorization": f"Bearer {key}"},
        pieces,
        path=f"/api/v1/outputs/{name}/verdict",
        method="GET",
        query="" if wait is None else f"wait={wait}",
    )


async def said(app: Waiting, request: Request) -> Reply:
    """An answer of Django's, which says not always how long it is."""
    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    async def told(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, keep)

    await request.to(told, is_ours=lambda scope: True)
    assert sent, "nothing was answered"
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def ask(request: Request, **settings: Any) -> Reply:
    return during(lambda app: said(app, request), **settings)


def settle(output: Output) -> None:
    item = Item.objects.get(item_outputs__output=output)
    by = factories.an_actor(output.project)
    answers = {"correct": "no"}
    adjudication.adjudicate(
        item_id=item.pk, answers=answers, correction="No.", rationale="policy 3", by=by, now=clock.now()
    )
    connections.close_all()


def test_what_is_settled_is_answered_at_once(output: Output, key: str) -> None:
    settle(output)
    queue = Item.objects.get(item_outputs__output=output).queue
    settle(desk.filled(queue, "Something else?")[0])
    reply = ask(asks(output, key, wait=30))
    assert reply.status == 200
    found = json.loads(reply.body)
    assert (found["output"], found["correction"], found["answers"]) == (output.external_id, "No.", {"correct": "no"})


def test_a_verdict_given_meanwhile_ends_the_wait(output: Output, key: str) -> None:
    async def talk(app: Waiting) -> tuple[Reply, Reply]:
        waiting = [asyncio.create_task(said(app, asks(output, key, wait=30))) for _ in range(2)]
        await until(lambda: len(app._waiters) == 2)
        await asyncio.to_thread(settle, output)
        return await waiting[0], await waiting[1]

    began = time.monotonic()
    replies = during(talk)
    assert [(reply.status, json.loads(reply.body)["correction"]) for reply in replies] == [(200, "No.")] * 2
    assert time.monotonic() - began < 15


def test_without_one_the_wait_ends_with_nothing_to_say(output: Output, key: str) -> None:
    began = time.monotonic()
    reply = ask(asks(output, key, wait=1))
    assert time.monotonic() - began >= 1
    assert (reply.status, reply.body) == (204, b"")
    assert MARK.lower() not in reply.headers
    assert ask(asks(output, key)).status == 204


def test_nobody_but_the_project_waits_for_its_outputs(output: Output, key: str) -> None:
    foreign = factories.a_key(factories.a_project(), "read")
    assert ask(asks(output, foreign, wait=30)).status == 404
    assert ask(asks("never-was", key, wait=30)).status == 404
    assert ask(asks(output, "rk_unknown", wait=30)).status == 401
    assert ask(asks(output, factories.a_key(output.project, "ingest"), wait=30)).status == 403


@pytest.mark.parametrize("seconds", [0, 31, -1])
def test_a_wait_beyond_the_bounds_is_refused_by_name(output: Output, key: str, seconds: int) -> None:
    reply = ask(asks(output, key, wait=seconds))
    assert (reply.status, json.loads(reply.body)["errors"][0]["field"]) == (400, "wait")


def test_so_many_wait_and_no_more_and_who_hangs_up_leaves_a_place(output: Output, key: str) -> None:
    other = factories.a_project()
    theirs, their_key = factories.an_output(other), factories.a_key(other, "read")
    another = factories.a_project()
    third = asks(factories.an_output(another), factories.a_key(another, "read"), wait=30)

    async def talk(app: Waiting) -> list[int]:
        waiting = [asyncio.create_task(said(app, asks(output, key, wait=30)))]
        await until(lambda: len(app._waiters) == 1)
        found = [(await said(app, asks(output, key, wait=30))).status]
        waiting.append(asyncio.create_task(said(app, asks(theirs, their_key, wait=30))))
        await until(lambda: len(app._waiters) == 2)
        found.append((await said(app, third)).status)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asks(output, key, wait=30, hangs_up=True).to(app, is_ours=lambda scope: True)
        assert (len(app._waiters), dict(app._of_project)) == (0, {})
        return found

    assert during(talk, per_project=1, in_all=2) == [429, 503]


def test_a_line_that_breaks_is_opened_anew(output: Output, key: str) -> None:
    async def talk(app: Waiting) -> Reply:
        waiting = asyncio.create_task(said(app, asks(output, key, wait=30)))
        await until(lambda: app._line._connection is not None)
        await asyncio.to_thread(hang_up_on_the_poll)
        await asyncio.to_thread(settle, output)
        return await waiting

    assert during(talk).status == 200


def test_a_verdict_that_was_replaced_is_not_told(output: Output, key: str) -> None:
    settle(output)
    output.item_outputs.get().item.verdicts.update(replaced_at=clock.now())
    asked_before = len(asked)
    assert ask(asks(output, key, wait=1)).status == 204
    assert len(asked) == asked_before + 2, "whoever waits asks first and last alone"


def test_an_output_whose_id_ends_like_the_address_is_still_found(project: Project, client: Client) -> None:
    output = factories.an_output(project)
    Output.objects.filter(pk=output.pk).update(external_id="a/verdict")
    headers = factories.bearer(factories.a_key(project, "read"))
    path = f"/api/v1/outputs/+hex/{b'a/verdict'.hex()}"
    assert client.get(path, headers=headers).json()["id"] == "a/verdict"
    assert client.get(f"{path}/verdict", headers=headers).status_code == 204


def hang_up_on_the_poll() -> None:
    """The server ends the connection over which is asked for those who wait."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'ratchet-ingest' AND datname = current_database()"
        )
        assert cursor.rowcount >= 1
    connections.close_all()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.005)
