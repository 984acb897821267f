"""Home: where somebody lands after signing in."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from desk import queries as desk_queries
from projects import queries
from projects.models import User


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """`/`: my projects."""
    return render(request, "desk/home.html", {"projects": queries.projects_of(_user(request))})


@require_safe
@login_required
def project_home(request: HttpRequest, project: str) -> HttpResponse:
    """`/<project>/`: what stands in the project so far; 404 for strangers and for projects that do not exist."""
    mine = next((found for found in queries.projects_of(_user(request)) if found.slug == project), None)
    if mine is None:
        raise Http404
    return render(request, "desk/project_home.html", {"mine": mine, "stock": desk_queries.stock(mine.id)})


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # login_required has seen to it
