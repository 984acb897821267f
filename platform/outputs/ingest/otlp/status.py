"""A failure as senders of OTLP read it: `google.rpc.Status`, in their own notation.

Two fields, so it is written by hand. (https://opentelemetry.io/docs/specs/otlp/#failures-1)
"""

import orjson

from core.problems import Problem

# google.rpc.Code
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 409: 6, 413: 3, 415: 3, 422: 3, 429: 8, 500: 13, 503: 14}
_UNKNOWN = 2
LONGEST = 1_000


def in_json(problem: Problem) -> bytes:
    """`{"code", "message"}`."""
    return orjson.dumps({"code": _CODES.get(problem.status, _UNKNOWN), "message": _said(problem)})


def in_protobuf(problem: Problem) -> bytes:
    """`int32 code = 1; string message = 2`."""
    message = _said(problem).encode()
    code = _CODES.get(problem.status, _UNKNOWN)
    return bytes((0x08, code, 0x12)) + _varint(len(message)) + message


def _said(problem: Problem) -> str:
    return problem.detail[:LONGEST]


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))
