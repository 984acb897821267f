"""Sign-in and sign-out, the settings of a person, and the settings of a project."""

import uuid
from typing import Any

from django.conf import settings as site
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.utils.cache import patch_cache_control
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.csrf import csrf_failure
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from core import clock, flaws
from core.problems import Problem
from projects import once, queries, unsent
from projects.access import Scope
from projects.forms import KeyForm, MemberForm, PasswordForm, PreferencesForm, SignInForm
from projects.models import ApiKey, Membership, Role
from projects.pages import OwnRequest, PageRequest, is_htmx, own_page, page
from projects.services import keys, members, people


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """`/login/`: the form; on success on to `next`, which must be a page of ours.

    A form that came to a closed door (`pages.at_the_door`) is carried along and shown when it is open.
    """
    onward, held = _safe_next(request), unsent.carried_by(request)
    if request.user.is_authenticated:
        return _on(request, onward, held)
    form = SignInForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid() and form.user is not None:
        login(request, form.user)
        return _on(request, onward, held)
    status = 200 if request.method == "GET" else 422
    return render(request, "projects/login.html", {"form": form, "next": onward, "unsent": held}, status=status)


def _on(request: HttpRequest, onward: str, held: unsent.Unsent | None) -> HttpResponse:
    return redirect(onward) if held is None else _not_sent_yet(request, held)


def _not_sent_yet(request: HttpRequest, held: unsent.Unsent, status: int = 200) -> HttpResponse:
    found = render(request, "projects/not_sent_yet.html", {"unsent": held}, status=status)
    patch_cache_control(found, no_store=True)
    return found


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Any form whose CSRF token does not fit: one that stood open while its person signed in anew comes back whole.

    What another site made the browser send (its Origin says so) is not shown as a form to send: it is refused.
    """
    if not unsent.is_from_here(request):
        return csrf_failure(request, reason)
    if is_htmx(request):
        return render(request, "projects/signed_out.html", {"is_stale": True}, status=403)
    held = unsent.of(request) if request.path != resolve_url(site.LOGIN_URL) else unsent.carried_by(request)
    if held is None:
        # A sign-in form from before another sign-in: nothing is in it but the password.
        return redirect(_safe_next(request))
    return _not_sent_yet(request, held, status=403)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """`/logout/`: the session is dead at once."""
    logout(request)
    return redirect(site.LOGOUT_REDIRECT_URL)


@own_page("GET")
def signed_in(request: OwnRequest) -> HttpResponse:
    """`/signed-in/`: where somebody ends who signed in beside a page with unsent text: go back to that tab."""
    return render(request, "projects/signed_in.html")


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return wanted
    return resolve_url(site.LOGIN_REDIRECT_URL)


@sensitive_post_parameters()
@never_cache
@own_page("GET", "POST")
def settings(request: OwnRequest) -> HttpResponse:
    """`/settings/`: a person's name, looks, times, keys and password; each part is its own form."""
    changes_password = "change-password" in request.POST
    preferences = PreferencesForm(_sent(request, when=not changes_password), initial=queries.preferences(request.user))
    password = PasswordForm(request.user, _sent(request, when=changes_password))
    if changes_password and password.is_valid():
        people.change_password(user=request.user, password=password.cleaned_data["new_password1"])
        # This session goes on; every other one of the person is dead.
        update_session_auth_hash(request, request.user)
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
        return redirect("projects:settings")
    if request.method == "POST" and not changes_password and preferences.is_valid():
        people.save_preferences(user=request.user, **preferences.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("projects:settings")
    status = 200 if request.method == "GET" else 422
    return render(request, "projects/settings.html", {"form": preferences, "password": password}, status=status)


def _sent(request: HttpRequest, *, when: bool) -> Any:
    return request.POST if request.method == "POST" and when else None


@sensitive_post_parameters()
@page(GET=Scope.ADMIN, POST=Scope.ADMIN)
def member_list(request: PageRequest) -> HttpResponse:
    """`members/`: who is in the project as what; POST adds a person, whose first password is shown once.

    A form that is sent twice adds one, and shows the same password.
    """
    form = MemberForm(request.POST or None)
    password = email = ""
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"].lower()
        try:
            password = once.made(request.POST.get("once", ""), by=request.actor, make=lambda: _added(request, form))
        except Problem as problem:
            flaws.add_to(form, problem)
        else:
            if not password:
                messages.success(request, f"{email} is a member now, with the password of the account there is.")
                return redirect("projects:member-list", request.actor.project.slug)
    wrong = request.method == "POST" and not password
    context = {
        "members": queries.members_of(request.actor.project),
        "form": form if wrong or request.method == "GET" else MemberForm(),
        "password": password,
        "email": email,
        "roles": Role.choices,
        "once": uuid.uuid4(),
    }
    return _with_secret(render(request, "projects/member_list.html", context, status=422 if wrong else 200))


def _added(request: PageRequest, form: MemberForm) -> str:
    return members.add_member(**form.cleaned_data, by=request.actor, now=clock.now())


@page(POST=Scope.ADMIN)
def member_role(request: PageRequest, member: int) -> HttpResponse:
    """`members/<id>/role/`: what somebody is in the project."""
    membership = _membership(request, member)
    members.change_role(membership=membership, role=request.POST.get("role", ""), by=request.actor, now=clock.now())
    membership.refresh_from_db()
    messages.success(request, f"{membership.user} is {membership.role} now.")
    return redirect("projects:member-list", request.actor.project.slug)


@page(GET=Scope.ADMIN, POST=Scope.ADMIN)
def member_remove(request: PageRequest, member: int) -> HttpResponse:
    """`members/<id>/remove/`: asks once more; POST takes somebody out of the project."""
    membership = _membership(request, member)
    if request.method != "POST":
        return render(request, "projects/member_remove.html", {"membership": membership})
    members.remove_member(membership=membership, by=request.actor, now=clock.now())
    messages.success(request, f"{membership.user} is no member of {request.actor.project} any more.")
    return redirect("projects:member-list", request.actor.project.slug)


def _membership(request: PageRequest, member: int) -> Membership:
    rows = Membership.objects.select_related("user", "project")
    return get_object_or_404(rows, pk=member, project=request.actor.project)


@sensitive_post_parameters()
@page(GET=Scope.ADMIN, POST=Scope.ADMIN)
def key_list(request: PageRequest) -> HttpResponse:
    """`keys/`: the keys of the project; POST makes one, whose text is shown once.

    A form that is sent twice makes one, and shows the same text.
    """
    form = KeyForm(request.POST or None, project=request.actor.project)
    text = ""
    made: ApiKey | None = None
    if request.method == "POST" and form.is_valid():
        try:
            found = once.made(request.POST.get("once", ""), by=request.actor, make=lambda: _key_made(request, form))
            key_id, _, text = found.partition(" ")
            made = get_object_or_404(ApiKey, pk=key_id, project=request.actor.project)
        except Problem as problem:
            flaws.add_to(form, problem)
    wrong = request.method == "POST" and not text
    context = {
        "keys": queries.keys_of(request.actor.project),
        "form": form if wrong or request.method == "GET" else KeyForm(project=request.actor.project),
        "text": text,
        "made": made,
        "once": uuid.uuid4(),
    }
    return _with_secret(render(request, "projects/key_list.html", context, status=422 if wrong else 200))


def _key_made(request: PageRequest, form: KeyForm) -> str:
    """The id of a new key and its text."""
    made, text = keys.create_api_key(**form.cleaned_data, by=request.actor, now=clock.now())
    return f"{made.pk} {text}"


@page(POST=Scope.ADMIN)
def key_revoke(request: PageRequest, key: int) -> HttpResponse:
    """`keys/<id>/revoke/`: the key opens nothing any more."""
    found = get_object_or_404(ApiKey, pk=key, project=request.actor.project)
    keys.revoke_api_key(key=found, by=request.actor, now=clock.now())
    messages.success(request, f"The key {found.name} opens nothing any more.")
    return redirect("projects:key-list", request.actor.project.slug)


@page(GET=Scope.ADMIN)
def audit_list(request: PageRequest) -> HttpResponse:
    """`audit/`: who did what, newest first; `?actor=&verb=&before=<id>`."""
    asked = queries.AuditQuestion.read(request.GET)
    found = queries.audit_trail(request.actor.project, asked)
    part = "#rows" if is_htmx(request) else ""
    return render(request, f"projects/audit_list.html{part}", {"trail": found, "asked": asked})


def _with_secret(answer: HttpResponse) -> HttpResponse:
    """No cache keeps a page that may show a secret."""
    patch_cache_control(answer, no_store=True, private=True)
    return answer
