"""Values of any shape: what is found goes, the shape stays, and doing it twice changes nothing."""

import string
import timeit
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.problems import Problem
from outputs.records import FeedbackRecord
from outputs.redaction import policy, rows
from outputs.redaction import redactor as redactor_module
from outputs.redaction.policy import Action
from outputs.redaction.redactor import Redactor, redactor
from outputs.services import feedback
from tests.outputs.redaction.test_detectors import FOUND, LEFT

DEFAULT = redactor(policy.DEFAULT, b"key")
HASH = redactor(policy.checked(detectors=dict.fromkeys(FOUND, "hash")), b"key")
DROP = redactor(policy.checked(detectors=dict.fromkeys(FOUND, "drop")), b"key")
SEEDS = [text for texts in [*FOUND.values(), *LEFT.values()] for text in texts]
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=string.digits + " -.+@:/[]_abDE", max_size=60),
    st.lists(st.sampled_from([*SEEDS, " ", "[email]", "[card:0123456789ab]", "x"]), max_size=4).map("".join),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=10,
)


def redacted(value: Any, by: Redactor = DEFAULT) -> Any:
    return by.value(value, Counter())


def test_values_and_keys_at_any_depth_are_redacted() -> None:
    value = {"a": [{"b": "mail john@example.com"}], "john@example.com": {"c": ["+12025550143", 7, None, True, 1.5]}}
    assert redacted(value) == {"a": [{"b": "mail [email]"}], "[email]": {"c": ["[phone]", 7, None, True, 1.5]}}


def test_keys_that_become_equal_lose_no_value() -> None:
    value = {"a@example.com": 1, "b@example.com": 2, "[email]": 3}
    assert redacted(value) == {"[email]": 3, "[email] (2)": 1, "[email] (3)": 2}
    assert redacted(redacted(value)) == redacted(value)


def test_a_card_with_a_point_behind_it_is_one() -> None:
    said = {"n": 4111111111111111.0, "price": 12.5, "whole": 3.0}
    assert redacted(said) == {"n": "[card]", "price": 12.5, "whole": 3.0}


def test_a_number_that_is_a_card_becomes_text() -> None:
    assert redacted({"card": 4111111111111111, "at": 1712345678901, "n": 42}) == {
        "card": "[card]",
        "at": 1712345678901,
        "n": 42,
    }


@pytest.mark.parametrize("key", ["password", "api_key", "apiKey", "client_secret", "X-API-Key", "db_password"])
def test_a_value_under_a_secret_name_goes_whole(key: str) -> None:
    assert redacted({key: "correct horse"}) == {key: "[secret]"}
    assert redacted({key: ["correct horse", "${VARIABLE}"]}) == {key: ["[secret]", "${VARIABLE}"]}


@pytest.mark.parametrize("key", ["token", "keyboard", "secretary", "password_hint", "passage"])
def test_a_value_under_a_harmless_name_stays(key: str) -> None:
    assert redacted({key: "correct horse"}) == {key: "correct horse"}


def test_a_number_counts_under_the_name_that_it_needs() -> None:
    assert redacted({"ssn": "536904399", "bsn": 111222333, "order": "536904399"}) == {
        "ssn": "[national_id]",
        "bsn": "[national_id]",
        "order": "536904399",
    }


def test_messages_stay_messages() -> None:
    everything = policy.checked(
        detectors={}, patterns=[{"name": "word", "pattern": "[a-z]+", "action": Action.DROP.value}]
    )
    messages = [{"role": "user", "content": "hello"}, {"role": "judge@example.com", "content": None}]
    assert redacted(messages, redactor(everything, b"key")) == [
        {"role": "user", "content": ""},
        {"role": "[email]", "content": None},
    ]


def test_findings_that_overlap_become_one_called_by_the_longest() -> None:
    counts: Counter[str] = Counter()
    assert DEFAULT.text("password=hunter2@example.com", counts) == "password=[secret]"
    assert counts == {"secret": 1}


def test_marks_are_never_found_again() -> None:
    said = policy.checked(detectors={}, patterns=[{"name": "word", "pattern": r"\w+", "action": "replace"}])
    words = redactor(said, b"key")
    once = words.text("mail john@example.com now", Counter())
    assert words.text(once, Counter()) == once
    assert "john" not in once


def test_what_is_dropped_brings_nothing_together() -> None:
    said = policy.checked(detectors={"email": "drop"})
    torn = "4111 1111 1111 john@example.com1111"
    once = redactor(said, b"key").text(torn, Counter())
    assert redactor(said, b"key").text(once, Counter()) == once


def test_keyed_hashes_differ_between_projects() -> None:
    said = policy.checked(detectors={"email": "hash"})
    here, there = (redactor(said, key).text("a@example.com", Counter()) for key in (b"here", b"there"))
    assert here != there


@pytest.mark.parametrize(
    "piece",
    ["+1 202 555 014", "-----BEGIN PRIVATE KEY-----", "a@", "password=", "4111 1111 ", "1.1.1.", "[email]", "a@b.co "],
)
def test_takes_time_linear_in_the_text(piece: str) -> None:
    def seconds(n: int) -> float:
        return timeit.timeit(lambda: DEFAULT.text(piece * n, Counter()), number=1)

    seconds(10)
    assert seconds(20_000) < 40 * seconds(2_000) + 0.5


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_any_value_keeps_its_shape(value: Any) -> None:
    for by in (DEFAULT, HASH, DROP):
        assert shape(redacted(value, by)) == shape(value)


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_redacting_twice_changes_nothing(value: Any) -> None:
    for by in (DEFAULT, HASH, DROP):
        once = redacted(value, by)
        assert redacted(once, by) == once


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_detector_finds_remains(text: str) -> None:
    assert DEFAULT.findings(DEFAULT.text(text, Counter())) == []


@given(st.dictionaries(TEXTS, TEXTS, max_size=3))
@settings(max_examples=300, deadline=None)
def test_a_row_that_is_not_suspected_holds_nothing(value: dict[str, str]) -> None:
    """The one search over the encoded row misses nothing that looking at every text would find."""
    if not DEFAULT.suspects(orjson.dumps(value)):
        assert redacted(value) == value
    if redacted(value) != value:
        assert DEFAULT.suspects(orjson.dumps(value))


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_the_one_search_suspects_every_finding(name: str, text: str) -> None:
    said = policy.checked(detectors={other: "keep" for other in FOUND if other != name})
    for value in (text, {"a": [text]}, f'"{text}"', f"\n{text}\n"):
        assert redactor(said, b"key").suspects(orjson.dumps([value]))


def shape(value: Any) -> Any:
    """What a value is but for its texts; a whole number may have become one."""
    match value:
        case dict():
            return sorted(repr(shape(one)) for one in value.values())
        case list():
            return [shape(one) for one in value]
        case bool() | None:
            return value
        case float() if not value.is_integer():
            return value
    return "text or whole number"


def test_a_clean_row_costs_next_to_nothing() -> None:
    """About 1.5 KB; the bound is loose, for machines that do other things meanwhile."""
    row = orjson.dumps([{"role": "user", "content": "Where is my parcel? It was sent on 2026-01-31 at 12:30. " * 26}])
    assert not DEFAULT.suspects(row)
    assert min(timeit.repeat(lambda: DEFAULT.suspects(row), number=100, repeat=10)) / 100 < 200e-6


def test_the_default_replaces_all_that_is_known() -> None:
    assert set(dict(policy.DEFAULT.actions).values()) == {Action.REPLACE}
    assert rows.of_project([], b"key").of("staging").policy == policy.DEFAULT


def test_a_text_in_which_too_much_is_found_gives_way_as_a_whole() -> None:
    few, many = ("a@example.com " * n for n in (redactor_module.MOST_PLACES - 10, redactor_module.MOST_PLACES + 10))
    counts: Counter[str] = Counter()
    assert DEFAULT.text(few, counts) == few.replace("a@example.com", "[email]")
    assert DEFAULT.text(many, Counter()) == "[too_many_findings]"
    assert redacted("[too_many_findings]") == "[too_many_findings]"


def test_findings_of_a_row_are_bounded_over_all_its_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactor_module, "MOST_PLACES", 3)
    said = ["a@example.com", "b@example.com", "plain", "c@example.com and more", "still plain"]
    assert redacted(said) == ["[email]", "[email]", "plain", "[too_many_findings]", "still plain"]


def test_a_pattern_that_matches_every_character_is_bounded_too() -> None:
    own = policy.checked(detectors={}, patterns=[{"name": "all", "pattern": ".", "action": "replace"}])
    assert redactor(own, b"key").text("x" * 1_000_000, Counter()) == "[too_many_findings]"


def test_the_rows_of_one_body_are_looked_at_only_so_much() -> None:
    """As much as is taken is left for the others; what is refused says what to do."""
    looks = rows.Looks(5)
    redaction = rows.Redaction({rows.EVERYWHERE: DEFAULT}, looks)
    record = FeedbackRecord(output_id="o", kind="comment", comment="a@example.com, b@example.com")
    for _ in range(2):
        assert redaction.applied(record, feedback.TEXTS)[0].comment == "[email], [email]"
    with pytest.raises(Problem, match="send fewer rows") as refused:
        redaction.applied(record, feedback.TEXTS)
    assert refused.value.status == 413
