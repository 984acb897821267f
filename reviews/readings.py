"""How an output is read by people: who said what, what was retrieved, and the answer as text or JSON; no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core import markup
from prompts.variables import as_text, content_text
from reviews import texts

LONGEST_TITLE = 90
# Longer answers are shown as plain text: nobody reads their headings, and making them takes as long as a page may.
LONGEST_RENDERED = 60_000

OURS = ("assistant", "model", "ai")
# Where applications put what they retrieved, and what a passage is called in it.
CONTEXT_KEYS = (
    "context", "contexts", "retrieved_context", "retrieval", "retrieved", "documents", "passages", "chunks", "sources",
    "knowledge",
)  # fmt: skip
TITLE_KEYS = ("title", "name", "source", "id", "url")
TEXT_KEYS = ("text", "content", "page_content", "passage", "chunk", "document", "body")


@dataclass(frozen=True)
class Turn:
    """One message of the input: who speaks, whether that is the system under review, and the words."""

    who: str
    text: str
    is_ours: bool = False
    is_code: bool = False


@dataclass(frozen=True)
class Passage:
    """Something the application had retrieved."""

    title: str
    text: str


@dataclass(frozen=True)
class Reading:
    """An answer: its text, and how it is best shown. `raw` is it as it came."""

    kind: Literal["markdown", "json", "plain"]
    text: str
    raw: str

    @property
    def is_both(self) -> bool:
        """Whether there is something to choose between."""
        return self.kind == "markdown" or self.text != self.raw


def title_of(sent: Any, carried: Mapping[str, Any] | None = None) -> str:
    """The first line of what was asked, short enough for a heading; empty where nothing was."""
    lines = (line.strip() for line in texts.input_text(sent, carried).splitlines())
    line = next((line for line in lines if line), "")
    return line if len(line) <= LONGEST_TITLE else f"{line[:LONGEST_TITLE].rstrip()}…"


def thread_of(sent: Any, carried: Any = None) -> list[Turn]:
    """The input as turns: messages as they came; a text is the user's; anything else stands as JSON."""
    if isinstance(sent, dict) and set(sent) >= {"role", "content"}:
        return [_turn(sent)]
    if isinstance(sent, list) and sent and all(isinstance(turn, dict) and "role" in turn for turn in sent):
        return [_turn(turn) for turn in sent]
    turns = [] if sent is None else [_whole("Input", sent)]
    return turns + ([_whole("Variables", carried)] if carried else [])


def passages_of(metadata: Any, retrieved: Sequence[Any] = ()) -> list[Passage]:
    """What was retrieved: as the metadata say (a text, texts, or objects with a text), else as the trace's steps do."""
    lowered = {str(key).lower(): value for key, value in metadata.items()} if isinstance(metadata, dict) else {}
    found = [lowered[key] for key in CONTEXT_KEYS if lowered.get(key)] or [value for value in retrieved if value]
    pieces = [piece for value in found for piece in _pieces(value)]
    return [_passage(piece, number) for number, piece in enumerate(pieces, start=1)]


def reading_of(answered: Any) -> Reading:
    """The answer as people read it."""
    text = texts.output_text(answered)
    raw = answered if isinstance(answered, str) else markup.pretty(answered) if answered is not None else ""
    if len(text) > LONGEST_RENDERED:
        return Reading("plain", text, text)
    found = markup.as_json(text)
    if found is not None:
        return Reading("json", markup.pretty(found), raw)
    return Reading("markdown", text, raw)


def _turn(message: Mapping[str, Any]) -> Turn:
    role = str(message["role"])
    text = content_text(message.get("content"))
    if not text and message.get("tool_calls"):
        return Turn("Tool call", markup.pretty(message["tool_calls"]), is_ours=True, is_code=True)
    is_code = not text and bool(message.get("content"))
    shown = markup.pretty(message["content"]) if is_code else text
    return Turn(role.replace("_", " ").capitalize(), shown, is_ours=role.lower() in OURS, is_code=is_code)


def _whole(who: str, value: Any) -> Turn:
    text = content_text(value) if isinstance(value, str | list) else ""
    if text or isinstance(value, str):
        return Turn(who, text)
    return Turn(who, markup.pretty(value), is_code=True)


def _pieces(value: Any) -> list[Any]:
    """One value, or each of a list, be it alone or under a name that says that it is one."""
    if isinstance(value, dict) and len(value) == 1:
        (name, inner), *_ = value.items()
        value = inner if name in CONTEXT_KEYS and isinstance(inner, list) else value
    return value if isinstance(value, list) else [value]


def _passage(piece: Any, number: int) -> Passage:
    if not isinstance(piece, dict):
        return Passage(f"Passage {number}", as_text(piece))
    carried = piece["metadata"] if isinstance(piece.get("metadata"), dict) else {}
    titles = [told[key] for told in (piece, carried) for key in TITLE_KEYS if told.get(key)]
    title = str(titles[0]) if titles else f"Passage {number}"
    text = next((content_text(piece[key]) for key in TEXT_KEYS if piece.get(key)), markup.pretty(piece))
    return Passage(title, text)


def shortened(titles: Sequence[str], most: int = 3) -> str:
    """Some names in a line."""
    return ", ".join(titles[:most]) + (f" and {len(titles) - most} more" if len(titles) > most else "")
