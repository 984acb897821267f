"""Look-alikes: other characters for digits, letters, hyphens and spaces, and characters that nobody sees."""

import unicodedata

from outputs.redaction.detector import LETTER, OTHER, Span

_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
# From Thai on, scripts put no spaces between words, or have no letters.
_UNSPACED = "\u0e00"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


_MOST_KNOWN = 20_000


class _Folds(dict[int, str | None]):
    """What each character is folded to, by its code, found when it is first seen."""

    def __missing__(self, code: int) -> str | None:
        folded = _folded(chr(code))
        if len(self) < _MOST_KNOWN:
            self[code] = folded
        return folded


def _folded(character: str) -> str | None:
    if character in _UNSEEN:
        return None
    if character in _HYPHENS or character in _SPACES:
        return "-" if character in _HYPHENS else " "
    digit = unicodedata.decimal(character, None)
    plain = str(digit) if digit is not None else unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and plain.isascii():
        return plain
    return LETTER if character < _UNSPACED and character.isalpha() else OTHER


_FOLDS = _Folds()
# The same as encoded JSON shows it: lead bytes of digits that are not ASCII, of fullwidth and mathematical
# characters, of unseen ones, and odd hyphens and spaces after a digit or a plus.
HINT = (
    rb"(?:\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]|\xf0\x9d[\x90-\x9f]|\xd9[\xa0-\xa9]|\xdb[\xb0-\xb9]|\xdf[\x80-\x89]"
    rb"|\xe0[\xa5-\xb5\xb9\xbb\xbc][\x80-\xbf]{1}|\xe1\x9f[\xa0-\xa9]|\xe1\xa0[\x90-\x99]"
    rb"|\xc2\xad|\xe2\x80[\x8b-\x8d]|\xe2\x81\xa0|\xef\xbb\xbf"
    rb"|[0-9A-Z](?:\xc2\xa0|\xe2\x80[\x80-\x95\xaf]|\xe2\x88\x92|\xe3\x80\x80)[0-9A-Z])"
)


class Folded:
    """A text as detectors see it.

    Attributes:
        text: one byte for each character but the unseen ones.
    """

    def __init__(self, text: str) -> None:
        self._places: list[int] | None = None
        if text.isascii():
            self.text = text.encode()
            return
        self.text = text.translate(_FOLDS).encode("latin-1")
        if len(self.text) < len(text):
            self._places = [place for place, character in enumerate(text) if character not in _UNSEEN]
            self._places.append(len(text))

    def original(self, span: Span) -> Span:
        """Where in the text as it came a span of the folded one stands."""
        if self._places is None:
            return span
        return self._places[span[0]], self._places[span[1] - 1] + 1


def plain(text: str) -> str:
    """The text without look-alikes, in which letters of other scripts are still told apart."""
    if text.isascii():
        return text
    folded = ((character, _FOLDS[ord(character)]) for character in text)
    return "".join(character if said in (LETTER, OTHER) else said or "" for character, said in folded).casefold()
