"""Feedback from public pages: what a door lets through, what it keeps out, and how little it tells."""

import asyncio
import hashlib
import hmac
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from core import clock
from core.problems import Invalid
from outputs import tokens
from outputs.ingest import doors as slots
from outputs.ingest.app import Ingest
from outputs.models import Feedback, FeedbackDoor
from outputs.services import doors
from projects.models import AuditEvent, Project, Role
from tests import factories
from tests.outputs import face
from tests.outputs.face import FEEDBACK, OUTPUTS, Reply, an_output, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

SHOP = "https://shop.example.org"
THUMB: dict[str, Any] = {"id": "t1", "output_id": "o1", "kind": "thumb", "value": 1}


def a_door(project: Project, **given: Any) -> tuple[FeedbackDoor, str]:
    told = {"name": "Shop", "kinds": ["thumb", "comment", "edit"], "origins": [SHOP], "needs_signature": False, **given}
    return doors.make_door(**told, by=factories.an_actor(project), now=clock.now())


def token_of(door: FeedbackDoor) -> str:
    return tokens.token_of(door.pk, door.version)


def said(door: FeedbackDoor, row: Any, origin: str = SHOP, *, path: str = FEEDBACK, **headers: str) -> Reply:
    return face.ask(post(row, token_of(door), path=path, Origin=origin, **headers))


def asked(origin: str) -> Reply:
    request = face.Request({"Origin": origin, "Access-Control-Request-Method": "POST"}, [b""], FEEDBACK, "OPTIONS")
    return face.ask(request)


class TestDoor:
    def test_takes_what_a_visitor_says_and_notes_where_it_came_from(self, project: Project) -> None:
        door, _ = a_door(project)
        reply = said(door, {**THUMB, "comment": "Not what your site says", "source": "support team"})
        assert (reply.status, reply.document) == (201, {})
        assert reply.headers["access-control-allow-origin"] == SHOP
        assert "access-control-allow-credentials" not in reply.headers
        stored = Feedback.objects.get(project=project)
        assert (stored.source, stored.comment, stored.value) == ("door:Shop", "Not what your site says", 1)

    def test_tells_nobody_what_became_of_it(self, project: Project, key: str) -> None:
        door, _ = a_door(project)
        face.ask(post(an_output(1), key))
        rows = [THUMB, THUMB, {**THUMB, "value": -1}, {**THUMB, "id": "t2", "output_id": "never was"}]
        replies = [said(door, row) for row in rows]
        assert {(reply.status, reply.body) for reply in replies} == {(201, b"{}")}
        assert [set(reply.headers) for reply in replies] == [set(replies[0].headers)] * 4
        assert sorted(project.feedback.values_list("output_external_id", "value")) == [("never was", 1.0), ("o1", 1.0)]

    def test_keeps_its_ids_apart_from_those_of_other_senders(self, project: Project, key: str) -> None:
        door, _ = a_door(project)
        said(door, THUMB)
        assert face.ask(post({**THUMB, "value": -1}, key, path=FEEDBACK)).counts == (1, 0, 0)
        assert sorted(project.feedback.values_list("value", flat=True)) == [-1.0, 1.0]

    def test_opens_nothing_but_feedback(self, project: Project) -> None:
        door, _ = a_door(project)
        assert said(door, an_output(1), path=OUTPUTS).status == 403
        assert project.outputs.count() == 0
        bearer = factories.bearer(token_of(door))
        for path in ("outputs", "outputs/o1", "verdicts", "prompts"):
            assert Client().get(f"/api/v1/{path}", headers=bearer).status_code == 401

    @pytest.mark.parametrize("origin", ["https://evil.example.org", f"{SHOP}.evil.example", "null", "", f"{SHOP}:444"])
    def test_takes_pages_of_its_origins_alone(self, project: Project, origin: str) -> None:
        door, _ = a_door(project)
        reply = said(door, THUMB, origin)
        assert reply.status == 403
        assert "access-control-allow-origin" not in reply.headers
        assert project.feedback.count() == 0

    @pytest.mark.parametrize(
        ("row", "status"),
        [
            ({**THUMB, "kind": "outcome"}, 400),
            ({**THUMB, "kind": "score"}, 400),
            ({**THUMB, "id": "x" * 101}, 400),
            ({**THUMB, "colour": "red"}, 400),
            ([THUMB], 400),
            (b"{", 400),
            (b"[" * 5_000, 400),
            ({**THUMB, "comment": "a\u0000b"}, 400),
            ({**THUMB, "comment": "x" * 8_200}, 413),
        ],
    )
    def test_refuses_what_is_not_for_it_in_a_way_that_a_page_can_read(
        self, project: Project, row: Any, status: int
    ) -> None:
        door, _ = a_door(project)
        reply = said(door, row)
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == SHOP
        assert project.feedback.count() == 0

    def test_refuses_a_bomb(self, project: Project) -> None:
        door, _ = a_door(project)
        assert said(door, {**THUMB, "comment": "x" * 100_000}, Content_Encoding="gzip").status == 413

    @pytest.mark.parametrize("spoil", [str.upper, lambda token: token[:-1], lambda token: token + "x", lambda _: "rf_"])
    def test_a_token_that_nobody_signed_is_unknown(self, project: Project, spoil: Any) -> None:
        door, _ = a_door(project)
        reply = face.ask(post(THUMB, spoil(token_of(door)), path=FEEDBACK, Origin=SHOP))
        assert reply.status == 401

    def test_closed_or_renewed_it_opens_nothing_at_once(self, project: Project) -> None:
        by = factories.an_actor(project)
        closed, renewed = a_door(project)[0], a_door(project, name="Help")[0]

        async def talk(app: Ingest) -> list[int]:
            found = []
            for door, change in ((closed, doors.close_door), (renewed, doors.renew_door)):
                # From now on the face knows the token.
                assert (await post(THUMB, token_of(door), path=FEEDBACK, Origin=SHOP).to(app)).status == 201  # type: ignore[union-attr]
                await asyncio.to_thread(
                    _alone, lambda door=door, change=change: change(door=door, by=by, now=clock.now())
                )
                reply = await post({**THUMB, "id": "2"}, token_of(door), path=FEEDBACK, Origin=SHOP).to(app)
                assert reply is not None
                found.append(reply.status)
            return found

        assert face.during(talk) == [401, 401]
        assert project.feedback.count() == 2
        renewed.refresh_from_db()
        assert said(renewed, {**THUMB, "id": "3"}).status == 201

    def test_another_project_gets_nothing_through_it(self, project: Project) -> None:
        door, _ = a_door(project)
        other = factories.a_project()
        said(door, THUMB)
        assert (project.feedback.count(), other.feedback.count()) == (1, 0)

    def test_slows_who_sends_too_much(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(slots.Pace.__init__, "__kwdefaults__", {"at_once": 2, "per_second": 0.001})
        door, _ = a_door(project)
        busy = [post({**THUMB, "id": f"t{n}"}, token_of(door), path=FEEDBACK, Origin=SHOP) for n in range(3)]
        reply = face.ask(*busy)
        assert (reply.status, reply.headers["retry-after"]) == (429, "1")
        assert project.feedback.count() == 2


class TestPreflight:
    def test_is_answered_for_an_origin_that_some_door_takes(self, project: Project) -> None:
        a_door(project)
        reply = asked(SHOP)
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == SHOP
        assert "authorization" in reply.headers["access-control-allow-headers"]

    def test_is_refused_for_any_other(self, project: Project) -> None:
        door, _ = a_door(project, origins=["https://once.example.org"])
        assert asked("https://evil.example.org").status == 403
        doors.close_door(door=door, by=factories.an_actor(project), now=clock.now())
        reply = asked("https://once.example.org")
        assert reply.status == 403
        assert "access-control-allow-origin" not in reply.headers


class TestVouching:
    def test_lets_only_outputs_through_that_the_server_vouched_for(self, project: Project) -> None:
        door, secret = a_door(project, needs_signature=True)
        right = hmac.new(secret.encode(), b"o1", hashlib.sha256).hexdigest()
        assert said(door, {**THUMB, "output_token": right}).status == 201
        for wrong in (
            {"output_token": right, "output_id": "o2"},
            {"output_token": right[:-1]},
            {"output_token": "ä"},
            {},
        ):
            assert said(door, {**THUMB, "id": "t2", **wrong}).status == 403
        assert project.feedback.count() == 1

    def test_a_renewed_secret_ends_the_old_tokens(self, project: Project) -> None:
        door, secret = a_door(project, needs_signature=True)
        fresh = doors.renew_door(door=door, by=factories.an_actor(project), now=clock.now())
        door.refresh_from_db()
        assert said(door, {**THUMB, "output_token": tokens.output_token(secret, "o1")}).status == 403
        assert said(door, {**THUMB, "output_token": tokens.output_token(fresh, "o1")}).status == 201


class TestServices:
    def test_leave_a_trail_without_the_secret(self, project: Project) -> None:
        door, secret = a_door(project)
        by = factories.an_actor(project)
        fresh = doors.renew_door(door=door, by=by, now=clock.now())
        doors.close_door(door=door, by=by, now=clock.now())
        doors.close_door(door=door, by=by, now=clock.now())
        events = AuditEvent.objects.filter(project=project, verb__startswith="feedback_door.").order_by("pk")
        assert [event.verb for event in events] == [f"feedback_door.{verb}" for verb in ("make", "renew", "close")]
        kept = bytes(FeedbackDoor.objects.get(pk=door.pk).secret)
        told = repr([(event.before, event.after) for event in events]) + repr(kept)
        assert secret not in told
        assert fresh not in told

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"name": " "}, "name"),
            ({"kinds": []}, "kinds"),
            ({"kinds": ["score"]}, "kinds"),
            ({"origins": []}, "origins"),
            ({"origins": ["*"]}, "origins"),
            ({"origins": ["https://*.example.org"]}, "origins"),
            ({"origins": ["https://shop.example.org/page"]}, "origins"),
            ({"origins": ["https://me@shop.example.org"]}, "origins"),
            ({"origins": ["file:///x"]}, "origins"),
            ({"origins": ["https://shop.example.org:99999"]}, "origins"),
            ({"origins": [f"https://{number}.example.org" for number in range(21)]}, "origins"),
        ],
    )
    def test_refuse_and_name_the_field(self, project: Project, given: dict[str, Any], field: str) -> None:
        with pytest.raises(Invalid) as refused:
            a_door(project, **given)
        assert [error.field for error in refused.value.errors] == [field]

    def test_write_origins_as_browsers_do(self, project: Project) -> None:
        door, _ = a_door(project, origins=["HTTPS://Shop.Example.org:443/", "http://localhost:8000", "http://[::1]:80"])
        assert door.origins == ["https://shop.example.org", "http://localhost:8000", "http://[::1]"]

    def test_a_name_is_never_used_twice(self, project: Project) -> None:
        door, _ = a_door(project)
        doors.close_door(door=door, by=factories.an_actor(project), now=clock.now())
        with pytest.raises(Invalid):
            a_door(project)


class TestPages:
    @pytest.fixture
    def client(self, project: Project) -> Client:
        found = Client()
        found.force_login(factories.a_member(project, Role.ADMIN))
        return found

    def test_show_the_snippet_with_the_site_and_the_secret_once(self, client: Client, project: Project) -> None:
        form = {"name": "Shop", "kinds": ["thumb", "edit"], "origins": f"{SHOP}\nhttps://help.example.org", "once": ""}
        page = client.post(reverse("desk:door-list", args=[project.slug]), {**form, "needs_signature": "on"})
        door = FeedbackDoor.objects.get(project=project)
        secret = doors.secret_of(door.secret, project.pk)
        assert page.status_code == 200
        for words in (secret, token_of(door), "http://testserver/static/feedback.js", "data-output-token", "data-edit"):
            assert words in page.content.decode()
        again = client.get(reverse("desk:door-detail", args=[project.slug, door.pk])).content.decode()
        assert token_of(door) in again
        assert secret not in again
        assert page["Cache-Control"] == "no-store, private"

    def test_say_what_is_wrong_and_keep_what_was_typed(self, client: Client, project: Project) -> None:
        form = {"name": "Shop", "kinds": ["thumb"], "origins": "shop.example.org"}
        page = client.post(reverse("desk:door-list", args=[project.slug]), form)
        assert page.status_code == 422
        assert "is no origin" in page.content.decode()
        assert "shop.example.org</textarea>" in page.content.decode()

    def test_renew_and_close(self, client: Client, project: Project) -> None:
        door, secret = a_door(project)
        page = client.post(reverse("desk:door-renew", args=[project.slug, door.pk]), {"once": ""})
        door.refresh_from_db()
        assert doors.secret_of(door.secret, project.pk) in page.content.decode()
        assert secret not in page.content.decode()
        client.post(reverse("desk:door-close", args=[project.slug, door.pk]))
        assert (
            "Nothing comes through"
            in client.get(reverse("desk:door-detail", args=[project.slug, door.pk])).content.decode()
        )

    def test_another_project_finds_no_door(self, client: Client) -> None:
        other = factories.a_project()
        door, _ = a_door(other)
        slug = FeedbackDoor.objects.exclude(pk=door.pk).values_list("project__slug", flat=True).first()
        for verb in ("", "renew/", "close/"):
            assert client.post(f"/{slug or other.slug}/feedback-doors/{door.pk}/{verb}").status_code in (404, 405)
        door.refresh_from_db()
        assert (door.version, door.revoked_at) == (1, None)


def _alone(act: Any) -> None:
    act()
    connections.close_all()
