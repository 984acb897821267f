"""Django's admin, for looking only: rows are written by the services of their rooms, never here."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.http import HttpRequest

ROOMS = ("ledger", "projects", "connections", "prompts", "outputs", "reviews", "evals", "releases", "improvement")
SECRET_FIELDS = {"password", "digest", "hash_key", "secret_sealed", "secret", "salt"}
LARGE = {"outputs.OutputBody", "outputs.StepBody", "outputs.ImportPiece", "prompts.RevisionIndex"}


class LookingOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # one class for every model
    """Shows rows without their secrets; adds, changes and removes nothing."""

    show_full_result_count = False
    list_per_page = 50

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return [field.name for field in self.opts.concrete_fields if field.name not in SECRET_FIELDS]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def register_all() -> None:
    """Every model of ours, but those whose rows make no page."""
    for room in ROOMS:
        for model in apps.get_app_config(room).get_models():
            if model._meta.label not in LARGE:
                admin.site.register(model, LookingOnly)


register_all()
# The one sign-in form, with its limit on guessing, is the door to these pages too.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
