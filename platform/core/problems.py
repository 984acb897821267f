"""What went wrong, said once for every edge: RFC 9457 problem details."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONTENT_TYPE = "application/problem+json"

TITLES = {
    400: "The request is not valid",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "The request took too long to arrive",
    409: "Conflict",
    412: "Precondition failed",
    413: "The request is too large",
    415: "Unsupported media type",
    422: "Cannot be done as asked",
    429: "Too many requests",
    500: "Something broke here",
    503: "Not available right now",
}


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field; `index` is the row's place in a batch, from 0."""

    field: str
    message: str
    index: int | None = None

    def as_dict(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"field": self.field, "message": self.message}
        return shown if self.index is None else {"index": self.index, **shown}


@dataclass
class Problem(Exception):
    """An expected failure on its way to whoever asked.

    Raised by edges, and by services as the parent of their named exceptions. Rendered as
    `application/problem+json`; `extra` adds members to the document (RFC 9457, section 3.2).
    """

    status: int
    detail: str
    errors: Sequence[FieldError] = ()
    kind: str = "about:blank"
    retry_after: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.detail

    def as_dict(self) -> dict[str, Any]:
        """The document of RFC 9457, with our `errors` member."""
        return {
            "type": self.kind,
            "title": TITLES.get(self.status, "Problem"),
            "status": self.status,
            "detail": self.detail,
            "errors": [error.as_dict() for error in self.errors],
            **self.extra,
        }

    def headers(self) -> dict[str, str]:
        """The headers that belong to this answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="ratchet"'
        return headers


class Invalid(Problem):
    """The request cannot be understood or holds a value that is not allowed: 400, naming the fields."""

    def __init__(self, *errors: FieldError, detail: str = "") -> None:
        said = detail or "; ".join(f"{error.field}: {error.message}" for error in errors[:3])
        super().__init__(status=400, detail=said, errors=errors)


class Missing(Problem):
    """There is no such thing for whoever asked: 404, the same words for foreign and for unknown ids."""

    def __init__(self, what: str = "page") -> None:
        super().__init__(status=404, detail=f"There is no such {what} here.")


class Conflict(Problem):
    """The thing is in a state that does not allow this: 409, with the reasons."""

    def __init__(self, detail: str, *, reasons: Sequence[str] = (), retry_after: int | None = None) -> None:
        extra = {"reasons": list(reasons)} if reasons else {}
        super().__init__(status=409, detail=detail, extra=extra, retry_after=retry_after)


class Unprocessable(Problem):
    """Well-formed, but asks for something that is never done: 422."""

    def __init__(self, detail: str, *errors: FieldError) -> None:
        super().__init__(status=422, detail=detail, errors=errors)


class Unavailable(Problem):
    """Come again: 503 with `Retry-After` in seconds."""

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(status=503, detail=detail, retry_after=retry_after)
