"""`manage.py create_api_key PROJECT --scopes ingest,read --name N [--user EMAIL]`"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.problems import Problem
from projects import access, queries
from projects.services import keys


class Command(BaseCommand):
    help = "Make an API key of a project; prints the key alone, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="name or slug")
        parser.add_argument("--scopes", required=True, help="ingest,read,evaluate,review,release,admin or some")
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument("--user", default="", help="the member it acts for; else it is key:<name>")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = queries.project_named(options["project"])
            _, text = keys.create_api_key(
                name=options["name"],
                scopes=[scope.strip() for scope in options["scopes"].split(",") if scope.strip()],
                user=queries.member_with_email(project, options["user"]) if options["user"] else None,
                by=access.system(project),
                now=clock.now(),
            )
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(text)
