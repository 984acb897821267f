import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from demo import traffic

GREETINGS = re.compile(r"^(good morning|good evening|hello|hi there|hi|hey)\b[\s,!.]*", re.IGNORECASE)
DEMO = Path(traffic.__file__).parent


def every_text() -> list[str]:
    return [text for texts in traffic.MESSAGES.values() for text in texts]


def runs_of_five_words(text: str) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"\w+", GREETINGS.sub("", text).casefold())
    return (tuple(words[at : at + 5]) for at in range(len(words) - 4))


def shingles(text: str) -> set[str]:
    folded = re.sub(r"\W+", "", text.casefold())
    return {folded[at : at + 5] for at in range(max(1, len(folded) - 4))}


def test_has_enough_messages_for_every_one_of_at_least_sixteen_intents():
    assert len(traffic.MESSAGES) >= 16
    assert min(len(texts) for texts in traffic.MESSAGES.values()) >= 20
    assert len(every_text()) >= 320


def test_no_two_messages_share_a_run_of_five_words():
    holders = Counter(run for text in every_text() for run in set(runs_of_five_words(text)))
    assert [" ".join(run) for run, n in holders.items() if n > 1] == []


def test_no_two_messages_are_near_duplicates():
    grams = {text: shingles(text) for text in every_text()}
    near = [
        (one, other)
        for one, other in combinations(grams, 2)
        if len(grams[one] & grams[other]) >= 0.5 * len(grams[one] | grams[other])
    ]
    assert len(grams) == len(every_text())
    assert near == []


def test_messages_vary_in_length_and_case():
    lengths = [len(text.split()) for text in every_text()]
    assert min(lengths) <= 3
    assert max(lengths) >= 16
    assert any(text == text.lower() for text in every_text())


def test_seed_exam_and_traffic_share_the_messages_without_overlap():
    shares = [traffic.seed_examples(), traffic.golden_cases(), *traffic.rounds(4)]
    assert sorted(message.text for share in shares for message in share) == sorted(every_text())


def test_the_first_revision_starts_with_one_example_per_intent():
    assert [message.intent for message in traffic.seed_examples()] == list(traffic.MESSAGES)


def test_the_exam_has_at_least_eight_cases_per_intent_and_120_in_all():
    per_intent = Counter(case.intent for case in traffic.golden_cases())
    assert per_intent.keys() == traffic.MESSAGES.keys()
    assert min(per_intent.values()) >= 8
    assert per_intent.total() >= 120


@pytest.mark.parametrize("n", [1, 3, 4, 12])
def test_every_round_holds_every_intent_and_comes_out_the_same_again(n):
    rounds = traffic.rounds(n)
    assert rounds == traffic.rounds(n)
    assert len(rounds) == n
    assert all({message.intent for message in messages} == traffic.MESSAGES.keys() for messages in rounds)
    assert min(Counter(m.intent for messages in rounds for m in messages).values()) >= 12


@pytest.mark.parametrize("n", [0, -1, 99])
def test_refuses_a_number_of_rounds_that_the_traffic_does_not_fill(n):
    with pytest.raises(ValueError, match=rf"n: {n} rounds asked"):
        traffic.rounds(n)


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.add(node.module or "")
    return names


def ours() -> set[str]:
    project = DEMO.parent.parent
    rooms = {path.name for path in DEMO.parent.iterdir() if path.is_dir()} - {"demo"}
    return rooms | {path.name for path in project.iterdir() if path.is_dir()} - {".venv"}


@pytest.mark.parametrize("path", sorted(DEMO.rglob("*.py")), ids=lambda path: str(path.relative_to(DEMO)))
def test_the_demo_imports_nothing_of_the_rest_of_the_house(path):
    assert {name.partition(".")[0] for name in imports_of(path)} & ours() == set()


def test_the_model_stands_alone_and_opens_no_file():
    model = DEMO / "model.py"
    assert not any(name.partition(".")[0] in {"demo", "pathlib", "os", "io", "shelve"} for name in imports_of(model))
    called = {node.func for node in ast.walk(ast.parse(model.read_text())) if isinstance(node, ast.Call)}
    names = {func.id if isinstance(func, ast.Name) else getattr(func, "attr", "") for func in called}
    assert names & {"open", "exec", "eval", "__import__", "read_text", "read_bytes"} == set()
