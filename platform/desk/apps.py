from django.apps import AppConfig


class DeskConfig(AppConfig):
    """Pages that join rooms."""

    name = "desk"
