"""What is settled is told to the project's webhooks: once per verdict, by agreement or by adjudication."""

import json

import pytest

from connections.services import webhooks
from core import clock
from ledger.models import Delivery
from projects.models import Project
from reviews.models import Verdict
from reviews.services import adjudication, telling
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.org/a"


@pytest.fixture
def project() -> Project:
    project = factories.a_project()
    by = factories.an_actor(project)
    webhooks.save_webhook(url=URL, topics=[telling.TOPIC], secret="sixteen or more!", by=by, now=clock.now())
    return project


def tell() -> None:
    while telling.tell_waiting(now=clock.now()):
        pass


def test_agreement_is_told_with_all_that_a_verdict_shows(project: Project) -> None:
    queue = desk.a_queue(project)
    (output,) = desk.filled(queue, "May I?", prompt=factories.a_prompt(project))
    desk.reviewed(queue, desk.a_reviewer(project), desk.NO, correction="No.")
    tell()
    tell()
    delivery = Delivery.objects.get()
    body = json.loads(delivery.body)
    verdict = Verdict.objects.get()
    assert (delivery.topic, delivery.subject) == ("verdict.settled", f"verdict {verdict.pk}")
    assert (body["topic"], body["project"]) == ("verdict.settled", project.slug)
    told = body["verdict"]
    assert (told["id"], told["output"], told["correction"]) == (verdict.pk, output.external_id, "No.")


def test_a_verdict_given_anew_is_told_anew_and_the_same_is_not(project: Project) -> None:
    queue = desk.a_queue(project)
    desk.filled(queue, "May I?", prompt=factories.a_prompt(project))
    item = desk.reviewed(queue, desk.a_reviewer(project))
    tell()
    judge = factories.an_actor(project)
    for _ in "12":
        said = {"answers": desk.NO, "correction": "No.", "rationale": "policy 3"}
        adjudication.adjudicate(item_id=item.pk, **said, by=judge, now=clock.now())
        tell()
    told = [json.loads(body)["verdict"]["settled_by"] for body in Delivery.objects.values_list("body", flat=True)]
    assert sorted(told) == ["adjudicator", "agreement"]


def test_what_is_not_settled_and_what_is_another_projects_is_not_told(project: Project) -> None:
    open_queue = desk.a_queue(project, overlap=2)
    desk.filled(open_queue, "May I?")
    desk.reviewed(open_queue, desk.a_reviewer(project))
    other = desk.a_queue(factories.a_project())
    desk.filled(other, "May I?")
    desk.reviewed(other, desk.a_reviewer(other.project))
    tell()
    assert not Delivery.objects.exists()
