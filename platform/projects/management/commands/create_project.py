"""`manage.py create_project NAME`"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.problems import Problem
from projects.services import members


class Command(BaseCommand):
    help = "Make a project; prints its slug."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = members.create_project(name=options["name"], now=clock.now())
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(project.slug)
