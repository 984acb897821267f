"""The rows of the price table: nothing is overwritten, everything is told, and strangers see nothing."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from connections import price_queries
from connections.models import Price
from connections.prices import Rate
from connections.published import published
from connections.services import prices as services
from connections.services.prices import Amounts
from core import clock
from core.problems import Invalid, Missing, Unprocessable
from projects.access import Actor
from projects.models import AuditEvent, Project, Role
from tests import factories

pytestmark = pytest.mark.django_db

JUNE = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
JULY = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
CHEAP = Amounts(input_usd=Decimal("0.1"), output_usd=Decimal("0.2"))
DEAR = Amounts(input_usd=Decimal(1), output_usd=Decimal(2), cached_input_usd=Decimal("0.25"))


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


@pytest.fixture
def by(project: Project) -> Actor:
    return factories.an_actor(project)


def put(by: Actor, amounts: Amounts = CHEAP, *, model: str = "m", at: dt.datetime = JUNE, **others: Any) -> Price:
    return services.set_price(model=model, amounts=amounts, valid_from=at, by=by, now=clock.now(), **others)[0]


def rate(by: Actor, model: str = "m", *, provider: str = "", at: dt.datetime = JULY) -> Rate | None:
    return price_queries.book(by.project.pk).rate(model, provider=provider, at=at)


class TestSetPrice:
    def test_counts_to_the_last_place_and_microsecond(self, by: Actor) -> None:
        moment = JUNE.replace(microsecond=123456)
        fine = Amounts(*(Decimal(text) for text in ("0.000001", "999999.999999", "0", "3.75", "1000000")))
        made = put(by, fine, at=moment)
        found = rate(by)
        assert found == Rate("m", moment, *(getattr(fine, name) for name in ("input_usd", "output_usd")),
            fine.cached_input_usd, fine.cache_write_usd, fine.reasoning_usd, id=made.pk)  # fmt: skip
        assert rate(by, at=moment - dt.timedelta(microseconds=1)) is None

    def test_supersedes_what_stood_and_keeps_it_as_history(self, by: Actor) -> None:
        wrong = put(by)
        right = put(by, DEAR, note="contract 7")
        wrong.refresh_from_db()
        assert (wrong.superseded_by, wrong.ended_by, wrong.input_usd) == (right, by.name, Decimal("0.1"))
        assert [price.ended_at is None for price in Price.objects.order_by("pk")] == [False, True]
        event = AuditEvent.objects.latest("pk")
        assert (event.verb, event.before["input_usd"], event.after["input_usd"]) == ("price.correct", "0.1", "1")

    def test_said_twice_changes_nothing(self, by: Actor) -> None:
        first = put(by, provider=" Azure ")
        again, is_new = services.set_price(
            model="m ", amounts=CHEAP, valid_from=JUNE, provider="azure", by=by, now=clock.now()
        )
        assert (again, is_new) == (first, False)
        assert AuditEvent.objects.filter(verb__startswith="price.").count() == 1

    def test_ends_the_price_before_it_and_leaves_other_providers_alone(self, by: Actor) -> None:
        put(by)
        put(by, DEAR, at=JULY)
        put(by, DEAR, provider="azure")
        moments = (JUNE, JULY - dt.timedelta(microseconds=1), JULY)
        assert [getattr(rate(by, at=at), "input", None) for at in moments] == [
            Decimal("0.1"),
            Decimal("0.1"),
            Decimal(1),
        ]
        assert getattr(rate(by, provider="Azure", at=JUNE), "input", None) == 1

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"model": "  "}, "model"),
            ({"model": "gpt*4o"}, "model"),
            ({"model": "x" * 201}, "model"),
            ({"model": "a\x00b"}, "model"),
            ({"provider": "x" * 101}, "provider"),
            ({"note": "x" * 301}, "note"),
            ({"at": dt.datetime(1969, 12, 31, tzinfo=dt.UTC)}, "valid_from"),
            ({"amounts": Amounts(Decimal(-1), Decimal(0))}, "input_usd"),
            ({"amounts": Amounts(Decimal("NaN"), Decimal(0))}, "input_usd"),
            ({"amounts": Amounts(Decimal(0), Decimal("Infinity"))}, "output_usd"),
            ({"amounts": Amounts(Decimal(0), Decimal(0), reasoning_usd=Decimal("0.0000001"))}, "reasoning_usd"),
            ({"amounts": Amounts(Decimal(0), Decimal(0), cache_write_usd=Decimal(1_000_001))}, "cache_write_usd"),
        ],
        ids=str,
    )
    def test_names_the_field_that_is_wrong(self, by: Actor, change: dict[str, Any], field: str) -> None:
        with pytest.raises(Invalid) as refused:
            put(by, **change)
        assert [error.field for error in refused.value.errors] == [field]

    def test_stops_before_the_table_is_too_large_to_carry(self, by: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "MOST_OWN", 2)
        put(by, model="a")
        put(by, model="b")
        with pytest.raises(Unprocessable):
            put(by, model="c")
        assert put(by, DEAR, model="b").input_usd == 1

    def test_that_stands_twice_is_refused_by_the_database(self, by: Actor) -> None:
        price = put(by)
        price.pk = None
        with pytest.raises(IntegrityError, match="price_stands_once"), transaction.atomic():
            price.save(force_insert=True)


class TestWithdrawPrice:
    def test_lets_the_one_before_count_again(self, by: Actor) -> None:
        put(by)
        later = put(by, DEAR, at=JULY)
        for _ in range(2):
            services.withdraw_price(price_id=later.pk, by=by, now=clock.now())
        assert getattr(rate(by, at=JULY), "input", None) == Decimal("0.1")
        assert AuditEvent.objects.filter(verb="price.withdraw").count() == 1

    def test_of_another_project_is_unknown(self, by: Actor) -> None:
        foreign = put(factories.an_actor(factories.a_project()))
        with pytest.raises(Missing):
            services.withdraw_price(price_id=foreign.pk, by=by, now=clock.now())
        foreign.refresh_from_db()
        assert foreign.ended_at is None

    def test_frees_the_place_for_another(self, by: Actor) -> None:
        services.withdraw_price(price_id=put(by).pk, by=by, now=clock.now())
        put(by, DEAR)
        assert getattr(rate(by), "input", None) == 1


class TestPublishedPrices:
    def test_fill_in_until_the_project_does_without(self, by: Actor) -> None:
        at = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
        assert getattr(rate(by, "gpt-4o", at=at), "by", None) == "OpenAI"
        for _ in range(2):
            services.use_published(wanted=False, by=by, now=clock.now())
        assert rate(by, "gpt-4o", at=at) is None
        services.use_published(wanted=True, by=by, now=clock.now())
        assert rate(by, "gpt-4o", at=at) is not None
        assert AuditEvent.objects.filter(verb="price.published").count() == 2

    def test_give_way_to_the_projects_own_from_its_beginning_on(self, by: Actor) -> None:
        put(by, model="gpt-4o", at=JUNE)
        found = [rate(by, "gpt-4o", at=at) for at in (JUNE - dt.timedelta(seconds=1), JUNE)]
        assert [getattr(one, "by", None) for one in found] == ["OpenAI", ""]

    def test_of_one_project_say_nothing_of_another(self, by: Actor) -> None:
        put(factories.an_actor(factories.a_project()), model="gpt-4o", at=JUNE)
        assert getattr(rate(by, "gpt-4o"), "by", None) == "OpenAI"


def test_a_book_costs_one_statement_and_is_kept_while_nothing_changes(
    by: Actor, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        put(by, model=f"m{number}")
    with django_assert_num_queries(1):
        first = price_queries.book(by.project.pk)
    assert price_queries.book(by.project.pk) is first
    put(by, model="another")
    assert price_queries.book(by.project.pk) is not first


URL = "/api/v1/prices"
BODY = {"model": "m", "valid_from": "2026-06-01T00:00:00Z", "input_usd": 0.15, "output_usd": "0.6"}


class TestApi:
    def post(self, client: Client, project: Project, body: Any, *scopes: str, path: str = "") -> Any:
        headers = factories.bearer(factories.a_key(project, *(scopes or ("admin",))))
        return client.post(URL + path, body, content_type="application/json", headers=headers)

    def get(self, client: Client, project: Project, query: str = "") -> Any:
        return client.get(URL + query, headers=factories.bearer(factories.a_key(project, "read")))

    def test_sets_corrects_and_lists_prices_exactly(self, client: Client, project: Project) -> None:
        assert self.post(client, project, BODY).status_code == 201
        assert self.post(client, project, BODY).status_code == 200
        corrected = self.post(client, project, {**BODY, "cached_input_usd": 0.075})
        assert (corrected.status_code, corrected.json()["cached_input_usd"]) == (201, 0.075)
        listed = self.get(client, project).json()
        own = [line for line in listed["results"] if line["id"] is not None]
        assert [(line["input_usd"], line["output_usd"], line["is_in_force"]) for line in own] == [(0.15, 0.6, True)]
        assert len(listed["results"]) == 1 + len(published().rates)
        assert Price.objects.count() == 2

    def test_shows_what_fits_one_model(self, client: Client, project: Project) -> None:
        self.post(client, project, {**BODY, "model": "gpt-4o*"})
        found = self.get(client, project, "?model=gpt-4o-mini").json()["results"]
        assert {(line["model"], line["published_by"]) for line in found} == {("gpt-4o*", ""), ("gpt-4o-mini", "OpenAI")}

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"input_usd": True}, "input_usd"),
            ({"input_usd": "1e400"}, "input_usd"),
            ({"input_usd": "NaN"}, "input_usd"),
            ({"input_usd": -1}, "input_usd"),
            ({"input_usd": "1" * 5000}, "input_usd"),
            ({"input_usd": None}, "input_usd"),
            ({"output_usd": 0.00000012}, "output_usd"),
            ({"valid_from": "yesterday"}, "valid_from"),
            ({"valid_from": "1900-01-01T00:00:00Z"}, "valid_from"),
            ({"model": 5}, "model"),
            ({"model": "a\x00"}, "model"),
            ({"price": 5}, "price"),
        ],
        ids=str,
    )
    def test_refuses_what_is_no_price_and_names_the_field(
        self, client: Client, project: Project, change: dict[str, Any], field: str
    ) -> None:
        answer = self.post(client, project, {**BODY, **change})
        assert answer.status_code == 400
        assert field in {error["field"] for error in answer.json()["errors"]}
        assert not Price.objects.exists()

    def test_is_for_admins_to_change(self, client: Client, project: Project, by: Actor) -> None:
        price = put(by)
        assert self.post(client, project, BODY, "read", "evaluate").status_code == 403
        assert self.post(client, project, {}, "read", path=f"/{price.pk}/withdraw").status_code == 403
        assert self.post(client, project, {}, path=f"/{price.pk}/withdraw").json()["ended_at"] is not None

    def test_of_a_stranger_touches_nothing(self, client: Client, by: Actor) -> None:
        price = put(by)
        stranger = factories.a_project()
        assert self.post(client, stranger, {}, path=f"/{price.pk}/withdraw").status_code == 404
        assert all(line["id"] is None for line in self.get(client, stranger).json()["results"])


class TestPages:
    GOOD = {"model": "m", "provider": "", "valid_from": "2026-06-01T00:00", "input_usd": "0.15", "output_usd": "0.6"}

    @pytest.fixture
    def admin(self, client: Client, project: Project) -> Client:
        client.force_login(factories.a_member(project, Role.ADMIN))
        return client

    def test_sets_a_price_and_shows_it_with_the_published_ones(self, admin: Client, project: Project) -> None:
        answer = admin.post(f"/{project.slug}/prices/", self.GOOD, follow=True)
        page = answer.content.decode()
        assert "The price of m from 2026-06-01 00:00 is set." in page
        assert "0.15" in page
        assert "claude-sonnet-4-5" in page
        assert Price.objects.get().valid_from == JUNE

    def test_shows_what_is_wrong_beside_its_field_and_keeps_what_was_typed(
        self, admin: Client, project: Project
    ) -> None:
        answer = admin.post(f"/{project.slug}/prices/", {**self.GOOD, "model": "a*b", "input_usd": "0.1"})
        assert answer.status_code == 422
        assert "model" in answer.context["form"].errors
        assert 'value="0.1"' in answer.content.decode()

    def test_fills_in_what_a_link_says_and_nothing_that_is_markup(self, admin: Client, project: Project) -> None:
        page = admin.get(
            f"/{project.slug}/prices/", {"model": "<script>x", "valid_from": "2026-01-02T00:00"}
        ).content.decode()
        assert 'value="&lt;script&gt;x"' in page
        assert 'value="2026-01-02T00:00"' in page

    def test_shows_the_history_with_what_was_corrected_and_withdrawn(
        self, admin: Client, project: Project, by: Actor
    ) -> None:
        put(by, model="gpt-4o")
        put(by, DEAR, model="gpt-4o")
        last = put(by, model="gpt-4o", at=JULY)
        answer = admin.post(f"/{project.slug}/prices/{last.pk}/withdraw/", follow=True)
        page = answer.content.decode()
        assert answer.redirect_chain[0][0].endswith("/prices/history/?model=gpt-4o&provider=")
        assert "corrected by" in page
        assert "withdrawn by" in page
        assert "OpenAI" in page

    def test_does_without_published_prices_and_uses_them_again(self, admin: Client, project: Project) -> None:
        page = admin.post(f"/{project.slug}/prices/published/", {"use": "no"}, follow=True).content.decode()
        assert "claude-sonnet-4-5" not in page
        page = admin.post(f"/{project.slug}/prices/published/", {"use": "yes"}, follow=True).content.decode()
        assert "claude-sonnet-4-5" in page

    def test_is_read_by_engineers_without_a_form(self, client: Client, project: Project, by: Actor) -> None:
        price = put(by)
        client.force_login(factories.a_member(project, Role.ENGINEER))
        page = client.get(f"/{project.slug}/prices/").content.decode()
        assert "Set this price" not in page
        assert client.post(f"/{project.slug}/prices/", self.GOOD).status_code == 403
        assert client.post(f"/{project.slug}/prices/{price.pk}/withdraw/").status_code == 403
        assert client.post(f"/{project.slug}/prices/published/", {"use": "no"}).status_code == 403

    def test_of_another_project_are_not_there(self, client: Client, project: Project, by: Actor) -> None:
        foreign = put(factories.an_actor(factories.a_project()), model="secret-model")
        client.force_login(factories.a_member(project, Role.ADMIN))
        assert client.post(f"/{project.slug}/prices/{foreign.pk}/withdraw/").status_code == 404
        assert "secret-model" not in client.get(f"/{project.slug}/prices/").content.decode()
        page = client.get(f"/{project.slug}/prices/history/?model=secret-model").content.decode()
        assert "No price of this project has exactly this name" in page
