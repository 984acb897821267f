"""Who may send: the rules of the whole site, asked again where the rows are stored."""

import asyncio
from collections.abc import Callable

import pytest
from django.db import connections
from django.test import Client

from core import clock
from core.problems import Problem
from outputs import senders
from outputs.ingest import lines
from outputs.ingest.app import Ingest
from outputs.senders import Sender
from projects import authentication
from projects.access import Scope
from projects.models import ApiKey, Membership, Project, Role, User
from projects.services import keys
from tests import factories
from tests.outputs import face
from tests.outputs.face import FEEDBACK, OUTPUTS, an_output, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

THUMB = {"output_id": "o", "kind": "thumb", "value": 1}


def revoke(key: str) -> None:
    found = ApiKey.objects.get(prefix=key[:10])
    keys.revoke_api_key(key=found, by=factories.an_actor(found.project), now=clock.now())


def disable(key: str) -> None:
    User.objects.filter(api_keys__prefix=key[:10]).update(is_active=False)


def expel(key: str) -> None:
    Membership.objects.filter(user__api_keys__prefix=key[:10]).delete()


def demote(key: str) -> None:
    Membership.objects.filter(user__api_keys__prefix=key[:10]).update(role=Role.REVIEWER)


def strip(key: str) -> None:
    ApiKey.objects.filter(prefix=key[:10]).update(scopes=["read"])


def leave(key: str) -> None:
    """Nothing changes."""


def a_persons_key(project: Project, role: str = Role.ENGINEER, scope: str = "ingest") -> str:
    return factories.a_key(project, scope, user=factories.a_member(project, role))


BLOWS = [(leave, 201), (revoke, 401), (disable, 401), (expel, 401), (demote, 403), (strip, 403)]


class TestKeys:
    @pytest.mark.parametrize(("blow", "status"), BLOWS)
    @pytest.mark.parametrize(("path", "row"), [(OUTPUTS, an_output(2)), (FEEDBACK, THUMB)])
    def test_lose_their_right_at_once(
        self, project: Project, blow: Callable[[str], None], status: int, path: str, row: dict[str, object]
    ) -> None:
        key = a_persons_key(project)

        async def talk(app: Ingest) -> int:
            first = await post(an_output(1), key).to(app)  # from now on the face knows the key
            await asyncio.to_thread(_alone, blow, key)
            second = await post(row, key, path=path).to(app)
            assert first is not None
            assert second is not None
            assert first.status == 201
            return second.status

        assert face.during(talk) == status
        assert project.outputs.count() + project.feedback.count() == (2 if status == 201 else 1)

    def test_a_stored_answer_is_not_for_a_revoked_key(self, project: Project) -> None:
        key = factories.a_key(project, "ingest")
        request = post(an_output(), key, Idempotency_Key="k")
        assert face.ask(request).status == 201
        revoke(key)
        assert face.ask(request).status == 401

    @pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer rk_unknown", "Bearer ü", "Basic eDp5", "rk_x"])
    def test_unknown_ones_are_told_nothing(self, header: str) -> None:
        request = post(an_output())
        request.headers["Authorization"] = header
        reply = face.ask(request)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="ratchet"')
        assert reply.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("scope", ["read", "evaluate", "review", "release", "admin"])
    @pytest.mark.parametrize("path", [OUTPUTS, FEEDBACK])
    def test_other_scopes_do_not_do(self, project: Project, scope: str, path: str) -> None:
        reply = face.ask(post(an_output(), factories.a_key(project, scope), path=path))
        assert (reply.status, "'ingest'" in reply.document["detail"]) == (403, True)

    @pytest.mark.parametrize("role", Role.values)
    @pytest.mark.parametrize("scope", ["ingest", "read"])
    @pytest.mark.parametrize(("blow", "_status"), BLOWS)
    def test_are_judged_as_the_rest_of_the_site_judges_them(
        self, project: Project, role: str, scope: str, blow: Callable[[str], None], _status: int
    ) -> None:
        key = a_persons_key(project, role, scope)
        blow(key)
        assert _judged_here(key) == _judged_by_django(key)

    def test_of_nobody_are_judged_alike_too(self, project: Project) -> None:
        for scope in Scope:
            if scope != Scope.APPROVE:
                key = factories.a_key(project, scope.value)
                assert _judged_here(key) == _judged_by_django(key)


class TestStranger:
    def test_can_change_nothing_of_another_project(self, project: Project, key: str) -> None:
        face.ask(post(an_output(1), key))
        stranger = factories.a_project()
        other = factories.a_key(stranger, "ingest")
        assert face.ask(post(an_output(1, output="mine"), other)).counts == (1, 0, 0)
        assert face.ask(post({**THUMB, "output_id": "o1"}, other, path=FEEDBACK)).counts == (1, 0, 0)
        reader = factories.a_key(project, "read")
        found = Client().get("/api/v1/outputs/o1", headers=factories.bearer(reader)).json()
        assert (found["output"], found["feedback"]) == ("answer 1", [])

    def test_sees_in_a_refusal_nothing_of_other_projects(self, project: Project, key: str) -> None:
        face.ask(post(an_output(1), key))
        other = factories.a_key(factories.a_project(), "ingest")
        replies = [face.ask(post(an_output(number, latency_ms="x"), other)) for number in (1, 2)]
        assert replies[0].body == replies[1].body


class TestSession:
    def test_a_signed_in_engineer_may_send(self, project: Project) -> None:
        reply = face.ask(_signed_in(factories.a_member(project, Role.ENGINEER)))
        assert reply.status == 201
        assert project.outputs.count() == 1

    def test_a_reviewer_may_not(self, project: Project) -> None:
        assert face.ask(_signed_in(factories.a_member(project, Role.REVIEWER))).status == 403

    def test_without_its_token_it_is_refused(self, project: Project) -> None:
        request = _signed_in(factories.a_member(project, Role.ENGINEER))
        del request.headers["X-CSRFToken"]
        assert face.ask(request).status == 403
        assert project.outputs.count() == 0

    def test_another_project_is_not_found(self, project: Project) -> None:
        request = _signed_in(factories.a_member(project, Role.ENGINEER))
        request.headers["Ratchet-Project"] = factories.a_project().slug
        assert face.ask(request).status == 404

    def test_who_is_nobody_is_told_to_sign_in(self) -> None:
        assert face.ask(post(an_output())).status == 401


def _alone(blow: Callable[[str], None], key: str) -> None:
    """In a thread, whose connection ends with it."""
    try:
        blow(key)
    finally:
        connections.close_all()


def _signed_in(user: User) -> face.Request:
    client = Client()
    client.force_login(user)
    token = "a" * 32
    cookies = {**{name: morsel.value for name, morsel in client.cookies.items()}, "csrftoken": token}
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    request = post(an_output(), Cookie=cookie, X_CSRFToken=token, Host="localhost")
    request.headers["Content-Length"] = str(sum(len(piece or b"") for piece in request.pieces))
    return request


def _judged_here(key: str) -> tuple[int, str]:
    async def judge() -> Sender:
        line = lines.Line(lines.address())
        try:
            async with line.use() as connection:
                return await senders.by_key(connection, key)
        finally:
            await line.close()

    try:
        sender = asyncio.run(judge())
    except Problem as problem:
        return problem.status, problem.detail
    return sender.project_id, sender.identity


def _judged_by_django(key: str) -> tuple[int, str]:
    try:
        actor = authentication.actor_of_header(f"Bearer {key}")
    except Problem as problem:
        return problem.status, problem.detail
    if not actor.may(Scope.INGEST):
        return 403, senders.NOT_ALLOWED
    return actor.project.pk, actor.identity
