from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from demo import model


class Command(BaseCommand):
    """Starts the demo's model in this process; no database is needed."""

    help = "Serve the demo's nearest-neighbour model over the OpenAI chat-completions protocol."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the port, and the key that callers must send."""
        parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
        parser.add_argument("--api-key", help="answer 401 to requests without this bearer key")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop."""
        model.serve(options["port"], api_key=options["api_key"])
