"""Verdicts of part `teach` become a candidate revision, each line with its origin."""

import pytest

from core import clock
from improvement import queries, services, tasks
from improvement.models import Origin, Proposal
from projects import access
from prompts import queries as prompts
from prompts import services as prompt_services
from prompts.models import Prompt, Revision
from reviews.models import Part
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt() -> Prompt:
    return factories.a_prompt(factories.a_project())


def proposed(prompt: Prompt) -> Proposal:
    made = services.propose(prompt=prompt, kind="examples", by=access.system(prompt.project), now=clock.now())
    services.build(proposal_id=made.pk, now=clock.now())
    made.refresh_from_db()
    return made


def lines(revision: Revision | None) -> list[tuple[str, str]]:
    assert revision is not None
    return [(line.input, line.output) for line in prompts.context_lines(revision)]


def in_production(revision: Revision) -> None:
    label = prompt_services.label_named(prompt=revision.prompt, name="production")
    prompt_services.point_label(label=label, revision=revision, now=clock.now())


class TestPropose:
    def test_adds_each_correction_as_an_example(self, prompt: Prompt) -> None:
        base = factories.a_revision(prompt, ("Hello", "greeting"))
        factories.a_verdict(prompt, text="Where is my bike?", correction="lost")
        made = proposed(prompt)
        assert (made.state, made.base) == (Proposal.State.READY, base)
        assert lines(made.revision) == [("Hello", "greeting"), ("Where is my bike?", "lost")]
        assert made.revision is not None
        assert (made.revision.parent, made.revision.model, made.revision.k) == (base, base.model, base.k)

    @pytest.mark.parametrize("part", [Part.GATE, Part.DEV])
    def test_never_takes_a_verdict_of_an_exam_part(self, prompt: Prompt, part: str) -> None:
        factories.a_revision(prompt, ("Hello", "greeting"))
        factories.a_verdict(prompt, text="Where is my bike?", part=part)
        made = proposed(prompt)
        assert made.state == Proposal.State.FAILED
        assert "no standing correction of part teach" in made.reason

    def test_takes_no_verdict_without_a_correction(self, prompt: Prompt) -> None:
        factories.a_revision(prompt, ("Hello", "greeting"))
        factories.a_verdict(prompt, text="Where is my bike?", correction=None)
        assert proposed(prompt).state == Proposal.State.FAILED

    def test_starts_from_what_is_in_production(self, prompt: Prompt) -> None:
        active = factories.a_revision(prompt, ("Hello", "greeting"))
        factories.a_revision(prompt, ("Bye", "farewell"))
        in_production(active)
        factories.a_verdict(prompt, text="Where is my bike?")
        assert proposed(prompt).base == active

    def test_lets_corrections_of_a_refused_candidate_join_the_next(self, prompt: Prompt) -> None:
        in_production(factories.a_revision(prompt, ("Hello", "greeting")))
        factories.a_verdict(prompt, text="One")
        proposed(prompt)
        factories.a_verdict(prompt, text="Two")
        assert [text for text, _ in lines(proposed(prompt).revision)] == ["Hello", "One", "Two"]

    def test_replaces_an_older_answer_to_the_same_input(self, prompt: Prompt) -> None:
        factories.a_revision(prompt, ("where is MY bike", "old"), ("Hello", "greeting"))
        factories.a_verdict(prompt, text="Where is my bike?", correction="new")
        assert lines(proposed(prompt).revision) == [("Hello", "greeting"), ("Where is my bike?", "new")]

    def test_says_so_when_nothing_is_new(self, prompt: Prompt) -> None:
        factories.a_revision(prompt, ("Where is my bike?", "lost"))
        factories.a_verdict(prompt, text="Where is my bike?", correction="lost")
        assert proposed(prompt).state == Proposal.State.FAILED

    def test_says_so_without_a_revision_to_start_from(self, prompt: Prompt) -> None:
        assert "has no revision to start from" in proposed(prompt).reason

    def test_keeps_the_origin_of_every_line_it_adds(self, prompt: Prompt) -> None:
        factories.a_revision(prompt, ("Hello", "greeting"))
        verdict = factories.a_verdict(prompt, text="Where is my bike?")
        made = proposed(prompt)
        output = verdict.item.item_outputs.get().output
        (cause,) = queries.causes(made)
        assert (cause.verdict, cause.output) == (verdict.pk, output.external_id)

    def test_is_asked_twice_and_builds_once(self, prompt: Prompt) -> None:
        by = access.system(prompt.project)
        first = services.propose(prompt=prompt, kind="examples", by=by, now=clock.now())
        assert services.propose(prompt=prompt, kind="examples", by=by, now=clock.now()) == first


class TestBuildTask:
    def test_changes_nothing_the_second_time(self, prompt: Prompt) -> None:
        factories.a_revision(prompt, ("Hello", "greeting"))
        factories.a_verdict(prompt, text="Where is my bike?")
        made = proposed(prompt)
        before = (Revision.objects.count(), Origin.objects.count(), made.built_at)
        tasks.build(made.pk)
        made.refresh_from_db()
        assert (Revision.objects.count(), Origin.objects.count(), made.built_at) == before


class TestFaults:
    def test_a_line_that_no_context_can_hold_keeps_no_other_out(self, prompt: Prompt) -> None:
        factories.a_revision(prompt, ("Hello", "greeting"))
        factories.a_verdict(prompt, text="x" * 200_001)
        factories.a_verdict(prompt, text="Where is my bike?", correction=" ")
        factories.a_verdict(prompt, text="My bike broke", correction="repair")
        assert lines(proposed(prompt).revision) == [("Hello", "greeting"), ("My bike broke", "repair")]

    def test_a_fault_of_ours_ends_the_proposal_with_its_reason(
        self, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        factories.a_revision(prompt, ("Hello", "greeting"))
        factories.a_verdict(prompt, text="My bike broke")
        monkeypatch.setattr(services, "_keep_origins", lambda *_: 1 / 0)
        made = proposed(prompt)
        assert (made.state, made.revision) == (Proposal.State.FAILED, None)
        assert "ZeroDivisionError" in made.reason
