"""`manage.py revoke_api_key PROJECT --name N`"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.problems import Problem
from projects import access, queries
from projects.services import keys


class Command(BaseCommand):
    help = "Revoke a live API key of a project by its name; it opens nothing from then on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="name or slug")
        parser.add_argument("--name", required=True, help="the key's name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = queries.project_named(options["project"])
            key = queries.live_key_named(project, options["name"])
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        keys.revoke_api_key(key=key, by=access.system(project), now=clock.now())
        self.stdout.write(f"{key.prefix}… is revoked.")
