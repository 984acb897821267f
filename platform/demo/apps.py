from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Makes the demo's commands known to `manage.py`; it has no tables."""

    name = "demo"
