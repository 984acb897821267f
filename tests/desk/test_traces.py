"""The pages of a trace and of a session, and what the API gives of a trace."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from core import clock
from desk import trace_queries
from outputs import traces
from outputs.models import Feedback, Output, OutputBody, Step, StepBody
from projects.models import Project, Role
from reviews.models import Item, ItemOutput
from tests import factories

pytestmark = pytest.mark.django_db

BEGAN = dt.datetime(2026, 11, 1, 9, tzinfo=dt.UTC)
HOSTILE = "<script>window.ran = 1</script>"


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def client(project: Project) -> Client:
    found = Client()
    found.force_login(factories.a_member(project))
    return found


def common(project: Project, sent_id: str, parent: str, at: float | None, lasts: float | None, **fields: Any) -> Any:
    began = None if at is None else BEGAN + dt.timedelta(milliseconds=at)
    told = {"trace_id": "t", "span_id": sent_id, "parent_span_id": parent, "started_at": began, "latency_ms": lasts}
    return {"project": project, "external_id": sent_id, "body_hash": b"", "received_on": BEGAN.date(), **told, **fields}


def a_step(
    project: Project, name: str, parent: str = "", at: float | None = 0, lasts: float | None = 100, **fields: Any
) -> Step:
    body = {key: fields.pop(key) for key in ("input", "output", "error", "metadata") if key in fields}
    step = Step.objects.create(**common(project, name, parent, at, lasts, **{"name": name, **fields}))
    StepBody.objects.create(step_id=step.pk, received_on=step.received_on, **body)
    return step


def an_output(
    project: Project, name: str, parent: str = "", at: float | None = 0, lasts: float | None = 100, **fields: Any
) -> Output:
    body = {key: fields.pop(key) for key in ("input", "output", "error", "metadata") if key in fields}
    output = Output.objects.create(**common(project, name, parent, at, lasts, **fields))
    OutputBody.objects.create(output_id=output.pk, received_on=output.received_on, **body)
    return output


def url(project: Project, trace_id: str = "t") -> str:
    return reverse("desk:trace-detail", args=[project.slug, trace_id])


def places(project: Project) -> list[tuple[str, int, bool]]:
    return [(span.of.external_id, span.depth, span.is_orphan) for span in traces.trace(project.pk, "t").spans]


def a_flow(project: Project) -> None:
    a_step(project, "agent", at=0, lasts=1000, kind=Step.Kind.AGENT)
    a_step(project, "search", "agent", at=100, lasts=200, kind=Step.Kind.RETRIEVAL, output=["Policy 7"])
    an_output(project, "answer", "agent", at=400, lasts=500, model="orchid", input="Where?", output="Here.")


class TestTree:
    def test_holds_outputs_and_steps_below_their_parents_by_time(self, project: Project) -> None:
        a_flow(project)
        assert places(project) == [("agent", 0, False), ("search", 1, False), ("answer", 1, False)]

    def test_is_the_same_in_whatever_order_spans_arrive(self, project: Project) -> None:
        an_output(project, "answer", "agent", at=400)
        a_step(project, "search", "agent", at=100)
        a_step(project, "agent", at=0, lasts=1000)
        assert [name for name, _, _ in places(project)] == ["agent", "search", "answer"]

    def test_puts_orphans_and_circles_at_the_top(self, project: Project) -> None:
        a_step(project, "lost", "never arrived", at=0)
        a_step(project, "a", "b", at=1)
        an_output(project, "b", "a", at=2)
        an_output(project, "self", "self", at=3)
        found = places(project)
        assert sorted(name for name, _, _ in found) == ["a", "b", "lost", "self"]
        assert ("lost", 0, True) in found

    def test_puts_a_child_with_another_clock_where_its_parent_begins(self, project: Project) -> None:
        a_step(project, "root", at=0, lasts=1000)
        a_step(project, "behind", "root", at=-5_000, lasts=300)
        a_step(project, "inside", "behind", at=-4_900, lasts=100)
        a_step(project, "ahead", "root", at=3_600_000, lasts=100)
        spans = {span.of.external_id: span for span in traces.trace(project.pk, "t").spans}
        start = BEGAN.timestamp() * 1000
        shown = {name: (round((span.start_ms or 0) - start), round(span.shift_ms)) for name, span in spans.items()}
        assert shown == {"root": (0, 0), "behind": (0, 5_000), "inside": (100, 5_000), "ahead": (0, -3_600_000)}

    def test_leaves_work_in_the_background_where_it_is(self, project: Project) -> None:
        a_step(project, "root", at=0, lasts=1000)
        a_step(project, "later", "root", at=1_500, lasts=5_000)
        assert [span.shift_ms for span in traces.trace(project.pk, "t").spans] == [0, 0]

    def test_says_how_many_there_are_beyond_those_it_holds(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(traces, "MOST_SPANS", 5)
        for number in range(6):
            a_step(project, f"s{number}", at=number)
            an_output(project, f"o{number}", at=number)
        found = traces.trace(project.pk, "t")
        assert (len(found.spans), found.n, found.is_whole, found.is_exact) == (5, 12, False, True)
        monkeypatch.setattr(traces, "MOST_COUNTED", 8)
        found = traces.trace(project.pk, "t")
        assert (found.n, found.is_exact) == (8, False)


class TestTraceDetail:
    def test_shows_every_span_with_its_kind_time_tokens_and_cost(self, client: Client, project: Project) -> None:
        a_flow(project)
        Output.objects.update(input_tokens=100, output_tokens=20, cost_usd="0.0061")
        a_step(project, "broken", "agent", at=950, lasts=30, status=Output.Status.ERROR)
        page = client.get(url(project)).content.decode()
        for words in ("agent", "retrieval", "orchid", "model", "500", "120", "$0.0061", "failed", "4 spans"):
            assert words in page
        assert 'rect class="bar-1" x="40.0" width="50.0"' in page

    def test_opens_one_span_with_its_texts(self, client: Client, project: Project) -> None:
        a_flow(project)
        step, output = Step.objects.get(external_id="search"), Output.objects.get()
        assert "Policy 7" in client.get(f"{url(project)}?span=s{step.pk}").content.decode()
        page = client.get(f"{url(project)}?span=o{output.pk}").content.decode()
        assert "Where?" in page
        assert "Here." in page
        assert reverse("desk:output-detail", args=[project.slug, "answer"]) in page
        part = client.get(f"{url(project)}?span=s{step.pk}", headers={"HX-Request": "true"}).content.decode()
        assert "Policy 7" in part
        assert "<html" not in part

    def test_draws_no_bar_where_no_time_is_known(self, client: Client, project: Project) -> None:
        a_step(project, "timeless", at=None, lasts=None)
        page = client.get(url(project)).content.decode()
        assert "<rect" not in page
        assert client.get(url(project)).context["found"].drawn.total_ms is None

    def test_says_what_it_corrected_and_cut(
        self, client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_step(project, "root", at=0, lasts=1000)
        a_step(project, "behind", "root", at=-5_000)
        a_step(project, "lost", "gone", at=10)
        page = client.get(url(project)).content.decode()
        assert "timed by another clock" in page
        assert "a parent that never arrived" in page
        monkeypatch.setattr(traces, "MOST_SPANS", 2)
        assert "The first 2 of 3 spans" in client.get(url(project)).content.decode()

    def test_shows_what_was_said_about_its_outputs(self, client: Client, project: Project) -> None:
        a_flow(project)
        said(project, "answer", comment="Not what your site says")
        assert "Not what your site says" in client.get(url(project)).content.decode()

    def test_hides_it_from_who_has_yet_to_judge(self, client: Client, project: Project) -> None:
        a_flow(project)
        said(project, "answer", comment="Not what your site says")
        judgement = a_step(project, "judge the answer", kind=Step.Kind.EVALUATOR, output="3 of 10")
        address = f"{url(project)}?span=s{judgement.pk}"
        assert "3 of 10" in client.get(address).content.decode()
        awaits_review(Output.objects.get())
        page = client.get(address).content.decode()
        for told in ("Not what your site says", "judge the answer", "3 of 10"):
            assert told not in page
        assert "hidden until you have judged it" in page

    def test_obeys_no_text(self, client: Client, project: Project) -> None:
        step = a_step(project, HOSTILE, trace_id=HOSTILE, input=HOSTILE, output={HOSTILE: HOSTILE}, error=HOSTILE)
        page = client.get(f"{url(project, HOSTILE)}?span=s{step.pk}").content.decode()
        assert "<script>window.ran" not in page

    def test_is_missing_for_strangers_and_unknown_ids_alike(self, client: Client, project: Project) -> None:
        other = factories.a_project()
        a_step(other, "theirs", trace_id="theirs")
        a_flow(project)
        for trace_id in ("theirs", "nobodys", "a\x00b"):
            assert client.get(url(project, trace_id)).status_code == 404
        assert client.get(f"{url(project)}?span=s{Step.objects.get(external_id='theirs').pk}").status_code == 200
        assert (
            "theirs"
            not in client.get(f"{url(project)}?span=s{Step.objects.get(external_id='theirs').pk}").content.decode()
        )

    @pytest.mark.parametrize("trace_id", ["a/b", "..", "a/../b", "+hex/2e", "ünï 😀", "a?b#c", "ends/"])
    def test_is_found_by_any_id(self, client: Client, project: Project, trace_id: str) -> None:
        a_step(project, "s", trace_id=trace_id)
        page = client.get(url(project, trace_id))
        assert page.context["found"].drawn.trace_id == trace_id

    def test_costs_the_same_statements_for_any_number(
        self, client: Client, project: Project, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        a_flow(project)
        said(project, "answer")
        address = f"{url(project)}?span=o{Output.objects.get().pk}"
        client.get(address)
        with django_assert_max_num_queries(12) as few:
            client.get(address)
        for number in range(20):
            a_step(project, f"s{number}", "agent")
            an_output(project, f"o{number}", "agent")
            said(project, f"o{number}")
        with django_assert_max_num_queries(12) as many:
            client.get(address)
        assert len(many) == len(few)


class TestSessionDetail:
    def page(self, client: Client, project: Project, query: str = "") -> Any:
        return client.get(reverse("desk:session-detail", args=[project.slug, "s 1/x"]) + query)

    def test_tells_each_message_once(self, client: Client, project: Project) -> None:
        talk(project, "Where is it?", "On its way.", "Can I change it?", "No.")
        found = self.page(client, project).context["found"]
        asked = [[turn.text for turn in exchange.asked] for exchange in found.exchanges]
        assert asked == [["Be brief.", "Where is it?"], ["Can I change it?"]]
        assert [exchange.n_repeated for exchange in found.exchanges] == [0, 3]
        page = self.page(client, project).content.decode()
        assert page.count("On its way.") == 1
        assert "3 earlier messages sent again" in page

    def test_adds_up(self, client: Client, project: Project) -> None:
        talk(project, "a", "b", "c", "d")
        Output.objects.filter(external_id="turn-0").update(input_tokens=10, output_tokens=5, cost_usd="0.5")
        Output.objects.filter(external_id="turn-1").update(status=Output.Status.ERROR)
        totals = self.page(client, project).context["found"].totals
        assert (totals.n, totals.n_errors, totals.n_unpriced, totals.input_tokens) == (2, 1, 1, 10)
        assert totals.duration_ms == 1000

    def test_goes_on_where_a_part_ends(self, client: Client, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(traces, "MOST_TURNS", 2)
        talk(project, *(f"m{number}" for number in range(10)))
        shown, query = [], ""
        while True:
            found = self.page(client, project, query).context["found"]
            shown += [exchange.output.external_id for exchange in found.exchanges]
            if found.next is None:
                break
            query = f"?above={found.next}"
        assert shown == [f"turn-{number}" for number in range(5)]

    def test_shows_feedback_but_to_who_has_yet_to_judge(self, client: Client, project: Project) -> None:
        talk(project, "a", "b", "c", "d")
        said(project, "turn-0", comment="well said")
        said(project, "turn-1", comment="badly said")
        awaits_review(Output.objects.get(external_id="turn-1"))
        page = self.page(client, project).content.decode()
        assert "well said" in page
        assert "badly said" not in page

    def test_keeps_its_shape_when_texts_are_gone_or_never_came(self, client: Client, project: Project) -> None:
        talk(project, "a", "b", "c", "d")
        OutputBody.objects.filter(output_id=Output.objects.get(external_id="turn-0").pk).delete()
        an_output(project, "silent", session_id="s 1/x", trace_id="")
        page = self.page(client, project).content.decode()
        assert "Its texts are gone" in page
        assert "No content captured" in page

    def test_is_missing_for_strangers(self, client: Client, project: Project) -> None:
        talk(factories.a_project(), "a", "b")
        assert self.page(client, project).status_code == 404
        reviewer = Client()
        reviewer.force_login(factories.a_member(project, Role.REVIEWER))
        assert self.page(reviewer, project).status_code == 403


SYSTEM = ("System", "Be brief.")


@pytest.mark.parametrize(
    ("said", "asked", "n"),
    [
        ([], [SYSTEM, ("User", "a")], 0),
        ([SYSTEM, ("User", "a"), ("ours", "b")], [SYSTEM, ("User", "a"), ("ours", "b"), ("User", "c")], 3),
        # The last part alone, after the same instructions.
        (
            [SYSTEM, ("User", "a"), ("ours", "b"), ("User", "c"), ("ours", "d")],
            [SYSTEM, ("User", "c"), ("ours", "d"), ("User", "e")],
            3,
        ),
        # No history at all: only what is new.
        ([SYSTEM, ("User", "a"), ("ours", "b")], [SYSTEM, ("User", "c")], 1),
        ([("User", "yes"), ("ours", "b")], [("User", "yes")], 0),
        # Other instructions are new.
        ([SYSTEM, ("User", "a")], [("System", "Be long."), ("User", "c")], 0),
    ],
)
def test_a_message_is_repeated_only_where_it_continues_what_was_said(said: Any, asked: Any, n: int) -> None:
    assert trace_queries._n_repeated(said, asked) == n


class TestApi:
    def test_gives_outputs_and_steps_in_one_tree(self, project: Project) -> None:
        a_flow(project)
        found = Client().get("/api/v1/traces/t", headers=factories.bearer(factories.a_key(project, "read"))).json()
        assert [(row["id"], row["depth"], row["is_orphan"]) for row in found["outputs"]] == [("answer", 1, False)]
        steps = [(row["id"], row["kind"], row["depth"], row["output"]) for row in found["steps"]]
        assert steps == [("agent", "agent", 0, None), ("search", "retrieval", 1, ["Policy 7"])]
        assert found["is_whole"]

    def test_says_that_there_is_more(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(traces, "MOST_SPANS", 2)
        a_flow(project)
        found = Client().get("/api/v1/traces/t", headers=factories.bearer(factories.a_key(project, "read"))).json()
        assert len(found["outputs"]) + len(found["steps"]) == 2
        assert not found["is_whole"]

    @pytest.mark.parametrize(
        ("query", "n"), [("session=s 1/x", 2), ("session=other", 0), ("trace=trace-0", 1), ("user=u1", 1)]
    )
    def test_finds_the_outputs_of_a_session_a_trace_and_a_user(self, project: Project, query: str, n: int) -> None:
        talk(project, "a", "b", "c", "d")
        an_output(project, "another", trace_id="t2", end_user="u1")
        reader = factories.bearer(factories.a_key(project, "read"))
        assert len(Client().get(f"/api/v1/outputs?{query}", headers=reader).json()["results"]) == n
        assert Client().get(f"/api/v1/outputs/count?{query}", headers=reader).json() == {"count": n}

    @pytest.mark.parametrize("external_id", ["count", "..", ".", "a/./b"])
    def test_reads_ids_that_no_path_carries(self, project: Project, external_id: str) -> None:
        an_output(project, external_id)
        reader = factories.bearer(factories.a_key(project, "read"))
        address = f"/api/v1/outputs/+hex/{external_id.encode().hex()}"
        assert Client().get(address, headers=reader).json()["id"] == external_id
        assert reverse("outputs:api-output-detail", args=[external_id]) == address


def talk(project: Project, *words: str) -> None:
    """A conversation in one session: with each turn the whole of it is sent again."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for number in range(len(words) // 2):
        asked, answered = words[2 * number : 2 * number + 2]
        messages.append({"role": "user", "content": asked})
        place = {"session_id": "s 1/x", "trace_id": f"trace-{number}"}
        an_output(project, f"turn-{number}", at=number * 1000, input=list(messages), output=answered, **place)
        messages.append({"role": "assistant", "content": answered})


def said(project: Project, external_id: str, **fields: Any) -> Feedback:
    told = {"kind": "comment", "output_external_id": external_id, **fields}
    return Feedback.objects.create(
        project=project, external_id=f"f{Feedback.objects.count()}", body_hash=b"", received_at=clock.now(), **told
    )


def awaits_review(output: Output) -> None:
    queue = factories.a_queue(output.project)
    item = Item.objects.create(
        project=output.project, queue=queue, rubric=queue.rubric, subject_key=str(output.pk), state=Item.State.OPEN
    )
    ItemOutput.objects.create(item=item, output=output)
