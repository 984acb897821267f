"""Pages about rubrics: versions, and the desk where one is written, without any JavaScript."""

from typing import Any

import pytest
from django.test import Client

from projects.models import Project, Role
from reviews.models import Rubric
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.a_project()


@pytest.fixture
def engineer(client: Client, project: Project) -> Client:
    client.force_login(factories.a_member(project, Role.ENGINEER))
    return client


@pytest.fixture
def stranger() -> Client:
    client = Client()
    client.force_login(factories.a_member(factories.a_project(), Role.ADMIN))
    return client


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def typed(*rows: dict[str, str], quality: int = 0, **more: str) -> dict[str, str]:
    """The form's fields for these questions."""
    fields = {f"q{at}-{name}": value for at, row in enumerate(rows) for name, value in row.items()}
    return {"n_rows": str(len(rows)), "quality": str(quality), "name": "support", "do": "save", **fields, **more}


CORRECT = {"key": "correct", "kind": "yes_no", "text": "Is it right?", "required": "on"}
TONE = {"key": "tone", "kind": "scale", "text": "Tone", "low": "1", "high": "5"}
WHY = {"kind": "text", "text": "Why was it wrong?", "show_question": "correct", "show_is": "no"}
GRADE = {"key": "grade", "kind": "choice", "text": "Grade", "options": "good\nfair\nbad", "values": "1\n0.5\n0"}


class TestRubricForm:
    def test_begins_with_something_that_works(self, engineer: Client, project: Project) -> None:
        form = engineer.get(f"/{project.slug}/rubrics/+new/").context["form"]
        asked, quality = form.content
        assert [question["type"] for question in asked] == ["yes_no", "correction"]
        assert quality == {"question": "correct", "map": {"yes": 1.0, "no": 0.0}}

    def test_keeps_a_rubric_of_every_kind(self, engineer: Client, project: Project) -> None:
        rows = [
            GRADE,
            CORRECT,
            TONE,
            WHY,
            {"key": "n", "kind": "number", "text": "How many?", "low": "0", "high": "1.5"},
            {"key": "tags", "kind": "tags", "text": "Tags", "options": "a\n b \n\nc"},
            {"key": "fix", "kind": "correction", "text": "Better", "show_question": "grade", "show_is": "fair\nbad"},
        ]
        answer = engineer.post(f"/{project.slug}/rubrics/+new/", typed(*rows, guideline="# How\r\nLook twice."))
        assert answer["Location"] == f"/{project.slug}/rubrics/support/"
        rubric = Rubric.objects.get()
        by_key = {question["key"]: question for question in rubric.questions}
        assert list(by_key) == ["grade", "correct", "tone", "why_was_it_wrong", "n", "tags", "fix"]
        assert rubric.quality == {"question": "grade", "map": {"good": 1.0, "fair": 0.5, "bad": 0.0}}
        assert by_key["tone"]["range"] == [1, 5]
        assert by_key["n"]["range"] == [0, 1.5]
        assert by_key["tags"]["options"] == ["a", "b", "c"]
        assert by_key["why_was_it_wrong"]["show_if"] == {"question": "correct", "is": "no"}
        assert by_key["fix"]["show_if"] == {"question": "grade", "is": ["fair", "bad"]}
        assert rubric.guideline == "# How\nLook twice."

    @pytest.mark.parametrize(
        ("row", "quality"),
        [
            (CORRECT, {"yes": 1.0, "no": 0.0}),
            (TONE, {"1": 0.0, "2": 0.25, "3": 0.5, "4": 0.75, "5": 1.0}),
            ({**TONE, "values": "0\n0\n0\n1\n1"}, {"1": 0.0, "2": 0.0, "3": 0.0, "4": 1.0, "5": 1.0}),
        ],
    )
    def test_gives_each_answer_its_quality(
        self, engineer: Client, project: Project, row: dict[str, str], quality: dict[str, float]
    ) -> None:
        engineer.post(f"/{project.slug}/rubrics/+new/", typed(row))
        assert Rubric.objects.get().quality["map"] == quality

    def test_what_is_there_saved_again_is_the_same_version(self, engineer: Client, project: Project) -> None:
        engineer.post(
            f"/{project.slug}/rubrics/+new/", typed(GRADE, TONE, WHY | {"show_question": "grade", "show_is": "bad"})
        )
        url = f"/{project.slug}/rubrics/support/edit/"
        form = engineer.get(url).context["form"]
        rows = [
            {name: getattr(row, name) for name in ("key", "kind", "text", "options", "low", "high", "values")}
            | {"show_question": row.show_question, "show_is": row.show_is}
            | ({"required": "on"} if row.is_required else {})
            for row in form.rows
        ]
        engineer.post(url, typed(*rows, quality=form.quality))
        assert Rubric.objects.get().version == 1

    @pytest.mark.parametrize("change", [{"text": "Really?"}, {"guideline": "Look twice."}])
    def test_a_change_is_a_new_version(self, engineer: Client, project: Project, change: dict[str, str]) -> None:
        engineer.post(f"/{project.slug}/rubrics/+new/", typed(CORRECT))
        row = CORRECT | {"text": change.get("text", CORRECT["text"])}
        sent = typed(row, guideline=change.get("guideline", ""))
        engineer.post(f"/{project.slug}/rubrics/support/edit/", sent)
        assert list(Rubric.objects.order_by("version").values_list("version", flat=True)) == [1, 2]

    @pytest.mark.parametrize(
        ("button", "keys", "quality"),
        [
            ("add", ["correct", "tone", "grade", ""], 1),
            ("remove-0", ["tone", "grade"], 0),
            ("remove-1", ["correct", "grade"], 1),
            ("up-1", ["tone", "correct", "grade"], 0),
            ("down-1", ["correct", "grade", "tone"], 2),
            ("up-0", ["correct", "tone", "grade"], 1),
            ("down-2", ["correct", "tone", "grade"], 1),
            ("preview", ["correct", "tone", "grade"], 1),
            ("remove-99", ["correct", "tone", "grade"], 1),
            ("<script>", ["correct", "tone", "grade"], 1),
        ],
    )
    def test_buttons_change_the_rows_and_store_nothing(
        self, engineer: Client, project: Project, button: str, keys: list[str], quality: int
    ) -> None:
        answer = engineer.post(f"/{project.slug}/rubrics/+new/", typed(CORRECT, TONE, GRADE, quality=1, do=button))
        form = answer.context["form"]
        assert answer.status_code == 200
        assert ([row.key for row in form.rows], form.quality) == (keys, quality)
        assert not Rubric.objects.exists()

    @pytest.mark.parametrize(
        ("rows", "at", "word"),
        [
            ([CORRECT, {"key": "x", "kind": "choice", "text": "?", "options": "one"}], 1, "Options"),
            ([CORRECT, {"kind": "text", "text": ""}], 1, "Key"),
            ([CORRECT, {**TONE, "low": "5", "high": "1"}], 1, "From and to"),
            ([CORRECT, {**WHY, "show_question": "nobody"}], 1, "Asked only if"),
            ([CORRECT, {**WHY, "show_is": "maybe"}], 1, "Asked only if"),
            ([CORRECT, CORRECT], 1, "Key"),
            ([{**GRADE, "values": "1\n2"}], 0, "Quality"),
            ([{"key": "t", "kind": "text", "text": "?"}], 0, "Quality"),
        ],
    )
    def test_names_the_question_that_is_wrong_and_keeps_what_was_typed(
        self, engineer: Client, project: Project, rows: list[dict[str, str]], at: int, word: str
    ) -> None:
        answer = engineer.post(f"/{project.slug}/rubrics/+new/", typed(*rows, guideline="kept words"))
        form = answer.context["form"]
        assert answer.status_code == 422
        assert any(word in said for said in form.rows[at].errors)
        assert f"Question {at + 1}" in text(answer)
        assert "kept words" in text(answer)
        assert not Rubric.objects.exists()

    def test_keeps_a_name_that_is_none_or_taken(self, engineer: Client, project: Project) -> None:
        desk.a_rubric(project, "taken")
        for name in ("taken", "a b", ""):
            answer = engineer.post(f"/{project.slug}/rubrics/+new/", typed(CORRECT, name=name))
            assert answer.status_code == 422
            assert answer.context["form"].errors
        assert Rubric.objects.count() == 1

    def test_a_hundred_questions_fit_into_one_form(self, engineer: Client, project: Project) -> None:
        row = dict.fromkeys(("options", "low", "high", "show_question", "show_is", "values"), "")
        asked = [{"kind": "text", "text": f"Question {at}?", "key": "", "required": "on"} | row for at in range(99)]
        rows = [CORRECT | row, *asked]
        assert engineer.post(f"/{project.slug}/rubrics/+new/", typed(*rows)).status_code == 302
        assert len(Rubric.objects.get().questions) == 100

    def test_script_in_any_field_stays_text(self, engineer: Client, project: Project) -> None:
        bad = "</textarea><script>alert(1)</script>"
        row = CORRECT | {"text": bad, "options": bad, "values": bad}
        answer = engineer.post(f"/{project.slug}/rubrics/+new/", typed(row, guideline=bad, do="preview"))
        assert "<script>alert" not in text(answer)

    def test_a_stranger_and_a_reviewer_write_nothing(self, stranger: Client, client: Client, project: Project) -> None:
        rubric = desk.a_rubric(project)
        client.force_login(factories.a_member(project, Role.REVIEWER))
        url = f"/{project.slug}/rubrics/{rubric.name}/edit/"
        assert (stranger.post(url, typed(CORRECT)).status_code, client.post(url, typed(CORRECT)).status_code) == (
            404,
            403,
        )
        assert Rubric.objects.count() == 1


class TestRubricPreview:
    def test_shows_what_reviewers_would_see(self, engineer: Client, project: Project) -> None:
        answer = engineer.post(
            f"/{project.slug}/rubrics/+preview/", typed(GRADE, WHY | {"show_question": "grade", "show_is": "bad"})
        )
        assert "<html" not in text(answer)
        assert "Why was it wrong?" in text(answer)
        assert "Asked where grade = bad" in text(answer)
        assert "fair" in text(answer)

    def test_says_what_is_missing(self, engineer: Client, project: Project) -> None:
        answer = engineer.post(
            f"/{project.slug}/rubrics/+preview/", typed(CORRECT, {"kind": "choice", "text": "Which?"})
        )
        assert "Question 2" in text(answer)
        assert not Rubric.objects.exists()


class TestRubricDetail:
    def test_shows_a_version_and_leads_to_the_others(self, engineer: Client, project: Project) -> None:
        desk.a_rubric(project, "support")
        desk.a_rubric(project, "support", {"key": "more", "type": "text", "text": "What more?"})
        url = f"/{project.slug}/rubrics/support/"
        assert "What more?" in text(engineer.get(url))
        older = text(engineer.get(f"{url}?version=1"))
        assert "What more?" not in older
        assert "the newest is 2" in older
        assert engineer.get(f"{url}?version=3").status_code == 404

    def test_sanitises_the_guideline(self, engineer: Client, project: Project) -> None:
        engineer.post(
            f"/{project.slug}/rubrics/+new/", typed(CORRECT, guideline="**bold** <img src=x onerror=alert(1)>")
        )
        page = text(engineer.get(f"/{project.slug}/rubrics/support/"))
        assert "<strong>bold</strong>" in page
        assert "<img" not in page

    def test_a_stranger_finds_nothing(self, stranger: Client, project: Project) -> None:
        desk.a_rubric(project, "support")
        assert stranger.get(f"/{project.slug}/rubrics/support/").status_code == 404
        assert stranger.get(f"/{project.slug}/rubrics/").status_code == 404


class TestRubricList:
    def test_shows_the_newest_version_of_each(self, engineer: Client, project: Project) -> None:
        desk.a_rubric(project, "support")
        desk.a_rubric(project, "support", {"key": "more", "type": "text", "text": "What more?"})
        desk.a_rubric(project, "other")
        found = engineer.get(f"/{project.slug}/rubrics/").context["rubrics"]
        assert [(rubric.name, rubric.version) for rubric in found] == [("other", 1), ("support", 2)]

    def test_costs_the_same_at_any_size(self, engineer: Client, project: Project) -> None:
        costs = []
        for _ in range(3):
            desk.a_queue(project)
            engineer.get(f"/{project.slug}/rubrics/")
            with desk.statements() as found:
                engineer.get(f"/{project.slug}/rubrics/")
            costs.append(len(found))
        assert costs[1] == costs[2]
