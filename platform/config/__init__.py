"""The composition root: settings, URLs, the two web faces, the workers, the launcher. Nobody imports it."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
