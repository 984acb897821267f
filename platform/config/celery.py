"""The Celery application: bells in, drains out. Rows are the queue (`ledger`, `evals`), messages only wake."""

import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("ratchet", include=["config.workers"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.set_default()


@signals.setup_logging.connect
def _leave_logging_to_django(**_: object) -> None:
    """A receiver is all it takes: Celery then sets up no handler, no level and no format of its own."""
