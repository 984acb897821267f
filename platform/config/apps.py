from django.apps import AppConfig


class SiteConfig(AppConfig):
    """The composition root: it joins the rooms and owns no table."""

    name = "config"
    label = "site"
