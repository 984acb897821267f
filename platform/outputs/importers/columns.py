"""What the columns of a file mean: guessed from their names, changed by people, applied to each row."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core import strict_json
from core.problems import FieldError, Invalid
from outputs import records
from outputs.importers.rows import Item, Row
from outputs.records import FeedbackRecord, OutputRecord, Record

OUTPUTS, FEEDBACK = "outputs", "feedback"
RECORDS: Mapping[str, type[Record]] = {OUTPUTS: OutputRecord, FEEDBACK: FeedbackRecord}
METADATA = "metadata."
LEFT_OUT = ""
# A target of its own: seconds become milliseconds.
SECONDS = "latency_s"
NEEDED = {OUTPUTS: "input", FEEDBACK: "output_id"}

_OUTPUT_WORDS = {
    "id": "id output_id request_id run_id uuid guid external_id",
    "input": "input input_text inputs prompt prompt_text question query user_query user_input user_message instruction"
    " instructions request source source_text context_and_question messages input_messages",
    "output": "output output_text outputs response answer completion generation generated_text reply prediction"
    " chatgpt_response model_response model_output llm_output assistant_message output_message result summ_sent",
    "error": "error error_message exception",
    "model": "model model_name model_id llm engine",
    "provider": "provider vendor system",
    "prompt": "prompt_name prompt_id template template_name",
    "revision": "revision prompt_version prompt_revision",
    "started_at": "started_at start_time timestamp created_at created time date datetime at ts",
    "latency_ms": "latency_ms duration_ms elapsed_ms response_time_ms",
    SECONDS: "latency_s latency duration duration_s duration_seconds latency_seconds elapsed elapsed_s response_time",
    "input_tokens": "input_tokens prompt_tokens tokens_in n_input_tokens input_token_count prompt_token_count",
    "output_tokens": "output_tokens completion_tokens tokens_out n_output_tokens output_token_count"
    " completion_token_count",
    "cached_input_tokens": "cached_input_tokens cached_tokens cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens cache_creation_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "cost_usd": "cost_usd cost total_cost price price_usd",
    "trace_id": "trace_id trace",
    "span_id": "span_id observation_id",
    "parent_span_id": "parent_span_id parent_id parent_observation_id",
    "session_id": "session_id session conversation_id thread_id chat_id",
    "user_id": "user_id user end_user customer_id",
    "environment": "environment env",
    "confidence": "confidence probability",
    "tags": "tags labels",
    "metadata": "metadata meta extra attributes",
    "variables": "variables vars",
}
_FEEDBACK_WORDS = {
    "id": "id feedback_id uuid external_id",
    "output_id": "output_id output request_id run_id target_id",
    "kind": "kind type feedback_type",
    "name": "name metric score_name key",
    "value": "value score rating thumb",
    "label": "label category",
    "comment": "comment text feedback correction explanation exp",
    "user_id": "user_id user reviewer annotator author",
    "source": "source origin",
}


def _by_word(words: Mapping[str, str]) -> dict[str, str]:
    return {word: target for target, said in words.items() for word in said.split()}


_GUESSES = {OUTPUTS: _by_word(_OUTPUT_WORDS), FEEDBACK: _by_word(_FEEDBACK_WORDS)}


def targets(kind: str) -> list[str]:
    """What a column may mean, beside `metadata.<name>` and nothing."""
    fields = list(RECORDS[kind].wanted)
    return [*fields, SECONDS] if kind == OUTPUTS else fields


class Mapper:
    """Gives each column its meaning; a column that nobody spoke of is guessed, and else kept as metadata.

    Args:
        kind: outputs or feedback.
        given: column → target; "" leaves the column out.
    """

    def __init__(self, kind: str, given: Mapping[str, str]) -> None:
        self.kind = kind
        self.record = RECORDS[kind]
        self._targets = dict(given)
        self._taken = {target for target in given.values() if target and not target.startswith(METADATA)}
        self._paths = [column for column in given if "." in column]

    def as_dict(self) -> dict[str, str]:
        """Column → target, of all columns seen so far."""
        return dict(self._targets)

    def target(self, column: str) -> str:
        """What this column means; one that was not met before means the field of its name, else metadata.

        That depends on nothing but the mapping, so whoever goes on in the middle of a file says the same.
        """
        known = self._targets.get(column)
        if known is not None:
            return known
        if column in self.record.wanted and column not in self._taken:
            return column
        return f"{METADATA}{column}" if self.kind == OUTPUTS else LEFT_OUT

    def meets(self, columns: Iterable[str]) -> None:
        """These columns have their meaning, those that are called exactly like a field before all others."""
        listed = [column for column in columns if column not in self._targets]
        for column in sorted(listed, key=lambda column: column not in self.record.wanted):
            guess = _GUESSES[self.kind].get(_word(column), "")
            is_free = guess and guess not in self._taken and not (guess == SECONDS and "latency_ms" in self._taken)
            if is_free:
                self._taken.add(guess)
            self._targets[column] = guess if is_free else self.target(column)

    def applied(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The row as a record's fields; what is null or empty is left out.

        Raises:
            records.Rejected: a value cannot be what its column means.
        """
        fields: dict[str, Any] = {}
        metadata: dict[str, Any] = {}
        flaws: list[FieldError] = []
        for column, found in self._found(value):
            target = self.target(column)
            if found is None or found == "" or target == LEFT_OUT:
                continue
            if target.startswith(METADATA):
                metadata[target.removeprefix(METADATA)] = found
                continue
            try:
                fields[target] = read(target, found)
            except ValueError:
                wanted = self.record.wanted.get(target, "seconds, at least 0")
                flaws.append(FieldError(column[:100], f"is no {target}; send {wanted}"))
        if flaws:
            raise records.Rejected(*flaws)
        if SECONDS in fields:
            seconds = fields.pop(SECONDS)
            # What is no number is refused by the record, under its name.
            is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            fields["latency_ms"] = seconds * 1000 if is_number else seconds
        if metadata:
            fields["metadata"] = {**metadata, **_object(fields.get("metadata"))}
        return fields

    def _found(self, value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """The columns of the row, and those that the mapping names by a path into it."""
        inner = [(path, _at(value, path)) for path in self._paths if path not in value]
        reached = {path.partition(".")[0] for path, found in inner if found is not None}
        yield from ((column, found) for column, found in value.items() if column not in reached)
        yield from inner


def settled(given: Any, columns: Sequence[str], kind: str) -> Mapper:
    """The mapping as it is meant, complete for these columns.

    Args:
        given: None to guess; else column → field, or field → column.
        columns: of the file.
        kind: outputs or feedback.

    Raises:
        Invalid: naming each entry that is wrong, or that nothing means what is needed.
    """
    mapper = Mapper(kind, _read(given, columns, kind))
    mapper.meets(columns)
    if NEEDED[kind] not in mapper.as_dict().values():
        listed = ", ".join(repr(name[:60]) for name in columns[:20]) or "none"
        raise Invalid(FieldError("mapping", f"names no column for {NEEDED[kind]!r}; columns found: {listed}"))
    return mapper


def read(target: str, found: Any) -> Any:
    """What stands in a column that means `target`; reading that again changes nothing of a text or structure.

    Raises:
        ValueError: it cannot be that.
    """
    return _READERS.get(target, _text)(found)


def guessed(columns: Sequence[str], kind: str) -> dict[str, str]:
    """What the columns mean by their names alone, whether or not that is enough."""
    mapper = Mapper(kind, {})
    mapper.meets(columns)
    return mapper.as_dict()


def checked_shape(given: Any) -> dict[str, str | None] | None:
    """A mapping as somebody sent it: None, or an object of texts and nulls.

    Raises:
        Invalid: it is something else.
    """
    if given is None:
        return None
    if not isinstance(given, dict) or len(given) > 2_000:
        raise Invalid(FieldError("mapping", 'is no object; send {"<column>": "<field>"}'))
    wrong = [name for name, target in given.items() if not (target is None or isinstance(target, str))]
    if wrong:
        raise Invalid(*(FieldError(f"mapping.{name[:100]}", "is no text; send a field's name") for name in wrong))
    return given


def item(row: Row, mapper: Mapper) -> Item:
    """What a row of columns says."""
    if row.errors:
        return Item(mapper.kind, errors=row.errors)
    try:
        value = mapper.applied(row.value) if isinstance(row.value, dict) else row.value
        return Item(mapper.kind, records.checked(value, mapper.record, suspect=row.is_suspect))
    except records.Rejected as rejected:
        return Item(mapper.kind, errors=rejected.errors)


def _read(given: Any, columns: Sequence[str], kind: str) -> dict[str, str]:
    said = {name: target or LEFT_OUT for name, target in (checked_shape(given) or {}).items()}
    if _is_turned(said, columns, kind):
        said = {column: field for field, column in said.items()}
    known = set(targets(kind))
    flaws = [
        FieldError(f"mapping.{column[:100]}", f"is {target[:60]!r}, no field of {kind}; known: {', '.join(known)}")
        for column, target in said.items()
        if target not in known and target != LEFT_OUT and not target.startswith(METADATA)
    ]
    missing = [column for column in said if column not in columns and "." not in column] if columns else []
    flaws += [FieldError(f"mapping.{column[:100]}", "is no column of the file") for column in missing]
    once = [target for target in said.values() if target]
    flaws += [FieldError("mapping", f"{t!r} has two columns; choose one") for t in set(once) if once.count(t) > 1]
    if flaws:
        raise Invalid(*flaws)
    return said


def _is_turned(said: Mapping[str, str], columns: Sequence[str], kind: str) -> bool:
    """Whether this is field → column."""
    known = {*targets(kind), LEFT_OUT}
    forward = all(target in known or target.startswith(METADATA) for target in said.values())
    backward = all(name in known or name.startswith(METADATA) for name in said) and all(said.values())
    if forward and backward and columns:
        return not all(name in columns for name in said) and all(name in columns for name in said.values())
    return backward and not forward


def _word(column: str) -> str:
    """`userQuery`, `User Query` and `input.text` as `user_query` and `input_text`."""
    letters = []
    for before, letter in zip(" " + column, column, strict=False):
        if letter.isupper() and (before.islower() or before.isdigit()):
            letters.append("_")
        letters.append(letter.lower() if letter.isalnum() else "_")
    return "_".join(part for part in "".join(letters).split("_") if part)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: Any) -> Any:
    """Numbers and booleans as text; anything else is left to the record's own check."""
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, int | float) else found


def _content(found: Any) -> Any:
    """Text, or the messages or the object that a text of JSON is."""
    if isinstance(found, str) and found.lstrip()[:1] in ("{", "["):
        inner = _json_or_none(found)
        is_messages = (
            isinstance(inner, list) and all(isinstance(one, dict) and "role" in one for one in inner) and inner
        )
        return inner if is_messages or isinstance(inner, dict) else found
    return _text(found)


def _answer(found: Any) -> Any:
    """Text, or the one message that a list or a text of JSON holds."""
    inner = _content(found)
    if isinstance(inner, list) and len(inner) == 1 and isinstance(inner[0], dict):
        inner = inner[0]
    if isinstance(inner, list | dict) and not (isinstance(inner, dict) and "role" in inner):
        return found if isinstance(found, str) else json.dumps(inner, ensure_ascii=False)
    return inner


def _number(found: Any) -> Any:
    if isinstance(found, str):
        return float(found)
    return found


def _count(found: Any) -> Any:
    if isinstance(found, str):
        found = float(found) if not found.strip().isdecimal() else int(found)
    if isinstance(found, float):
        if not found.is_integer():
            raise ValueError("no whole number")
        return int(found)
    return found


def _revision(found: Any) -> Any:
    is_number = isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) < 10
    return int(found) if is_number else found


def _moment(found: Any) -> Any:
    """A moment in ISO 8601, or seconds, milliseconds, micro- or nanoseconds since 1970."""
    if isinstance(found, bool):
        raise ValueError("no moment")
    if isinstance(found, str):
        try:
            return dt.datetime.fromisoformat(found.strip())
        except ValueError:
            found = float(found)
    if not isinstance(found, int | float):
        return found
    for unit in (1, 1e3, 1e6, 1e9):
        if abs(found) / unit < 1e11 or unit == 1e9:
            try:
                return dt.datetime.fromtimestamp(found / unit, tz=dt.UTC)
            except (OverflowError, OSError) as error:
                raise ValueError("no moment") from error
    return found


def _tags(found: Any) -> Any:
    if isinstance(found, str):
        inner = _json_or_none(found) if found.lstrip().startswith("[") else None
        if isinstance(inner, list):
            return inner
        separator = "|" if "|" in found else ","
        return [tag.strip() for tag in found.split(separator) if tag.strip()]
    return found


def _structure(found: Any) -> Any:
    if not isinstance(found, str):
        return found
    inner = _json_or_none(found)
    if not isinstance(inner, dict):
        raise ValueError("no object")
    return inner


def _value(found: Any) -> Any:
    words = {"true": 1.0, "yes": 1.0, "up": 1.0, "false": 0.0, "no": 0.0, "down": -1.0}
    if isinstance(found, str):
        return words[found.lower()] if found.lower() in words else float(found)
    return found


def _json_or_none(text: str) -> Any:
    try:
        return strict_json.parse(text.encode("utf-8"), records.ROW_LIMITS)
    except (strict_json.Refused, UnicodeEncodeError):
        return None


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "input": _content,
    "output": _answer,
    "revision": _revision,
    "started_at": _moment,
    "latency_ms": _number,
    SECONDS: _number,
    "cost_usd": _number,
    "confidence": _number,
    **dict.fromkeys(
        ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens"), _count
    ),
    "tags": _tags,
    "metadata": _structure,
    "variables": _structure,
    "value": _value,
}
