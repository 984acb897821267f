"""`manage.py up`: start the site, stay, and stop it on Ctrl-C."""

import os
import signal
from argparse import ArgumentParser
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import environment, launcher


class Command(BaseCommand):
    """Runs web, workers and beat, and a private PostgreSQL and Valkey where no addresses are given."""

    help = "Start the site in the foreground; Ctrl-C stops it. RATCHET_HOME and PORT choose folder and port."
    # The database these checks would ask is what this command starts.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's own options."""
        parser.add_argument(
            "--no-embedded", action="store_true", help="never start private services; needs their addresses"
        )
        parser.add_argument("--workers", type=int, default=1, help="Celery workers, two processes each (1)")

    def handle(self, *args: Any, **options: Any) -> None:
        """The site runs until a signal asks for its end; everything of it is stopped then."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupt)
        site = self._site(**options)
        try:
            with CalmEnd(site):
                self.stdout.write(f"Ratchet runs at {site.url} (data in {site.home.path}). Ctrl-C stops it.")
                self.stdout.flush()
                signal.pause()
        except launcher.LaunchError as problem:
            raise CommandError(str(problem)) from problem
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _site(self, **options: Any) -> launcher.Site:
        # What a running site published is not asked: its services are the ones to be started here.
        given, _ = environment.said(os.environ)
        missing = [name.upper() for name in ("database_url", "celery_broker_url") if not given.get(name)]
        if options["no_embedded"] and missing:
            raise CommandError(f"--no-embedded needs {' and '.join(missing)}; set what is missing (or NAME_FILE).")
        known = settings.ENVIRONMENT
        return launcher.Site(
            known.ratchet_home,
            known.port,
            workers=options["workers"],
            database_url=given.get("database_url", ""),
            broker_url=given.get("celery_broker_url", ""),
            report=self._say,
        )

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


class CalmEnd:
    """The site as a context whose stop is not cut short by more Ctrl-C: it takes less than ten seconds."""

    def __init__(self, site: launcher.Site) -> None:
        self.site = site

    def __enter__(self) -> None:
        self.site.start()

    def __exit__(self, *problem: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.site.stop()


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
