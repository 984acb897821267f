"""Uploads of files: `POST /api/v1/imports` with the file as body or form, or opened empty and filled in pieces.

A body goes straight into pieces in the database; no process holds more of it than one piece.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import itertools
import logging
import re
import urllib.parse
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import multipart
import orjson
from django.conf import settings

from core import bells, clock, rest, strict_json
from core.problems import FieldError, Invalid, Problem, Unavailable
from ledger import idempotency
from ledger.idempotency import StoredAnswer
from outputs import importers, senders
from outputs.importers import columns
from outputs.ingest import answers, bodies, lines
from outputs.ingest.answers import Answer
from outputs.ingest.asgi import Receive, Scope, Send, header
from outputs.ingest.bodies import Incoming, Limits, Room
from outputs.ingest.counting import Refusals
from outputs.ingest.known import Known
from outputs.ingest.lines import Line
from outputs.models import Import
from outputs.senders import Sender
from outputs.services import imports, repeats, uploads
from outputs.services.repeats import Ask
from outputs.services.uploads import Wanted

logger = logging.getLogger(__name__)

PATH = "/api/v1/imports"
PIECE = re.compile(r"/api/v1/imports/([0-9]{1,18})/pieces/([0-9]{1,18})", re.ASCII)
MOST_AT_ONCE = 16
# Of one project, so that no project keeps the others out.
MOST_OF_ONE = 8
LONGEST_KEY = 200
LONGEST_NAME = 200
LONGEST_FIELD = 256 * 1024
FIELDS = ("format", "kind", "name", "mapping")
# What a text of ordinary rows never reaches, and a bomb passes soon: unpacked bytes for each packed one.
MOST_RATIO = 200
RATIO_FROM = 16 * 1024 * 1024
FORM = "multipart/form-data"
BY_TYPE = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/jsonlines": "jsonl",
    "application/vnd.apache.parquet": "parquet",
}


@dataclass(frozen=True)
class UploadLimits:
    """What one upload may cost.

    Args:
        file_bytes: of the whole file, unpacked.
        piece_bytes: what is held of a body at one moment.
        piece_seconds: for each so many bytes to arrive.
        put_bytes: of one piece that is sent alone.
    """

    file_bytes: int = field(default_factory=lambda: settings.LARGEST_IMPORT)
    piece_bytes: int = 1024 * 1024
    piece_seconds: float = 60.0
    put_bytes: int = 8 * 1024 * 1024


def is_ours(scope: Scope) -> bool:
    """Whether this request brings a file, or a piece of one."""
    if scope["type"] != "http":
        return False
    if scope["method"] == "PUT":
        return PIECE.fullmatch(scope["path"]) is not None
    return bool(scope["method"] == "POST" and scope["path"] == PATH)


class Uploads:
    """The ASGI application; `start` before the first request, `stop` after the last."""

    def __init__(
        self,
        *,
        limits: UploadLimits | None = None,
        linger: Limits | None = None,
        now: Callable[[], dt.datetime] = clock.now,
    ) -> None:
        self.limits = limits or UploadLimits()
        self._linger = linger or Limits()
        self._now = now

    async def start(self) -> None:
        """Requests can be served. The database need not answer yet."""
        address = lines.address()
        self._known = Known(address)
        self._lines = [Line(address) for _ in range(2)]
        self._turns = itertools.cycle(self._lines)
        self._room = Room(MOST_AT_ONCE * 2 * self.limits.put_bytes)
        self._arriving: Counter[int] = Counter()
        self._refusals = Refusals(address, now=self._now)
        self._refusals.start()

    async def stop(self) -> None:
        """No connection is left."""
        await self._refusals.stop()
        await self._known.close()
        for line in self._lines:
            await line.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive)
        try:
            answer = await self._answer(scope, incoming)
        except bodies.Gone:
            return
        except Exception as error:
            answer = answers.of_problem(_problem_of(error))
        with contextlib.suppress(bodies.Gone):
            await answers.give(send, answer, incoming, self._linger)

    async def _answer(self, scope: Scope, incoming: Incoming) -> Answer:
        sender = await self._known.sender(scope)
        try:
            with self._turn(sender):
                if scope["method"] == "PUT":
                    return await self._put(scope, incoming, sender)
                return await self._post(scope, incoming, sender)
        except bodies.Gone:
            raise
        except Exception as error:
            problem = _problem_of(error)
            # One source for all files and pieces: an address with an id in it is not another way in.
            self._refusals.refuse(self._refusals.source(sender, {**scope, "path": PATH}), problem)
            raise problem from error

    @contextlib.contextmanager
    def _turn(self, sender: Sender) -> Iterator[None]:
        """A file or piece of the sender's project arrives."""
        if getattr(sender, "door", None) is not None:
            raise Problem(403, senders.NOT_ALLOWED)
        project_id = sender.project_id
        if self._arriving.total() >= MOST_AT_ONCE or self._arriving[project_id] >= MOST_OF_ONE:
            raise Unavailable("Too many files are arriving at once; nothing of this one was stored.", retry_after=5)
        self._arriving[project_id] += 1
        try:
            yield
        finally:
            self._arriving[project_id] -= 1
            if not self._arriving[project_id]:
                del self._arriving[project_id]

    async def _post(self, scope: Scope, incoming: Incoming, sender: Sender) -> Answer:
        asked = _asked(scope)
        if asked.size is not None and header(scope, b"content-length") == "0":
            return await self._open(asked, sender)
        file = _File(scope, incoming, self.limits, asked)
        key = _key(scope)
        async with self._using() as connection:
            import_id = await uploads.open_upload(connection, replace(asked, size=None), by=sender, now=self._now())
        try:
            async for offset, piece in file.pieces():
                async with self._using() as connection:
                    await uploads.add(connection, import_id, offset, piece, now=self._now())
            answer = await self._complete(scope, sender, import_id, file, key)
        except BaseException:
            # Also where the sender left, or the site stops: what is not whole never was.
            await asyncio.shield(self._forget(import_id))
            raise
        return answer

    async def _open(self, asked: Wanted, sender: Sender) -> Answer:
        """An upload that is filled in pieces."""
        _check_format(asked, b"")
        async with self._using() as connection:
            await _check_right(connection, sender)
            import_id = await uploads.open_upload(connection, asked, by=sender, now=self._now())
        return _told(202, import_id, asked, state="uploading", received=0)

    async def _complete(self, scope: Scope, sender: Sender, import_id: int, file: "_File", key: str) -> Answer:
        wanted = file.wanted()
        answer = _told(202, import_id, wanted, state="waiting", received=file.n_bytes)
        async with self._using() as connection, connection.transaction():
            await _check_right(connection, sender)
            if key:
                ask = Ask(sender.project_id, sender.identity, key, file.digest(scope))
                known = (await repeats.begin(connection, [ask])).get(ask)
                if isinstance(known, StoredAnswer):
                    await uploads.forget(connection, import_id)
                    return Answer(known.status, known.body, known.headers)
                if known is not None:
                    raise known
            await uploads.complete(connection, import_id, wanted, now=self._now())
            if key:
                kept = StoredAnswer(status=answer.status, headers=dict(answer.headers), body=answer.body)
                await repeats.finish(connection, ask, kept)
        await _ring(import_id)
        return answer

    async def _put(self, scope: Scope, incoming: Incoming, sender: Sender) -> Answer:
        found = PIECE.fullmatch(scope["path"])
        assert found is not None  # noqa: S101 # else it is not ours
        import_id, offset = int(found[1]), int(found[2])
        limits = Limits(body_bytes=self.limits.put_bytes, body_seconds=self.limits.piece_seconds)
        with self._room.share() as share:
            share.project_id = sender.project_id
            body = await bodies.read(scope, incoming, limits, share)
            body = await bodies.inflated(scope, body, limits, share)
            if not body:
                raise Invalid(FieldError("body", "is empty; send the bytes of the file from this offset on"))
            async with self._using() as connection:
                await _check_right(connection, sender)
                received = await uploads.put(connection, import_id, offset, body, by=sender, now=self._now())
        if received.state == "arrived":
            await _ring(import_id)
        told = {"id": import_id, "state": received.state, "size": received.size}
        return Answer(200, orjson.dumps({**told, "received_bytes": received.received_bytes}))

    async def _forget(self, import_id: int) -> None:
        with contextlib.suppress(*lines.AWAY):
            async with self._using() as connection:
                await uploads.forget(connection, import_id)

    @contextlib.asynccontextmanager
    async def _using(self) -> AsyncIterator[Any]:
        async with next(self._turns).use() as connection:
            yield connection


class _File:
    """The file in a request's body, piece by piece; after the last one `wanted` says what is to be done with it."""

    def __init__(self, scope: Scope, incoming: Incoming, limits: UploadLimits, asked: Wanted) -> None:
        declared = header(scope, b"content-length")
        # A form is a little larger than its file.
        if declared.isdecimal() and int(declared[:20]) > limits.file_bytes + LONGEST_FIELD:
            raise _too_large(limits)
        kind, _, options = header(scope, b"content-type").partition(";")
        self._form = _Form(_boundary(options)) if kind.strip().lower() == FORM else None
        if not asked.format and self._form is None:
            asked = replace(asked, format=BY_TYPE.get(kind.strip().lower(), ""))
        self._unpack = _unpacker(scope, limits)
        self._scope, self._incoming, self._limits, self._asked = scope, incoming, limits, asked
        self._hash = hashlib.sha256()
        self._head = b""
        self.n_bytes = 0
        if self._form is None:
            _check_format(asked, b"")

    async def pieces(self) -> AsyncIterator[tuple[int, bytes]]:
        """(where it begins, piece) until the body ends.

        Raises:
            Problem: 408, 413. Invalid: no form of ours, or no file of this format.
        """
        held = bytearray()
        async for chunk in self._chunks():
            for text in self._texts(chunk):
                held += text
                if len(held) >= self._limits.piece_bytes:
                    yield self._taken(held)
                    held = bytearray()
        flaw = self._unpack.flaw()
        if flaw:
            raise Invalid(FieldError("body", flaw))
        if self._form is not None:
            self._form.end()
        if held or not self.n_bytes:
            yield self._taken(held)

    def wanted(self) -> Wanted:
        """What is to be done with the file, as the address or the form said."""
        asked = self._settled()
        _check_format(asked, self._head)
        return asked

    def digest(self, scope: Scope) -> bytes:
        """What makes two uploads the same: their address, the file, and the fields beside it."""
        query = scope.get("query_string", b"").decode("latin-1")
        fields = repr(sorted(self._form.fields.items())) if self._form else ""
        return idempotency.digest("POST", f"{PATH}?{query}", self._hash.digest() + fields.encode("utf-8"))

    def _taken(self, held: bytearray) -> tuple[int, bytes]:
        piece = bytes(held)
        if not self.n_bytes:
            self._begin(piece)
        begin, self.n_bytes = self.n_bytes, self.n_bytes + len(piece)
        if self.n_bytes > self._limits.file_bytes:
            raise _too_large(self._limits)
        self._hash.update(piece)
        return begin, piece

    def _begin(self, piece: bytes) -> None:
        if not piece:
            raise Invalid(FieldError("file", "is missing or empty"))
        self._head = piece[:1024]
        asked = self._settled()
        if asked.format:  # else a later part of the form says it
            _check_format(asked, self._head)

    def _settled(self) -> Wanted:
        if self._form is None:
            return self._asked
        said = {name: text for name, text in self._form.fields.items() if name in FIELDS and text}
        name = self._asked.name or said.get("name") or self._form.file_name
        format_ = self._asked.format or said.get("format") or importers.by_ending(name)
        kind = said.get("kind", self._asked.kind)
        mapping = _mapping(said["mapping"]) if "mapping" in said else self._asked.mapping
        return Wanted(format_, kind, name[:LONGEST_NAME], None, mapping)

    def _texts(self, chunk: bytes) -> Iterator[bytes]:
        for text in self._unpack.texts(chunk):
            yield from self._form.texts(text) if self._form else (text,)

    async def _chunks(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        deadline, n = loop.time() + self._limits.piece_seconds, 0
        while not self._incoming.is_complete:
            try:
                async with asyncio.timeout_at(deadline):
                    chunk = await self._incoming.chunk()
            except TimeoutError:
                said = f"{self._limits.piece_bytes} bytes did not arrive in {self._limits.piece_seconds:g} s"
                raise Problem(408, f"{said}; nothing of the file was kept.") from None
            yield chunk
            n += len(chunk)
            if n >= self._limits.piece_bytes:
                deadline, n = loop.time() + self._limits.piece_seconds, 0


class _Plain:
    """A body without encoding."""

    def texts(self, chunk: bytes) -> Iterator[bytes]:
        if chunk:
            yield chunk

    def flaw(self) -> str:
        """What is wrong with it now that it has ended: nothing can be."""
        return ""


class _Gzip:
    """A body that is unpacked as it comes, never more than a piece at once."""

    def __init__(self, limits: UploadLimits) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self._limits = limits
        self._n_in = self._n_out = 0
        self._is_followed = False

    def texts(self, chunk: bytes) -> Iterator[bytes]:
        self._n_in += len(chunk)
        self._is_followed = self._is_followed or (self._stream.eof and bool(chunk))
        while chunk and not self._stream.eof:
            try:
                text = self._stream.decompress(chunk, self._limits.piece_bytes)
            except zlib.error:
                said = "says gzip but is not: send a complete gzip stream"
                raise Invalid(FieldError("body", said)) from None
            self._n_out += len(text)
            if self._n_out > self._limits.file_bytes:
                raise _too_large(self._limits)
            if self._n_out > RATIO_FROM and self._n_out > MOST_RATIO * self._n_in:
                raise Problem(413, f"The body unpacks to more than {MOST_RATIO} times its size; send it plain.")
            chunk = self._stream.unconsumed_tail
            if text:
                yield text

    def flaw(self) -> str:
        """What is wrong with it now that it has ended; empty where it is complete, and nothing follows it."""
        if not self._stream.eof:
            return "the gzip stream ends too early: send it complete"
        if self._stream.unused_data or self._is_followed:
            return "something follows the gzip stream: send one stream alone"
        return ""


class _Form:
    """`multipart/form-data`: the bytes of the part `file`, and the other parts as `fields`."""

    def __init__(self, boundary: str) -> None:
        self._parser = multipart.PushMultipartParser(boundary, max_segment_count=len(FIELDS) + 2)
        self._part: Any = None
        self._field = bytearray()
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self._has_file = False

    def texts(self, chunk: bytes) -> Iterator[bytes]:
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, multipart.MultipartSegment):
                    self._begin(event)
                elif event is None:
                    self._end_part()
                elif self._part.name == "file":
                    yield bytes(event)
                else:
                    self._add(event)
        except multipart.MultipartError as error:
            raise Invalid(FieldError("body", f"is no multipart form: {error}")) from None

    def end(self) -> None:
        """The form is complete and holds a file."""
        try:
            self._parser.close()
        except multipart.MultipartError:
            raise Invalid(FieldError("body", "the form ends too early: send it complete")) from None
        if not self._has_file:
            raise Invalid(FieldError("file", "is missing; send the file in the part `file`"))

    def _begin(self, part: Any) -> None:
        self._part, self._field = part, bytearray()
        if part.name == "file":
            if self._has_file:
                raise Invalid(FieldError("file", "stands twice; send one file at a time"))
            self._has_file, self.file_name = True, _clean(part.filename or "")
        elif part.name not in FIELDS:
            known = ", ".join(("file", *FIELDS))
            raise Invalid(FieldError(str(part.name)[:100], f"is no part of this form; known: {known}"))

    def _add(self, text: bytes) -> None:
        self._field += text
        if len(self._field) > LONGEST_FIELD:
            raise Invalid(FieldError(self._part.name, f"is longer than {LONGEST_FIELD} bytes"))

    def _end_part(self) -> None:
        if self._part is not None and self._part.name in FIELDS:
            try:
                self.fields[self._part.name] = self._field.decode("utf-8")
            except UnicodeDecodeError:
                raise Invalid(FieldError(self._part.name, "is not UTF-8")) from None
        self._part = None


def _unpacker(scope: Scope, limits: UploadLimits) -> _Plain | _Gzip:
    encoding = header(scope, b"content-encoding").lower()
    if encoding in ("", "identity"):
        return _Plain()
    if encoding != "gzip":
        raise Problem(415, f"Content-Encoding {encoding[:40]!r} is not taken: send gzip or none.")
    return _Gzip(limits)


def _boundary(options: str) -> str:
    _, found = multipart.parse_options_header(f"{FORM};{options}")
    boundary = str(found.get("boundary", ""))
    if not 1 <= len(boundary) <= 200 or "\n" in boundary:
        raise Invalid(FieldError("Content-Type", "names no boundary of the form"))
    return boundary


def _asked(scope: Scope) -> Wanted:
    """What the address asks for.

    Raises:
        Invalid: naming each parameter that is wrong.
    """
    query = scope.get("query_string", b"").decode("latin-1")
    said = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=20))
    unknown = [name for name in said if name not in (*FIELDS, "size")]
    if unknown:
        known = ", ".join((*FIELDS, "size"))
        raise Invalid(*(FieldError(name[:100], f"is no parameter here; known: {known}") for name in unknown))
    name = _clean(said.get("name", ""))
    mapping = _mapping(said["mapping"]) if said.get("mapping") else None
    size = _size(said["size"]) if "size" in said else None
    format_ = said.get("format", "") or importers.by_ending(name)
    return Wanted(format_, said.get("kind", "") or "outputs", name[:LONGEST_NAME], size, mapping)


def _check_format(asked: Wanted, begin: bytes) -> None:
    """The format is known, its kind too, and a file that begins so may be one.

    Raises:
        Invalid: naming what is wrong.
    """
    importer = importers.named(asked.format)
    if asked.kind not in Import.Kind.values:
        known = ", ".join(Import.Kind.values)
        raise Invalid(FieldError("kind", f"is {asked.kind[:40]!r}; known: {known}"))
    if not importer.is_mapped and asked.mapping:
        raise Invalid(FieldError("mapping", f"is not for {importer.name}, whose rows say themselves what they mean"))
    refusal = importer.refusal(begin) if begin else ""
    if refusal:
        raise Invalid(FieldError("file", refusal))


def _size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:20]) <= settings.LARGEST_IMPORT):
        said = f"is {text[:20]!r}; send the file's bytes, 1 to {settings.LARGEST_IMPORT}"
        raise Invalid(FieldError("size", said))
    return int(text)


def _mapping(text: str) -> dict[str, str | None] | None:
    try:
        return columns.checked_shape(strict_json.parse(text.encode("utf-8")))
    except (strict_json.Refused, UnicodeEncodeError) as refused:
        raise Invalid(FieldError("mapping", f"is no JSON object: {refused}")) from None


def _clean(name: str) -> str:
    """A file's name as its sender calls it, without folders and without what cannot be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]


def _key(scope: Scope) -> str:
    key = header(scope, b"idempotency-key")
    if len(key) > LONGEST_KEY or not key.isprintable():
        said = f"has {len(key)} characters; send 1 to {LONGEST_KEY} printable ones"
        raise Invalid(FieldError("Idempotency-Key", said))
    return key


async def _check_right(connection: Any, sender: Sender) -> None:
    """Who sends may still send, as of this transaction."""
    refused = await senders.refused(connection, [sender])
    if sender in refused:
        raise refused[sender]


async def _ring(import_id: int) -> None:
    await asyncio.to_thread(bells.ring_now, imports.BELL, import_id)


def _told(status: int, import_id: int, asked: Wanted, *, state: str, received: int) -> Answer:
    url = f"{PATH}/{import_id}"
    told = {
        "id": import_id,
        "url": url,
        "state": state,
        "format": asked.format,
        "kind": asked.kind,
        "name": asked.name,
        "received_bytes": received,
    }
    return Answer(status, orjson.dumps(told), {"Content-Type": "application/json", "Location": url})


def _problem_of(error: Exception) -> Problem:
    """What a failure is to whoever asked; a fault of ours is logged and says that nothing was kept."""
    if isinstance(error, lines.AWAY):
        logger.warning("the database does not answer: %s", error)
        return Unavailable("The database does not answer; nothing was stored. Try again.", retry_after=2)
    known = rest.as_problem(error)
    if known is None:
        logger.error("an upload failed", exc_info=error)
        return Problem(500, "Something broke here; nothing of this file was kept.")
    return known


def _too_large(limits: UploadLimits) -> Problem:
    return Problem(413, f"The file is larger than {limits.file_bytes} bytes, unpacked; send it in several.")
