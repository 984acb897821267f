"""`manage.py demo`: the whole loop played once on embedded services, then a site to look at."""

import json
import os
import signal
import socket
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from config import environment, launcher
from config.management.commands.up import CalmEnd, interrupt
from demo import play, replies, scenario


class Command(BaseCommand):
    """Starts a site with the demo's model beside it and plays rounds through the public API."""

    help = "Play the loop on a fresh demo project, print a table per prompt, and leave the site running."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's own options."""
        parser.add_argument("--exit", action="store_true", help="end after the loop instead of staying")

    def handle(self, *args: Any, **options: Any) -> None:
        """The tables are printed; without --exit the site runs until Ctrl-C."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupt)
        model_port = free_port()
        site = self._site(model_port)
        try:
            with CalmEnd(site):
                model_url = site.add_demo_model(model_port)
                accounts = json.loads(site.manage("demo_accounts"))
                self._play(site, model_url, accounts)
                if not options["exit"]:
                    self._say_logins(site.url, accounts)
                    signal.pause()
            self._say("Stopped. `make demo` without EXIT leaves the site running, with fresh logins.")
        except (launcher.LaunchError, TimeoutError) as problem:
            raise CommandError(str(problem)) from problem
        except KeyboardInterrupt:
            self._say("Stopped.")

    def _site(self, model_port: int) -> launcher.Site:
        given, _ = environment.said(os.environ)
        known = settings.ENVIRONMENT
        allowed = [*known.ratchet_outbound_allow, f"127.0.0.1:{model_port}"]
        return launcher.Site(
            known.ratchet_home,
            known.port,
            database_url=given.get("database_url", ""),
            broker_url=given.get("celery_broker_url", ""),
            # The one exception from "public addresses only": the demo's own model, on the port it just took.
            variables={"RATCHET_OUTBOUND_ALLOW": ",".join(allowed)},
            report=self._say,
        )

    def _play(self, site: launcher.Site, model_url: str, accounts: dict[str, Any]) -> None:
        started_at = time.monotonic()
        where = play.Site(
            base_url=site.url,
            engineer_key=accounts["keys"]["engineer"],
            reviewer_key=accounts["keys"]["reviewer"],
            admin_key=accounts["keys"]["admin"],
            model_url=model_url,
        )
        self._say("Playing the loop through the public API, with a nearest-neighbour model in place of an LLM.")
        play.play(where, [scenario.support_intent(), scenario.support_intent_permuted()], Console())
        n_replies = play.leave_replies(where)
        self._say(f"{n_replies} longer replies wait in the queue {replies.PROMPT!r} for you to judge.")
        self._say(f"Played in {time.monotonic() - started_at:.0f} s.")

    def _say_logins(self, url: str, accounts: dict[str, Any]) -> None:
        self._say(f"\nThe site runs at {url}/{accounts['project']}/ (Ctrl-C stops it). Sign in as one of:")
        for login in accounts["logins"]:
            self._say(f"  {login['role']:<9} {login['email']:<28} {login['password']}")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


def free_port() -> int:
    """A port of the loopback address that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
