"""What stands in every template says figures and moments as people read them, and texts of others as texts."""

import datetime as dt
from typing import Any

import pytest
from django.template import Context, engines
from django.utils.safestring import SafeString

from core import tags
from core.clock import now
from core.figures import Figure

NARROW = "\N{NARROW NO-BREAK SPACE}"


def render(source: str, **context: Any) -> str:
    template: Any = engines["django"].from_string(source)
    return str(template.template.render(Context(context)))


class TestNumbers:
    @pytest.mark.parametrize(
        ("share", "said"), [(0.9137, f"91.4{NARROW}%"), (1, f"100.0{NARROW}%"), (0, f"0.0{NARROW}%"), (None, "")]
    )
    def test_says_a_share_in_percent(self, share: float | None, said: str) -> None:
        assert tags.percent(share) == said

    @pytest.mark.parametrize(
        ("value", "said"), [(5.34, "+5.3"), (-0.5, "\N{MINUS SIGN}0.5"), (0, "±0.0"), (-0.01, "±0.0"), (None, "")]
    )
    def test_signs_a_number_by_the_right_characters(self, value: float | None, said: str) -> None:
        assert tags.signed(value) == said

    def test_says_a_difference_of_shares_in_points(self) -> None:
        assert tags.points(0.0534) == "+5.3"
        assert tags.points(None) == ""

    def test_sets_thousands_apart(self) -> None:
        assert tags.number(22_540) == "22,540"
        assert tags.number(0.00812, 4) == "0.0081"
        assert tags.number(None) == ""

    @pytest.mark.parametrize(("level", "said"), [(0.95, f"95{NARROW}%"), (0.995, f"99.5{NARROW}%")])
    def test_says_the_level_without_idle_zeros(self, level: float, said: str) -> None:
        assert tags.level(Figure(value=1, low=None, high=None, level=level, n=2, method="m")) == said

    @pytest.mark.parametrize(
        ("milliseconds", "said"),
        [(35.4, f"35{NARROW}ms"), (920, f"920{NARROW}ms"), (1420, f"1.42{NARROW}s"), (None, "")],
    )
    def test_says_a_time_in_its_unit(self, milliseconds: float | None, said: str) -> None:
        assert tags.duration(milliseconds) == said


class TestAgo:
    @pytest.mark.parametrize(
        ("ago", "said"),
        [
            (dt.timedelta(seconds=20), "just now"),
            (dt.timedelta(seconds=-20), "just now"),
            (dt.timedelta(minutes=3, seconds=20), f"3{NARROW}min ago"),
            (dt.timedelta(hours=26), f"1{NARROW}d ago"),
            (dt.timedelta(hours=5), f"5{NARROW}h ago"),
        ],
    )
    def test_says_how_long_ago_in_one_unit(self, ago: dt.timedelta, said: str) -> None:
        assert tags.ago(now() - ago) == said

    def test_says_nothing_of_what_never_was(self) -> None:
        assert tags.ago(None) == ""


class TestIcon:
    def test_comes_from_the_sheet_and_is_silent(self) -> None:
        assert render('{% icon "check" %}') == (
            '<svg class="icon" aria-hidden="true"><use href="/static/icons.svg#i-check"></use></svg>'
        )

    def test_cannot_break_out_of_its_attribute(self) -> None:
        assert "<script>" not in render("{% icon name %}", name='"><script>')


class TestTextsOfOthers:
    def test_markdown_is_sanitised_html(self) -> None:
        found = render("{{ text|markdown }}", text="**a** <script>x</script>")
        assert "<strong>a</strong>" in found
        assert "<script>" not in found

    def test_json_is_escaped_by_the_template(self) -> None:
        assert not isinstance(tags.pretty({}), SafeString)
        assert render("{{ value|pretty }}", value={"a": "<b>"}) == "{\n  &quot;a&quot;: &quot;&lt;b&gt;&quot;\n}"

    def test_a_difference_marks_words_and_escapes_them(self) -> None:
        found = render("{% worddiff_of a b %}", a="say <b>no</b> now", b="say <b>yes</b> now")
        assert "<del>no</del><ins>yes</ins>" in found
        assert "&lt;b&gt;" in found


class TestWhisker:
    def test_says_its_figure_to_those_who_do_not_see_it(self) -> None:
        figure = Figure(value=0.5, low=0.25, high=0.75, n=9, method="m")
        found = render("{% whisker figure -1 1 %}", figure=figure)
        assert 'aria-label="0.5, from 0.25 to 0.75"' in found
        assert 'class="arm"' in found

    def test_draws_an_open_dot_and_the_reason_for_an_undefined_figure(self) -> None:
        found = render("{% whisker figure -1 1 %}", figure=Figure.undefined("all pairs <tie>"))
        assert "dot--open" in found
        assert "undefined: all pairs &lt;tie&gt;" in found

    def test_is_grey_where_the_interval_holds_zero(self) -> None:
        grey, coloured = (
            render("{% whisker figure -1 1 %}", figure=Figure(value=0.3, low=low, high=0.5, n=9, method="m"))
            for low in (-0.1, 0.1)
        )
        assert 'class="mute"' in grey
        assert 'class="mute"' not in coloured
