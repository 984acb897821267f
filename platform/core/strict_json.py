"""JSON from strangers: every limit is applied before or while parsing, and each refusal says where.

Python's parser alone lets through repeated names (the last wins silently), `NaN`, numbers that overflow to
infinity, lone surrogates and NUL, and it dies on deep nesting. PostgreSQL's jsonb refuses some of these much
later. OWASP ASVS 5, 1.5.3, asks that they are refused at the door.
"""

import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_RISKY_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Limits:
    """What one body may cost. Bytes are counted after decompression; depth is the nesting of [] and {}."""

    n_bytes: int = 20 * 1024 * 1024
    depth: int = 32
    n_names: int = 1_000_000
    n_number_characters: int = 400


DEFAULT_LIMITS = Limits()


class Refused(ValueError):
    """This text is not JSON that we take; `path` says where, as in `[3].input`, or is empty."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class TooLarge(Refused):
    """The body is over the limit of bytes."""


class RepeatedNames(dict[str, Any]):
    """An object in which a name stood twice; `repeated` is the first such name. Never stored."""

    repeated: str = ""


def inflate(body: bytes, *, limit: int) -> bytes:
    """Decompress a gzip body without ever holding more than `limit` bytes of it.

    Raises:
        TooLarge: it would be larger than `limit` bytes.
        Refused: it is no complete gzip stream.
    """
    stream = zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise Refused("the body says gzip but is not: send a complete gzip stream") from error
    if len(text) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes after decompression")
    if not stream.eof:
        raise Refused("the gzip stream ends too early: send it complete")
    if stream.unused_data:
        raise Refused("something follows the gzip stream: send one stream alone")
    return text


def parse(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The value of a JSON text in which nothing is ambiguous.

    Args:
        body: UTF-8, without a byte order mark.
        limits: what the text may cost.

    Raises:
        TooLarge: more bytes than `limits.n_bytes`.
        Refused: anything else, with the path where it is known.
    """
    value, repeated = parse_leniently(body, limits)
    if repeated:
        for path, found in walk(value):
            if isinstance(found, RepeatedNames):
                raise Refused(f"the name {found.repeated!r} stands twice in one object: send it once", path=path)
    flaw = text_flaw(value, body)
    if flaw is not None:
        raise flaw
    return value


def parse_leniently(body: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Any, bool]:
    """As `parse`, but leaves objects with repeated names in place, as `RepeatedNames`, and unsafe text unchecked.

    For batches, where one bad row must not cost the others. Returns the value and whether any name was repeated;
    the caller refuses such rows and those for which `text_flaw` finds something.
    """
    if len(body) > limits.n_bytes:
        raise TooLarge(f"the body has {len(body)} bytes; at most {limits.n_bytes} are taken")
    _check_shape(body, limits)
    return _Reader(limits).read(_decode(body))


def text_flaw(value: Any, body: bytes) -> Refused | None:
    """The first string in `value` that no store could keep (NUL, lone surrogate), or None.

    Such characters can only come from escapes, so the search is skipped where `body` holds none.
    """
    if _RISKY_ESCAPE.search(body) is None:
        return None
    for path, found in walk(value):
        if isinstance(found, str):
            flaw = _string_flaw(found, path)
            if flaw is not None:
                return flaw
        elif isinstance(found, dict):
            for name in found:
                flaw = _string_flaw(name, path)
                if flaw is not None:
                    return flaw
    return None


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below and including `value`, with its path; parents come before children."""
    yield path, value
    if isinstance(value, dict):
        for name, child in value.items():
            yield from walk(child, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from walk(child, f"{path}[{index}]")


def _string_flaw(text: str, path: str) -> Refused | None:
    if "\x00" in text:
        return Refused("holds the character NUL (\\u0000), which cannot be stored: leave it out", path=path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return Refused("holds half of a surrogate pair, which is no character: send complete text", path=path)
    return None


def _decode(body: bytes) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        raise Refused("the body begins with a byte order mark: send plain UTF-8")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"byte {error.start} is not UTF-8: send UTF-8") from error


def _check_shape(body: bytes, limits: Limits) -> None:
    """Depth and number of names, counted on the brackets and colons outside strings, without recursion."""
    bare = _STRING.sub(b"", body)
    if bare.count(b":") > limits.n_names:
        raise Refused(f"the body holds more than {limits.n_names} names")
    brackets = bare.translate(None, _NOT_BRACKETS)
    for _ in range(limits.depth):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise Refused(f"nested deeper than {limits.depth} levels, or brackets that do not match")


class _Reader:
    """One use of Python's scanner with our hooks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.repeated = False

    def read(self, text: str) -> tuple[Any, bool]:
        try:
            value = json.loads(
                text,
                object_pairs_hook=self._object,
                parse_float=self._float,
                parse_int=self._integer,
                parse_constant=self._constant,
            )
        except json.JSONDecodeError as error:
            raise Refused(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
        return value, self.repeated

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.repeated = True
        marked = RepeatedNames(found)
        seen: set[str] = set()
        marked.repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # set.add says None: "not seen yet"
        return marked

    def _float(self, literal: str) -> float:
        number = float(literal) if len(literal) <= self.limits.n_number_characters else math.inf
        if not math.isfinite(number):
            raise Refused(f"the number {literal[:40]} is too large: send at most 1.7e308")
        return number

    def _integer(self, literal: str) -> int:
        if len(literal) > 20 or abs(int(literal)) > _LARGEST_INTEGER:
            raise Refused(f"the integer {literal[:40]} does not fit in 64 bits: send it as a string")
        return int(literal)

    def _constant(self, literal: str) -> NoReturn:
        raise Refused(f"{literal} is not a JSON number: send null or leave the field out")
