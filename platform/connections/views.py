"""Where models live, for the people who look after it."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from connections.forms import ConnectionForm
from connections.models import Connection
from connections.services import connections as services
from core import clock, flaws
from core.problems import Problem
from projects.access import Scope
from projects.pages import PageRequest, page


@sensitive_post_parameters("secret")
@page(GET=Scope.READ, POST=Scope.ADMIN)
def connection_list(request: PageRequest) -> HttpResponse:
    """`connections/`: all of them; POST adds one."""
    form = ConnectionForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _is_new(request, form) and _saved(request, form):
        return redirect("connections:connection-list", request.actor.project.slug)
    rows = Connection.objects.of(request.actor.project.pk).order_by("name")
    status = 200 if request.method == "GET" else 422
    return render(request, "connections/connection_list.html", {"connections": rows, "form": form}, status=status)


@sensitive_post_parameters("secret")
@page(GET=Scope.ADMIN, POST=Scope.ADMIN)
def connection_edit(request: PageRequest, name: str) -> HttpResponse:
    """`connections/<name>/`: change one."""
    connection = get_object_or_404(Connection.objects.of(request.actor.project.pk), name=name)
    form = ConnectionForm(request.POST or None, initial=_told(connection))
    form.fix_name()
    if request.method == "POST" and form.is_valid() and _saved(request, form):
        return redirect("connections:connection-list", request.actor.project.slug)
    status = 200 if request.method == "GET" else 422
    context = {"connection": connection, "form": form}
    return render(request, "connections/connection_edit.html", context, status=status)


def _is_new(request: PageRequest, form: ConnectionForm) -> bool:
    """The form that adds must not change one that is there, whose secret it would empty or keep by chance."""
    name = form.cleaned_data["name"]
    if not Connection.objects.of(request.actor.project.pk).filter(name=name).exists():
        return True
    form.add_error("name", f"{name!r} is there already; change it in the list, or choose another name")
    return False


def _saved(request: PageRequest, form: ConnectionForm) -> bool:
    """Saves what the form says; False with its errors beside the fields."""
    given = dict(form.cleaned_data)
    typed, forgets = given.pop("secret"), given.pop("forgets_secret")
    same_name = Connection.objects.of(request.actor.project.pk).filter(name=given["name"])
    had_secret = same_name.filter(secret_sealed__isnull=False).exists()
    secret = "" if forgets else typed or None
    try:
        connection, _ = services.save_connection(**given, secret=secret, by=request.actor, now=clock.now())
    except Problem as problem:
        flaws.add_to(form, problem)
        return False
    if had_secret and not forgets and not connection.has_secret:
        messages.warning(request, f"{connection} now has another host, so its secret was emptied. Enter it anew.")
    else:
        messages.success(request, f"{connection} is saved.")
    return True


def _told(connection: Connection) -> dict[str, object]:
    return {
        "name": connection.name,
        "kind": connection.kind,
        "base_url": connection.base_url,
        "concurrency": connection.concurrency,
    }
