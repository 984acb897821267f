"""What other rooms learn of verdicts."""

import pytest

from core import clock
from outputs.models import OutputBody
from prompts.models import Prompt
from reviews import queries, texts
from reviews.models import Part, Verdict
from reviews.services import adjudication
from tests import factories
from tests.reviews import desk
from tests.reviews.desk import NO, YES

pytestmark = pytest.mark.django_db


def judged(prompt: Prompt, *, part: str, answers=NO, correction: str | None = "delivery", **output) -> Verdict:
    """One verdict of this part on a new output of the prompt."""
    shares = {f"{name}_share": 100 if name == part else 0 for name in Part}
    Prompt.objects.filter(pk=prompt.pk).update(**shares)
    queue, reviewer = desk.a_queue(prompt.project), desk.a_reviewer(prompt.project)
    desk.filled(queue, output.pop("text", f"Text {Verdict.objects.count()}?"), prompt=prompt, **output)
    return desk.reviewed(queue, reviewer, answers, correction=correction).verdicts.get()


@pytest.fixture
def prompt() -> Prompt:
    return factories.a_prompt(factories.a_project())


class TestTeaching:
    def test_holds_the_standing_corrections_of_part_teach(self, prompt: Prompt) -> None:
        taught = judged(prompt, part="teach", text="Where is my bike?")
        judged(prompt, part="gate")
        judged(prompt, part="dev")
        judged(prompt, part="teach", answers=YES, correction=None)
        judged(factories.a_prompt(prompt.project, "other"), part="teach")
        output = taught.item.item_outputs.get().output
        assert queries.teaching(prompt) == [
            queries.TeachingVerdict(
                verdict_id=taught.pk,
                input_text="Where is my bike?",
                correction="delivery",
                output_id=output.pk,
                settled_at=taught.settled_at,
            )
        ]

    def test_forgets_what_was_replaced(self, prompt: Prompt) -> None:
        taught = judged(prompt, part="teach")
        adjudication.adjudicate(
            item_id=taught.item_id,
            answers=YES,
            correction=None,
            rationale="It was right.",
            by=factories.an_actor(prompt.project),
            now=clock.now(),
        )
        assert queries.teaching(prompt) == []

    def test_leaves_out_what_lost_its_texts(self, prompt: Prompt) -> None:
        judged(prompt, part="teach")
        OutputBody.objects.all().delete()
        assert queries.teaching(prompt) == []

    def test_costs_two_statements(self, prompt: Prompt) -> None:
        for _ in range(3):
            judged(prompt, part="teach")
        with desk.statements() as found:
            assert len(queries.teaching(prompt)) == 3
        assert len(found) == 2


class TestExam:
    def test_expects_the_correction_or_else_what_was_called_right(self, prompt: Prompt) -> None:
        corrected = judged(prompt, part="gate", said="refund")
        right = judged(prompt, part="dev", answers=YES, correction=None, said={"role": "assistant", "content": "late"})
        judged(prompt, part="gate", correction=None)
        judged(prompt, part="teach")
        found = queries.exam_verdicts(prompt)
        assert [(one.verdict_id, one.part, one.expected) for one in found] == [
            (corrected.pk, "gate", "delivery"),
            (right.pk, "dev", "late"),
        ]
        assert found[0].input == found[0].input_text
        assert found[0].output_external_id == corrected.item.item_outputs.get().output.external_id

    def test_gives_the_wanted_parts_alone(self, prompt: Prompt) -> None:
        for part in ("gate", "dev"):
            judged(prompt, part=part)
        assert [one.part for one in queries.exam_verdicts(prompt, parts=["dev"])] == ["dev"]

    def test_never_gives_what_teaches(self, prompt: Prompt) -> None:
        with pytest.raises(ValueError, match="teach"):
            queries.exam_verdicts(prompt, parts=["gate", "teach"])


@pytest.mark.parametrize(
    ("answered", "text"),
    [
        ("late", "late"),
        (None, ""),
        ({"role": "assistant", "content": "late"}, "late"),
        ({"role": "assistant", "content": [{"type": "text", "text": "la"}, {"type": "image"}]}, "la"),
        ([{"role": "assistant", "content": "no"}, {"role": "assistant", "content": "late"}], "late"),
        ([], "[]"),
        ({"intent": "late"}, '{"intent": "late"}'),
    ],
)
def test_reads_the_text_of_an_answer(answered, text: str) -> None:
    assert texts.output_text(answered) == text
