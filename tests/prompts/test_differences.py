"""Two revisions side by side: lines that came and went, with the words in them."""

import time

import pytest

from prompts import differences
from prompts.models import Revision

SYSTEM = "Answer refunds.\nSay when the refund is due.\nClose with what happens next."


def said(text: str, role: str = "system") -> dict[str, str]:
    return {"role": role, "content": text}


def shown(found: differences.TextDifference) -> list[tuple[str, str]]:
    return [(line.kind, line.text) for line in found.lines]


class TestTexts:
    def test_equal_messages_have_no_line(self) -> None:
        assert differences.texts([said(SYSTEM)], [said(SYSTEM)]).is_equal

    def test_a_changed_line_stands_below_the_one_it_replaces_with_its_words_marked(self) -> None:
        new = SYSTEM.replace("due.", "due, and from which day.")
        found = differences.texts([said(SYSTEM)], [said(new)])
        assert (found.n_in, found.n_out) == (1, 1)
        cut, add = found.lines[2], found.lines[3]
        assert (cut.kind, cut.old, add.kind, add.new) == ("cut", 2, "add", 2)
        assert "".join(piece.text for piece in add.pieces if piece.kind == "in") == ", and from which day"
        assert not any(piece.kind == "out" for piece in add.pieces)

    def test_lines_that_share_nothing_are_not_marked_word_by_word(self) -> None:
        found = differences.texts([said("Be brief.")], [said("Write like a poet of old")])
        assert all(piece.kind == "same" for line in found.lines for piece in line.pieces)

    def test_long_equal_stretches_are_counted(self) -> None:
        before = "\n".join(f"line {n}" for n in range(20))
        after = before.replace("line 9", "line nine")
        found = differences.texts([said(before)], [said(after)])
        assert [line.n for line in found.lines if line.kind == "skip"] == [6, 7]
        assert [line.new for line in found.lines if line.kind == "same"] == [7, 8, 9, 11, 12, 13]

    def test_the_whole_text_is_shown_when_asked_for(self) -> None:
        found = differences.texts([said(SYSTEM)], [said(SYSTEM)], whole=True)
        assert [line.kind for line in found.lines] == ["head", "same", "same", "same"]

    def test_messages_pair_by_their_roles(self) -> None:
        before = [said("Sort this."), said("{{input}}", "user")]
        after = [*before, said("Sure:", "assistant")]
        found = differences.texts(before, after)
        assert shown(found)[-2:] == [("head", "Assistant message, new"), ("add", "Sure:")]
        assert (found.n_in, found.n_out) == (1, 0)

    def test_a_message_of_another_role_replaces_and_is_not_compared(self) -> None:
        found = differences.texts([said("Sort this.")], [said("Sort this.", "user")])
        assert [kind for kind, _ in shown(found)] == ["head", "cut", "head", "add"]

    def test_without_an_earlier_revision_everything_is_new(self) -> None:
        found = differences.texts([], [said(SYSTEM)])
        assert (found.n_in, found.n_out) == (3, 0)

    @pytest.mark.parametrize("n", [1, 1_500, 60_000])
    def test_numbers_lines_at_any_length_and_in_time(self, n: int) -> None:
        before = [f"line {number}" for number in range(n)]
        after = [*before[: n // 2], "something new", *before[n // 2 :]]
        began = time.monotonic()
        found = differences.texts([said("\n".join(before))], [said("\n".join(after))])
        assert time.monotonic() - began < 3
        assert (found.n_in, found.n_out) == (1, 0)
        assert [line.new for line in found.lines if line.kind == "add"] == [n // 2 + 1]


class TestSettings:
    def test_names_what_came_went_and_changed(self) -> None:
        before = Revision(model="house/a", parameters={"temperature": 0, "top_p": 1}, strategy="all")
        after = Revision(model="house/a", parameters={"temperature": 0.2, "stop": ["x"]}, strategy="similar", k=4)
        found = {one.name: (one.kind, one.before, one.after) for one in differences.settings(before, after)}
        assert found == {
            "model": ("same", "house/a", "house/a"),
            "context": ("change", "all", "similar, 4 for each input"),
            "stop": ("add", "", '["x"]'),
            "temperature": ("change", "0", "0.2"),
            "top_p": ("cut", "1", ""),
        }
