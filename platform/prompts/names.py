"""Names that can stand in an address and in a file name."""

import re

from core.problems import FieldError, Invalid

LONGEST_PROMPT, LONGEST_LABEL = 100, 60
# Never `.` or `..`: clients fold such parts of a path away.
_FORM = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")


def is_name(text: str, longest: int) -> bool:
    """Whether anything can have this name; what cannot is looked up nowhere."""
    return len(text) <= longest and _FORM.fullmatch(text) is not None


def check(field: str, text: str, longest: int) -> None:
    """Raise `Invalid` for a field that is no such name."""
    if not is_name(text, longest):
        said = f"is {text[:40]!r}; use 1 to {longest} of A-Z, a-z, 0-9, full stop, _ and -"
        raise Invalid(FieldError(field, said))
