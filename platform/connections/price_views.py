"""The price table: what stands, what stood, and where costs that were not sent come from."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from connections import price_queries
from connections.models import Price
from connections.price_forms import PriceForm
from connections.published import published
from connections.services import prices as services
from core import clock, flaws
from core.problems import Problem
from projects.access import Scope
from projects.pages import PageRequest, page


@page(GET=Scope.READ, POST=Scope.ADMIN)
def price_list(request: PageRequest) -> HttpResponse:
    """`prices/`: all that stand; POST sets one, whose form a link may have filled in."""
    now = clock.now()
    form = PriceForm(request.POST) if request.method == "POST" else PriceForm.suggesting(request.GET.dict(), now=now)
    if request.method == "POST" and form.is_valid() and _is_set(request, form):
        return redirect("connections:price-list", request.actor.project.slug)
    book = price_queries.book(request.actor.project.pk)
    lines = price_queries.lines(book, now=now)
    context = {
        "own": [line for line in lines if not line.rate.is_published],
        "published": [line for line in lines if line.rate.is_published and line.is_in_force],
        "uses_published": bool(book.published),
        "as_of": published().as_of,
        "form": form,
        "is_asked": bool(form.is_bound or request.GET.get("model")),
    }
    return render(request, "connections/price_list.html", context, status=422 if form.errors else 200)


@page(GET=Scope.READ)
def price_history(request: PageRequest) -> HttpResponse:
    """`prices/history/?model=&provider=`: every price of one name, also those that were corrected or withdrawn."""
    model, provider = request.GET.get("model", ""), request.GET.get("provider", "").lower()
    project_id = request.actor.project.pk
    lines = price_queries.lines(price_queries.book(project_id), now=clock.now())
    context = {
        "model": model,
        "provider": provider,
        "entries": price_queries.history(project_id, lines, provider=provider, model=model),
        "published": [line for line in lines if line.rate.is_published and line.rate.model == model],
    }
    return render(request, "connections/price_history.html", context)


@page(POST=Scope.ADMIN)
def price_withdraw(request: PageRequest, price_id: int) -> HttpResponse:
    """`prices/<id>/withdraw/`: it stands no more, and stays in the history."""
    price = services.withdraw_price(price_id=price_id, by=request.actor, now=clock.now())
    messages.success(request, f"The price of {price} is withdrawn. {_HOW_TO_APPLY}")
    return redirect(_history_of(request, price))


@page(POST=Scope.ADMIN)
def price_published(request: PageRequest) -> HttpResponse:
    """`prices/published/`: whether published list prices fill in."""
    wanted = request.POST.get("use") == "yes"
    services.use_published(wanted=wanted, by=request.actor, now=clock.now())
    said = "fill in where you have no price of your own" if wanted else "are not used any more"
    messages.success(request, f"Published list prices {said}. {_HOW_TO_APPLY}")
    return redirect("connections:price-list", request.actor.project.slug)


_HOW_TO_APPLY = "What arrives from now on follows; to let past outputs follow, apply prices to them."


def _is_set(request: PageRequest, form: PriceForm) -> bool:
    """Sets what the form says; False with its errors beside the fields."""
    try:
        price, is_new = services.set_price(**form.rest, amounts=form.amounts, by=request.actor, now=clock.now())
    except Problem as problem:
        flaws.add_to(form, problem)
        return False
    messages.success(request, f"The price of {price} is set. {_HOW_TO_APPLY}" if is_new else "It stood so already.")
    return True


def _history_of(request: PageRequest, price: Price) -> str:
    address = reverse("connections:price-history", args=[request.actor.project.slug])
    return f"{address}?{urlencode({'model': price.model, 'provider': price.provider})}"
