"""A database in which commits are real; emptied after each module, while each test has its own projects."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from projects.models import Project
from tests import factories
from tests.outputs import live


@pytest.fixture(scope="module")
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Other connections see what a test stores. The tables are emptied once, after the module.

    Beside `django_db(transaction=True)`, which alone empties every table after every test.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: None)
        yield
    with django_db_blocker.unblock():
        call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
        connections.close_all()


@pytest.fixture
def project(committed: None, transactional_db: None) -> Project:
    return factories.a_project()


@pytest.fixture
def key(project: Project) -> str:
    return factories.a_key(project, "ingest")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Live]:
    """A site with a real web process, one for each test process that needs it."""
    with live.running(tmp_path_factory.mktemp("live")) as found:
        yield found
