"""Files of every format, sent to an upload face in this process and taken by a worker in this process."""

import asyncio
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core import clock
from outputs import importing
from outputs.ingest import lines
from outputs.ingest.uploads import Uploads, is_ours
from outputs.models import Import
from tests.outputs.face import Reply, Request

PATH = "/api/v1/imports"


def ask(request: Request, **settings: Any) -> Reply:
    """The answer of a face of its own."""

    async def live() -> Reply | None:
        app = Uploads(**settings)
        await app.start()
        try:
            return await request.to(app, is_ours)
        finally:
            await app.stop()

    found = asyncio.run(live())
    assert found is not None, "nothing was answered"
    return found


def post(
    body: bytes, key: str, query: str = "format=jsonl", *, pieces: Iterable[bytes] = (), **headers: str
) -> Request:
    """A file as the body."""
    told = {"Authorization": f"Bearer {key}", "Content-Length": str(len(body))}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(told, list(pieces) or [body], PATH, query=query)


def form(body: bytes, key: str, query: str = "", *, name: str = "rows.csv", **fields: str) -> Request:
    """A file in a form, with fields beside it."""
    parts = [(f'name="{field}"', text.encode()) for field, text in fields.items()]
    parts.insert(0, (f'name="file"; filename="{name}"', body))
    text = b"".join(b"--edge\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + said + b"\r\n"
                    for head, said in parts)  # fmt: skip
    return post(text + b"--edge--\r\n", key, query, Content_Type="multipart/form-data; boundary=edge")


def put(import_id: int, offset: int, body: bytes, key: str) -> Request:
    """One piece."""
    told = {"Authorization": f"Bearer {key}", "Content-Length": str(len(body))}
    return Request(told, [body], f"{PATH}/{import_id}/pieces/{offset}", method="PUT")


def sent(body: bytes, key: str, query: str = "format=jsonl") -> int:
    """The id of the import that an accepted upload is."""
    reply = ask(post(body, key, query))
    assert reply.status == 202, reply.body
    return int(reply.document["id"])


def worked(import_id: int, **how: Any) -> Import:
    """The import once a worker has had it until nothing is left."""
    while importing.take(import_id, address=lines.address(), **how):
        pass
    return Import.objects.get(pk=import_id)


def counts(found: Import) -> tuple[int, int, int]:
    """Stored, duplicates, rejected."""
    assert found.n_rows == found.n_stored + found.n_duplicates + found.n_rejected
    return found.n_stored, found.n_duplicates, found.n_rejected


def flaws(found: Import) -> list[dict[str, Any]]:
    """Every refused row."""
    return [row for flaw in found.flaws.order_by("pk") for row in flaw.rows]


def rows(n: int, *, start: int = 1) -> list[dict[str, Any]]:
    """Rows as a sender has them."""
    numbers = range(start, start + n)
    return [{"id": f"r{i}", "question": f"question {i}", "answer": f"answer {i}", "latency_ms": i} for i in numbers]


def as_jsonl(said: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in said)


def as_csv(said: Sequence[Mapping[str, Any]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(said[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(said)
    return text.getvalue().encode()


def as_parquet(said: Sequence[Mapping[str, Any]], **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(said)), file, **how)
    return file.getvalue()


def as_langfuse(said: Sequence[Mapping[str, Any]]) -> bytes:
    """One trace for each row, with one generation."""
    return as_jsonl(
        [
            {
                "trace": {"id": row["id"], "name": "t", "timestamp": "2026-01-01T00:00:00Z"},
                "observations": [
                    {
                        "id": "g",
                        "type": "GENERATION",
                        "startTime": "2026-01-01T00:00:00Z",
                        "input": row["question"],
                        "output": row["answer"],
                    }
                ],
            }
            for row in said
        ]
    )


def now() -> Any:
    return clock.now()
