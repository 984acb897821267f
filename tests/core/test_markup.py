"""What somebody sent is shown, never obeyed and never fetched."""

import json
import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import markup

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](https://evil.example/pixel.png)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](//evil.example)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
    '[a](https://a.example "onmouseover=alert(1)")',
    '[a](https://a.example/"onmouseover="alert(1))',
    "[![<script>](javascript:alert(1))](https://a.example)",
    "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<style>body{background:url(https://evil.example)}</style>",
    '<p style="background:url(https://evil.example)">x</p>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<form action=https://evil.example><input name=password></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<a href='https://a.example' onclick=alert(1) style=x class=btn id=main target=_self>x</a>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "`<img src=x onerror=alert(1)>`",
    "```html\n<script>alert(1)</script>\n```",
    '``` "><script>alert(1)</script>\nx\n```',
    "<!--><img src=x onerror=alert(1)>-->",
    "</p></div></main><script>alert(1)</script>",
    "| a | b |\n|---|---|\n| <script>alert(1)</script> | [x](javascript:1) |",
]

BETWEEN = ["", "> ", "- ", "**", "`", "\n\n"]


class Seen(HTMLParser):
    """The elements and attributes of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def assert_harmless(html: str) -> None:
    seen = Seen(html)
    assert set(seen.tags) <= markup.TAGS
    for name, value in seen.attributes:
        assert name in ("href", "rel")
        if name == "href":
            assert re.match(r"(https?://|mailto:|[^:]*$)", value or "", re.IGNORECASE)


class TestMarkdown:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_obeys_nothing_hostile(self, text: str) -> None:
        assert_harmless(markup.markdown(text))

    @given(
        st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=4), st.sampled_from(["", "> ", "- ", "**", "`", "\n\n"])
    )
    def test_obeys_nothing_hostile_nested_in_something_else(self, texts: list[str], between: str) -> None:
        assert_harmless(markup.markdown(between + between.join(texts) + between))

    @given(st.text(max_size=300))
    def test_makes_harmless_html_of_any_text(self, text: str) -> None:
        assert_harmless(markup.markdown(text))

    def test_shows_raw_html_as_text(self) -> None:
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in markup.markdown("<script>alert(1)</script>")

    def test_renders_what_people_write(self) -> None:
        html = markup.markdown("# Title\n\n**bold** and *soft* and ~~gone~~\n\n1. one\n2. two\n\n> said\n")
        for part in ("<h1>Title</h1>", "<strong>bold</strong>", "<em>soft</em>", "<s>gone</s>", "<ol>", "<blockquote>"):
            assert part in html

    def test_renders_tables(self) -> None:
        html = markup.markdown("| a | b |\n|---|---|\n| 1 | 2 |\n")
        assert "<th>a</th>" in html
        assert "<td>2</td>" in html

    def test_keeps_code_as_it_is(self) -> None:
        html = markup.markdown("```python\nif a < b:\n    print('*no*')\n```\n")
        assert html.startswith("<pre><code>")
        assert "if a &lt; b:\n    print('*no*')" in html

    def test_sends_nobody_along_with_a_link(self) -> None:
        html = markup.markdown("[shop](https://shop.example/a?b=1&c=2)")
        assert 'href="https://shop.example/a?b=1&amp;c=2"' in html
        assert 'rel="noopener noreferrer nofollow"' in html

    def test_makes_a_picture_a_link_with_its_description(self) -> None:
        html = markup.markdown("![a bent pole](https://shop.example/pole.png)")
        assert '<a href="https://shop.example/pole.png"' in html
        assert ">picture: a bent pole</a>" in html

    def test_makes_a_picture_in_a_link_its_words(self) -> None:
        html = markup.markdown("[![logo](https://shop.example/logo.png)](https://shop.example)")
        assert html.count("<a ") == 1
        assert "picture: logo" in html

    def test_keeps_marks_of_direction_inside_their_paragraph(self) -> None:
        html = markup.markdown("one \N{RIGHT-TO-LEFT OVERRIDE}eerht\n\nfour")
        assert html == "<p>one \N{RIGHT-TO-LEFT OVERRIDE}eerht</p>\n<p>four</p>\n"

    def test_shows_a_very_long_text_as_it_came(self) -> None:
        text = "<b>**x**</b>\n" * 16_000
        html = markup.markdown(text)
        assert html.startswith('<pre class="raw">&lt;b&gt;**x**&lt;/b&gt;\n')
        assert Seen(html).tags == ["pre"]

    @pytest.mark.parametrize("piece", ["*a", "[", "[a](b", "![", "~~a", "_a__b_", "|a", "> ", "`a``", "<a ", "&amp;"])
    def test_takes_a_bounded_time_over_repetitions(self, piece: str) -> None:
        began = time.process_time()
        markup.markdown(piece * (markup.LONGEST_MARKDOWN // len(piece)))
        markup.markdown((piece * (markup.MOST_MARKS // len(piece))).ljust(markup.LONGEST_MARKDOWN, "x"))
        markup.markdown(piece * 200_000)
        assert time.process_time() - began < 5


class TestPretty:
    def test_gives_each_value_its_line(self) -> None:
        assert markup.pretty({"b": [1, "ü"]}) == '{\n  "b": [\n    1,\n    "ü"\n  ]\n}'

    def test_leaves_escaping_to_the_template(self) -> None:
        assert not hasattr(markup.pretty({"a": "<b>"}), "__html__")


class TestAsJson:
    @pytest.mark.parametrize("value", [{"a": 1}, [1, 2], {}, []])
    def test_finds_objects_and_lists(self, value: object) -> None:
        assert markup.as_json(f" {json.dumps(value)}\n") == value

    @pytest.mark.parametrize("text", ["", "12", '"a"', "null", "{not json", "[1, 2", "hello", "[" * 100_000])
    def test_takes_everything_else_for_text(self, text: str) -> None:
        assert markup.as_json(text) is None
