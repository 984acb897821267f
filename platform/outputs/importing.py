"""One import in a worker's hands: read row by row from its pieces, stored batch by batch, until time is up."""

import asyncio
import contextlib
import datetime as dt
import io
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from core import bells, clock, strict_json
from core.problems import FieldError, Invalid
from ledger import handovers
from outputs import importers, previews, reception
from outputs.importers import columns
from outputs.importers.columns import Mapper
from outputs.importers.protocol import Importer
from outputs.importers.rows import Cursor, Row, Unreadable
from outputs.models import Import, ImportPiece
from outputs.reception import Reception
from outputs.records import Record
from outputs.redaction.rows import Redaction
from outputs.services import imports, landing, limits, outputs, rows_of_imports
from outputs.services.landing import Connection
from outputs.services.rows_of_imports import Lost, Place, RowBatch

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 120
ROWS_AT_ONCE = 500
BYTES_AT_ONCE = 4 * 1024 * 1024
# What is looked at before anybody says what the columns mean.
SAMPLE_ROWS = 20
SAMPLE_BYTES = 256 * 1024
COLUMN_ROWS = 200
RING_SECONDS = 2.0
RECEPTION_SECONDS = 2.0
# A limit that is lifted meanwhile is seen after so long.
LONGEST_PAUSE = 60.0
# Whoever goes on reads the file from its start to name equal rows; visits and pauses this many times as long keep
# that cheap, however long the file.
PAUSES_PER_START = 4


class Pieces(io.RawIOBase):
    """The file of an import, read from its pieces; one of them is in memory at a time."""

    def __init__(self, found: Import) -> None:
        super().__init__()
        self._of = found.pk
        self.size = found.received_bytes
        self._position = 0
        self._piece = (0, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self.size:
            return 0
        begin, body = self._here()
        inside = self._position - begin
        taken = body[inside : inside + len(buffer)]
        buffer[: len(taken)] = taken
        self._position += len(taken)
        return len(taken)

    def _here(self) -> tuple[int, bytes]:
        begin, body = self._piece
        if not begin <= self._position < begin + len(body):
            before = ImportPiece.objects.filter(of=self._of, offset__lte=self._position).order_by("-offset")
            found = before.values_list("offset", "body").first()
            if found is None or found[0] + len(found[1]) <= self._position:
                raise Lost  # dropped meanwhile, with the import
            self._piece = found[0], bytes(found[1])
        return self._piece


def take(import_id: int, *, address: str, longest: float = LONGEST_SECONDS) -> bool:
    """The import was looked into, or has gone on for as long as a visit may last; says whether more is left.

    Killed at any moment, whoever takes it next goes on behind the last batch that was stored.

    Args:
        import_id: which.
        address: of PostgreSQL.
        longest: seconds of a visit, beside what it takes to find where to go on.
    """
    found = imports.claim(import_id, now=clock.now())
    if found is None:
        return False
    try:
        with _kept(found):
            if found.state == Import.State.ARRIVED:
                imports.keep_sample(found, _sample(found, _reception(found, address).redaction))
                return False
            return _run(found, address=address, longest=longest)
    except Lost:
        return False
    except (Unreadable, Invalid) as refused:
        imports.end(found, state=Import.State.FAILED, now=clock.now(), error=str(refused))
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
        raise  # the database is away; the lease ends, and another goes on
    except Exception as fault:
        # It would come again at every attempt, and the page would wait for ever.
        logger.exception("import %d failed", import_id)
        said = f"a fault of this server ({type(fault).__name__}); see its log"
        imports.end(found, state=Import.State.FAILED, now=clock.now(), error=said)
    return False


def opened(found: Import) -> io.BufferedReader:
    """The file, to be read from its start."""
    return io.BufferedReader(Pieces(found), buffer_size=256 * 1024)


def _sample(found: Import, redaction: Redaction) -> dict[str, Any]:
    """The first rows, and the names of the columns that the first few hundred have."""
    importer = importers.named(found.format)
    rows: list[Row] = []
    names: dict[str, None] = {}
    n_bytes = 0
    for row in importer.rows(opened(found), Cursor()):
        _meet(names, row)
        if len(rows) < SAMPLE_ROWS and n_bytes < SAMPLE_BYTES:
            rows.append(row)
            n_bytes += len(str(row.value))
        if row.index + 1 >= (COLUMN_ROWS if importer.is_mapped else SAMPLE_ROWS):
            break
    return previews.sample(found, rows, list(names), redaction)


def _meet(names: dict[str, None], row: Row) -> None:
    if isinstance(row.value, dict) and not (row.is_suspect and strict_json.flaw_in(row.value)):
        names.update(dict.fromkeys(list(row.value)[: 1_000 - len(names)]))


def _reception(found: Import, address: str) -> Reception:
    with asyncio.Runner() as runner:
        line = runner.run(landing.connect(address))
        try:
            return runner.run(reception.load(line, found.project_id))
        finally:
            runner.run(line.close())


def _run(found: Import, *, address: str, longest: float) -> bool:
    """Says whether more is left."""
    importer = importers.named(found.format)
    mapper = _mapper(found, importer)
    began = time.monotonic()
    goes_on = bool(found.cursor)
    to_start: dt.timedelta | None = None
    ring_at = 0.0
    with asyncio.Runner() as runner, _Names() as names:
        line = runner.run(landing.connect(address))
        try:
            newest = _Newest(lambda: runner.run(reception.load(line, found.project_id)))
            for batch in _batches(found, importer, mapper, names, newest):
                to_start = to_start or dt.timedelta(seconds=time.monotonic() - began)
                if (pause := _pause_before(found, batch)) is not None:
                    imports.give_back(found, not_before=clock.now() + max(pause, PAUSES_PER_START * to_start))
                    return False
                n_new = runner.run(_store(line, found, batch))
                limits.settle(found.project_id, n_unused=batch.n_rows - n_new, now=clock.now())
                if time.monotonic() > ring_at:
                    ring_at = time.monotonic() + RING_SECONDS
                    _ring()
                if time.monotonic() > began + longest + (PAUSES_PER_START * to_start.total_seconds() if goes_on else 0):
                    imports.give_back(found)
                    return True
        finally:
            runner.run(line.close())
            _ring()
    imports.end(found, state=Import.State.DONE, now=clock.now())
    return False


def _pause_before(found: Import, batch: RowBatch) -> dt.timedelta | None:
    """How long the project's pace and quota keep the batch out; None where it may come in, and then it is charged."""
    now = clock.now()
    wait = limits.pause_before(found.project_id, n_rows=batch.n_rows, n_bytes=batch.n_bytes, now=now)
    return dt.timedelta(seconds=min(wait, LONGEST_PAUSE)) if wait else None


async def _store(line: Connection, found: Import, batch: RowBatch) -> int:
    return await rows_of_imports.store(line, found, batch, now=clock.now(), lease=imports.lease())


def _mapper(found: Import, importer: Importer) -> Mapper:
    """What the columns mean: settled before the first row is stored, and kept for whoever goes on."""
    if not importer.is_mapped:
        return Mapper(columns.OUTPUTS, {})
    if found.cursor:
        return Mapper(found.kind, found.mapping or {})
    names: dict[str, None] = {}
    flaws: list[FieldError] = []
    for row in importer.rows(opened(found), Cursor()):
        _meet(names, row)
        flaws += row.errors
        if row.index + 1 >= COLUMN_ROWS:
            break
    if not names:
        why = f": the first {flaws[0].message}" if flaws else ""
        raise Unreadable(f"holds no row that can be read{why}")
    mapper = columns.settled(found.mapping, list(names), found.kind)
    if not imports.keep_mapping(found, mapper.as_dict()):
        raise Lost
    return mapper


def _batches(
    found: Import, importer: Importer, mapper: Mapper, names: "_Names", newest: "_Newest"
) -> Iterator[RowBatch]:
    start = imports.cursor_of(found)
    if start.index and importer.is_mapped:
        _name_again(found, importer, mapper, names, newest.reception(), start)
    at_once = limits.most_together(found.project_id, most=ROWS_AT_ONCE)
    batch = RowBatch()
    for row in importer.rows(opened(found), start):
        _add(batch, row, importer, mapper, names, newest.reception())
        batch.after = row.after
        if batch.n_rows >= at_once or batch.n_bytes >= BYTES_AT_ONCE:
            yield batch
            batch = RowBatch()
    if batch.n_rows:
        yield batch


def _add(batch: RowBatch, row: Row, importer: Importer, mapper: Mapper, names: "_Names", taken_in: Reception) -> None:
    place = Place(row.index, row.line)
    for item in importer.items(row, mapper):
        if item.record is None:
            batch.refuse(place, item.errors, reception=taken_in)
            continue
        if item.record.id is None:
            item.record.id = names.name(item.record, taken_in)
        batch.add(place, item.kind, item.record, reception=taken_in, is_along=item.is_along)


def _name_again(
    found: Import, importer: Importer, mapper: Mapper, names: "_Names", taken_in: Reception, start: Cursor
) -> None:
    """Equal rows are numbered through the whole file, so those before `start` are counted once more."""
    for row in importer.rows(opened(found), Cursor()):
        if row.index >= start.index:
            return
        for item in importer.items(row, mapper):
            if item.record is not None and item.record.id is None:
                names.name(item.record, taken_in)


class _Newest:
    """The project's reception as it stands, asked for anew every two seconds: who tightens redaction need not wait.

    Args:
        load: asks for it.
    """

    def __init__(self, load: Callable[[], Reception]) -> None:
        self._load = load
        self._known = load()
        self._until = time.monotonic() + RECEPTION_SECONDS

    def reception(self) -> Reception:
        if time.monotonic() > self._until:
            self._known = self._load()
            self._until = time.monotonic() + RECEPTION_SECONDS
        return self._known


class _Names:
    """Ids for rows that have none: a hash of what the row says, and which of the equal rows of its file it is.

    The same file gives the same ids, so sending it again adds nothing. How often each hash was seen stands in a
    file of its own that the operating system forgets, so that a million rows take no memory.
    """

    def __enter__(self) -> Self:
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute("PRAGMA cache_size = -4000")
        self._seen.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        self._seen.close()

    def name(self, record: Record, taken_in: Reception) -> str:
        mark = record.body_hash(taken_in.hash_key)[:16]
        again = "INSERT INTO seen VALUES (?, 1) ON CONFLICT (hash) DO UPDATE SET n = n + 1 RETURNING n"
        ((n,),) = self._seen.execute(again, [mark]).fetchall()
        return f"row-{mark.hex()}" if n == 1 else f"row-{mark.hex()}-{n}"


@contextlib.contextmanager
def _kept(found: Import) -> Iterator[None]:
    """Inside the block the lease is renewed four times per lease, however long a batch takes to read."""
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(found, over.wait), name="import-keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(found: Import, is_over: Callable[[float], bool]) -> None:
    try:
        while not is_over(settings.LEASE_SECONDS / 4):
            try:
                imports.renew(found, now=clock.now())
            except (DatabaseError, InterfaceError) as error:
                # The next beat tries again; a lease outlives three missed beats.
                logger.warning("a lease was not renewed: %s", str(error).strip())
                connection.close()
    finally:
        connection.close()


def _ring() -> None:
    for consumer in handovers.consumers_of(outputs.TOPIC):
        bells.ring_now(settings.HANDOVER_BELLS[consumer])
