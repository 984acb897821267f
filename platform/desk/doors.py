"""Doors for feedback from public pages, for the people who look after the project."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_cache_control
from django.views.decorators.debug import sensitive_post_parameters

from core import clock, flaws
from core.problems import Problem
from outputs import tokens
from outputs.models import FeedbackDoor
from outputs.services import doors
from projects import once
from projects.access import Scope
from projects.pages import PageRequest, page

KIND_WORDS = {
    "thumb": "thumb: it was good, or it was not",
    "comment": "comment: in the visitor's own words",
    "edit": "edit: the text as the visitor would have it, which is a correction",
    "outcome": "outcome: what came of it, as bought or asked again",
}


class DoorForm(forms.Form):
    """A door to be made."""

    name = forms.CharField(
        max_length=80,
        help_text="Which page or site it is for. Feedback that comes through says so, as door:name.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    kinds = forms.MultipleChoiceField(
        choices=list(KIND_WORDS.items()),
        initial=["thumb", "comment"],
        label="What may be said",
        widget=forms.CheckboxSelectMultiple,
    )
    origins = forms.CharField(
        label="Sites",
        max_length=6_000,
        help_text="Whose pages may use it, one a line, as https://shop.example.org",
        widget=forms.Textarea(attrs={"rows": 3, "class": "input", "spellcheck": "false"}),
    )
    needs_signature = forms.BooleanField(
        required=False,
        label="Only outputs that our server vouched for",
        help_text="Your server puts a token beside each output, so that nobody can rate an output that was not shown.",
    )


@sensitive_post_parameters()
@page(GET=Scope.ADMIN, POST=Scope.ADMIN)
def door_list(request: PageRequest) -> HttpResponse:
    """`feedback-doors/`: all of them; POST makes one, whose secret is shown once."""
    form = DoorForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = once.made(request.POST.get("once", ""), by=request.actor, make=lambda: _made(request, form))
        except Problem as problem:
            flaws.add_to(form, problem)
        else:
            door_id, _, secret = made.partition(" ")
            return _shown(request, _door(request, int(door_id)), secret=secret)
    rows = FeedbackDoor.objects.filter(project=request.actor.project).order_by("revoked_at", "-pk")
    context = {"doors": rows, "form": form, "once": uuid.uuid4()}
    status = 200 if request.method == "GET" else 422
    return render(request, "desk/door_list.html", context, status=status)


@page(GET=Scope.ADMIN)
def door_detail(request: PageRequest, door: int) -> HttpResponse:
    """`feedback-doors/<id>/`: what to put on the page, and what may come through."""
    return _shown(request, _door(request, door))


@page(POST=Scope.ADMIN)
def door_renew(request: PageRequest, door: int) -> HttpResponse:
    """`feedback-doors/<id>/renew/`: another token and secret, shown on the door's page; the old ones open nothing."""
    found = _door(request, door)
    given = request.POST.get("once", "")
    secret = once.made(
        given, by=request.actor, make=lambda: doors.renew_door(door=found, by=request.actor, now=clock.now())
    )
    found.refresh_from_db()
    return _shown(request, found, secret=secret)


@page(POST=Scope.ADMIN)
def door_close(request: PageRequest, door: int) -> HttpResponse:
    """`feedback-doors/<id>/close/`: nothing comes through any more."""
    found = _door(request, door)
    doors.close_door(door=found, by=request.actor, now=clock.now())
    messages.success(request, f"The door {found.name} is closed. What came through it stays.")
    return redirect("desk:door-list", request.actor.project.slug)


def _made(request: PageRequest, form: DoorForm) -> str:
    """The id of a new door and its secret."""
    given = dict(form.cleaned_data)
    origins = given.pop("origins").split()
    door, secret = doors.make_door(**given, origins=origins, by=request.actor, now=clock.now())
    return f"{door.pk} {secret}"


def _door(request: PageRequest, door_id: int) -> FeedbackDoor:
    return get_object_or_404(FeedbackDoor, pk=door_id, project=request.actor.project)


def _shown(request: PageRequest, door: FeedbackDoor, *, secret: str = "") -> HttpResponse:
    context: dict[str, Any] = {
        "door": door,
        "token": tokens.token_of(door.pk, door.version),
        "secret": secret,
        "site": f"{request.scheme}://{request.get_host()}",
        "once": uuid.uuid4(),
    }
    answer = render(request, "desk/door_detail.html", context)
    patch_cache_control(answer, no_store=True, private=True)
    return answer
