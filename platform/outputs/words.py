"""The words a text is found by: folded, each once, and each with its project before it.

Words of different projects are different keys of the index, so a search costs what its own project holds. Scripts
that put no spaces between words are cut into pairs of characters, which any part of two or more finds again.
"""

import re
import unicodedata
from collections.abc import Iterator

LONGEST_WORD = 64
MOST_WORDS = 20
# Thai, Lao, Khmer, kana, Han: written without spaces.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PIECE = re.compile(rf"[{_UNSPACED}]+|[^\W{_UNSPACED}]+|[\u2600-\u27bf\U0001f000-\U0001faff]")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")


def of_text(text: str) -> set[str]:
    """Every word of a text."""
    found: set[str] = set()
    for piece in _pieces(text):
        if _IS_UNSPACED.match(piece):
            found.update(_pairs(piece), piece[-1])
        else:
            found.add(piece[:LONGEST_WORD])
    return found


def keys_of_text(text: str, *, project_id: int) -> list[str]:
    """The words of a text as keys of the index, in their order."""
    return sorted(f"{project_id}:{word}" for word in of_text(text))


def query_of(asked: str, *, project_id: int) -> str | None:
    """A `tsquery`, as text, that matches where all words of `asked` occur; None where it holds no word.

    A word that ends in `*` stands for all that begin with it. No more than 20 words are looked at.
    """
    wanted = dict.fromkeys(_asked(asked))
    # A piece is made of letters, digits, underscores and symbols: nothing in it ends the quotes.
    keys = [f"'{project_id}:{word}'{':*' if is_start else ''}" for word, is_start in wanted]
    return " & ".join(keys[:MOST_WORDS]) or None


def _asked(text: str) -> Iterator[tuple[str, bool]]:
    for chunk in text.split():
        pieces = list(_pieces(chunk))
        for place, piece in enumerate(pieces):
            is_start = chunk.endswith("*") and place == len(pieces) - 1
            if _IS_UNSPACED.match(piece):
                yield from ((pair, False) for pair in _pairs(piece))
                if len(piece) == 1:
                    yield piece, True
            else:
                yield piece[:LONGEST_WORD], is_start


def _pieces(text: str) -> list[str]:
    return _PIECE.findall(unicodedata.normalize("NFKC", text).casefold())


def _pairs(piece: str) -> Iterator[str]:
    return (piece[place : place + 2] for place in range(len(piece) - 1))
