"""Evidence is sought once at a time, and what speaks against a run is said before anybody presses a button."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from core import clock
from core.problems import Conflict, Unprocessable
from evals.models import Look, Run
from prompts.models import Revision
from releases import queries, services
from tests import factories
from tests.evals import gates
from tests.evals.gates import Site


def sought(site: Site, revision: Revision) -> Run:
    return services.seek_evidence(
        prompt=site.prompt, label_name="production", revision=revision, by=site.by, now=clock.now()
    )


def candidate(site: Site) -> Revision:
    return gates.a_revision(site.prompt, site.by, "Name the intent, briefly.")


@pytest.mark.django_db
class TestSeekEvidence:
    def test_starts_a_run_under_the_labels_policy(self) -> None:
        site = gates.a_site(n_cases=3)
        run = sought(site, candidate(site))
        assert run.policy == site.policy
        assert run.baseline is not None
        assert run.baseline.revision == site.active

    def test_a_second_call_finds_the_run_that_is_under_way(self) -> None:
        site = gates.a_site(n_cases=3)
        made = candidate(site)
        assert sought(site, made) == sought(site, made)
        assert Look.objects.count() == 1

    def test_once_it_is_over_another_begins(self) -> None:
        site = gates.a_site(n_cases=3)
        made = candidate(site)
        first = gates.play(sought(site, made))
        assert sought(site, made) != first

    def test_a_run_under_an_older_policy_does_not_count(self) -> None:
        site = gates.a_site(n_cases=3)
        made = candidate(site)
        first = sought(site, made)
        gates.a_policy(site.prompt, site.golden_set, site.by, margin=0.05)
        assert sought(site, made) != first

    def test_a_label_without_a_policy_is_refused_and_not_made(self) -> None:
        site = gates.a_site(n_cases=3)
        with pytest.raises(Unprocessable, match="has no policy"):
            services.seek_evidence(
                prompt=site.prompt, label_name="staging", revision=site.active, by=site.by, now=clock.now()
            )
        assert not site.prompt.labels.filter(name="staging").exists()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_get_the_same_run() -> None:
    site = gates.a_site(n_cases=3)
    made = candidate(site)

    def seek(_: int) -> int:
        try:
            return sought(site, made).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(seek, range(4)))
    assert len(set(found)) == 1
    assert Look.objects.count() == 1


@pytest.mark.django_db
class TestOffers:
    def test_says_what_speaks_against_each_run(self) -> None:
        prompt = factories.a_prompt(factories.a_project())
        by = factories.an_actor(prompt.project)
        first, second = (factories.a_revision(prompt, system=f"Sort this, way {n}.") for n in range(2))
        services.release_initially(
            prompt=prompt, label_name="production", revision=first, reason="first", by=by, now=clock.now()
        )
        run = factories.a_passed_run(second)
        label = prompt.labels.get()
        (offer,) = queries.offers(label, second)
        assert offer.is_evidence
        services.release(prompt=prompt, label_name="production", revision=second, run=run, by=by, now=clock.now())
        (offer,) = queries.offers(label, second)
        assert f"run {run.pk} was spent on an earlier release" in offer.reasons

    def test_later_runs_that_did_not_pass_hide_none_that_is_evidence(self) -> None:
        prompt = factories.a_prompt(factories.a_project())
        by = factories.an_actor(prompt.project)
        first, second = (factories.a_revision(prompt, system=f"Sort this, way {n}.") for n in range(2))
        services.release_initially(
            prompt=prompt, label_name="production", revision=first, reason="first", by=by, now=clock.now()
        )
        run = factories.a_passed_run(second)
        facts = {name: getattr(run, name) for name in ("project", "golden_version", "part", "target_kind", "scorers")}
        for _ in range(queries.MOST_CANDIDATES + 1):
            Run.objects.create(
                **facts,
                **{name: getattr(run, name) for name in ("n_results", "revision", "model", "policy", "baseline")},
                state=Run.State.DONE,
                gate={**run.gate, "verdict": "inconclusive"},
                created_at=clock.now(),
                created_by="test",
            )
        offers = queries.offers(prompt.labels.get(), second)
        assert [offer.is_evidence for offer in offers] == [True, False, False, False, False]
        assert offers[0].run == run

    def test_agrees_with_what_a_release_says(self) -> None:
        site = gates.a_site(n_cases=3)
        made = candidate(site)
        run = sought(site, made)
        (offer,) = queries.offers(site.label, made)
        with pytest.raises(Conflict) as refused:
            services.release(
                prompt=site.prompt, label_name="production", revision=made, run=run, by=site.by, now=clock.now()
            )
        assert refused.value.extra["reasons"] == offer.reasons
