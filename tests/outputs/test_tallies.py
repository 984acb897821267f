"""What is counted: every row that was sent, once, with what became of it."""

import asyncio
import datetime as dt
from collections import Counter

import pytest
from django.db.models import Sum

from core.problems import FieldError
from ledger.models import IdempotentAnswer
from outputs.ingest import counting
from outputs.ingest.app import Ingest
from outputs.models import Output, Tally
from outputs.services import tallies
from outputs.services.tallies import Count, Source
from projects.models import Project
from tests import factories
from tests.outputs import face
from tests.outputs.face import FEEDBACK, an_output, post

NOW = dt.datetime(2026, 3, 5, 12, 34, 56, tzinfo=dt.UTC)
Grain = Tally.Grain


def totals(project: Project) -> dict[str, int]:
    """Of all the project's tallies."""
    names = ("n_requests", "accepted", "duplicates", "rejected", "refused")
    found = Tally.objects.filter(project=project).aggregate(**{name: Sum(name) for name in names})
    return {name: found[name] or 0 for name in names}


def added(project: Project, name: str) -> Counter[str]:
    """A counter of all the project's tallies."""
    found: Counter[str] = Counter()
    for row in Tally.objects.filter(project=project):
        found.update(getattr(row, name))
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("committed")
class TestOnArrival:
    def test_every_row_is_counted_with_what_became_of_it(self, project: Project, key: str) -> None:
        rows = [an_output(1), an_output(2), an_output(2), {"id": "bad"}, an_output(1, output="another")]
        reply = face.ask(post(rows, key, User_Agent="python-httpx/0.28 (a comment)"))
        assert reply.counts == (2, 1, 2)
        row = Tally.objects.get(project=project)
        assert (row.n_requests, row.accepted, row.duplicates, row.rejected) == (1, 2, 1, 2)
        assert (row.sender, row.route, row.instrument) == (
            f"key:{project.api_keys.get().name}",
            "/api/v1/outputs",
            "python-httpx",
        )
        assert row.stored == {"outputs": Output.objects.of(project.pk).count()}
        assert sum(row.reasons.values()) == row.rejected
        assert row.n_bytes > 0

    def test_requests_of_one_transaction_make_one_row_for_each_source(self, project: Project, key: str) -> None:
        face.during(lambda app: _many(app, key))
        assert totals(project)["accepted"] == 44
        assert Tally.objects.filter(project=project).count() < 20
        assert added(project, "stored") == {"outputs": 41, "feedback": 3}

    def test_an_answer_given_again_counts_as_duplicates(self, project: Project, key: str) -> None:
        request = post([an_output(1), {"id": "bad"}], key, Idempotency_Key="once")
        for _ in range(2):
            assert face.ask(request).counts == (1, 0, 1)
        found = totals(project)
        assert (found["accepted"], found["duplicates"], found["rejected"]) == (1, 1, 2)
        assert IdempotentAnswer.objects.filter(project_id=project.pk).count() == 1

    def test_what_is_refused_whole_is_counted_soon(self, project: Project, key: str) -> None:
        face.ask(
            post(b"{", key),
            post(an_output(1), key, Content_Type="text/plain"),
            post([{"id": "a"}, {"id": "b", "input": "x"}], key),
            post(an_output(1), "wrong"),
        )
        found = totals(project)
        assert (found["refused"], found["rejected"], found["accepted"]) == (2, 2, 0)
        assert sum(added(project, "refusals").values()) == 2
        assert added(project, "reasons").total() == 2

    def test_made_up_instruments_fill_no_table(self, project: Project, key: str) -> None:
        requests = [post(an_output(n), key, User_Agent=f"agent-{n}/1") for n in range(60)]
        face.ask(*requests)
        names = set(Tally.objects.filter(project=project).values_list("instrument", flat=True))
        assert len(names) == counting.MOST_INSTRUMENTS + 1
        assert totals(project)["accepted"] == 60

    def test_nothing_of_a_rejected_row_is_kept(self, project: Project, key: str) -> None:
        secret = "jane.doe@example.org"
        rows = [
            {**an_output(1), secret: 1},
            an_output(2, metadata={secret: float("inf")}),
            an_output(3, started_at=f"{secret}"),
            an_output(4, status=secret),
            an_output(5, input=[{"role": secret, "text": secret}]),
        ]
        face.ask(post([*rows, an_output(6)], key))
        told = str(list(Tally.objects.filter(project=project).values_list("reasons", flat=True)))
        assert Tally.objects.filter(project=project).latest("pk").rejected >= 3
        assert "jane" not in told
        assert "example" not in told


class TestReasons:
    @pytest.mark.parametrize(
        ("field", "message", "said"),
        [
            ("id", "has 250 characters; send at most 200", "id: has n characters; send at most n"),
            ("metadata.a[0]", "is 'secret', not a number", "metadata…: is …, not a number"),
            ("jane@example.org", "is not known", "…: is not known"),
            ("", 'is "half', "…: is …"),
        ],
    )
    def test_hold_no_value(self, field: str, message: str, said: str) -> None:
        assert tallies.reason(field, message) == said

    def test_are_few_and_still_add_up(self) -> None:
        rejected = {place: (FieldError(f"field{chr(97 + place % 26)}", "is odd"),) for place in range(100)}
        found = tallies.reasons_of(rejected)
        assert len(found) == tallies.MOST_REASONS
        assert found.total() == 100
        assert found[tallies.OTHER] > 0


@pytest.mark.django_db
class TestSumUp:
    def test_sums_stay_exact_from_moments_to_all_time(self) -> None:
        project, other = factories.a_project(), factories.a_project()
        sent = 0
        for place in range(200):
            at = NOW - dt.timedelta(hours=place * 9, seconds=place)
            for of in (project, other):
                source = Source(of.pk, f"key:{place % 3}", "/api/v1/outputs", "curl")
                count = Count(1, place, 1, 2, 0, 10, Counter(outputs=place), Counter({f"reason {place % 30}": 2}))
                tallies.count_now({source: count}, now=at)
            sent += place
        for later in (0, 1, 60, 3_600, 86_400 * 3, 86_400 * 100):
            tallies.sum_up(now=NOW + dt.timedelta(seconds=later))
            for of in (project, other):
                rows = Tally.objects.filter(project=of).aggregate(n=Sum("accepted"), r=Sum("rejected"))
                assert rows == {"n": sent, "r": 400}
                assert added(of, "reasons").total() == 400
                assert added(of, "stored")["outputs"] == sent
        while tallies.sum_up(now=NOW + dt.timedelta(days=200)):
            pass
        ever = Tally.objects.filter(project=project)
        assert set(ever.values_list("grain", flat=True)) == {Grain.EVER}
        assert ever.count() == 3
        assert ever.earliest("first_at").first_at == NOW - dt.timedelta(hours=199 * 9, seconds=199)
        assert ever.latest("last_at").last_at == NOW

    def test_a_repeat_finds_nothing(self) -> None:
        source = Source(factories.a_project().pk, "key:a", "/api/v1/outputs")
        tallies.count_now({source: Count(1, 5)}, now=NOW)
        later = NOW + dt.timedelta(seconds=5)
        assert (tallies.sum_up(now=later), tallies.sum_up(now=later)) == (1, 0)
        row = Tally.objects.get()
        assert (row.grain, row.starts_at, row.accepted) == (Grain.MINUTE, NOW.replace(second=0), 5)

    def test_what_comes_late_joins_its_minute(self) -> None:
        source = Source(factories.a_project().pk, "key:a", "/api/v1/outputs")
        for accepted in (5, 7):
            tallies.count_now({source: Count(1, accepted)}, now=NOW)
            tallies.sum_up(now=NOW + dt.timedelta(seconds=5))
        assert Tally.objects.get().accepted == 12

    def test_a_project_that_is_gone_counts_nothing(self) -> None:
        source = Source(2**40, "key:a", "/api/v1/outputs")
        tallies.count_now({source: Count(1, 5)}, now=NOW)
        assert not Tally.objects.exists()


async def _many(app: Ingest, key: str) -> None:
    thumb = {"output_id": "1", "kind": "thumb", "value": 1}
    await post(an_output(0), key).to(app)
    rows = [post(an_output(n), key) for n in range(1, 41)]
    thumbs = [post(thumb, key, path=FEEDBACK) for _ in range(3)]
    await asyncio.gather(*(request.to(app) for request in [*rows, *thumbs]))
