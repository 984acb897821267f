"""The decorators of every page: who may see it, in whose time, and how an expected failure looks there."""

import zoneinfo
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Protocol, cast

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils import timezone
from django_htmx.middleware import HtmxDetails

from core.problems import Invalid, Problem
from projects import unsent
from projects.access import Actor, Scope, actor_in
from projects.forms import SignInForm
from projects.models import User

# What a method of a page needs: one scope, any of several, or (None) membership alone.
Needs = Scope | tuple[Scope, ...] | None


class PageRequest(HttpRequest):
    """A request for a page of a project: `actor` is the member who asks, with the scopes of the role."""

    actor: Actor
    user: User
    htmx: HtmxDetails


class OwnRequest(HttpRequest):
    """A request for a page of somebody's own: `user` is signed in."""

    user: User
    htmx: HtmxDetails


View = Callable[..., HttpResponse]


class Page(Protocol):
    """A view with its declared rights, which the access table and its test read."""

    needs: dict[str, Needs]

    def __call__(self, request: HttpRequest, project: str, **path: Any) -> HttpResponse: ...


def page(**needs: Needs) -> Callable[[View], Page]:
    """Make a function a page below `/<project>/`: `@page(GET=Scope.READ, POST=Scope.EVALUATE)`.

    The view is called with a PageRequest and the rest of its path, without the project. Somebody who is not signed
    in goes to the door and comes back; a stranger to the project finds a 404, a member without the right a page
    that says whose it is. A Problem that the view lets through becomes a page, or for htmx the fragment of it.
    """

    def decorate(view: View) -> Page:
        @wraps(view)
        def shown(request: HttpRequest, project: str, **path: Any) -> HttpResponse:
            method = _method(request)
            if method not in needs:
                return not_for(request, list(needs))
            if not request.user.is_authenticated:
                return at_the_door(request)
            asked = cast(PageRequest, request)
            asked.actor = _actor(request.user, project)
            with timezone.override(zone_of(request.user)):
                try:
                    _check(asked.actor, needs[method])
                    return view(asked, **path)
                except Problem as problem:
                    return answer(request, problem)

        found = cast(Page, shown)
        found.needs = dict(needs)
        return found

    return decorate


def own_page(*methods: str) -> Callable[[View], View]:
    """Make a function a page of whoever is signed in, in no project: `@own_page("GET", "POST")`."""

    def decorate(view: View) -> View:
        @wraps(view)
        def shown(request: HttpRequest, **path: Any) -> HttpResponse:
            if _method(request) not in methods:
                return not_for(request, methods)
            if not request.user.is_authenticated:
                return at_the_door(request)
            with timezone.override(zone_of(request.user)):
                try:
                    return view(request, **path)
                except Problem as problem:
                    return answer(request, problem)

        shown.own_methods = methods  # type: ignore[attr-defined]  # read by the access table's test
        return shown

    return decorate


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The problem as a page that says what was found and offers a way on; for htmx its inner part alone."""
    if problem.status == 404:
        raise Http404(problem.detail)
    status = 422 if isinstance(problem, Invalid) else problem.status
    part = "#said" if is_htmx(request) else ""
    context = {"problem": problem, "reasons": problem.extra.get("reasons", ())}
    return render(request, f"problem.html{part}", context, status=status)


def not_for(request: HttpRequest, methods: Sequence[str]) -> HttpResponse:
    """The answer where this method leads nowhere: to somebody who looks, a page with a way on."""
    refusal = HttpResponseNotAllowed(methods)
    if request.method == "GET":
        said = "A form sends to this address; there is nothing to look at."
        refusal.content = answer(request, Problem(405, said)).content
    return refusal


def at_the_door(request: HttpRequest) -> HttpResponse:
    """The way to sign in for somebody who is not, without losing what was just sent.

    A page is asked for again after signing in. A form that was sent rides along with the sign-in form, and is shown
    afterwards. htmx leaves the page as it stands, with everything typed, and shows the way above it.
    """
    if is_htmx(request):
        found = render(request, "projects/signed_out.html", status=401)
        found["HX-Trigger"] = "signed-out"
        return found
    if request.method in ("GET", "HEAD"):
        return redirect_to_login(request.get_full_path())
    form = SignInForm(request)
    held = unsent.of(request)
    return render(request, "projects/login.html", {"form": form, "next": held.back, "unsent": held}, status=401)


def zone_of(user: User) -> zoneinfo.ZoneInfo:
    """The time zone in which a person reads moments; UTC where this machine does not know it."""
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


def is_htmx(request: HttpRequest) -> bool:
    """Whether htmx asks, which wants a part of a page."""
    return bool(getattr(request, "htmx", None))


def _method(request: HttpRequest) -> str:
    return "GET" if request.method == "HEAD" else str(request.method)


def _actor(user: User, slug: str) -> Actor:
    actor = actor_in(user, slug)
    if actor is None:
        raise Http404
    return actor


def _check(actor: Actor, needs: Needs) -> None:
    wanted = () if needs is None else needs if isinstance(needs, tuple) else (needs,)
    if wanted and not any(actor.may(scope) for scope in wanted):
        words = " or ".join(repr(scope.value) for scope in wanted)
        raise Problem(403, f"This needs the right {words}, which your role in {actor.project.name} does not have.")
