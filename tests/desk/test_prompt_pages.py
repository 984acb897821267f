"""Pages of prompts: revisions side by side, where each line of context comes from, and how labels are moved."""

import re
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from connections.models import Connection
from core import clock
from evals.models import Run, Tryout
from projects.models import Role
from prompts import queries as prompts
from prompts.content import ContextLine
from prompts.models import Label, Prompt, Revision
from releases import services as releases
from releases.models import Release
from tests import factories
from tests.desk import loops
from tests.desk.loops import Loop

pytestmark = pytest.mark.django_db


@pytest.fixture
def loop() -> Loop:
    return loops.a_loop()


def signed_in(loop: Loop, role: str = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(factories.a_member(loop.project, role))
    return client


@pytest.fixture
def engineer(loop: Loop) -> Client:
    return signed_in(loop)


def url(loop: Loop, name: str, *args: object, **query: object) -> str:
    at = reverse(f"desk:{name}", args=[loop.project.slug, *args])
    return f"{at}?{'&'.join(f'{key}={value}' for key, value in query.items())}" if query else at


def detail(loop: Loop, **query: object) -> str:
    return url(loop, "prompt-detail", loop.prompt.name, **query)


def text_of(answer: HttpResponse) -> str:
    return answer.content.decode()


def served(loop: Loop) -> int:
    revision = Label.objects.get(prompt=loop.prompt, name="production").revision
    assert revision is not None
    return revision.number


class TestPromptList:
    def test_tells_production_newest_and_what_waits(self, loop: Loop, engineer: Client) -> None:
        page = text_of(engineer.get(url(loop, "prompt-list")))
        assert "Revision 1" in page
        assert f"Revision {loop.candidate.number}" in page
        assert "1 waiting" in page

    def test_an_empty_project_says_what_comes_first(self, client: Client) -> None:
        project = factories.a_project()
        client.force_login(factories.a_member(project))
        assert "No prompt yet" in text_of(client.get(reverse("desk:prompt-list", args=[project.slug])))

    def test_costs_the_same_with_more_prompts(
        self, loop: Loop, engineer: Client, django_assert_num_queries: Any
    ) -> None:
        n = _statements(engineer, url(loop, "prompt-list"))
        for at in range(60):
            factories.a_revision(factories.a_prompt(loop.project, f"prompt-{at}"), ("a", "b"))
        with django_assert_num_queries(n):
            page = text_of(engineer.get(url(loop, "prompt-list")))
        assert "Older prompts" in page
        before = page.split("?before=")[1].split('"')[0]
        assert "refund-answer" in text_of(engineer.get(url(loop, "prompt-list", before=before)))


class TestPromptForm:
    def test_leads_from_a_name_to_the_first_revision(self, loop: Loop, engineer: Client) -> None:
        answer = engineer.post(url(loop, "prompt-form"), {"name": "intent", "description": "Sorts."}, follow=True)
        assert answer.redirect_chain[-1][0] == url(loop, "revision-form", "intent")
        assert Prompt.objects.get(name="intent").description == "Sorts."

    def test_keeps_what_was_typed_and_names_the_field(self, loop: Loop, engineer: Client) -> None:
        answer = engineer.post(url(loop, "prompt-form"), {"name": "no spaces", "description": "Sorts them."})
        assert answer.status_code == 422
        assert "Sorts them." in text_of(answer)
        assert "use 1 to 100 of A-Z" in text_of(answer)

    def test_a_manager_may_not(self, loop: Loop) -> None:
        assert signed_in(loop, Role.MANAGER).get(url(loop, "prompt-form")).status_code == 403


class TestPromptDetail:
    def test_every_line_of_context_leads_to_verdict_reviews_and_output(self, loop: Loop, engineer: Client) -> None:
        page = text_of(engineer.get(detail(loop, revision=loop.candidate.number)))
        verdict = reverse("desk:verdict-detail", args=[loop.project.slug, loop.verdict.pk])
        assert f'href="{verdict}"' in page
        assert f'href="{verdict}#who-h">2 reviews</a>' in page
        assert "mara@example.org, key:ivo" in page
        assert f'href="{reverse("desk:output-detail", args=[loop.project.slug, loop.output])}"' in page

    def test_a_line_written_by_hand_says_by_whom_and_with_which_revision(self, loop: Loop, engineer: Client) -> None:
        page = text_of(engineer.get(detail(loop, revision=loop.candidate.number)))
        assert "Paid within 14 days." in page
        assert f"{loop.by.name}, by hand" in page
        assert 'href="?revision=1"' in page or "revision=1" in page

    def test_shows_the_words_that_changed(self, loop: Loop, engineer: Client) -> None:
        made = loops.a_revision(loop.prompt, loop.by, loops.POLICY.replace("due.", "due, and from which day."))
        page = text_of(engineer.get(detail(loop, revision=made.number, against=1)))
        assert "<ins>, and from which day</ins>" in page
        assert "+1 −1 lines" in page

    def test_parameters_stand_side_by_side(self, loop: Loop, engineer: Client) -> None:
        page = text_of(engineer.get(detail(loop, revision=2, against=1, show="parameters")))
        assert "temperature" in page

    def test_the_context_that_came_and_went(self, loop: Loop, engineer: Client) -> None:
        made = loops.a_revision(loop.prompt, loop.by, loops.POLICY, context=[ContextLine("fact", text="Nothing else.")])
        page = text_of(engineer.get(detail(loop, revision=made.number, against=2, show="context")))
        assert "Context +1 −2" in page
        assert page.count("removed</span>") == 2

    def test_says_why_production_may_run(self, loop: Loop, engineer: Client) -> None:
        run = loops.a_tested(loop.candidate)
        releases.release(
            prompt=loop.prompt, label_name="production", revision=loop.candidate, run=run, by=loop.by, now=clock.now()
        )
        page = text_of(engineer.get(detail(loop)))
        assert f'href="{reverse("evals:run-detail", args=[loop.project.slug, run.pk])}"' in page
        assert loop.candidate.content_hash in page
        assert "Roll back to revision 1" in page

    def test_costs_the_same_at_any_size(self, loop: Loop, engineer: Client, django_assert_num_queries: Any) -> None:
        n = {show: _statements(engineer, detail(loop, revision=2, show=show)) for show in ("text", "context")}
        for at in range(30):
            loops.a_correction(loop.prompt, at + 1)
            loops.a_revision(loop.prompt, loop.by, f"Way {at}.")
        last = loops.a_proposal(loop.prompt, loop.by)
        assert last.revision is not None
        loops.a_tested(last.revision)
        for show, statements in n.items():
            with django_assert_num_queries(statements):
                page = text_of(engineer.get(detail(loop, revision=last.revision.number, show=show)))
        assert "Older revisions" in page

    def test_pages_through_a_long_context(self, loop: Loop, engineer: Client) -> None:
        lines = [ContextLine("fact", text=f"Fact number {at:02}.") for at in range(45)]
        made = loops.a_revision(loop.prompt, loop.by, loops.POLICY, context=lines)
        pages = [text_of(engineer.get(detail(loop, revision=made.number, after=after))) for after in (0, 20, 40)]
        seen = [re.findall(r"Fact number (\d\d)\.</p>", page) for page in pages]
        assert [len(page) for page in seen] == [20, 20, 5]
        assert [number for page in seen for number in page] == [f"{at:02}" for at in range(45)]

    @pytest.mark.parametrize("query", [{"revision": 99}, {"revision": "x"}, {"revision": 1, "against": 99}])
    def test_a_revision_that_is_not_here_is_not_found(
        self, query: dict[str, object], loop: Loop, engineer: Client
    ) -> None:
        assert engineer.get(detail(loop, **query)).status_code == 404

    def test_a_prompt_without_a_revision_says_what_comes_next(self, loop: Loop, engineer: Client) -> None:
        factories.a_prompt(loop.project, "intent")
        assert "Write the first revision" in text_of(engineer.get(url(loop, "prompt-detail", "intent")))

    def test_a_stranger_finds_nothing(self, loop: Loop, client: Client) -> None:
        client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
        assert client.get(detail(loop)).status_code == 404

    def test_text_in_it_runs_nowhere(self, loop: Loop, engineer: Client) -> None:
        hostile = "<script>alert(1)</script>"
        made = loops.a_revision(
            loop.prompt, loop.by, hostile, note=hostile, context=[ContextLine("fact", text=hostile, tags=(hostile,))]
        )
        for show in ("text", "context", "whole"):
            page = text_of(engineer.get(detail(loop, revision=made.number, show=show)))
            assert hostile not in page
            assert "&lt;script&gt;" in page


class TestRevisionForm:
    def form(self, loop: Loop) -> str:
        return url(loop, "revision-form", loop.prompt.name, parent=2)

    def typed(self, **changes: Any) -> dict[str, Any]:
        system = changes.pop("system", loops.POLICY.replace("Be brief.", "Be kind."))
        return {
            "role": ["system", "user"],
            "content": [system.replace("\n", "\r\n"), "{{input}}"],
            "model": "house/small",
            "parameters": '{"temperature": 0}',
            "strategy": "all",
            "k": "",
            "note": "kinder",
            "do": "look",
            **changes,
        }

    def look(self, loop: Loop, client: Client, **changes: Any) -> tuple[HttpResponse, str]:
        answer = client.post(self.form(loop), self.typed(**changes))
        return answer, text_of(answer).partition('name="seen" value="')[2].partition('"')[0]

    def test_shows_the_difference_first_and_saves_with_the_parents_context(self, loop: Loop, engineer: Client) -> None:
        answer, seen = self.look(loop, engineer)
        assert "<ins>kind</ins>" in text_of(answer)
        assert not Revision.objects.filter(note="kinder").exists()
        done = engineer.post(self.form(loop), self.typed(do="save", seen=seen))
        made = Revision.objects.get(note="kinder")
        assert done["Location"] == detail(loop, revision=made.number)
        assert (made.parent, made.messages[0]["content"]) == (
            loop.candidate,
            loops.POLICY.replace("Be brief.", "Be kind."),
        )
        assert prompts.context_lines(made) == prompts.context_lines(loop.candidate)

    def test_does_not_save_what_was_not_looked_at(self, loop: Loop, engineer: Client) -> None:
        _, seen = self.look(loop, engineer)
        answer = engineer.post(self.form(loop), self.typed(do="save", seen=seen, system="Something else."))
        assert answer.status_code == 200
        assert not Revision.objects.filter(note="kinder").exists()
        assert "Something else." in text_of(answer)

    def test_says_that_nothing_differs(self, loop: Loop, engineer: Client) -> None:
        answer, seen = self.look(loop, engineer, system=loops.POLICY)
        assert "Nothing differs" in text_of(answer)
        done = engineer.post(self.form(loop), self.typed(do="save", seen=seen, system=loops.POLICY), follow=True)
        assert "is revision 2 already" in text_of(done)

    def test_saving_twice_gives_one_revision(self, loop: Loop, engineer: Client) -> None:
        _, seen = self.look(loop, engineer)
        for _ in range(2):
            engineer.post(self.form(loop), self.typed(do="save", seen=seen))
        assert Revision.objects.filter(note="kinder").count() == 1

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"model": ""}, "This field is required"),
            ({"parameters": "[1]"}, "is no JSON object"),
            ({"parameters": "{"}, "field__error"),
            ({"parameters": '{"stream": true}'}, "is set by the server with every call"),
            ({"strategy": "similar"}, "takes a k from 1"),
            ({"k": "4"}, "goes with the strategy `similar` alone"),
            ({"system": "Hello {{no name}}"}, "is no variable"),
            ({"role": ["system", "wizard"]}, "not one of the available choices"),
        ],
    )
    def test_keeps_what_was_typed_and_says_what_is_wrong(
        self, changes: dict[str, Any], said: str, loop: Loop, engineer: Client
    ) -> None:
        answer, _ = self.look(loop, engineer, **changes)
        assert answer.status_code == 422
        assert said in text_of(answer)
        assert "kinder" in text_of(answer)

    def test_adds_and_removes_messages_without_script(self, loop: Loop, engineer: Client) -> None:
        page = text_of(engineer.post(self.form(loop), self.typed(do="add")))
        assert page.count('name="content"') == 3
        page = text_of(engineer.post(self.form(loop), self.typed(do="remove:0", note="kept")))
        assert page.count('name="content"') == 1
        assert "{{input}}" in page
        assert "kept" in page

    def test_nul_is_refused_in_words(self, loop: Loop, engineer: Client) -> None:
        answer, _ = self.look(loop, engineer, system="a\x00b")
        assert answer.status_code == 422


class TestPromptTryout:
    def test_asks_and_shows_the_waiting_answer(self, loop: Loop, engineer: Client) -> None:
        at = url(loop, "prompt-tryout", loop.prompt.name, revision=2)
        assert "never evidence" in text_of(engineer.get(at))
        answer = engineer.post(at, {"variable-input": "When?"})
        made = Tryout.objects.get()
        assert (made.input, made.revision) == ("When?", loop.candidate)
        page = text_of(engineer.get(answer["Location"]))
        assert reverse("evals:tryout-detail", args=[loop.project.slug, made.pk]) in page
        assert not Run.objects.exists()

    def test_an_empty_question_is_said(self, loop: Loop, engineer: Client) -> None:
        answer = engineer.post(url(loop, "prompt-tryout", loop.prompt.name), {"variable-input": " "})
        assert answer.status_code == 422
        assert "is empty" in text_of(answer)

    def test_asks_for_each_variable_by_its_name(self, loop: Loop, engineer: Client) -> None:
        loops.a_revision(loop.prompt, loop.by, "Answer as {{tone}}.")
        at = url(loop, "prompt-tryout", loop.prompt.name)
        assert 'name="variable-tone"' in text_of(engineer.get(at))
        engineer.post(at, {"variable-tone": "a friend", "variable-input": "When?"})
        assert Tryout.objects.get().variables == {"tone": "a friend", "input": "When?"}

    def test_one_that_is_forgotten_says_so(self, loop: Loop, engineer: Client) -> None:
        page = text_of(engineer.get(url(loop, "prompt-tryout", loop.prompt.name, tryout=987654)))
        assert "That try-out is gone" in page


class TestGateRun:
    def start(self, loop: Loop, client: Client) -> HttpResponse:
        return client.post(url(loop, "gate-run", loop.prompt.name), {"revision": loop.candidate.number})

    def test_without_a_policy_says_so(self, loop: Loop, engineer: Client) -> None:
        answer = self.start(loop, engineer)
        assert answer.status_code == 422
        assert "has no policy" in text_of(answer)

    def test_leads_to_the_run_and_a_second_press_to_the_same(self, loop: Loop, engineer: Client) -> None:
        loops.a_policy(loop.prompt)
        Connection.objects.create(project=loop.project, name="house", base_url="http://127.0.0.1:9/v1")
        first, second = self.start(loop, engineer), self.start(loop, engineer)
        run = Run.objects.get(revision=loop.candidate)
        assert first["Location"] == second["Location"] == reverse("evals:run-detail", args=[loop.project.slug, run.pk])
        assert run.policy is not None

    def test_without_a_revision_says_what_is_missing(self, loop: Loop, engineer: Client) -> None:
        assert engineer.post(url(loop, "gate-run", loop.prompt.name)).status_code == 422


class TestReleaseForm:
    def form(self, loop: Loop, number: int | None = None) -> str:
        return url(loop, "release-form", loop.prompt.name, revision=number or loop.candidate.number)

    def test_releases_on_the_run_that_is_evidence(self, loop: Loop, engineer: Client) -> None:
        run = loops.a_tested(loop.candidate)
        page = text_of(engineer.get(self.form(loop)))
        assert f'value="{run.pk}" required checked' in page
        answer = engineer.post(self.form(loop), {"first": "no", "run": run.pk, "reason": "reads well"})
        assert answer.status_code == 302
        made = Release.objects.get(run=run)
        assert (served(loop), made.reason) == (loop.candidate.number, "reads well")

    def test_a_second_press_is_harmless(self, loop: Loop, engineer: Client) -> None:
        run = loops.a_tested(loop.candidate)
        answers = [engineer.post(self.form(loop), {"first": "no", "run": run.pk}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [302, 302]
        assert Release.objects.filter(run=run).count() == 1

    def test_without_evidence_the_reasons_are_said_in_words(self, loop: Loop, engineer: Client) -> None:
        run = loops.a_tested(loop.candidate, "fail")
        page = text_of(engineer.get(self.form(loop)))
        assert f"The verdict of run {run.pk} is fail, not pass." in page
        assert "Start gate run" in page
        assert "Release revision" not in page.split("<main", 1)[1].split("</header>", 1)[1]

    def test_what_was_released_meanwhile_is_a_409_that_says_what_stands_now(self, loop: Loop, engineer: Client) -> None:
        run = loops.a_tested(loop.candidate)
        other = loops.a_revision(loop.prompt, loop.by, "Another way.")
        meanwhile = loops.a_tested(other)
        releases.release(
            prompt=loop.prompt, label_name="production", revision=other, run=meanwhile, by=loop.by, now=clock.now()
        )
        answer = engineer.post(self.form(loop), {"first": "no", "run": run.pk, "reason": "mine"})
        page = text_of(answer)
        assert answer.status_code == 409
        assert f"What stands now: production is revision {other.number}, by {loop.by.name}" in page
        assert "is not the revision that is active now" in page
        assert served(loop) == other.number

    def test_the_first_release_takes_a_reason_once(self, loop: Loop, engineer: Client) -> None:
        intent = factories.a_prompt(loop.project)
        factories.a_revision(intent, ("Hello", "greeting"))
        at = url(loop, "release-form", intent.name, revision=1)
        assert "The first release" in text_of(engineer.get(at))
        assert engineer.post(at, {"first": "yes", "reason": " "}).status_code == 422
        assert engineer.post(at, {"first": "yes", "reason": "nothing better yet"}).status_code == 302
        again = signed_in(loop).post(at, {"first": "yes", "reason": "me too"})
        assert again.status_code == 409
        assert "only the first is initial" in text_of(again)

    def test_costs_the_same_with_more_runs(self, loop: Loop, engineer: Client, django_assert_num_queries: Any) -> None:
        for _ in range(6):
            loops.a_tested(loop.candidate, "fail")
        n = _statements(engineer, self.form(loop))
        for _ in range(6):
            loops.a_tested(loop.candidate, "fail")
        with django_assert_num_queries(n):
            engineer.get(self.form(loop))

    def test_a_manager_may_not(self, loop: Loop) -> None:
        assert signed_in(loop, Role.MANAGER).get(self.form(loop)).status_code == 403

    def test_no_label_can_have_such_a_name(self, loop: Loop, engineer: Client) -> None:
        at = url(loop, "release-form", loop.prompt.name, revision=1, label="no%20name")
        assert engineer.get(at).status_code == 404


class TestReleaseRollback:
    @pytest.fixture
    def second(self, loop: Loop) -> Release:
        run = loops.a_tested(loop.candidate)
        return releases.release(
            prompt=loop.prompt, label_name="production", revision=loop.candidate, run=run, by=loop.by, now=clock.now()
        )

    def at(self, loop: Loop, release: Release) -> str:
        return url(loop, "release-rollback", loop.prompt.name, release.pk)

    def test_goes_back_without_words(self, loop: Loop, second: Release, engineer: Client) -> None:
        assert "Roll production back to revision 1" in text_of(engineer.get(self.at(loop, second)))
        answers = [engineer.post(self.at(loop, second), {"reason": ""}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [302, 302]
        assert served(loop) == 1
        assert Release.objects.filter(kind="rollback").count() == 1

    def test_what_was_rolled_back_meanwhile_says_what_stands_now(
        self, loop: Loop, second: Release, engineer: Client
    ) -> None:
        releases.roll_back(release=second, reason="it disappointed", by=loop.by, now=clock.now())
        answer = engineer.post(self.at(loop, second), {"reason": "mine"})
        assert answer.status_code == 409
        assert "What stands now: production is revision 1" in text_of(answer)

    def test_the_first_release_has_no_way_back(self, loop: Loop, engineer: Client) -> None:
        assert "nothing to go back to" in text_of(engineer.get(self.at(loop, loop.release)))
        assert engineer.post(self.at(loop, loop.release)).status_code == 409

    def test_the_history_tells_both_moves(self, loop: Loop, second: Release, engineer: Client) -> None:
        engineer.post(self.at(loop, second), {"reason": "it disappointed"})
        page = text_of(engineer.get(url(loop, "release-list", loop.prompt.name)))
        assert f"back from revision {loop.candidate.number}" in page
        assert "it disappointed" in page
        assert f"Run {second.run_id}" in page


class TestReleaseList:
    def test_costs_the_same_with_more_releases(
        self, loop: Loop, engineer: Client, django_assert_num_queries: Any
    ) -> None:
        at = url(loop, "release-list", loop.prompt.name)
        n = _statements(engineer, at)
        for _ in range(3):
            run = loops.a_tested(loop.candidate)
            made = releases.release(
                prompt=loop.prompt,
                label_name="production",
                revision=loop.candidate,
                run=run,
                by=loop.by,
                now=clock.now(),
            )
            releases.roll_back(release=made, reason="", by=loop.by, now=clock.now())
        with django_assert_num_queries(n):
            engineer.get(at)


def _statements(client: Client, at: str) -> int:
    """How many statements a page costs once everything that is kept in memory is there."""
    client.get(at)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(at).status_code == 200
    return len(captured)
