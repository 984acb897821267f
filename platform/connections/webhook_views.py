"""Who is told what happens, and how that went, for the people who look after it."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from connections import webhook_queries
from connections.models import Webhook
from connections.services import webhooks as services
from connections.webhook_forms import WebhookForm
from core import clock, flaws
from core.problems import Problem
from projects.access import Scope
from projects.pages import PageRequest, page


@sensitive_post_parameters("secret")
@page(GET=Scope.ADMIN, POST=Scope.ADMIN)
def webhook_list(request: PageRequest) -> HttpResponse:
    """`webhooks/`: all of them with the newest deliveries; POST saves one."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _saved(request, form):
        return redirect("connections:webhook-list", request.actor.project.slug)
    rows = list(Webhook.objects.of(request.actor.project.pk).order_by("url"))
    names = {row.pk: row.url for row in rows}
    newest = [(one, names.get(one.target, "")) for one in webhook_queries.newest(request.actor.project.pk)]
    context = {"webhooks": rows, "deliveries": newest, "form": form}
    status = 200 if request.method == "GET" else 422
    return render(request, "connections/webhook_list.html", context, status=status)


@page(POST=Scope.ADMIN)
def webhook_delete(request: PageRequest, webhook_id: int) -> HttpResponse:
    """`webhooks/<id>/delete/`: it is told nothing any more."""
    services.delete_webhook(webhook_id=webhook_id, by=request.actor, now=clock.now())
    messages.success(request, "The webhook is deleted, with its deliveries.")
    return redirect("connections:webhook-list", request.actor.project.slug)


@page(POST=Scope.ADMIN)
def delivery_retry(request: PageRequest, delivery_id: int) -> HttpResponse:
    """`webhooks/deliveries/<id>/retry/`: it is sent again under its old id."""
    delivery = services.send_again(delivery_id=delivery_id, by=request.actor, now=clock.now())
    messages.success(request, f"Delivery {delivery.pk} is on its way again.")
    return redirect("connections:webhook-list", request.actor.project.slug)


def _saved(request: PageRequest, form: WebhookForm) -> bool:
    """Saves what the form says; False with its errors beside the fields."""
    given = dict(form.cleaned_data)
    secret = given.pop("secret") or None
    try:
        services.save_webhook(**given, secret=secret, by=request.actor, now=clock.now())
    except Problem as problem:
        flaws.add_to(form, problem)
        return False
    messages.success(request, "The webhook is saved.")
    return True
