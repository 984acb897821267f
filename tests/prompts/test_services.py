"""Prompts, revisions, indexes and labels are written once, whoever sends them and how often."""

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from core import bells, clock
from core.problems import Invalid
from projects.access import Actor
from projects.models import AuditEvent, Project
from prompts import queries, retrieval, services, tasks
from prompts.content import ContextLine
from prompts.models import ContextItem, Label, Prompt, Revision, RevisionContext, RevisionIndex
from prompts.retrieval import IndexNotReady
from tests import factories
from tests.prompts.conftest import MESSAGES, a_revision, examples, point


class TestCreatePrompt:
    def test_a_repeat_finds_the_same_prompt(self, admin: Actor) -> None:
        first, created = services.create_prompt(name="intent", description="a", by=admin, now=clock.now())
        second, again = services.create_prompt(name="intent", description="b", by=admin, now=clock.now())
        assert (first, created, again, second.description) == (second, True, False, "a")
        assert AuditEvent.objects.filter(verb="prompt.create").count() == 1

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", ".", "..", "x" * 101, "a\n", "a\x00"])
    def test_refuses_names_that_cannot_stand_in_an_address(self, admin: Actor, name: str) -> None:
        with pytest.raises(Invalid, match="name"):
            services.create_prompt(name=name, by=admin, now=clock.now())


class TestCreateRevision:
    def test_the_same_content_is_the_same_revision(self, prompt: Prompt, admin: Actor) -> None:
        first = a_revision(prompt, admin, context=examples(3), parameters={"a": 1, "b": 2}, note="one")
        again = a_revision(prompt, admin, context=examples(3), parameters={"b": 2, "a": 1}, note="two")
        assert (first.pk, first.number, again.note) == (again.pk, 1, "one")
        assert RevisionContext.objects.count() == 3

    @pytest.mark.parametrize(
        "change",
        [
            {"model": "main/other"},
            {"messages": [{"role": "user", "content": "{{input}}"}]},
            {"parameters": {"temperature": 1}},
            {"context": examples(2)},
            {"context": examples(3)[::-1]},
            {"strategy": "similar", "k": 1},
            {"strategy": "similar", "k": 2},
        ],
    )
    def test_any_other_content_is_another_revision(self, prompt: Prompt, admin: Actor, change: dict[str, Any]) -> None:
        first = a_revision(prompt, admin, context=examples(3))
        second = a_revision(prompt, admin, **{"context": examples(3), **change})
        assert (second.number, second.parent) == (2, first)
        assert first.content_hash != second.content_hash

    def test_two_prompts_may_say_the_same(self, prompt: Prompt, admin: Actor) -> None:
        other = services.create_prompt(name="other", by=admin, now=clock.now())[0]
        first, second = a_revision(prompt, admin), a_revision(other, admin)
        assert (first.content_hash, first.number) == (second.content_hash, second.number)
        assert first.pk != second.pk

    def test_revisions_share_the_rows_of_equal_lines(self, prompt: Prompt, admin: Actor) -> None:
        a_revision(prompt, admin, context=examples(3))
        second = a_revision(prompt, admin, context=examples(4, start=1))
        assert ContextItem.objects.count() == 5
        assert [line.input for line in queries.context_lines(second)] == [line.input for line in examples(4, start=1)]

    def test_keeps_the_parent_it_is_told(self, prompt: Prompt, admin: Actor) -> None:
        first = a_revision(prompt, admin)
        a_revision(prompt, admin, model="b")
        assert a_revision(prompt, admin, model="c", parent=first).parent == first

    def test_refuses_a_parent_of_another_prompt(self, prompt: Prompt, admin: Actor) -> None:
        other = services.create_prompt(name="other", by=admin, now=clock.now())[0]
        with pytest.raises(Invalid, match="another prompt"):
            a_revision(prompt, admin, parent=a_revision(other, admin))

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"messages": []}, "messages"),
            ({"messages": MESSAGES * 51}, "messages"),
            ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": "{{a.b}}"}]}, "messages[0].content"),
            ({"messages": [{"role": "user", "content": "x" * 200_001}]}, "messages[0].content"),
            ({"model": " "}, "model"),
            ({"model": "x" * 201}, "model"),
            ({"parameters": {"model": "x"}}, "parameters.model"),
            ({"parameters": {"stream": True}}, "parameters.stream"),
            ({"parameters": {"stop": "x" * 20_000}}, "parameters"),
            ({"strategy": "tags"}, "selection.strategy"),
            ({"strategy": "similar"}, "selection.k"),
            ({"strategy": "similar", "k": 0}, "selection.k"),
            ({"strategy": "similar", "k": 1_001}, "selection.k"),
            ({"k": 3}, "selection.k"),
            ({"context": [ContextLine("joke", text="x")]}, "context[0].kind"),
            ({"context": [ContextLine("example", input="x")]}, "context[0].output"),
            ({"context": [ContextLine("example", input=" ", output="x")]}, "context[0].input"),
            ({"context": [ContextLine("example", input="x", output="y", text="z")]}, "context[0].text"),
            ({"context": [ContextLine("lesson")]}, "context[0].text"),
            ({"context": [ContextLine("fact", text="x", input="y")]}, "context[0].input"),
            ({"context": [ContextLine("fact", text="x" * 200_001)]}, "context[0].text"),
            ({"context": [ContextLine("fact", text="x", tags=("",))]}, "context[0].tags"),
            ({"context": [*examples(2), *examples(1)]}, "context[2]"),
            ({"note": "x" * 20_001}, "note"),
        ],
    )
    def test_refuses_a_bad_value_by_the_name_of_its_field(
        self, prompt: Prompt, admin: Actor, change: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(Invalid) as caught:
            a_revision(prompt, admin, **change)
        assert [error.field for error in caught.value.errors] == [field]
        assert not Revision.objects.exists()
        assert not ContextItem.objects.exists()

    def test_names_many_faults_at_once_but_not_thousands(self, prompt: Prompt, admin: Actor) -> None:
        with pytest.raises(Invalid) as caught:
            a_revision(prompt, admin, context=[ContextLine("joke", text=str(i)) for i in range(1_000)])
        assert len(caught.value.errors) == 20

    def test_needs_as_many_statements_for_many_lines_as_for_few(self, prompt: Prompt, admin: Actor) -> None:
        counts = []
        for n in (2, 400):
            with CaptureQueriesContext(connection) as captured:
                a_revision(prompt, admin, context=examples(n, start=n * 10), strategy="similar", k=2)
            counts.append(len(captured))
        assert counts[0] == counts[1] <= 14

    def test_the_database_refuses_a_second_revision_of_the_same_content(self, prompt: Prompt, admin: Actor) -> None:
        first = a_revision(prompt, admin)
        first.pk, first.number = None, 9
        with pytest.raises(IntegrityError), transaction.atomic():
            first.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_count_up_without_gaps_and_share_lines() -> None:
    admin = factories.an_actor(factories.a_project())
    prompt = services.create_prompt(name="intent", by=admin, now=clock.now())[0]
    failures: list[BaseException] = []

    def write(n: int) -> None:
        try:
            a_revision(prompt, admin, model=f"m{n % 4}", context=examples(20))
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(Revision.objects.values_list("number", flat=True)) == [1, 2, 3, 4]
    assert ContextItem.objects.count() == 20


class TestIndex:
    def test_is_built_at_once_up_to_its_limit(self, prompt: Prompt, admin: Actor) -> None:
        revision = a_revision(prompt, admin, context=examples(10), strategy="similar", k=2)
        assert revision.index_state == "ready"
        assert len(queries.serving(revision).render({"input": "question number 7"}).context_ids) == 2

    @pytest.mark.parametrize(
        "options",
        [
            {"context": examples(2)},
            {"strategy": "similar", "k": 2},
            {"context": [ContextLine("fact", text="x")]},
        ],
    )
    def test_is_not_needed_without_similar_examples(
        self, prompt: Prompt, admin: Actor, options: dict[str, Any]
    ) -> None:
        revision = a_revision(prompt, admin, **options)
        assert revision.index_state == "none"
        assert queries.serving(revision).render({"input": "x"}).messages

    def test_of_a_larger_revision_waits_for_a_worker(
        self, prompt: Prompt, admin: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(services, "MOST_INDEXED_AT_ONCE", 5)
        revision = a_revision(prompt, admin, context=examples(6), strategy="similar", k=2)
        assert revision.index_state == "waiting"
        with pytest.raises(IndexNotReady) as caught:
            queries.serving(revision)
        assert (caught.value.status, caught.value.retry_after) == (409, 5)
        assert tasks.build_index(revision.pk) is True
        assert tasks.build_index(revision.pk) is False
        revision.refresh_from_db()
        assert queries.serving(revision).render({"input": "question number 3"}).messages[-2]["content"] == "answer 3"

    def test_is_the_same_whoever_builds_it(self, prompt: Prompt, admin: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
        at_once = a_revision(prompt, admin, context=examples(6), strategy="similar", k=2)
        monkeypatch.setattr(services, "MOST_INDEXED_AT_ONCE", 5)
        later = a_revision(prompt, admin, context=examples(6), strategy="similar", k=3)
        tasks.build_index(later.pk)
        first, second = (bytes(RevisionIndex.objects.get(revision=r).postings) for r in (at_once, later))
        assert first == second

    def test_the_sweep_finds_what_a_lost_bell_left(
        self, prompt: Prompt, admin: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(services, "MOST_INDEXED_AT_ONCE", 5)
        for k in (1, 2, 3):
            a_revision(prompt, admin, context=examples(6), strategy="similar", k=k)
        rung: list[int] = []
        monkeypatch.setattr(bells, "ring", lambda name, revision: rung.append(revision))
        tasks.sweep()
        assert len(rung) == 3
        for revision in rung:
            tasks.build_index(revision)
        tasks.sweep()
        assert len(rung) == 3
        assert RevisionIndex.objects.count() == 3


class TestServing:
    def test_needs_two_statements_once_and_then_none(
        self, prompt: Prompt, admin: Actor, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        revision = a_revision(prompt, admin, context=examples(50), strategy="similar", k=4)
        with django_assert_num_queries(2):
            serving = queries.serving(revision)
        with django_assert_num_queries(0):
            assert queries.serving(revision) is serving
            for i in range(20):
                assert serving.render({"input": f"question number {i}"}).messages[-2]["content"] == f"answer {i}"

    def test_memory_is_bounded(self, prompt: Prompt, admin: Actor) -> None:
        """Fifty lines weigh about 26,000 here: one such revision fits, and the earlier one makes room."""
        retrieval.recent = retrieval.Recent(40_000)
        first, second = (a_revision(prompt, admin, model=model, context=examples(50)) for model in "ab")
        huge = a_revision(prompt, admin, model="c", context=examples(500))
        kept = queries.serving(first)
        assert queries.serving(first) is kept
        newer = queries.serving(second)
        assert queries.serving(huge) is not queries.serving(huge)
        assert queries.serving(second) is newer
        assert queries.serving(first) is not kept


class TestParts:
    def test_are_set_and_audited_with_before_and_after(self, prompt: Prompt, admin: Actor) -> None:
        for _ in range(2):
            saved = services.set_parts(prompt=prompt, gate=0, dev=10, teach=90, by=admin, now=clock.now())
        assert (saved.gate_share, saved.dev_share, saved.teach_share) == (0, 10, 90)
        event = AuditEvent.objects.get(verb="prompt.parts")
        assert event.before == {"gate": 20, "dev": 20, "teach": 60}
        assert event.after == {"gate": 0, "dev": 10, "teach": 90}

    @pytest.mark.parametrize("shares", [(20, 20, 59), (-10, 50, 60), (101, 0, -1), (0, 0, 0)])
    def test_must_make_a_hundred(self, prompt: Prompt, admin: Actor, shares: tuple[int, int, int]) -> None:
        gate, dev, teach = shares
        with pytest.raises(Invalid):
            services.set_parts(prompt=prompt, gate=gate, dev=dev, teach=teach, by=admin, now=clock.now())


class TestLabels:
    def test_are_made_once_and_point_nowhere_at_first(self, prompt: Prompt) -> None:
        first = services.label_named(prompt=prompt, name="production")
        assert services.label_named(prompt=prompt, name="production") == first
        assert first.revision is None

    def test_point_where_they_are_told(self, prompt: Prompt, admin: Actor, project: Project) -> None:
        first, second = a_revision(prompt, admin), a_revision(prompt, admin, model="b")
        point(prompt, first)
        point(prompt, second)
        assert queries.labelled(project.pk, "intent", "production") == second
        assert Label.objects.get().pointed_at is not None

    def test_never_point_at_another_prompts_revision(self, prompt: Prompt, admin: Actor) -> None:
        other = services.create_prompt(name="other", by=admin, now=clock.now())[0]
        with pytest.raises(Invalid, match="another prompt"):
            point(prompt, a_revision(other, admin))

    @pytest.mark.parametrize("name", ["", "a b", "..", "x" * 61])
    def test_refuses_names_that_cannot_stand_in_an_address(self, prompt: Prompt, name: str) -> None:
        with pytest.raises(Invalid, match="label"):
            services.label_named(prompt=prompt, name=name)
