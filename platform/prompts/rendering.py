"""What is sent to the model: the messages of one revision for one input. Pure; nothing here reads a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.problems import FieldError, Invalid
from core.similarity.tfidf import Index
from prompts import templates, variables
from prompts.content import ContextLine

# Values may stand in a template many times over: what that may amount to, in characters.
LARGEST_RENDERING = 8_000_000


class MissingVariable(Invalid):
    """A template needs a variable that was not given."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            *(FieldError(f"variables.{name}", f"is missing; the template holds {{{{{name}}}}}") for name in names)
        )


class RenderingTooLarge(Invalid):
    """The values, put in as often as the templates ask, are too much text."""

    def __init__(self, n: int) -> None:
        said = f"would make a prompt of {n} characters; at most {LARGEST_RENDERING} are rendered"
        super().__init__(FieldError("variables", said))


@dataclass(frozen=True)
class Line:
    """A context item with the id of its row."""

    id: int
    content: ContextLine


@dataclass(frozen=True)
class Rendered:
    """What is sent, and which context items are in it (ids in the order in which they stand).

    `model` is as the revision names it; `connections.queries.resolve` finds its endpoint.
    """

    messages: list[dict[str, str]]
    context_ids: list[int]
    model: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Serving:
    """Everything needed to render one revision again and again, without another statement. Never changes.

    Attributes:
        examples: in the revision's order; `index` ranks them by these places.
        notes: lessons and facts in the revision's order.
        index: of the examples, where the strategy is `similar`.
        k: how many similar examples are chosen; None means all.
    """

    revision_id: int
    prompt_id: int
    number: int
    content_hash: str
    model: str
    parameters: Mapping[str, Any]
    messages: tuple[tuple[str, templates.Template], ...]
    examples: tuple[Line, ...]
    notes: tuple[Line, ...]
    index: Index | None
    k: int | None

    def render(
        self,
        values: Mapping[str, Any],
        history: Sequence[Mapping[str, str]] = (),
        *,
        examples: Sequence[int] | None = None,
    ) -> Rendered:
        """The messages for these variables.

        Args:
            values: by name, as `variables.variables_of` gives them; more than the templates need is no harm.
            history: earlier turns, put before the examples.
            examples: places of the examples to use instead of those that the strategy chooses.

        Raises:
            MissingVariable: naming each one.
            RenderingTooLarge: more than `LARGEST_RENDERING` characters of values.
        """
        texts = self._texts(values)
        chosen = [self.examples[place] for place in (self.chosen(values) if examples is None else examples)]
        return Rendered(
            messages=render(
                [(role, templates.fill(template, texts)) for role, template in self.messages],
                history=history,
                examples=[line.content for line in chosen],
                notes=[line.content.text for line in self.notes],
            ),
            context_ids=[line.id for line in (*self.notes, *chosen)],
            model=self.model,
            parameters=self.parameters,
        )

    def render_input(self, input: Any, carried: Mapping[str, Any] | None = None) -> Rendered:  # noqa: A002  # the contract's word
        """As `render`, for an input as production or a golden case holds it.

        Raises:
            NoInput: it holds nothing that a user said.
        """
        values, history = variables.variables_of(input, carried)
        return self.render(values, history)

    def chosen(self, values: Mapping[str, Any]) -> Sequence[int]:
        """The places of the examples for these variables, as they will stand: the most similar last.

        Nearest to the question is where a model heeds an example most. Of equals the earlier ranks higher.
        """
        if self.index is None or self.k is None:
            return range(len(self.examples))
        return self.index.rank(variables.text_of(values), self.k)[::-1]

    def _texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        texts = templates.texts(values, self._needed)
        missing = [name for name in self._needed if name not in texts]
        if missing:
            raise MissingVariable(missing)
        n = sum(len(texts[name]) * times for name, times in self._needed.items())
        if n > LARGEST_RENDERING:
            raise RenderingTooLarge(n)
        return texts

    @cached_property
    def _needed(self) -> dict[str, int]:
        """How often each variable stands in the templates, in order of appearance."""
        counts: dict[str, int] = {}
        for _, template in self.messages:
            for name in templates.names(template):
                counts[name] = counts.get(name, 0) + 1
        return counts


def render(
    messages: Sequence[tuple[str, str]],
    *,
    history: Sequence[Mapping[str, str]] = (),
    examples: Sequence[ContextLine] = (),
    notes: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Filled messages with context: notes end the system message, examples precede the last user message.

    Without a system message the notes become one; without a user message history and examples come last.

    Args:
        messages: (role, content) in order.
        history: earlier turns of the conversation, before the examples.
        examples: as pairs of user and assistant, in this order.
        notes: lessons and facts, as a list.
    """
    said = [{"role": role, "content": content} for role, content in messages]
    if notes:
        said = _with_notes(said, notes)
    last = max((place for place, message in enumerate(said) if message["role"] == "user"), default=len(said))
    pairs = [turn for example in examples for turn in _pair(example)]
    return [*said[:last], *(dict(turn) for turn in history), *pairs, *said[last:]]


def _with_notes(messages: list[dict[str, str]], notes: Sequence[str]) -> list[dict[str, str]]:
    listed = "\n".join(f"- {note}" for note in notes)
    place = next((place for place, message in enumerate(messages) if message["role"] == "system"), None)
    if place is None:
        return [{"role": "system", "content": listed}, *messages]
    system = {"role": "system", "content": f"{messages[place]['content']}\n\n{listed}"}
    return [*messages[:place], system, *messages[place + 1 :]]


def _pair(example: ContextLine) -> tuple[dict[str, str], dict[str, str]]:
    return {"role": "user", "content": example.input}, {"role": "assistant", "content": example.output}
