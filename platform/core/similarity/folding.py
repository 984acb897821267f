"""Texts that differ only in writing: the same letters and digits in the same order."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """Return the text in NFKC, case-folded, with punctuation and white space folded to single spaces.

    Two texts are equal for our figures where this is equal. Symbols such as currency signs and emoji stay,
    because they carry meaning; invisible format characters vanish. A text of punctuation alone keeps it,
    so that "?" and "!" remain two texts. Folding a folded text changes nothing.

    Source: Unicode Standard Annex 15 (NFKC), the Unicode character categories P, Z, Cc and Cf.
    """
    composed = _composed(text)
    # An accent may meet its letter only once a format character between them is gone.
    folded = " ".join(_composed(composed.translate(_REPLACEMENTS)).split())
    return folded or " ".join(composed.split())


def _composed(text: str) -> str:
    # Case folding can undo the normal form, so it is restored after.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class _Replacements(dict[int, int | str | None]):
    """What each character becomes, worked out once per character."""

    def __missing__(self, code_point: int) -> int | str | None:
        category = unicodedata.category(chr(code_point))
        replacement: int | str | None = code_point
        if category[0] in "PZ" or category == "Cc":
            replacement = " "
        elif category == "Cf":
            replacement = None
        self[code_point] = replacement
        return replacement


_REPLACEMENTS = _Replacements()
