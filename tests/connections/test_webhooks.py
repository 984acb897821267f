"""Webhooks: what is settled is told at least once, signed, to permitted addresses alone; the rest is said why not."""

import datetime as dt
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings
from pytest_django.fixtures import DjangoAssertNumQueries

from connections.models import Webhook
from connections.services import relay, webhooks
from connections.services.webhooks import News
from core import clock, outbound
from ledger import deliveries
from ledger.models import Delivery
from projects.models import AuditEvent, Project, Role
from tests import factories

SECRET = "canary-of-sixteen"
TOPIC = "verdict.settled"
QUICK = outbound.Limits(connect_s=1, read_s=0.3, total_s=1, n_bytes=10_000, width=4)


@dataclass
class Receiver:
    """A real receiver on loopback that answers with these statuses in turn, the last again and again; None hangs."""

    statuses: list[int | None] = field(default_factory=lambda: [200])
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/hook?key=1"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
                receiver.meanwhile()
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                if status is None:
                    receiver.over.wait(10)
                    return
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/inside")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *said: object) -> None:
                """Silent."""

        return Handler


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    with Receiver() as running:
        settings.OUTBOUND_ALLOW = [running.place]
        yield running


@pytest.fixture
def project(db: None) -> Project:
    return factories.a_project("Shop")


def a_webhook(project: Project, url: str) -> Webhook:
    by = factories.an_actor(project)
    return webhooks.save_webhook(url=url, topics=[TOPIC], secret=SECRET, by=by, now=clock.now())[0]


def told(project: Project, *subjects: str) -> list[Delivery]:
    """These happened; the deliveries there are of them."""
    news = [News(subject, {"verdict": {"id": subject, "says": "zurück"}}) for subject in subjects or ("one",)]
    webhooks.announce(project_id=project.pk, topic=TOPIC, news=news, now=clock.now())
    return list(Delivery.objects.filter(project_id=project.pk).order_by("pk"))


def relayed(*, after: float = 0) -> int:
    """How many were tried, so many seconds from now."""
    return relay.relay_due(limits=QUICK, now=lambda: clock.now() + dt.timedelta(seconds=after))


class TestRelay:
    def test_tells_what_happened_under_a_signature(self, project: Project, receiver: Receiver) -> None:
        a_webhook(project, receiver.url)
        (delivery,) = told(project)
        assert relayed() == 1
        ((headers, body),) = receiver.heard
        seconds, _, v1 = headers["ratchet-signature"].removeprefix("t=").partition(",v1=")
        assert v1 == hmac.new(SECRET.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert abs(int(seconds) - clock.now().timestamp()) < 60
        assert headers["ratchet-delivery"] == str(delivery.pk)
        assert json.loads(body) == {
            "topic": TOPIC,
            "project": project.slug,
            "verdict": {"id": "one", "says": "zurück"},
        }
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts, delivery.reason) == ("delivered", 1, "")
        assert relayed(after=10**6) == 0

    def test_tries_again_under_the_same_id_after_a_pause(self, project: Project, receiver: Receiver) -> None:
        receiver.statuses = [500, 200]
        a_webhook(project, receiver.url)
        (delivery,) = told(project)
        assert relayed() == 1
        delivery.refresh_from_db()
        assert (delivery.state, delivery.reason) == ("waiting", "Answered 500.")
        assert relayed(after=deliveries.PAUSES[0] - 5) == 0
        assert relayed(after=deliveries.PAUSES[0] + 1) == 1
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts) == ("delivered", 2)
        (first, one), (second, two) = receiver.heard
        assert (first["ratchet-delivery"], one) == (second["ratchet-delivery"], two)

    def test_gives_up_after_the_last_attempt_and_says_why(self, project: Project, receiver: Receiver) -> None:
        receiver.statuses = [503]
        a_webhook(project, receiver.url)
        (delivery,) = told(project)
        after = 0.0
        for pause in (*deliveries.PAUSES, 0):
            assert relayed(after=after) == 1
            after += pause + 1
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts, delivery.reason) == ("dead", len(receiver.heard), "Answered 503.")
        assert len(receiver.heard) == deliveries.MOST_ATTEMPTS == 8
        assert relayed(after=10**7) == 0

    def test_waits_for_one_that_hangs_no_longer_than_it_may(self, project: Project, receiver: Receiver) -> None:
        receiver.statuses = [None]
        a_webhook(project, receiver.url)
        (delivery,) = told(project)
        relayed()
        delivery.refresh_from_db()
        assert delivery.state == "waiting"
        assert delivery.reason.startswith("No answer in time")

    def test_follows_no_redirect(self, project: Project, receiver: Receiver) -> None:
        receiver.statuses = [302]
        a_webhook(project, receiver.url)
        (delivery,) = told(project)
        relayed()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts, len(receiver.heard)) == ("dead", 1, 1)
        assert "redirects are not followed" in delivery.reason

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"])
    def test_connects_to_no_address_inside(self, project: Project, settings: Settings, host: str) -> None:
        with Receiver() as inside:
            settings.OUTBOUND_ALLOW = []
            a_webhook(project, f"http://{host}:{inside.server.server_port}/hook")
            (delivery,) = told(project)
            relayed()
            assert inside.heard == []
        delivery.refresh_from_db()
        assert delivery.state == "dead"
        assert "127.0.0.1" not in delivery.reason
        assert "RATCHET_OUTBOUND_ALLOW" in delivery.reason

    def test_one_that_fails_holds_back_no_other(self, project: Project, receiver: Receiver) -> None:
        a_webhook(project, receiver.url)
        a_webhook(project, "http://127.0.0.1:1/refused")
        told(project)
        assert relayed() == 2
        assert sorted(Delivery.objects.values_list("state", flat=True)) == ["dead", "delivered"]

    def test_sends_no_secret_to_an_address_it_was_not_saved_for(self, project: Project, receiver: Receiver) -> None:
        webhook = a_webhook(project, "https://hooks.example.org/")
        Webhook.objects.filter(pk=webhook.pk).update(url=receiver.url)
        (delivery,) = told(project)
        relayed()
        delivery.refresh_from_db()
        assert (delivery.state, receiver.heard) == ("dead", [])
        assert "saved for another host" in delivery.reason


class TestLease:
    def test_who_is_killed_between_claim_and_answer_loses_nothing(self, project: Project, receiver: Receiver) -> None:
        a_webhook(project, receiver.url)
        (delivery,) = told(project)
        (parcel,) = deliveries.claim("webhook", limit=5, now=clock.now())  # and is never heard of again
        assert relayed(after=deliveries.LEASE_SECONDS - 5) == 0
        assert relayed(after=deliveries.LEASE_SECONDS + 1) == 1
        assert [headers["ratchet-delivery"] for headers, _ in receiver.heard] == [str(delivery.pk)]
        assert not deliveries.failed(parcel, reason="late", now=clock.now()), "the fence has moved on"
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts) == ("delivered", 2)

    def test_who_comes_back_late_says_nothing_while_another_has_it(self, project: Project) -> None:
        a_webhook(project, "https://hooks.example.org/")
        (delivery,) = told(project)
        now = clock.now()
        (late,) = deliveries.claim("webhook", limit=5, now=now)
        now += dt.timedelta(seconds=deliveries.LEASE_SECONDS + 1)
        (held,) = deliveries.claim("webhook", limit=5, now=now)
        assert not deliveries.failed(late, reason="late", now=now, is_final=True)
        assert not deliveries.delivered(late, now=now)
        assert deliveries.delivered(held, now=now)
        delivery.refresh_from_db()
        assert (delivery.state, delivery.reason) == ("delivered", "")

    def test_one_that_kills_whoever_tries_dies_at_last(self, project: Project) -> None:
        a_webhook(project, "https://hooks.example.org/")
        (delivery,) = told(project)
        now = clock.now()
        for _ in range(deliveries.MOST_ATTEMPTS):
            assert len(deliveries.claim("webhook", limit=5, now=now)) == 1
            now += dt.timedelta(seconds=deliveries.LEASE_SECONDS + 1)
        assert deliveries.claim("webhook", limit=5, now=now) == []
        delivery.refresh_from_db()
        assert (delivery.state, delivery.reason) == ("dead", deliveries.WORKER_LOST)


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_tell_it_once(settings: Settings) -> None:
    project = factories.a_project()
    with Receiver() as receiver:
        settings.OUTBOUND_ALLOW = [receiver.place]
        a_webhook(project, receiver.url)
        told(project)
        meanwhile: list[int] = []

        def again() -> None:
            """While the first is still posting, another looks for what is due."""
            meanwhile.append(relayed())
            connection.close()

        receiver.meanwhile = again
        assert relayed() == 1
    assert (meanwhile, len(receiver.heard)) == ([0], 1)
    assert Delivery.objects.get().state == "delivered"


class TestAnnounce:
    def test_tells_the_same_once_and_only_those_who_asked(self, project: Project) -> None:
        a_webhook(project, "https://hooks.example.org/a")
        a_webhook(factories.a_project(), "https://hooks.example.org/b")
        assert len(told(project, "one", "two")) == len(told(project, "one", "two")) == 2
        assert Delivery.objects.count() == 2

    def test_costs_two_statements_however_much_happened(
        self, project: Project, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        a_webhook(project, "https://hooks.example.org/a")
        news = [News(str(number), {}) for number in range(100)]
        with django_assert_num_queries(2):
            webhooks.announce(project_id=project.pk, topic=TOPIC, news=news, now=clock.now())


def test_what_ended_is_forgotten_after_a_month(project: Project) -> None:
    a_webhook(project, "https://hooks.example.org/a")
    told(project, "one", "two")
    (first, _) = deliveries.claim("webhook", limit=2, now=clock.now())
    deliveries.delivered(first, now=clock.now())
    assert deliveries.forget(now=clock.now() + dt.timedelta(days=29)) == 0
    assert deliveries.forget(now=clock.now() + dt.timedelta(days=31)) == 1


class TestApi:
    GOOD: dict[str, Any] = {"url": "https://hooks.example.org/x?token=1", "topics": [TOPIC], "secret": SECRET}

    def call(self, client: Client, project: Project, method: str, path: str, body: Any = None) -> Any:
        headers = factories.bearer(factories.a_key(project, "admin"))
        text = "" if body is None else json.dumps(body)
        return client.generic(method, f"/api/v1/{path}", text, content_type="application/json", headers=headers)

    def test_saves_lists_and_deletes_and_never_shows_the_secret(self, client: Client, project: Project) -> None:
        made = self.call(client, project, "POST", "webhooks", self.GOOD)
        again = self.call(client, project, "POST", "webhooks", {**self.GOOD, "secret": None})
        listed = self.call(client, project, "GET", "webhooks")
        assert (made.status_code, again.status_code, len(listed.json()["results"])) == (201, 200, 1)
        told(project)
        deleted = self.call(client, project, "DELETE", f"webhooks/{made.json()['id']}")
        assert (deleted.status_code, Webhook.objects.count(), Delivery.objects.count()) == (204, 0, 0)
        assert self.call(client, project, "DELETE", f"webhooks/{made.json()['id']}").status_code == 404
        for answer in (made, again, listed):
            assert b"canary" not in answer.content
        assert "canary" not in str(list(AuditEvent.objects.values_list("before", "after")))

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"url": "ftp://example.org"}, "url"),
            ({"url": "https://u:p@example.org/"}, "url"),
            ({"url": "https://example.org/#x"}, "url"),
            ({"topics": []}, "topics"),
            ({"topics": ["verdict.sealed"]}, "topics"),
            ({"secret": "short"}, "secret"),
            ({"secret": None}, "secret"),
            ({"colour": "red"}, "colour"),
        ],
        ids=str,
    )
    def test_names_what_is_wrong(self, client: Client, project: Project, change: Any, field: str) -> None:
        answer = self.call(client, project, "POST", "webhooks", {**self.GOOD, **change})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
        assert not Webhook.objects.exists()

    def test_shows_the_dead_and_sends_one_again(self, client: Client, project: Project, receiver: Receiver) -> None:
        receiver.statuses = [410, 200]
        a_webhook(project, receiver.url)
        (delivery,) = told(project)
        relayed()
        (dead,) = self.call(client, project, "GET", "deliveries?state=dead").json()["results"]
        assert (dead["id"], dead["reason"]) == (delivery.pk, "Answered 410: it wants to hear nothing more.")
        for _ in "12":
            answer = self.call(client, project, "POST", f"deliveries/{delivery.pk}/retry")
            assert (answer.status_code, answer.json()["state"], answer.json()["attempts"]) == (200, "waiting", 0)
        relayed()
        assert self.call(client, project, "GET", "deliveries?state=dead").json()["results"] == []
        assert [headers["ratchet-delivery"] for headers, _ in receiver.heard] == [str(delivery.pk)] * 2
        assert self.call(client, project, "GET", "deliveries?state=lost").status_code == 400

    def test_is_nowhere_for_a_stranger(self, client: Client, project: Project) -> None:
        webhook = a_webhook(project, "https://hooks.example.org/a")
        (delivery,) = told(project)
        stranger = factories.a_project()
        assert self.call(client, stranger, "GET", "webhooks").json()["results"] == []
        assert self.call(client, stranger, "GET", "deliveries").json()["results"] == []
        assert self.call(client, stranger, "DELETE", f"webhooks/{webhook.pk}").status_code == 404
        assert self.call(client, stranger, "POST", f"deliveries/{delivery.pk}/retry").status_code == 404
        assert (Webhook.objects.count(), Delivery.objects.count()) == (1, 1)


class TestWebhookList:
    @pytest.fixture
    def admin(self, client: Client, project: Project) -> Client:
        client.force_login(factories.a_member(project, Role.ADMIN))
        return client

    def test_saves_one_and_says_what_is_wrong(self, admin: Client, project: Project) -> None:
        page = f"/{project.slug}/webhooks/"
        good = {"url": "https://hooks.example.org/a", "topics": [TOPIC], "secret": SECRET}
        wrong = admin.post(page, {**good, "secret": "short"})
        assert (wrong.status_code, "secret" in wrong.context["form"].errors) == (422, True)
        assert not Webhook.objects.exists()
        saved = admin.post(page, good, follow=True).content.decode()
        assert "https://hooks.example.org/a" in saved
        assert SECRET not in saved

    def test_shows_the_dead_on_top_with_their_reason_and_sends_again(self, admin: Client, project: Project) -> None:
        webhook = a_webhook(project, "http://127.0.0.1:1/<b>")
        first, *_ = told(project, "one", "two", "three")
        relay.relay_due(limits=QUICK, limit=1)
        page = admin.get(f"/{project.slug}/webhooks/")
        assert page.context["deliveries"][0][0].pk == first.pk
        assert "This host is not a public one" in page.content.decode()
        assert "/<b>" not in page.content.decode()
        admin.post(f"/{project.slug}/webhooks/deliveries/{first.pk}/retry/")
        assert not Delivery.objects.filter(state="dead").exists()
        admin.post(f"/{project.slug}/webhooks/{webhook.pk}/delete/")
        assert not Delivery.objects.exists()
