"""The explorer: every output of a project, searched, filtered, chosen, exported; and the page of one."""

import csv
import datetime as dt
import io
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from core import clock
from core.problems import FieldError, Invalid, Problem
from desk import explorer_queries as queries
from desk.explorer_form import OutputFilterForm
from desk.explorer_queries import FIELDS
from desk.services import saved_filters
from outputs import costs, serializers
from outputs import queries as output_queries
from outputs.queries import Selection
from projects.access import Actor, Scope
from projects.pages import PageRequest, page
from reviews import findings

ON_A_PAGE = 50
AT_ONCE = 500
# Behind by less, nobody misses anything.
LAG_WORTH_SAYING_S = 10
WORDS = {
    "q": "Words",
    "prompt": "Prompt",
    "revision": "Revision",
    "model": "Model",
    "environment": "Environment",
    "tag": "Tag",
    "session": "Session",
    "trace": "Trace",
    "user": "User",
    "since": "Since",
    "until": "Until",
    "days": "Last days",
    "status": "Status",
    "feedback": "Thumb",
    "score": "Score",
    "score_min": "Score from",
    "score_max": "Score to",
    findings.NAME: "Verdict",
}
COLUMNS = (
    "id received_at started_at prompt revision model provider environment status input output error latency_ms"
    " input_tokens output_tokens cached_input_tokens cache_write_tokens reasoning_tokens cost_usd cost_source"
    " confidence trace_id span_id parent_span_id session_id user_id tags metadata"
).split()


@dataclass(frozen=True)
class Chip:
    """A filter that is on, and the address without it."""

    name: str
    value: str
    url: str


@page(GET=Scope.READ)
def output_list(request: PageRequest) -> HttpResponse:
    """`/<project>/outputs/`: a page of outputs, newest first; what follows on scrolling is its rows alone."""
    given = _given(request)
    below = _number(request.GET.get("below", ""))
    found: Selection | None = None
    flaws: list[FieldError] = []
    try:
        found = queries.selection(request.actor, given, now=clock.now())
    except Invalid as invalid:
        flaws = list(invalid.errors)
    listed = (
        queries.listed(request.actor, found, below=below, limit=ON_A_PAGE, score=given.get("score"))
        if found is not None
        else queries.Listed([])
    )
    context: dict[str, Any] = {
        "listed": listed,
        "older": _url(request.actor, {**given, "below": str(listed.next)}) if listed.next else "",
        "back": urllib.parse.urlencode(given),
    }
    if request.htmx and below is not None:
        return render(request, "desk/output_list.html#rows", context)
    if request.htmx and "waiting" in request.GET:
        return render(request, "desk/output_list.html#waiting", context)
    is_live = "live" in request.GET and below is None
    choices = queries.choices(request.actor)
    is_empty = not listed.rows and not given and below is None
    context |= {
        "given": given,
        "below": below,
        "flaws": flaws,
        "live": _live(request.actor, given, listed) if is_live and not flaws else None,
        "live_url": _url(request.actor, {**given, "live": "1"}),
        "here": _url(request.actor, given),
        "is_empty": is_empty,
        "is_form_wrong": any(flaw.field in OutputFilterForm.base_fields for flaw in flaws),
        "chips": _chips(request.actor, given),
        "everything": _url(request.actor, {}),
        "choices": choices,
        "form": OutputFilterForm(given, choices),
        "count": queries.count(request.actor, found) if found is not None and not is_empty else None,
        "lag": _lag() if "q" in given else "",
        "carried": _carried(given, now=clock.now()),
        "may_send": request.actor.may(Scope.EVALUATE),
    }
    return render(request, "desk/output_list.html", context, status=422 if flaws else 200)


@dataclass(frozen=True)
class Live:
    """The end of a list that goes on by itself: where to ask for what is newer, and how fast that comes."""

    url: str
    n_new: int = 0
    n_skipped: int = 0
    per_second: float | None = None


@page(GET=Scope.READ)
def output_newer(request: PageRequest) -> HttpResponse:
    """`/<project>/outputs/newer/?above=<number>`: what arrived since, for a list that is live, and where it ends now.

    At most a page of it; of more the newest.
    """
    given, now = _given(request), clock.now()
    above, asked_ms = _number(request.GET.get("above", "")), _number(request.GET.get("at", ""))
    newer = queries.newer(request.actor, queries.selection(request.actor, given, now=now), above=above or 0, now=now)
    seconds = None if asked_ms is None else now.timestamp() - asked_ms / 1000
    live = Live(
        _newer_url(request.actor, given, above=newer.upto, now=now),
        n_new=newer.n,
        n_skipped=newer.n - len(newer.rows),
        per_second=newer.n / seconds if seconds and seconds > 0 else None,
    )
    return render(request, "desk/output_list.html#newer", {"listed": queries.Listed(newer.rows), "live": live})


def _live(actor: Actor, given: Mapping[str, str], listed: queries.Listed) -> Live:
    now = clock.now()
    shown = listed.rows[0].output.pk if listed.rows else 0
    return Live(_newer_url(actor, given, above=max(shown, queries.settled(actor, now=now)), now=now))


def _newer_url(actor: Actor, given: Mapping[str, str], *, above: int, now: dt.datetime) -> str:
    asked = {**given, "above": str(above), "at": str(int(now.timestamp() * 1000))}
    return f"{reverse('desk:output-newer', args=[actor.project.slug])}?{urllib.parse.urlencode(asked)}"


@page(GET=Scope.READ)
def output_detail(request: PageRequest, external_id: str) -> HttpResponse:
    """`/<project>/outputs/<id>/`: one output and all that was found about it; beside the list, a summary of it."""
    found = queries.output_page(request.actor, external_id)
    part = "#side" if request.htmx else ""
    cost = None if part else costs.explained(found.output)
    context = {"found": found, "is_raw": "raw" in request.GET, "cost": cost}
    return render(request, f"desk/output_detail.html{part}", context)


@page(GET=Scope.READ)
def output_export(request: PageRequest, kind: str) -> HttpResponse:
    """`/<project>/outputs.csv` and `.jsonl`: everything that matches, streamed, newest first."""
    found = queries.selection(request.actor, _given(request), now=clock.now())
    writer, content_type = WRITERS[kind]
    answer = StreamingHttpResponse(writer(_shown(request.actor, found)), content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="outputs-{request.actor.project.slug}.{kind}"'
    return cast(HttpResponse, answer)  # the two have their base in common, which is all that is asked of a page


@page(POST=Scope.READ)
def filter_save(request: PageRequest) -> HttpResponse:
    """`POST /<project>/saved-filters/`: the present filter has a name from now on."""
    query = urllib.parse.urlencode(_of(dict(urllib.parse.parse_qsl(request.POST.get("query", "")))))
    try:
        saved = saved_filters.save(
            name=request.POST.get("name", ""),
            query=query,
            is_shared="shared" in request.POST,
            by=request.actor,
            now=clock.now(),
        )
    except Problem as problem:
        messages.error(request, f"Not saved: {problem.detail}")
    else:
        messages.success(request, f"Saved as “{saved.name}”.")
    return HttpResponseRedirect(f"{_url(request.actor, {})}?{query}" if query else _url(request.actor, {}))


@page(POST=Scope.READ)
def filter_delete(request: PageRequest) -> HttpResponse:
    """`POST /<project>/saved-filters/delete/`: my filter of this id, in the field `filter`, is gone."""
    filter_id = _number(request.POST.get("filter", ""))
    if filter_id is None:
        messages.error(request, "Say which filter to delete.")
    else:
        name = saved_filters.delete(filter_id=filter_id, by=request.actor)
        messages.success(request, f"“{name}” is deleted.")
    back = request.POST.get("back", "")
    is_ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return HttpResponseRedirect(back if is_ours else _url(request.actor, {}))


def _lag() -> str:
    """How far the search is behind, where that is worth saying."""
    seconds = output_queries.search_lag(now=clock.now()).total_seconds()
    if seconds <= LAG_WORTH_SAYING_S:
        return ""
    length, unit = next((n, word) for n, word in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= n)
    return f"{seconds // length:.0f} {unit}"


def _given(request: PageRequest) -> dict[str, str]:
    return _of(request.GET.dict())


def _of(said: Mapping[str, str]) -> dict[str, str]:
    """The filters that say something; an empty field of the form says nothing."""
    return {name: text for name in FIELDS if (text := said.get(name, "").strip())}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _url(actor: Actor, given: Mapping[str, str]) -> str:
    path = reverse("desk:output-list", args=[actor.project.slug])
    return f"{path}?{urllib.parse.urlencode(given)}" if given else path


def _chips(actor: Actor, given: Mapping[str, str]) -> list[Chip]:
    return [
        Chip(
            WORDS[name],
            findings.KNOWN.get(text, text) if name == findings.NAME else text,
            _url(actor, {other: said for other, said in given.items() if other != name}),
        )
        for name, text in given.items()
    ]


def _carried(given: Mapping[str, str], *, now: dt.datetime) -> dict[str, str]:
    """The filter as it is handed on to what acts later: days that are counted back from now become a moment."""
    carried = dict(given)
    days = carried.pop("days", "")
    if days.isascii() and days.isdigit() and "since" not in carried and len(days) < 5:
        carried["since"] = (now - dt.timedelta(days=int(days))).isoformat(timespec="seconds")
    return carried


def _shown(actor: Actor, found: Selection) -> Iterator[dict[str, Any]]:
    below: int | None = None
    while True:
        part = output_queries.newest(actor.project.pk, found, below=below, limit=AT_ONCE)
        rest = part.outputs
        while rest:
            here = rest[: output_queries.fitting(rest)]
            bodies = queries.bodies_of(here)
            yield from (serializers.shown(output, bodies.get(output.pk)) for output in here)
            rest = rest[len(here) :]
        if part.next is None:
            return
        below = part.next


def _as_jsonl(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    return (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _as_csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(_cell(row[name]) for name in COLUMNS)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet takes for a formula."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


WRITERS = {"csv": (_as_csv, "text/csv; charset=utf-8"), "jsonl": (_as_jsonl, "application/jsonl")}
