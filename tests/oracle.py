"""A model server that knows every answer, in a process of its own: `question 7` is answered by `answer 7`.

Run as a file with the standard library alone. It prints its port, then serves `/v1/chat/completions` until it is
killed. Each call is a line of its log (question, tab, Idempotency-Key) before it is answered, so that calls can be
counted whatever dies meanwhile. A question with the word `poison` never gets an answer: its connection is cut.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path


class Oracle:
    def __init__(self, *, seconds: float, log: Path | None) -> None:
        self.seconds = seconds
        self.log = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def serve(self, port: int) -> None:
        server = await asyncio.start_server(self._converse, "127.0.0.1", port, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _request(reader)) is not None:
                question = json.loads(request["body"])["messages"][-1]["content"]
                self._remember(question, request.get(b"idempotency-key", b"").decode())
                await asyncio.sleep(self.seconds)
                if "poison" in question:
                    break
                writer.write(_answer(question.replace("question", "answer")))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _remember(self, question: str, key: str) -> None:
        if self.log is not None:
            os.write(self.log, f"{question}\t{key}\n".encode())
            os.fsync(self.log)


async def _request(reader: asyncio.StreamReader) -> dict[bytes | str, bytes] | None:
    """The headers of the next request, and its `body`; None where the other side has closed."""
    request: dict[bytes | str, bytes] = {}
    while line := await reader.readline():
        if line == b"\r\n":
            return {**request, "body": await reader.readexactly(int(request[b"content-length"]))}
        name, _, value = line.partition(b":")
        request[name.lower()] = value.strip()
    return None


def _answer(text: str) -> bytes:
    body = json.dumps(
        {
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        }
    ).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--ms", type=float, default=0)
    words.add_argument("--log", type=Path)
    said = words.parse_args()
    sys.exit(asyncio.run(Oracle(seconds=said.ms / 1000, log=said.log).serve(said.port)))
