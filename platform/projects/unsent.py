"""What somebody sent after the session had ended: carried over the sign-in form, then shown, to be sent again."""

import urllib.parse
from dataclasses import asdict, dataclass
from typing import Any

from django.core import signing
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

# More than this is not carried: it goes to the browser and comes back twice.
LONGEST_BYTES = 1_000_000
# The field of the sign-in form that carries it.
FIELD = "unsent"
_SALT = "projects.unsent"
# As long as somebody may think about a password.
_KEPT_S = 24 * 3600
_DROPPED = ("csrfmiddlewaretoken", FIELD)


@dataclass(frozen=True)
class Field:
    """One posted field; a text is what a person wrote, anything else is the form's own."""

    name: str
    value: str

    @property
    def is_text(self) -> bool:
        return any(sign.isspace() for sign in self.value) or len(self.value) > 60


@dataclass(frozen=True)
class Unsent:
    """A form that was sent and not taken.

    Attributes:
        path: where it was going, a page of ours.
        back: the page it stood on.
        fields: what it said, in its order; no password, no token.
        is_whole: False where something had to be left out: a file, or more than fits.
    """

    path: str
    back: str
    fields: tuple[Field, ...]
    is_whole: bool

    def sealed(self) -> str:
        """As a text that only we can have made."""
        return signing.dumps(asdict(self), salt=_SALT, compress=True)


def of(request: HttpRequest) -> Unsent:
    """What this request posted, whoever sent it."""
    fields = tuple(
        Field(name, str(value))
        for name, values in request.POST.lists()
        if name not in _DROPPED and "password" not in name.lower()
        for value in values
    )
    fits = sum(len(field.name.encode()) + len(field.value.encode()) for field in fields) <= LONGEST_BYTES
    return Unsent(
        path=request.get_full_path(),
        back=page_before(request),
        fields=fields if fits else (),
        is_whole=fits and not request.FILES,
    )


def carried_by(request: HttpRequest) -> Unsent | None:
    """What the sign-in form carries; None for nothing, and for what we did not make."""
    text = request.POST.get(FIELD, "")
    if not text:
        return None
    try:
        found: dict[str, Any] = signing.loads(text, salt=_SALT, max_age=_KEPT_S)
    except signing.BadSignature:
        return None
    fields = tuple(Field(**field) for field in found.pop("fields"))
    return Unsent(**found, fields=fields)


def is_from_here(request: HttpRequest) -> bool:
    """Whether a page of ours made the browser send this; other sites cannot pretend it."""
    return request.headers.get("Origin", "") == f"{request.scheme}://{request.get_host()}"


def page_before(request: HttpRequest) -> str:
    """Path and query of the page a form stood on, as the browser tells; the home page where it does not."""
    before = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(
        before, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    if not before or not ours:
        return "/"
    parts = urllib.parse.urlsplit(before)
    return urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
