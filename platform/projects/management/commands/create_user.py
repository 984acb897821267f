"""`manage.py create_user EMAIL --project NAME --role ROLE`"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from core.problems import Problem
from projects import queries
from projects.models import Role
from projects.services import members


class Command(BaseCommand):
    help = "Make somebody a member of a project; prints the one-time password of a new account alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--project", required=True, help="name or slug")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--operator", action="store_true", help="may look at every row under /admin/")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            password = members.create_user(
                email=options["email"],
                project=queries.project_named(options["project"]),
                role=options["role"],
                is_operator=options["operator"],
                now=clock.now(),
            )
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        if password:
            self.stdout.write(password)
        else:
            self.stderr.write(f"{options['email']} had an account already: the password stays, the role is set.")
