"""Looks and verdicts when two people press at the same moment."""

import threading

import pytest
from django.db import connection

from core import clock
from evals.models import GatePolicy, Look, Run
from evals.services import golden, runs
from tests.evals import gates
from tests.evals.gates import a_revision, a_site, start

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls):
    """Run each call in a thread of its own, all let go together; returns what they gave, in order."""
    gate, found, failed = threading.Barrier(len(calls)), [None] * len(calls), []

    def body(place, call):
        try:
            gate.wait(timeout=10)
            found[place] = call()
        except Exception as error:  # shown by the assert below
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not failed
    return found


def test_the_last_look_is_given_once():
    site = a_site(n_cases=2, looks=1)
    candidates = [a_revision(site.prompt, site.by, f"candidate {n}") for n in range(4)]
    made = at_once(*(lambda one=one: start(site, one) for one in candidates))
    assert sorted(run.state for run in made) == ["cancelled"] * 3 + ["queued"]
    assert Look.objects.filter(returned_at=None).count() == 1


def test_a_run_is_concluded_once():
    site = a_site(n_cases=20)
    run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
    gates.fill(run, gates.right)
    assert sorted(at_once(*(lambda: runs.conclude(run.pk, now=clock.now()) for _ in range(4)))) == [False] * 3 + [True]
    assert Run.objects.get(pk=run.pk).state == "done"


def test_a_draft_is_cut_once():
    site = a_site(n_cases=2)
    case = gates.CaseContent(key="new", input="new", part="gate")
    golden.add_cases(golden_set=site.golden_set, rows=[golden.Taken(0, case)], by=site.by, now=clock.now())
    made = at_once(*(lambda: golden.cut(golden_set=site.golden_set, by=site.by, now=clock.now()) for _ in range(4)))
    assert sorted(is_new for _, is_new in made) == [False] * 3 + [True]


def test_the_same_cases_are_added_once():
    site = a_site(n_cases=2)
    rows = [golden.Taken(n, gates.CaseContent(key=f"new {n}", input="x", part="dev")) for n in range(50)]

    def add():
        return golden.add_cases(golden_set=site.golden_set, rows=rows, by=site.by, now=clock.now())[0].added

    assert sorted(at_once(*[add] * 3)) == [0, 0, 50]


def test_a_policy_gets_each_version_once():
    site = a_site(n_cases=2)
    margins = [0.1, 0.2, 0.3, 0.4]
    at_once(
        *(
            lambda margin=margin: gates.a_policy(site.prompt, site.golden_set, site.by, margin=margin)
            for margin in margins
        )
    )
    assert sorted(GatePolicy.objects.values_list("version", flat=True)) == [1, 2, 3, 4, 5]
