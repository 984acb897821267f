"""The redaction of a project's rows: which redactor holds for which environment, and what of a record it looks at."""

import functools
import json
import operator
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec
import orjson

from core.problems import Problem
from outputs.redaction import policy as policies
from outputs.redaction import redactor as redactors
from outputs.redaction.policy import Action, Policy
from outputs.redaction.redactor import Redactor

EVERYWHERE = ""
MOST_LOOKS = 100_000
# Who somebody is must stay apart from who others are: there a mark is always a keyed one.
_APART = MappingProxyType({Action.REPLACE: Action.HASH})
# A column of a statement over `projects_project AS project`: its policies as text, null where it has none.
COLUMN = """
    (SELECT json_agg(json_build_array(environment, said) ORDER BY environment)::text
     FROM outputs_redactionpolicy WHERE project_id = project.id)"""
_NOTHING: Mapping[str, int] = MappingProxyType({})

R = TypeVar("R", bound=msgspec.Struct)


class Said(NamedTuple):
    """A field of a record that a stranger wrote.

    Args:
        name: of the field.
        longest: characters that its column takes, of each text in it; None where it takes any number.
        is_identity: whether it says who somebody is, or which session.
    """

    name: str
    longest: int | None = None
    is_identity: bool = False


class Texts:
    """The fields of a kind of record that are redacted.

    Args:
        fields: those that a stranger wrote, but for ids by which rows are found again.
    """

    def __init__(self, *fields: Said) -> None:
        self.fields = fields
        self.of = operator.attrgetter(*(field.name for field in fields))


class Looks:
    """How many places of one body may be looked at one by one, which takes about 0.1 ms each."""

    def __init__(self, n: int = MOST_LOOKS) -> None:
        self.n_left = n

    def take(self, n: int) -> None:
        """So many more.

        Raises:
            Problem: 413, they are too many.
        """
        self.n_left -= n
        if self.n_left < 0:
            said = f"The body holds more than {MOST_LOOKS} places that may have to be redacted"
            raise Problem(413, f"{said}; send fewer rows at a time.")


@dataclass(frozen=True)
class Redaction:
    """How the rows of one project are redacted.

    Args:
        by_environment: the redactor of each environment that has a policy of its own, and of `EVERYWHERE`.
        looks: what the rows of one body share; None where nobody waits for the answer.
    """

    by_environment: Mapping[str, Redactor]
    looks: Looks | None = None

    def of(self, environment: str | None) -> Redactor:
        """The redactor for rows of an environment."""
        return self.by_environment.get(environment or EVERYWHERE) or self.by_environment[EVERYWHERE]

    def applied(self, record: R, texts: Texts, environment: str | None = None) -> tuple[R, Mapping[str, int]]:
        """The record as it may be stored, and how much was found by each detector.

        A record in which nothing is found is given back as it is; it is searched once, as a whole.
        """
        redactor = self.of(environment)
        encoded = orjson.dumps(texts.of(record))
        if not redactor.suspects(encoded):
            return record, _NOTHING
        if self.looks is not None:
            self.looks.take(redactor.n_places(encoded, most=self.looks.n_left + 1))
        counts: Counter[str] = Counter()
        changed = {field.name: redacted(getattr(record, field.name), field, redactor, counts) for field in texts.fields}
        return (msgspec.structs.replace(record, **changed), counts) if counts else (record, _NOTHING)


@functools.lru_cache(maxsize=1_000)
def of_stored(policies: str | None, key: bytes) -> Redaction:
    """The redaction that `COLUMN` gives; the same one for the same answer, made once.

    Args:
        policies: what the column gave.
        key: the project's, for keyed hashes.
    """
    return of_project(json.loads(policies or "[]"), key)


def of_project(stored: Iterable[tuple[str, Mapping[str, Any]]], key: bytes) -> Redaction:
    """The redaction of a project.

    Args:
        stored: (environment, policy as it was saved) of each of its policies.
        key: the project's, for keyed hashes.
    """
    said: dict[str, Policy] = {EVERYWHERE: policies.DEFAULT}
    said |= {environment: policies.from_stored(policy) for environment, policy in stored}
    return Redaction({environment: redactors.redactor(policy, key) for environment, policy in said.items()})


def redacted(value: Any, field: Said, redactor: Redactor, counts: Counter[str]) -> Any:
    """What a field holds, as it may be stored; what was found is added to `counts`."""
    if field.is_identity and isinstance(value, str):
        value = redactor.text(value, counts, instead=_APART)
    else:
        value = redactor.value(value, counts)
    return value if field.longest is None else _within(value, field.longest)


def _within(value: Any, longest: int) -> Any:
    """Marks may be longer than what they stand for, and a text that was dropped is no tag."""
    if isinstance(value, list):
        return [one[:longest] for one in value if one]
    return value[:longest] if isinstance(value, str) else value
