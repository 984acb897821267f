"""What a label demands: versions, audit, and terms that cannot be."""

import pytest

from core import clock
from core.problems import Invalid
from evals import gate, scorers
from evals.models import GatePolicy
from evals.services import golden, policies
from projects.models import AuditEvent
from prompts import services as prompts
from tests.evals import gates
from tests.evals.gates import a_policy, a_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    return a_site(n_cases=2)


def test_a_change_is_a_new_version_and_the_newest_is_in_force(site):
    second = a_policy(site.prompt, site.golden_set, site.by, margin=0.01)
    assert (site.policy.version, second.version) == (1, 2)
    assert list(GatePolicy.objects.in_force()) == [second]


def test_a_repeat_changes_nothing(site):
    assert a_policy(site.prompt, site.golden_set, site.by) == site.policy
    assert AuditEvent.objects.filter(verb="policy.put").count() == 1


def test_equal_scorers_written_otherwise_are_a_repeat(site):
    spec = {"name": "exact_match", "args": {"strip": True, "ignore_case": False}}
    assert a_policy(site.prompt, site.golden_set, site.by, scorers=[spec]) == site.policy


def test_is_audited_with_before_and_after(site):
    a_policy(site.prompt, site.golden_set, site.by, margin=0.01)
    event = AuditEvent.objects.filter(verb="policy.put").latest("pk")
    assert (event.before["margin"], event.after["margin"]) == (0.02, 0.01)
    assert event.before["golden_set"] == "exam"
    assert event.subject == "policy of intent@production"


def test_makes_the_label_where_there_is_none(site):
    made = a_policy(site.prompt, site.golden_set, site.by, label="staging")
    assert (made.label.name, made.label.revision) == ("staging", None)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"scorers": []}, "scorers"),
        ({"scorers": [{"name": "vibes"}]}, "scorers[0].name"),
        ({"scorers": [gates.EXACT, {"name": "numeric", "args": {"tol": 1}}]}, "scorers[1].args.tol"),
        ({"scorers": [gates.EXACT, gates.EXACT]}, "scorers[1]"),
        ({"scorers": [{**gates.EXACT, "margin": 1.0}]}, "scorers[0].margin"),
        ({"scorers": [gates.EXACT] * 21}, "scorers"),
        ({"part": "dev"}, "part"),
        ({"kind": "vibes"}, "kind"),
        ({"kind": "floor"}, "floor"),
        ({"floor": 0.0}, "floor"),
        ({"floor": 1.0}, "floor"),
        ({"margin": -0.1}, "margin"),
        ({"margin": 1.0}, "margin"),
        ({"margin": float("nan")}, "margin"),
        ({"max_error_share": 1.0}, "max_error_share"),
        ({"looks": 0}, "looks"),
        ({"looks": 1001}, "looks"),
    ],
)
def test_refuses_terms_that_no_gate_can_hold(site, terms, field):
    with pytest.raises(Invalid) as refused:
        a_policy(site.prompt, site.golden_set, site.by, **terms)
    assert refused.value.errors[0].field == field
    assert GatePolicy.objects.count() == 1


def test_refuses_the_exam_of_another_prompt(site):
    other, _ = prompts.create_prompt(name="other", by=site.by, now=clock.now())
    exam, _ = golden.create_set(name="theirs", prompt=other, description="", by=site.by, now=clock.now())
    with pytest.raises(Invalid, match="another prompt"):
        a_policy(site.prompt, exam, site.by)


def test_hands_the_gate_everything_it_asks(site):
    loose = {"name": "contains", "args": {"ignore_case": True}, "margin": 0.1}
    policy = a_policy(
        site.prompt,
        site.golden_set,
        site.by,
        scorers=[gates.EXACT, loose],
        kind="superiority",
        margin=0.03,
        floor=0.5,
        max_error_share=0.05,
        looks=3,
    )
    policy.refresh_from_db()
    assert policies.demand_of(policy) == gate.Demand(
        kind="superiority",
        margin=0.03,
        margins={scorers.key(loose): 0.1},
        floor=0.5,
        max_error_share=0.05,
        looks=3,
    )
