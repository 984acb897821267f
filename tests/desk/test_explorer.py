"""The explorer and the page of one output, as they are asked for and answered."""

import csv
import datetime as dt
import html
import io
import json
import re
import urllib.parse
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from core import clock
from desk.models import SavedFilter
from ledger import handovers
from ledger.models import Handover
from outputs import queries
from outputs.models import Feedback, Output, OutputBody
from outputs.services import search
from projects.models import Project, Role, User
from reviews import readings
from reviews.models import Item, ItemOutput, Match, Review, SamplingRule
from tests import factories

pytestmark = pytest.mark.django_db

HOSTILE = "<script>window.ran = 1</script>"


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def engineer(project: Project) -> User:
    return factories.a_member(project)


@pytest.fixture
def client(engineer: User) -> Client:
    found = Client()
    found.force_login(engineer)
    return found


def list_url(project: Project, query: str = "") -> str:
    return reverse("desk:output-list", args=[project.slug]) + (f"?{query}" if query else "")


def detail_url(output: Output) -> str:
    return reverse("desk:output-detail", args=[output.project.slug, output.external_id])


def stored(project: Project, external_id: str, *, body: dict[str, Any] | None = None, **fields: Any) -> Output:
    now = clock.now()
    fields = {"received_at": now, "received_on": now.date(), "body_hash": b"", **fields}
    output = Output.objects.create(project=project, external_id=external_id, **fields)
    said = {"input": f"question {external_id}", "output": "answer", **(body or {})}
    OutputBody.objects.create(output_id=output.pk, received_on=output.received_on, **said)
    return output


def searchable(project: Project) -> None:
    handovers.announce(
        "outputs.stored", project_id=project.pk, ids=list(Output.objects.of(project.pk).values_list("pk", flat=True))
    )
    while search.index_waiting(now=clock.now()):
        pass


def said_about(output: Output, kind: str, **fields: Any) -> Feedback:
    return Feedback.objects.create(
        project=output.project,
        external_id=f"f{Feedback.objects.count()}",
        body_hash=b"",
        output_external_id=output.external_id,
        kind=kind,
        **fields,
    )


def listed(client: Client, project: Project, query: str = "") -> list[str]:
    """The external ids on the page, in their order."""
    answer = client.get(list_url(project, query))
    assert answer.status_code == 200, answer.content
    return [row.output.external_id for row in answer.context["listed"].rows]


class TestOutputList:
    def test_shows_the_newest_first_with_what_was_found(self, client: Client, project: Project) -> None:
        revision = factories.a_revision(factories.a_prompt(project))
        stored(project, "plain", latency_ms=1420.0, cost_usd="0.0061", prompt=revision.prompt, revision=revision)
        stored(project, "failed", status=Output.Status.ERROR, body={"output": None, "error": "Timed out"})
        said_about(stored(project, "disliked"), "thumb", value=-1)
        page = client.get(list_url(project)).content.decode()
        assert listed(client, project) == ["disliked", "failed", "plain"]
        for words in ("question plain", "Timed out", "Thumb down", "1.42", "$0.0061", "r1", "3 outputs, newest first"):
            assert words in page
        assert '<span class="muted">none</span>' in page

    def test_shows_a_verdict_before_a_thumb(self, client: Client, project: Project) -> None:
        verdict = factories.a_verdict(factories.a_prompt(project), text="Where?", correction="right")
        said_about(verdict.item.item_outputs.get().output, "thumb", value=1)
        page = client.get(list_url(project)).content.decode()
        assert "Corrected" in page
        assert "Thumb up" not in page

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("q=bike", ["b"]),
            ("q=BIKE+pink", ["b"]),
            ("q=bike+blue", []),
            ("q=bik*", ["b"]),
            ("status=error", ["c"]),
            ("feedback=down", ["a"]),
            ("feedback=up", ["d"]),
            ("score=grounded", ["d", "b"]),
            ("score=grounded&score_max=0.5", ["b"]),
            ("score=grounded&score_min=0.5&score_max=1", ["d"]),
            ("model=m1&q=bike", ["b"]),
            ("days=2", ["d", "c", "b"]),
            ("verdict=none", ["d", "c", "b", "a"]),
            ("verdict=any", []),
            ("environment=", ["d", "c", "b", "a"]),
            ("session=s1", ["c", "b"]),
            ("session=s1&status=error", ["c"]),
            ("trace=t1", ["b"]),
            ("user=u1", ["d"]),
        ],
    )
    def test_filters(self, client: Client, project: Project, query: str, expected: list[str]) -> None:
        long_ago = clock.now() - dt.timedelta(days=9)
        a = stored(project, "a", received_at=long_ago, received_on=long_ago.date())
        b = stored(project, "b", model="m1", session_id="s1", trace_id="t1", body={"input": "My pink Bike is gone"})
        stored(project, "c", status=Output.Status.ERROR, body={"error": "boom"}, session_id="s1")
        d = stored(project, "d", end_user="u1")
        said_about(a, "thumb", value=0)
        said_about(d, "thumb", value=1)
        said_about(b, "score", name="grounded", value=0.2)
        said_about(d, "score", name="grounded", value=0.9)
        searchable(project)
        assert listed(client, project, query) == expected

    @pytest.mark.parametrize(
        ("query", "n"), [("verdict=any", 2), ("verdict=low", 1), ("verdict=high", 1), ("verdict=corrected", 1)]
    )
    def test_filters_by_what_people_judged(self, client: Client, project: Project, query: str, n: int) -> None:
        prompt = factories.a_prompt(project)
        factories.a_verdict(prompt, text="One?", correction="right")
        factories.a_verdict(prompt, text="Two?", correction=None)
        stored(project, "unjudged")
        found = listed(client, project, query)
        assert len(found) == n
        assert "unjudged" not in found

    def test_finds_common_words_as_well_as_rare_ones(
        self, client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries, "MOST_LISTED", 2)
        monkeypatch.setattr(queries, "MOST_COUNTED", 2)
        for number in range(5):
            said_about(stored(project, f"o{number}", body={"input": "common"}), "thumb", value=-1)
        searchable(project)
        assert listed(client, project, "q=common") == ["o4", "o3", "o2", "o1", "o0"]
        assert listed(client, project, "q=common&feedback=down&model=") == ["o4", "o3", "o2", "o1", "o0"]
        assert "more than 10,000" not in client.get(list_url(project, "q=common")).content.decode()
        assert "2 or more outputs" in client.get(list_url(project, "q=common")).content.decode()

    def test_goes_through_the_pages_of_a_word(self, client: Client, project: Project) -> None:
        expected = [stored(project, f"o{number}", body={"input": "bike"}).external_id for number in range(60)][::-1]
        searchable(project)
        first = client.get(list_url(project, "q=bike"))
        second = client.get(first.context["older"])
        pages = [[row.output.external_id for row in page.context["listed"].rows] for page in (first, second)]
        assert pages == [expected[:50], expected[50:]]
        assert "60 outputs" in first.content.decode()

    def test_stops_after_a_window_and_says_how_far_it_looked(
        self, client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries, "WINDOW", 3)
        stored(project, "wanted", model="rare")
        for number in range(7):
            stored(project, f"o{number}")
        url, found, n_pages = list_url(project, "model=rare"), [], 0
        while url:
            answer = client.get(url)
            found += [row.output.external_id for row in answer.context["listed"].rows]
            assert bool(answer.context["older"]) == (b"Look further back" in answer.content)
            url, n_pages = answer.context["older"], n_pages + 1
        assert (found, n_pages) == (["wanted"], 3)

    def test_goes_through_all_pages_without_gap_or_repeat(self, client: Client, project: Project) -> None:
        expected = [stored(project, f"o{number}").external_id for number in range(120)][::-1]
        url, found = list_url(project), []
        while url:
            answer = client.get(url)
            found.append([row.output.external_id for row in answer.context["listed"].rows])
            url = answer.context["older"]
        assert [len(page) for page in found] == [50, 50, 20]
        assert sum(found, []) == expected  # noqa: RUF017 # three pages

    def test_scrolling_brings_rows_alone(self, client: Client, project: Project) -> None:
        for number in range(60):
            stored(project, f"o{number}")
        older = client.get(list_url(project)).context["older"]
        rows = client.get(older, headers={"HX-Request": "true"}).content.decode()
        assert rows.count("<tr") == 11
        assert "<html" not in rows

    def test_costs_the_same_statements_for_any_number(
        self, client: Client, project: Project, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(3):
            stored(project, f"a{number}")
        searchable(project)
        client.get(list_url(project, "q=question"))
        with django_assert_max_num_queries(20) as few:
            client.get(list_url(project, "q=question"))
        prompt = factories.a_prompt(project)
        for number in range(40):
            output = stored(project, f"b{number}")
            said_about(output, "thumb", value=1)
            factories.a_verdict(prompt, text=f"question {number}?")
        searchable(project)
        with django_assert_max_num_queries(20) as many:
            client.get(list_url(project, "q=question"))
        assert len(many) == len(few)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("since=yesterday", "since"),
            ("status=fine", "status"),
            ("q=%21%21", "q"),
            ("days=0", "days"),
            ("score_min=1", "score"),
            ("score=a&score_max=nan", "score_max"),
            ("feedback=sideways", "feedback"),
            ("verdict=maybe", "verdict"),
            ("model=a%00b", "model"),
        ],
    )
    def test_says_which_filter_it_cannot_read_and_keeps_it(
        self, client: Client, project: Project, query: str, field: str
    ) -> None:
        stored(project, "a")
        answer = client.get(list_url(project, query))
        assert answer.status_code == 422
        assert [flaw.field for flaw in answer.context["flaws"]] == [field]
        assert answer.context["listed"].rows == []
        name, value = urllib.parse.parse_qsl(query)[0]
        assert answer.context["given"][name] == value

    def test_offers_to_drop_what_matches_nothing(self, client: Client, project: Project) -> None:
        stored(project, "a", model="m1")
        page = client.get(list_url(project, "model=m2&status=ok")).content.decode()
        assert "No output matches" in page
        assert f'href="{list_url(project, "status=ok")}"' in page

    def test_waits_for_the_first_output_and_shows_it(self, client: Client, project: Project) -> None:
        page = client.get(list_url(project)).content.decode()
        assert "curl -X POST" in page
        assert "every 2s" in page
        asked = {"path": list_url(project, "waiting=1"), "headers": {"HX-Request": "true"}}
        assert "every 2s" in client.get(**asked).content.decode()
        stored(project, "first")
        arrived = client.get(**asked).content.decode()
        assert "question first" in arrived
        assert "every 2s" not in arrived

    def test_says_how_far_the_search_is_behind(self, client: Client, project: Project) -> None:
        output = stored(project, "a")
        handovers.announce("outputs.stored", project_id=project.pk, ids=[output.pk])
        assert "behind" not in client.get(list_url(project, "q=a")).content.decode()
        Handover.objects.update(created_at=clock.now() - dt.timedelta(minutes=3, seconds=5))
        assert "The search is 3 min behind" in client.get(list_url(project, "q=a")).content.decode()
        assert "behind" not in client.get(list_url(project)).content.decode()

    def test_hands_days_on_as_a_moment(self, client: Client, project: Project) -> None:
        stored(project, "a")
        carried = client.get(list_url(project, "days=2&model=m")).context["carried"]
        assert set(carried) == {"since", "model"}

    def test_obeys_no_text(self, client: Client, project: Project) -> None:
        output = stored(
            project,
            HOSTILE,
            model=HOSTILE,
            environment=HOSTILE[:60],
            status=Output.Status.ERROR,
            body={"input": HOSTILE, "output": HOSTILE, "error": HOSTILE},
        )
        said_about(output, "score", name=HOSTILE, value=0.5)
        query = urllib.parse.urlencode({"q": HOSTILE, "model": HOSTILE})
        for url in (list_url(project), list_url(project, query), detail_url(output)):
            page = client.get(url).content.decode()
            assert "<script>window.ran" not in page
        assert "&lt;script&gt;window.ran" in client.get(list_url(project)).content.decode()

    def test_a_stranger_and_a_reviewer_see_nothing(self, project: Project) -> None:
        stored(project, "theirs")
        stranger, reviewer = Client(), Client()
        stranger.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
        reviewer.force_login(factories.a_member(project, Role.REVIEWER))
        for path in (list_url(project), f"/{project.slug}/outputs/theirs/", f"/{project.slug}/outputs.csv"):
            assert stranger.get(path).status_code == 404
            assert reviewer.get(path).status_code == 403

    def test_never_finds_the_words_of_another_project(self, client: Client, project: Project) -> None:
        other = factories.a_project()
        stored(other, "theirs", body={"input": "secret word"})
        stored(project, "mine")
        searchable(other)
        searchable(project)
        assert listed(client, project, "q=secret") == []


class TestOutputDetail:
    def test_shows_all_that_is_known(self, client: Client, project: Project) -> None:
        revision = factories.a_revision(factories.a_prompt(project))
        output = stored(
            project,
            "o",
            prompt=revision.prompt,
            revision=revision,
            model="orchid",
            tags=["vip"],
            input_tokens=1842,
            confidence=0.4,
            body={
                "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is it?"}],
                "output": "It is **here**.",
                "metadata": {"documents": [{"title": "Policy 7", "text": "Within 14 days."}]},
            },
        )
        said_about(output, "thumb", value=-1, comment="Not what your site says")
        said_about(output, "score", name="grounded", value=0.25, label="in part")
        page = client.get(detail_url(output)).content.decode()
        for words in ("Be brief.", "<strong>here</strong>", "Policy 7", "Within 14 days.", "orchid", "vip", "1,842"):
            assert words in page
        for words in ("unpriced", "Thumb down", "Not what your site says", "grounded", "in part", "Where is it?"):
            assert words in page
        assert "It is **here**." in client.get(detail_url(output) + "?raw=1").content.decode()

    @pytest.mark.parametrize(
        "external_id",
        [
            "with/slash/es",
            "trace:span",
            "ünï 😀",
            "a%2Fb",
            "a?b#c",
            "ends/",
            "/x",
            "count",
            ".",
            "..",
            "a/../b",
            "newer",
        ],
    )
    def test_is_found_by_the_id_it_was_sent_with(self, client: Client, project: Project, external_id: str) -> None:
        output = stored(project, external_id)
        assert client.get(detail_url(output)).context["found"].output == output

    def test_hides_reviews_until_the_item_is_settled(self, client: Client, project: Project) -> None:
        output = stored(project, "o")
        queue = factories.a_queue(project)
        item = Item.objects.create(
            project=project, queue=queue, rubric=queue.rubric, subject_key=str(output.pk), overlap=2, n_reviews=1
        )
        ItemOutput.objects.create(item=item, output=output)
        rule = SamplingRule.objects.create(queue=queue, rate=0.35, salt=b"0" * 16)
        Match.objects.create(rule=rule, output=output, p=0.35, drawn=True)
        Review.objects.create(
            item=item,
            reviewer="user:1",
            claim_token="0" * 32,
            answers={"correct": "no"},
            comment="a telling remark",
            at=clock.now(),
        )
        client.force_login(factories.a_member(project, Role.MANAGER))
        page = client.get(detail_url(output)).content.decode()
        assert "1 review of 2, hidden until settled" in page
        assert "a telling remark" not in page
        assert "probability 0.35" in page
        item.state = Item.State.SETTLED
        item.save()
        page = client.get(detail_url(output)).content.decode()
        assert "a telling remark" in page
        assert "hidden until settled" not in page

    @pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "side"])
    def test_hides_what_was_found_from_whoever_still_judges(
        self, client: Client, project: Project, engineer: User, headers: dict[str, str]
    ) -> None:
        verdict = factories.a_verdict(
            factories.a_prompt(project), text="Where?", said="old", correction="elsewhere-said"
        )
        output = verdict.item.item_outputs.get().output
        said_about(output, "thumb", value=-1, comment="thumb-said")
        said_about(output, "score", name="grounded", value=0.25, comment="score-said")
        queue = factories.a_queue(project, "second-look")
        item = Item.objects.create(project=project, queue=queue, rubric=queue.rubric, subject_key=str(output.pk))
        ItemOutput.objects.create(item=item, output=output)
        Review.objects.create(
            item=verdict.item, reviewer="user:1", claim_token="0" * 32, answers={}, comment="other-said", at=clock.now()
        )
        found = (
            "thumb-said",
            "score-said",
            "grounded",
            reverse("desk:verdict-detail", args=[project.slug, verdict.pk]),
        )
        page = client.get(detail_url(output), headers=headers).content.decode()
        for words in (*found, "elsewhere-said", "other-said", "Verdict: quality"):
            assert words not in page
        assert "hidden until you have judged it" in page
        assert reverse("reviews:review-item", args=[project.slug, "second-look", item.pk]) in page
        for stays in ("old", output.external_id):
            assert stays in page
        Review.objects.create(
            item=item, reviewer=f"user:{engineer.pk}", claim_token="1" * 32, answers={}, at=clock.now()
        )
        page = client.get(detail_url(output), headers=headers).content.decode()
        assert "hidden until you have judged it" not in page
        for words in found:
            assert words in page

    def test_hides_nothing_from_whoever_never_judges(self, client: Client, project: Project) -> None:
        output = stored(project, "o")
        said_about(output, "thumb", value=-1, comment="thumb-said")
        queue = factories.a_queue(project)
        item = Item.objects.create(project=project, queue=queue, rubric=queue.rubric, subject_key=str(output.pk))
        ItemOutput.objects.create(item=item, output=output)
        client.force_login(factories.a_member(project, Role.MANAGER))
        assert "thumb-said" in client.get(detail_url(output)).content.decode()

    def test_reads_what_was_retrieved_as_the_reviewers_page_does(self, client: Client, project: Project) -> None:
        metadata = {"knowledge": [{"name": "From knowledge", "document": "k-text"}], "retrieval": "r-text"}
        sent = [{"role": "user", "content": [{"url": "an-image"}]}]
        output = stored(project, "o", body={"input": sent, "output": {"a": 1}, "metadata": metadata})
        found = client.get(detail_url(output)).context["found"]
        assert {(one.title, one.text) for one in found.context} == {
            ("From knowledge", "k-text"),
            ("Passage 1", "r-text"),
        }
        assert found.context == readings.passages_of(metadata)
        assert found.asked == readings.thread_of(sent)
        assert "an-image" in client.get(detail_url(output)).content.decode()

    def test_leads_to_the_verdict_and_shows_the_correction(self, client: Client, project: Project) -> None:
        verdict = factories.a_verdict(factories.a_prompt(project), text="Where?", said="old", correction="new")
        page = client.get(detail_url(verdict.item.item_outputs.get().output)).content.decode()
        assert reverse("desk:verdict-detail", args=[project.slug, verdict.pk]) in page
        assert "<del>old</del>" in page
        assert "<ins>new</ins>" in page

    def test_draws_the_trace_on_one_scale_and_names_orphans(self, client: Client, project: Project) -> None:
        begin = clock.now()
        spans = [
            ("root", "", 0, 1000),
            ("child", "root", 250, 500),
            ("grandchild", "child", 250, 100),
            ("lost", "gone", 500, 500),
        ]
        for name, parent, start, length in spans:
            stored(
                project,
                name,
                trace_id="t",
                span_id=name,
                parent_span_id=parent,
                started_at=begin + dt.timedelta(milliseconds=start),
                latency_ms=length,
            )
        found = client.get(f"/{project.slug}/outputs/child/").context["found"].trace
        drawn = [(one.span.output.external_id, one.depth, one.start, one.width) for one in found.spans]
        assert drawn == [("root", 0, 0, 100), ("child", 1, 25, 50), ("grandchild", 2, 25, 10), ("lost", 0, 50, 50)]
        assert (found.total_ms, found.n_orphans) == (1000, 1)

    def test_survives_spans_that_are_each_others_parents(self, client: Client, project: Project) -> None:
        for name, parent in (("a", "b"), ("b", "a"), ("self", "self")):
            stored(project, name, trace_id="t", span_id=name, parent_span_id=parent)
        found = client.get(f"/{project.slug}/outputs/a/").context["found"].trace
        assert {one.span.output.external_id for one in found.spans} == {"a", "b", "self"}
        assert found.total_ms is None

    def test_says_that_texts_are_gone(self, client: Client, project: Project) -> None:
        output = stored(project, "o", model="m")
        OutputBody.objects.filter(output_id=output.pk).delete()
        page = client.get(detail_url(output)).content.decode()
        assert "The texts of this output are gone" in page
        assert listed(client, project) == ["o"]

    def test_beside_the_list_is_a_summary(self, client: Client, project: Project) -> None:
        output = stored(project, "o")
        part = client.get(detail_url(output), headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in part
        assert f'href="{detail_url(output)}"' in part

    def test_takes_long_texts_of_every_script(self, client: Client, project: Project) -> None:
        long = "سلام 日本語 😀 <b>x</b> " * 12_000
        output = stored(project, "o", body={"input": long, "output": long})
        searchable(project)
        page = client.get(detail_url(output)).content.decode()
        assert "<b>x</b>" not in page
        assert len(client.get(list_url(project)).content) < 60_000
        for words in ("日本", "本語", "سلام", "😀", "語"):
            assert listed(client, project, f"q={urllib.parse.quote(words)}") == ["o"]

    def test_costs_the_same_statements_for_any_number(
        self, client: Client, project: Project, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        verdict = factories.a_verdict(factories.a_prompt(project), text="Where?")
        output = verdict.item.item_outputs.get().output
        Output.objects.filter(pk=output.pk).update(trace_id="t")
        client.get(detail_url(output))
        with django_assert_max_num_queries(16) as few:
            client.get(detail_url(output))
        for number in range(20):
            said_about(output, "comment", comment=str(number))
            stored(project, f"o{number}", trace_id="t")
        with django_assert_max_num_queries(16) as many:
            client.get(detail_url(output))
        assert len(many) == len(few)

    def test_shows_texts_as_sent_to_the_letter(self, client: Client, project: Project) -> None:
        said = {"input": [{"role": "user", "content": "*Where*  is it?"}], "output": '{"b":1,  "a": 2}'}
        output = stored(project, "o", body=said)
        found = client.get(detail_url(output) + "?raw=1").context["found"]
        assert found.answer_raw == '{"b":1,  "a": 2}'
        assert json.loads(found.asked_raw) == said["input"]
        page = client.get(detail_url(output)).content.decode()
        assert "*Where*  is it?" in page
        assert "&quot;b&quot;: 1,\n" in page

    @pytest.mark.parametrize("query", ["", "raw=1"])
    def test_folds_a_text_that_nobody_reads_whole(self, client: Client, project: Project, query: str) -> None:
        long = "word " * 40_000
        output = stored(project, "o", body={"input": long, "output": long})
        folded = client.get(f"{detail_url(output)}?{query}")
        assert len(folded.content) < 40_000
        assert "The first 4,000 of 200,000 characters" in folded.content.decode()
        whole = client.get(f"{detail_url(output)}?{query}&all=1").content.decode()
        assert whole.count("word ") >= 80_000

    def test_says_what_to_set_where_no_content_was_captured(self, client: Client, project: Project) -> None:
        output = stored(project, "o", model="m", body={"input": None, "output": None})
        page = client.get(detail_url(output)).content.decode()
        assert "No content captured" in page
        assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" in page
        failed = stored(project, "f", body={"input": None, "output": None, "error": "boom"})
        assert "No content captured" not in client.get(detail_url(failed)).content.decode()

    def test_shows_an_edit_as_a_correction_of_the_words(self, client: Client, project: Project) -> None:
        output = stored(project, "o", body={"output": "Within 45 days."})
        said_about(output, "edit", comment="Within 14 days.")
        page = client.get(detail_url(output)).content.decode()
        assert "<del>45" in page
        assert "<ins>14" in page

    def test_shows_feedback_that_came_before_it(self, client: Client, project: Project) -> None:
        Feedback.objects.create(
            project=project,
            external_id="f",
            body_hash=b"",
            output_external_id="late",
            kind="comment",
            comment="too slow",
        )
        assert "too slow" in client.get(detail_url(stored(project, "late"))).content.decode()


class TestOutputNewer:
    """The list goes on by itself."""

    def asked(self, client: Client, project: Project, query: str = "") -> str:
        return str(client.get(list_url(project, f"live=1&{query}")).context["live"].url)

    def newer(self, client: Client, url: str) -> tuple[list[str], str]:
        answer = client.get(url, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        page = answer.content.decode()
        return re.findall(r'name="output" value="([^"]+)"', page), html.unescape(
            re.findall(r'hx-get="([^"]+)"', page)[0]
        )

    def old(self, project: Project, external_id: str, **fields: Any) -> Output:
        """Stored a moment ago, so that nothing can come before it any more."""
        return stored(project, external_id, received_at=clock.now() - dt.timedelta(seconds=5), **fields)

    def test_brings_only_what_is_newer_and_that_once(self, client: Client, project: Project) -> None:
        self.old(project, "before")
        url = self.asked(client, project)
        assert self.newer(client, url)[0] == []
        self.old(project, "a")
        self.old(project, "b")
        found, on = self.newer(client, url)
        assert found == ["b", "a"]
        assert self.newer(client, on)[0] == []

    def test_waits_until_nothing_can_come_before(self, client: Client, project: Project) -> None:
        self.old(project, "before")
        url = self.asked(client, project)
        stored(project, "just now")
        found, on = self.newer(client, url)
        assert found == []
        Output.objects.filter(external_id="just now").update(received_at=clock.now() - dt.timedelta(seconds=5))
        assert self.newer(client, on)[0] == ["just now"]

    def test_keeps_to_the_filter_and_moves_on_over_the_rest(self, client: Client, project: Project) -> None:
        self.old(project, "before")
        url = self.asked(client, project, "model=m1")
        self.old(project, "other", model="m2")
        found, on = self.newer(client, url)
        assert found == []
        assert on != url
        self.old(project, "wanted", model="m1")
        assert self.newer(client, on)[0] == ["wanted"]

    def test_shows_a_page_of_many_and_says_how_many(
        self, client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("desk.explorer_queries.MOST_NEWER", 2)
        self.old(project, "before")
        url = self.asked(client, project)
        for number in range(5):
            self.old(project, f"o{number}")
        assert self.newer(client, url)[0] == ["o4", "o3"]
        assert "3 of the last 5 not shown" in client.get(url, headers={"HX-Request": "true"}).content.decode()

    def test_is_a_plain_page_without_a_script(self, client: Client, project: Project) -> None:
        self.old(project, "before")
        page = client.get(list_url(project, "live=1")).content.decode()
        assert "Look again" in page
        assert "Stop" in page
        assert client.get(list_url(project)).context["live"] is None

    def test_refuses_a_filter_it_cannot_read(self, client: Client, project: Project) -> None:
        assert client.get(f"{list_url(project)}newer/?above=1&status=fine").status_code == 422
        assert client.get(f"{list_url(project)}newer/?above=x").status_code == 200


class TestOutputExport:
    def test_gives_all_that_match_and_no_formulas(
        self, client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("desk.explorer.AT_ONCE", 2)
        for number in range(5):
            stored(project, f"o{number}", model="m", body={"output": "=SUM(A1)", "input": {"a": 1}})
        stored(project, "other")
        answer = client.get(f"/{project.slug}/outputs.csv?model=m")
        rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
        assert [row["id"] for row in rows] == ["o4", "o3", "o2", "o1", "o0"]
        assert rows[0]["output"] == "'=SUM(A1)"
        assert rows[0]["input"] == '{"a":1}'
        answer = client.get(f"/{project.slug}/outputs.jsonl?model=m")
        lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
        assert [line["output"] for line in lines] == ["=SUM(A1)"] * 5

    def test_knows_no_other_format_and_no_bad_filter(self, client: Client, project: Project) -> None:
        assert client.get(f"/{project.slug}/outputs.xml").status_code == 404
        assert client.get(f"/{project.slug}/outputs.csv?status=x").status_code == 422


class TestFilterSave:
    def test_keeps_the_filter_under_a_name_and_lists_it(self, client: Client, project: Project) -> None:
        stored(project, "a")
        url = reverse("desk:filter-save", args=[project.slug])
        for query in ("model=m1", "model=m2&below=7&evil=1"):
            answer = client.post(url, {"name": " Mine ", "query": query})
            assert answer.status_code == 302
        assert [(one.name, one.query) for one in SavedFilter.objects.all()] == [("Mine", "model=m2")]
        page = client.get(list_url(project)).content.decode()
        assert f'href="{list_url(project, "model=m2")}"' in page

    @pytest.mark.parametrize(("name", "query"), [("", "model=m"), ("x" * 81, "model=m"), ("x", ""), ("x", "evil=1")])
    def test_refuses_no_name_and_no_filter(self, client: Client, project: Project, name: str, query: str) -> None:
        answer = client.post(
            reverse("desk:filter-save", args=[project.slug]), {"name": name, "query": query}, follow=True
        )
        assert "Not saved" in answer.content.decode()
        assert not SavedFilter.objects.exists()


class TestFilterDelete:
    def test_only_mine(self, client: Client, project: Project, engineer: User) -> None:
        mine = SavedFilter.objects.create(project=project, user=engineer, name="m", query="model=m")
        other = factories.a_member(project)
        theirs = SavedFilter.objects.create(project=project, user=other, name="t", query="model=m", is_shared=True)
        private = SavedFilter.objects.create(project=project, user=other, name="p", query="model=p")
        stored(project, "a")
        seen = [one.pk for one in client.get(list_url(project)).context["choices"].saved]
        assert seen == [mine.pk, theirs.pk]
        for one, status in ((mine, 302), (mine, 404), (theirs, 404), (private, 404)):
            sent = {"filter": one.pk, "back": "https://evil.example/"}
            assert client.post(reverse("desk:filter-delete", args=[project.slug]), sent).status_code == status
        assert SavedFilter.objects.count() == 2

    def test_leads_back_to_where_one_was_and_nowhere_else(
        self, client: Client, project: Project, engineer: User
    ) -> None:
        for back, expected in (
            (list_url(project, "q=a"), list_url(project, "q=a")),
            ("//evil.example", list_url(project)),
        ):
            one = SavedFilter.objects.create(project=project, user=engineer, name="m", query="model=m")
            sent = {"filter": one.pk, "back": back}
            answer = client.post(reverse("desk:filter-delete", args=[project.slug]), sent)
            assert answer["Location"] == expected
