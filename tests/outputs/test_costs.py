"""Costs: as sent, or by the price table as it was valid then; and past ones follow the table when they are asked to."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from connections.services import prices
from connections.services.prices import Amounts
from core import clock
from core.problems import Invalid
from insights import services as insights
from insights.models import Grain, Rollup
from outputs import costs, tasks
from outputs.models import Output, Repricing
from outputs.services import repricing
from projects.access import Actor
from projects.models import AuditEvent, Project
from tests import factories
from tests.outputs import face
from tests.outputs.face import post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

JUNE = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
JULY = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
ROW = {
    "input": "q",
    "output": "a",
    "model": "m",
    "input_tokens": 1000,
    "output_tokens": 100,
    "started_at": "2026-06-15",
}
ALWAYS = {"since": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "until": dt.datetime(2100, 1, 1, tzinfo=dt.UTC)}


@pytest.fixture
def by(project: Project) -> Actor:
    return factories.an_actor(project)


def put(by: Actor, dollars: str = "1", *, model: str = "m", at: dt.datetime = JUNE, **others: Any) -> int:
    amounts = Amounts(Decimal(dollars), Decimal(dollars) * 2, **others)
    return prices.set_price(model=model, amounts=amounts, valid_from=at, by=by, now=clock.now())[0].pk


def row(id_: str, **others: Any) -> dict[str, Any]:
    return {**ROW, "started_at": "2026-06-15T00:00:00Z", "id": id_, **others}


def costs_of(project: Project) -> dict[str, tuple[float | None, str | None]]:
    rows = Output.objects.of(project.pk).order_by("pk")
    return {
        one.external_id: (None if one.cost_usd is None else float(one.cost_usd), costs.source_of(one)) for one in rows
    }


class TestOnArrival:
    def test_is_by_the_price_that_was_valid_when_the_output_began(self, project: Project, key: str, by: Actor) -> None:
        put(by)
        put(by, "2", at=JULY)
        moments = {
            "before": "2026-05-31T23:59:59.999999Z",
            "first": "2026-06-01T00:00:00Z",
            "last": "2026-06-30T23:59:59.999999Z",
            "next": "2026-06-30T19:00:00-05:00",
        }
        face.ask(post([row(name, started_at=at) for name, at in moments.items()], key))
        computed = "computed"
        assert costs_of(project) == {
            "before": (None, None),
            "first": (0.0012, computed),
            "last": (0.0012, computed),
            "next": (0.0024, computed),
        }

    def test_is_by_the_moment_of_arrival_where_no_beginning_was_told(
        self, project: Project, key: str, by: Actor
    ) -> None:
        put(by, at=clock.now() - dt.timedelta(hours=1))
        put(by, "9", at=clock.now() + dt.timedelta(hours=1))
        face.ask(post(row("a", started_at=None), key))
        assert costs_of(project) == {"a": (0.0012, "computed")}

    def test_stays_as_sent_where_it_was_sent(self, project: Project, key: str, by: Actor) -> None:
        put(by)
        face.ask(post([row("sent", cost_usd=0.5), row("free", cost_usd=0)], key))
        assert costs_of(project) == {"sent": (0.5, "sent"), "free": (0.0, "sent")}

    def test_prices_parts_apart_and_keeps_their_counts(self, project: Project, key: str, by: Actor) -> None:
        apart = {"cached_input_usd": Decimal("0.1"), "cache_write_usd": Decimal("1.25"), "reasoning_usd": Decimal(3)}
        put(by, **apart)
        parts = {"cached_input_tokens": 600, "cache_write_tokens": 100, "reasoning_tokens": 40}
        face.ask(post(row("a", **parts), key))
        expected = (300 * 1 + 600 * 0.1 + 100 * 1.25 + 60 * 2 + 40 * 3) / 1e6
        assert costs_of(project) == {"a": (pytest.approx(expected, abs=1e-12), "computed")}
        stored = project.outputs.get()
        assert {name: getattr(stored, name) for name in parts} == parts

    def test_of_what_cannot_be_priced_is_nothing_and_not_nought(self, project: Project, key: str, by: Actor) -> None:
        put(by)
        rows = [row("other", model="unknown"), row("silent", input_tokens=None), row("nameless", model=None)]
        face.ask(post(rows, key))
        assert set(costs_of(project).values()) == {(None, None)}

    def test_that_no_column_could_hold_does_not_cost_the_row(self, project: Project, key: str, by: Actor) -> None:
        put(by, "1000")
        assert face.ask(post(row("a", input_tokens=10**15), key)).counts == (1, 0, 0)
        assert costs_of(project) == {"a": (None, None)}

    def test_does_not_make_a_repeat_another_row(self, project: Project, key: str, by: Actor) -> None:
        face.ask(post(row("a"), key))
        put(by)
        assert face.ask(post(row("a"), key)).counts == (0, 1, 0)
        assert costs_of(project) == {"a": (None, None)}

    def test_of_one_project_knows_nothing_of_anothers_prices(self, project: Project, key: str) -> None:
        put(factories.an_actor(factories.a_project()))
        face.ask(post([row("own"), row("listed", model="gpt-4o")], key))
        assert costs_of(project) == {"own": (None, None), "listed": (0.0035, "computed")}

    def test_is_given_with_its_source_when_the_output_is_read_back(
        self, project: Project, key: str, by: Actor, client: Client
    ) -> None:
        put(by)
        face.ask(post([row("a", cached_input_tokens=5), row("b", cost_usd=1), row("c", model="x")], key))
        headers = factories.bearer(factories.a_key(project, "read"))
        found = {one["id"]: one for one in client.get("/api/v1/outputs", headers=headers).json()["results"]}
        assert {name: (one["cost_usd"], one["cost_source"]) for name, one in found.items()} == {
            "a": (0.0012, "computed"),
            "b": (1.0, "sent"),
            "c": (None, None),
        }
        assert found["a"]["cached_input_tokens"] == 5


def ask(by: Actor, **span: dt.datetime) -> Repricing:
    return repricing.ask(**{**ALWAYS, **span}, by=by, now=clock.now())[0]


def walk(found: Repricing) -> Repricing:
    tasks.reprice(found.pk)
    found.refresh_from_db()
    return found


class TestRepricing:
    @pytest.fixture(autouse=True)
    def arrived(self, project: Project, key: str) -> None:
        rows = [row(f"{number}", input_tokens=1000 + number) for number in range(7)]
        face.ask(post([*rows, row("sent", cost_usd=0.5), row("silent", output_tokens=None)], key))

    def test_reckons_what_was_unpriced_and_leaves_what_was_sent(self, project: Project, by: Actor) -> None:
        put(by)
        done = walk(ask(by))
        assert (done.state, done.n_seen, done.n_changed, done.n_unpriced) == (Repricing.State.DONE, 8, 7, 1)
        assert costs_of(project) == {
            **{f"{number}": ((1200 + number) / 1e6, "computed") for number in range(7)},
            "sent": (0.5, "sent"),
            "silent": (None, None),
        }

    def test_follows_a_correction_a_withdrawal_and_then_nothing_more(self, project: Project, by: Actor) -> None:
        put(by)
        walk(ask(by))
        price = put(by, "2")
        assert walk(ask(by)).n_changed == 7
        assert costs_of(project)["0"] == (0.0024, "computed")
        assert walk(ask(by)).n_changed == 0
        prices.withdraw_price(price_id=price, by=by, now=clock.now())
        assert walk(ask(by)).n_changed == 7
        assert costs_of(project)["0"] == (None, None)

    def test_goes_on_where_another_was_killed_and_does_nothing_twice(
        self, project: Project, by: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(repricing, "BLOCK", 2)
        put(by)
        found = ask(by)
        assert repricing.reprice_block(repricing_id=found.pk, now=clock.now())
        with monkeypatch.context() as broken:
            # As if the process ended after its costs were written and before its block was committed.
            broken.setattr(repricing.handovers, "announce", _die)
            with pytest.raises(KeyboardInterrupt):
                repricing.reprice_block(repricing_id=found.pk, now=clock.now())
        found.refresh_from_db()
        assert (found.n_seen, found.n_changed) == (2, 2)
        assert sum(usd is not None for usd, _ in costs_of(project).values()) == 3
        assert costs.walking(10)[-1] == found.pk
        done = walk(found)
        assert (done.n_seen, done.n_changed, done.share) == (8, 7, 1.0)
        assert sum(source == "computed" for _, source in costs_of(project).values()) == 7

    def test_is_left_to_whoever_is_at_it(self, by: Actor) -> None:
        put(by)
        found = walk(ask(by))
        assert not repricing.reprice_block(repricing_id=found.pk, now=clock.now())

    def test_is_of_what_arrived_in_the_span_alone(self, project: Project, by: Actor) -> None:
        put(by)
        project.outputs.filter(external_id__in=["0", "1"]).update(received_at=JUNE)
        project.outputs.filter(external_id="2").update(received_at=JULY)
        done = walk(ask(by, since=JUNE, until=JULY))
        assert (done.n_seen, done.n_changed) == (2, 2)
        assert costs_of(project)["2"] == (None, None)
        nothing = walk(ask(by, since=JULY + dt.timedelta(1), until=JULY + dt.timedelta(2)))
        assert (nothing.state, nothing.n_seen, nothing.share) == (Repricing.State.DONE, 0, 1.0)

    def test_asked_again_while_it_runs_begins_anew(self, by: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(repricing, "BLOCK", 2)
        put(by)
        found = ask(by)
        repricing.reprice_block(repricing_id=found.pk, now=clock.now())
        put(by, "2")
        again, is_new = repricing.ask(**ALWAYS, by=by, now=clock.now())
        assert (again.pk, is_new, again.n_seen) == (found.pk, False, 0)
        assert walk(found).n_changed == 7
        assert AuditEvent.objects.filter(verb="price.apply").count() >= 2

    def test_of_an_empty_span_is_refused(self, by: Actor) -> None:
        with pytest.raises(Invalid):
            ask(by, since=JULY, until=JULY)

    def test_hands_over_what_changed_so_that_trends_equal_the_rows(
        self, project: Project, by: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _roll_up()
        assert _rolled_up(project) == (9, 8, Decimal("0.5"))
        put(by)
        monkeypatch.setattr(repricing, "BLOCK", 3)
        walk(ask(by))
        _roll_up()
        total = sum((one.cost_usd for one in project.outputs.exclude(cost_usd=None)), start=Decimal(0))
        assert _rolled_up(project) == (9, 1, total)

    def test_costs_the_same_statements_for_few_and_for_many(self, project: Project, key: str, by: Actor) -> None:
        put(by)
        few = _statements(ask(by))
        face.ask(post([row(f"more {number}") for number in range(60)], key))
        put(by, "3")
        many = _statements(ask(by))
        assert many == few <= 9

    def test_of_a_stranger_is_not_there(self, by: Actor, client: Client) -> None:
        found = ask(by)
        foreign = factories.bearer(factories.a_key(factories.a_project(), "read"))
        assert client.get(f"/api/v1/prices/apply/{found.pk}", headers=foreign).status_code == 404

    def test_is_asked_by_api_and_tells_how_far_it_is(self, project: Project, by: Actor, client: Client) -> None:
        put(by)
        admin, reader = (factories.bearer(factories.a_key(project, scope)) for scope in ("admin", "read"))
        body = {"since": "2026-01-01"}
        url = "/api/v1/prices/apply"
        assert client.post(url, body, content_type="application/json", headers=reader).status_code == 403
        answer = client.post(url, body, content_type="application/json", headers=admin)
        assert (answer.status_code, answer.json()["state"]) == (202, "walking")
        tasks.reprice(answer.json()["id"])
        told = client.get(answer.json()["url"], headers=reader).json()
        assert (told["state"], told["share"], told["seen"], told["changed"]) == ("done", 1.0, 8, 7)
        for wrong in (
            {},
            {"since": "x"},
            {"since": "2026-01-02", "until": "2026-01-01"},
            {"since": "2026-01-01", "a": 1},
        ):
            assert client.post(url, wrong, content_type="application/json", headers=admin).status_code == 400


def _die(*args: object, **others: object) -> None:
    raise KeyboardInterrupt


def _statements(found: Repricing) -> int:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        repricing.reprice_block(repricing_id=found.pk, now=clock.now())
    return len([one for one in asked if "SAVEPOINT" not in one["sql"]])


def _roll_up() -> None:
    insights.note_waiting(now=clock.now(), seconds=60)
    insights.roll_up(seconds=60)


def _rolled_up(project: Project) -> tuple[int, int, Decimal]:
    rows = Rollup.objects.filter(project=project, grain=Grain.DAY)
    return (
        sum(one.n for one in rows),
        sum(one.n_unpriced for one in rows),
        sum((one.cost_usd for one in rows), Decimal(0)),
    )
