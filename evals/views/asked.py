"""What a page's address and htmx's headers say."""

from core.problems import FieldError, Invalid
from projects.pages import PageRequest


def number(request: PageRequest, name: str) -> int:
    """The query parameter as a whole number from 1; 0 where it is not there.

    Raises:
        Invalid: it is something else.
    """
    text = request.GET.get(name, "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Invalid(FieldError(name, f"is {text[:40]!r}; follow the links of the page"))
    return int(text)


def choice(request: PageRequest, name: str, choices: tuple[str, ...]) -> str:
    """The query parameter, which is one of these; the first where it is not there.

    Raises:
        Invalid: it is something else.
    """
    text = request.GET.get(name) or choices[0]
    if text not in choices:
        raise Invalid(FieldError(name, f"is {text[:40]!r}; one of {', '.join(choices)}"))
    return text


def more(request: PageRequest, cursor: int | None) -> str:
    """The address of the next part of a list, or nothing where there is none."""
    if cursor is None:
        return ""
    query = request.GET.copy()
    query["cursor"] = str(cursor)
    return f"{request.path}?{query.urlencode()}"


def is_for(request: PageRequest, element_id: str) -> bool:
    """Whether htmx asks for what stands in the element with this id."""
    return bool(request.htmx) and request.htmx.target == element_id


def wants_rows(request: PageRequest) -> bool:
    """Whether htmx asks for the next rows of a list that grows."""
    return bool(request.htmx) and "cursor" in request.GET
