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
from typing import Any

import msgspec
import orjson

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_RISKY_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_LARGEST_INTEGER = 2**63 - 1
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER = b"0" * 19
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_NOT_PLAIN: Any = object()


@dataclass(frozen=True)
class Limits:
    """What one body may cost. Bytes are counted after decompression; depth is the nesting of [] and {}."""

    n_bytes: int = 20 * 1024 * 1024
    depth: int = 32
    n_values: int = 1_000_000
    n_number_characters: int = 400


DEFAULT_LIMITS = Limits()


class Refused(ValueError):  # "raises Refused" reads as what happens
    """This text is not JSON that we take; `path` says where, as in `[3].input`, or is empty."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class TooLarge(Refused):
    """The body is over the limit of bytes."""


@dataclass(frozen=True)
class NotTaken:
    """Stands where a number stood that we do not take. Never stored."""

    message: str


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
    value, suspect = parse_leniently(body, limits)
    flaw = flaw_in(value) if suspect else None
    if flaw is not None:
        raise flaw
    return value


def parse_leniently(body: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Any, bool]:
    """As `parse`, but leaves in place what is not taken: `RepeatedNames`, `NotTaken`, unsafe text.

    For batches, where one bad row must not cost the others. Returns the value and whether anything may be
    wrong with it; the caller then asks `flaw_in` row by row.
    """
    if len(body) > limits.n_bytes:
        raise TooLarge(f"has {len(body)} bytes; at most {limits.n_bytes} are taken")
    if _is_crowded(body, limits):
        _check_shape(body, limits)
    value = _plain(body)
    if value is not _NOT_PLAIN:
        return value, False
    _check_shape(body, limits)
    reader = _Reader(limits)
    value = reader.read(_decode(body))
    return value, reader.suspect or _RISKY_ESCAPE.search(body) is not None


def flaw_in(value: Any) -> Refused | None:
    """The first thing in `value` that is never stored, with its path, or None."""
    for path, found in walk(value):
        flaw = _flaw_of(found, path)
        if flaw is not None:
            return flaw
    return None


def elements(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Iterator[bytes] | None:
    """The texts of an array's elements, each to be parsed alone; None where `body` is no well-formed array.

    Raises:
        TooLarge: more bytes than `limits.n_bytes`.
        Refused: nested too deep, or too many values.
    """
    if len(body) > limits.n_bytes:
        raise TooLarge(f"has {len(body)} bytes; at most {limits.n_bytes} are taken")
    if body.count(b",") > limits.n_values:
        _check_shape(body, limits)
    try:
        return map(bytes, _ARRAY.decode(body))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
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


def _flaw_of(found: Any, path: str) -> Refused | None:
    match found:
        case str():
            return _string_flaw(found, path)
        case NotTaken():
            return Refused(found.message, path=path)
        case RepeatedNames():
            return Refused(f"the name {found.repeated!r} stands twice in one object: send it once", path=path)
        case dict():
            return next((flaw for name in found if (flaw := _string_flaw(name, path))), None)
    return None


def _string_flaw(text: str, path: str) -> Refused | None:
    if "\x00" in text:
        return Refused("holds the character NUL (\\u0000), which cannot be stored: leave it out", path=path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return Refused("holds half of a surrogate pair, which is no character: send complete text", path=path)
    return None


def _is_crowded(body: bytes, limits: Limits) -> bool:
    """Whether it may be too deep or hold too many values; false for nearly every honest text, and cheap."""
    return body.count(b"[") + body.count(b"{") > limits.depth or (
        len(body) > limits.n_values and body.count(b",") + limits.depth > limits.n_values
    )


def _plain(body: bytes) -> Any:
    """The value by a fast parser, where that is sure to mean the same as the careful one; else `_NOT_PLAIN`.

    The fast parser refuses bad UTF-8, lone surrogates, `NaN` and overflowing numbers by itself. It takes
    integers of any length, NUL, and the last of repeated names: each name has one colon, so a text that holds
    as many colons as its value written out again repeats none (an escaped colon could hide one and is left to
    the careful parser).
    """
    if b"\\u" in body and (b"\\u0000" in body or b"\\u003" in body):
        return _NOT_PLAIN
    if _LONG_INTEGER in body.translate(_DIGITS_AS_ZERO):
        return _NOT_PLAIN
    try:
        value = orjson.loads(body)
        written = orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _NOT_PLAIN
    return value if written.count(b":") == body.count(b":") else _NOT_PLAIN


def _decode(body: bytes) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        raise Refused("the body begins with a byte order mark: send plain UTF-8")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"byte {error.start} is not UTF-8: send UTF-8") from error


def _check_shape(body: bytes, limits: Limits) -> None:
    """Depth and number of values, counted on what stands outside strings, without recursion."""
    bare = _STRING.sub(b"", body)
    brackets = bare.translate(None, _NOT_BRACKETS)
    if bare.count(b",") + len(brackets) // 2 > limits.n_values:
        raise Refused(f"holds more than {limits.n_values} values: send fewer at a time")
    for _ in range(limits.depth):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise Refused(f"nested deeper than {limits.depth} levels, or brackets that do not match")


class _Reader:
    """One use of Python's scanner with our hooks; `suspect` says that one of them found something."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.suspect = False

    def read(self, text: str) -> Any:
        try:
            return json.loads(
                text,
                object_pairs_hook=self._object,
                parse_float=self._float,
                parse_int=self._integer,
                parse_constant=self._constant,
            )
        except json.JSONDecodeError as error:
            raise Refused(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.suspect = True
        seen: set[str] = set()
        marked = RepeatedNames(found)
        for name, _ in pairs:
            if name in seen:
                marked.repeated = name
                break
            seen.add(name)
        return marked

    def _float(self, literal: str) -> float | NotTaken:
        number = float(literal) if len(literal) <= self.limits.n_number_characters else math.inf
        if math.isfinite(number):
            return number
        return self._refuse(f"the number {literal[:40]} is too large: send at most 1.7e308")

    def _integer(self, literal: str) -> int | NotTaken:
        if len(literal) <= 20 and abs(int(literal)) <= _LARGEST_INTEGER:
            return int(literal)
        return self._refuse(f"the integer {literal[:40]} does not fit in 64 bits: send it as a string")

    def _constant(self, literal: str) -> NotTaken:
        return self._refuse(f"{literal} is not a JSON number: send null or leave the field out")

    def _refuse(self, message: str) -> NotTaken:
        self.suspect = True
        return NotTaken(message)
