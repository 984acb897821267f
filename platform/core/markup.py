"""Texts received, shown as what they are: Markdown and JSON become sanitised HTML, everything else stays text.

The only place where HTML that was made from somebody's text is called safe: it went through nh3 first.
"""

import json
from collections.abc import Sequence
from typing import Any

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

# No images and no forms: nothing is fetched by looking at an output.
TAGS = frozenset(
    "p br strong em s del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 hr table thead tbody tr th td a".split()
)
# Beyond these a text is shown as it came: 40 kB of prose take half a second, and the time grows with the square of the
# marks that could open something.
LONGEST_MARKDOWN = 40_000
MOST_MARKS = 3_000
_MARKS = "[*_~"


def markdown(text: str) -> SafeString:
    """The text as HTML; a very long one, or one that is all marks, as it came, in lines.

    Raw HTML in it is shown, not obeyed; a picture becomes a link with its description; links carry `rel` and lead to
    http(s) and mail addresses only.
    """
    if len(text) > LONGEST_MARKDOWN or sum(map(text.count, _MARKS)) > MOST_MARKS:
        return format_html('<pre class="raw">{}</pre>', text)
    return _clean(_markdown.render(text))


def _clean(html: str) -> SafeString:
    return SafeString(
        nh3.clean(
            html,
            tags=set(TAGS),
            attributes={"a": {"href"}, "*": set()},
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
    )


def _picture(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    words = escapeHtml(f"picture: {tokens[at].content or 'without a description'}")
    is_in_link = sum(token.nesting for token in tokens[:at] if token.type.startswith("link_")) > 0
    return words if is_in_link else f'<a href="{escapeHtml(str(tokens[at].attrs["src"]))}">{words}</a>'


_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
_markdown.add_render_rule("image", _picture)


def pretty(value: Any) -> str:
    """A JSON value in readable lines."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)


def as_json(text: str) -> Any | None:
    """The object or list that a text is, else None; a bare number or word is text."""
    stripped = text.strip()
    if not stripped or stripped[0] not in "{[":
        return None
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        return None
