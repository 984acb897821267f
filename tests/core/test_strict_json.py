"""JSON from strangers: what is refused, with which words, and that the fast way means the same as the careful one."""

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import strict_json
from core.strict_json import Limits, Refused, TooLarge

FEW = Limits(n_bytes=1_000, depth=4, n_values=20)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab:\\"é[{', max_size=3), inner, max_size=4),
    max_leaves=12,
)


class TestParse:
    @given(VALUES, st.booleans())
    def test_gives_back_what_was_written(self, value: object, ascii_only: bool) -> None:
        assert strict_json.parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value

    @given(VALUES, VALUES)
    def test_refuses_a_repeated_name_whatever_stands_around_it(self, first: object, second: object) -> None:
        body = '{"a":' + json.dumps(first) + ',"b":[{"é":' + json.dumps(second) + ',"\\u00e9":":"}]}'
        with pytest.raises(Refused, match="'é' stands twice") as refused:
            strict_json.parse(body.encode())
        assert refused.value.path == "b[0]"

    def test_refuses_a_repeated_name_that_an_escaped_colon_would_hide(self) -> None:
        with pytest.raises(Refused, match="'a' stands twice"):
            strict_json.parse(rb'{"a":1,"a":"\u003a"}')

    @pytest.mark.parametrize(
        ("body", "says", "path"),
        [
            (b"", "not JSON", ""),
            (b"{", "not JSON|brackets", ""),
            (b'{"a":1}x', "not JSON", ""),
            (b"[1,]", "not JSON", ""),
            (b'{"a":[{},NaN]}', "NaN is not a JSON number", "a[1]"),
            (b'{"a":-Infinity}', "-Infinity is not a JSON number", "a"),
            (b'{"a":{"b":1e400}}', "1e400 is too large", "a.b"),
            (b'{"a":' + b"9" * 500 + b".0}", "too large", "a"),
            (b'{"a":9223372036854775808}', "does not fit in 64 bits", "a"),
            (b'{"a":-123456789012345678901234}', "does not fit in 64 bits", "a"),
            (rb'{"a":["x","\u0000"]}', "NUL", "a[1]"),
            (rb'{"a\u0000":1}', "NUL", ""),
            (rb'{"a":"\ud800"}', "surrogate", "a"),
            (rb'{"a":{"\udc00x":1}}', "surrogate", "a"),
            (b'{"a":"\x00"}', "not JSON", ""),
            (b'{"a":"\xff"}', "byte 6 is not UTF-8", ""),
            (b'\xef\xbb\xbf{"a":1}', "byte order mark", ""),
            ('{"a":1}'.encode("utf-16"), "not UTF-8", ""),
        ],
    )
    def test_refuses_and_says_where(self, body: bytes, says: str, path: str) -> None:
        with pytest.raises(Refused, match=says) as refused:
            strict_json.parse(body)
        assert refused.value.path == path

    @pytest.mark.parametrize(
        "body",
        [
            rb'{"a":"\ud83d\ude00"}',
            b'{"a":"\xf0\x9f\x98\x80"}',
            b'{"a":9223372036854775807}',
            b'{"a":-0.0,"b":1e-400}',
            rb'{"a":"\\u0000"}',
            b'{"a":"00000000000000000000"}',
            b' [1, 2.50, "x:y", {"b": null}] ',
        ],
    )
    def test_takes_what_is_unusual_and_sound(self, body: bytes) -> None:
        assert strict_json.parse(body) == json.loads(body)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
    def test_refuses_to_go_deep(self, opening: bytes) -> None:
        with pytest.raises(Refused, match="nested deeper than 32"):
            strict_json.parse(opening * 5_000)

    def test_counts_the_depth_of_what_is_no_string(self) -> None:
        assert strict_json.parse(b'["' + b"[" * 100 + b'"]') == ["[" * 100]
        assert strict_json.parse(b"[[[[1]]]]", FEW) == [[[[1]]]]
        with pytest.raises(Refused, match="nested deeper than 4"):
            strict_json.parse(b"[[[[[1]]]]]", FEW)

    @pytest.mark.parametrize("body", [b"[" + b"0," * 30 + b"0]", b"[" + b"[]," * 30 + b"0]"])
    def test_refuses_too_many_values(self, body: bytes) -> None:
        with pytest.raises(Refused, match="more than 20 values"):
            strict_json.parse(body, FEW)
        with pytest.raises(Refused, match="more than 20 values"):
            strict_json.elements(body, FEW)

    def test_refuses_too_many_bytes(self) -> None:
        with pytest.raises(TooLarge, match="at most 1000"):
            strict_json.parse(b'"' + b"x" * 999 + b'"', FEW)


class TestParseLeniently:
    def test_leaves_what_is_wrong_in_its_place(self) -> None:
        value, suspect = strict_json.parse_leniently(rb'[{"a":1,"a":2},{"b":NaN},{"c":"\u0000"},{"d":4}]')
        assert suspect
        flaws = [strict_json.flaw_in(row) for row in value]
        assert [flaw is None for flaw in flaws] == [False, False, False, True]
        assert flaws[1] is not None
        assert flaws[1].path == "b"

    def test_is_sure_of_what_is_plain(self) -> None:
        assert strict_json.parse_leniently(b'{"a":[1,":"]}') == ({"a": [1, ":"]}, False)


class TestElements:
    def test_are_texts_of_their_own(self) -> None:
        found = strict_json.elements(b' [ {"a": 1} , [2], "x,]" ] ')
        assert list(found or ()) == [b'{"a": 1}', b"[2]", b'"x,]"']

    @pytest.mark.parametrize("body", [b"{}", b"[1", b"[1]]", b"[NaN]", b"", b"[" * 100_000])
    def test_are_none_of_what_is_no_sound_array(self, body: bytes) -> None:
        assert strict_json.elements(body) is None


class TestInflate:
    def test_gives_back_what_was_packed(self) -> None:
        assert strict_json.inflate(gzip.compress(b"abc"), limit=3) == b"abc"

    def test_stops_at_the_limit(self) -> None:
        with pytest.raises(TooLarge, match="larger than 1000"):
            strict_json.inflate(gzip.compress(b"0" * 50_000_000), limit=1_000)

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (b"abc", "is not"),
            (gzip.compress(b"abc", mtime=0)[:-1], "ends too early"),
            (gzip.compress(b"abc", mtime=0) + b"x", "follows"),
            (zlib.compress(b"abc"), "is not"),
            (b"", "ends too early"),
        ],
    )
    def test_refuses_half_streams_and_others(self, body: bytes, says: str) -> None:
        with pytest.raises(Refused, match=says):
            strict_json.inflate(body, limit=1_000)
