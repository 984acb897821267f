"""A label moves on evidence alone, once at first, and back; exactly one release at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from core import clock
from core.problems import Conflict, Invalid
from evals import gate
from projects.access import Actor
from projects.models import AuditEvent
from prompts.models import Label, Prompt, Revision
from releases import services
from releases.models import Release
from tests import factories


@pytest.fixture
def prompt() -> Prompt:
    return factories.a_prompt(factories.a_project())


@pytest.fixture
def by(prompt: Prompt) -> Actor:
    return factories.an_actor(prompt.project)


def three_revisions(prompt: Prompt) -> list[Revision]:
    return [factories.a_revision(prompt, ("Hello", "greeting"), system=f"Sort this, way {n}.") for n in range(3)]


def released_first(revision: Revision, by: Actor) -> Release:
    return services.release_initially(
        prompt=revision.prompt, label_name="production", revision=revision, reason="first", by=by, now=clock.now()
    )


def released(revision: Revision, by: Actor, run: object) -> Release:
    return services.release(
        prompt=revision.prompt, label_name="production", revision=revision, run=run, by=by, now=clock.now()
    )


def rolled_back(release: Release, by: Actor, reason: str = "it disappointed") -> Release:
    return services.roll_back(release=release, reason=reason, by=by, now=clock.now())


def served(prompt: Prompt) -> int | None:
    revision = Label.objects.get(prompt=prompt, name="production").revision
    return None if revision is None else revision.number


@pytest.mark.django_db
class TestInitialRelease:
    def test_points_the_label_once(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        released_first(first, by)
        with pytest.raises(Conflict, match="only the first is initial"):
            released_first(second, by)
        assert served(prompt) == first.number

    def test_needs_a_reason(self, prompt: Prompt, by: Actor) -> None:
        with pytest.raises(Invalid, match="reason"):
            services.release_initially(
                prompt=prompt,
                label_name="production",
                revision=three_revisions(prompt)[0],
                reason="  ",
                by=by,
                now=clock.now(),
            )

    def test_is_audited_with_before_and_after(self, prompt: Prompt, by: Actor) -> None:
        first = three_revisions(prompt)[0]
        released_first(first, by)
        event = AuditEvent.objects.get(verb="label.initial")
        assert event.before is None
        assert event.after == {"revision": first.number, "run": None, "reason": "first"}


@pytest.mark.django_db
class TestRelease:
    def test_moves_the_label_on_evidence(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        released_first(first, by)
        made = released(second, by, factories.a_passed_run(second))
        assert (made.kind, made.number, made.content_hash) == ("evidence", 2, second.content_hash)
        assert served(prompt) == second.number

    def test_is_refused_without_a_run(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        released_first(first, by)
        with pytest.raises(Conflict, match="no run was sent"):
            released(second, by, None)

    def test_spends_its_evidence(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        released_first(first, by)
        run = factories.a_passed_run(second)
        rolled_back(released(second, by, run), by)
        with pytest.raises(Conflict) as refused:
            released(second, by, run)
        assert any("spent" in reason for reason in refused.value.extra["reasons"])
        assert any("spent" in reason for reason in gate.is_evidence(run, run.policy.label))

    def test_is_refused_on_a_run_of_another_revision(self, prompt: Prompt, by: Actor) -> None:
        first, second, third = three_revisions(prompt)
        released_first(first, by)
        with pytest.raises(Conflict) as refused:
            released(third, by, factories.a_passed_run(second))
        assert any("another revision" in reason for reason in refused.value.extra["reasons"])
        assert served(prompt) == first.number

    def test_is_refused_when_another_revision_became_active_meanwhile(self, prompt: Prompt, by: Actor) -> None:
        first, second, third = three_revisions(prompt)
        released_first(first, by)
        stale, fresh = factories.a_passed_run(second), factories.a_passed_run(third)
        released(third, by, fresh)
        with pytest.raises(Conflict) as refused:
            released(second, by, stale)
        assert refused.value.extra["reasons"]
        assert served(prompt) == third.number

    def test_needs_a_new_run_after_the_revision_was_rolled_back(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        released_first(first, by)
        early, late = factories.a_passed_run(second), factories.a_passed_run(second)
        rolled_back(released(second, by, early), by)
        with pytest.raises(Conflict) as refused:
            released(second, by, late)
        assert any("rolled back after" in reason for reason in refused.value.extra["reasons"])
        assert released(second, by, factories.a_passed_run(second)).kind == "evidence"


@pytest.mark.django_db
class TestRollback:
    def test_goes_back_to_what_was_served_before(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        released_first(first, by)
        back = rolled_back(released(second, by, factories.a_passed_run(second)), by)
        assert (back.kind, back.revision, served(prompt)) == ("rollback", first, first.number)

    def test_goes_further_back_release_by_release(self, prompt: Prompt, by: Actor) -> None:
        first, second, third = three_revisions(prompt)
        released_first(first, by)
        released(second, by, factories.a_passed_run(second))
        once = rolled_back(released(third, by, factories.a_passed_run(third)), by)
        assert served(prompt) == second.number
        rolled_back(once, by)
        assert served(prompt) == first.number

    def test_takes_back_the_active_release_alone(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        initial = released_first(first, by)
        release = released(second, by, factories.a_passed_run(second))
        with pytest.raises(Conflict, match="not the active one"):
            rolled_back(initial, by)
        rolled_back(release, by)
        with pytest.raises(Conflict, match="not the active one"):
            rolled_back(release, by)

    def test_has_nowhere_to_go_from_the_first(self, prompt: Prompt, by: Actor) -> None:
        with pytest.raises(Conflict, match="nothing was released before"):
            rolled_back(released_first(three_revisions(prompt)[0], by), by)

    def test_needs_no_reason_in_a_hurry(self, prompt: Prompt, by: Actor) -> None:
        first, second, _ = three_revisions(prompt)
        released_first(first, by)
        back = rolled_back(released(second, by, factories.a_passed_run(second)), by, reason=" ")
        assert back.reason == services.NO_REASON


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_only_one_of_two_releases_wins(self, prompt: Prompt, by: Actor) -> None:
        first, second, third = three_revisions(prompt)
        released_first(first, by)
        runs = {revision: factories.a_passed_run(revision) for revision in (second, third)}

        def attempt(revision: Revision) -> str:
            try:
                return released(revision, by, runs[revision]).kind
            except Conflict:
                return "refused"
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            outcomes = sorted(pool.map(attempt, (second, third)))
        assert outcomes == ["evidence", "refused"]
        assert Release.objects.filter(label__prompt=prompt).count() == 2
