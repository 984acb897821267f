"""Rubrics, queues, rules and items: what engineers set up."""

import pytest

from core import clock
from core.problems import Invalid
from projects.models import AuditEvent, Role
from reviews.models import Item, ItemOutput, Queue, Rubric, SamplingRule
from reviews.services import items, queues, rubrics, rules
from reviews.services.queues import Wanted
from tests import factories
from tests.reviews import desk

pytestmark = pytest.mark.django_db

NOTE = {"key": "note", "type": "text"}


def put(project, name="intents", **wanted):
    wanted.setdefault("rubric", "intent")
    return queues.put_queue(name=name, wanted=Wanted(**wanted), by=factories.an_actor(project), now=clock.now())


class TestRubrics:
    def test_keep_their_version_where_the_content_is_the_same(self) -> None:
        project = factories.a_project()
        first = desk.a_rubric(project, "intent")
        second = desk.a_rubric(project, "intent", NOTE)
        assert (first.version, second.version) == (1, 2)
        assert desk.a_rubric(project, "intent") == first
        assert desk.a_rubric(project, "intent", NOTE) == second
        assert Rubric.objects.count() == 2

    def test_have_versions_of_their_own_in_every_project(self) -> None:
        assert [desk.a_rubric(factories.a_project(), "intent").version for _ in range(2)] == [1, 1]

    def test_take_their_queues_along_and_leave_items_alone(self) -> None:
        project = factories.a_project()
        rubric = desk.a_rubric(project, "intent")
        queue, foreign = desk.a_queue(project, rubric=rubric), desk.a_queue(factories.a_project())
        desk.filled(queue, "before")
        newer = desk.a_rubric(project, "intent", NOTE)
        desk.filled(Queue.objects.get(pk=queue.pk), "after")
        assert [item.rubric for item in Item.objects.order_by("pk")] == [rubric, newer]
        assert Queue.objects.get(pk=queue.pk).rubric == newer
        assert Queue.objects.get(pk=foreign.pk).rubric == foreign.rubric

    def test_leave_one_audit_event_for_each_version(self) -> None:
        project = factories.a_project()
        for _ in range(2):
            desk.a_rubric(project, "intent")
        desk.a_rubric(project, "intent", NOTE)
        events = AuditEvent.objects.filter(verb="rubric.create").order_by("pk")
        assert [(event.before, event.after) for event in events] == [
            (None, {"version": 1}),
            ({"version": 1}, {"version": 2}),
        ]

    def test_store_nothing_that_is_wrong(self) -> None:
        project = factories.a_project()
        with pytest.raises(Invalid):
            rubrics.create_rubric(
                name="intent",
                asked=[NOTE],
                quality=desk.QUALITY,
                by=factories.an_actor(project),
                now=clock.now(),
            )
        assert not Rubric.objects.exists()


class TestQueues:
    def test_have_defaults(self) -> None:
        project = factories.a_project()
        desk.a_rubric(project, "intent")
        queue, is_new = put(project)
        assert is_new
        assert (queue.overlap, queue.lease_minutes, queue.adjudicators.count()) == (1, 15, 0)

    def test_stay_as_they_are_on_a_repeat(self) -> None:
        project = factories.a_project()
        desk.a_rubric(project, "intent")
        member = factories.a_member(project)
        wanted = {"overlap": 2, "lease_minutes": 5, "adjudicators": [member.email.upper()]}
        put(project, **wanted)
        queue, is_new = put(project, **wanted)
        assert not is_new
        assert (queue.overlap, queue.lease_minutes, list(queue.adjudicators.all())) == (2, 5, [member])
        assert AuditEvent.objects.filter(verb__startswith="queue.").count() == 1

    def test_change_what_is_named_and_say_so_in_the_trail(self) -> None:
        project = factories.a_project()
        desk.a_rubric(project, "intent")
        member = factories.a_member(project)
        put(project, overlap=2, adjudicators=[member.email])
        queue, _ = put(project, overlap=3)
        assert (queue.overlap, list(queue.adjudicators.all())) == (3, [member])
        event = AuditEvent.objects.get(verb="queue.change")
        assert (event.before, event.after) == ({"overlap": 2}, {"overlap": 3})

    def test_leave_the_overlap_of_their_items_alone(self) -> None:
        project = factories.a_project()
        desk.a_rubric(project, "intent")
        queue, _ = put(project, overlap=2)
        desk.filled(queue, "before")
        put(project, overlap=1)
        desk.filled(queue, "after")
        assert [item.overlap for item in Item.objects.order_by("pk")] == [2, 1]

    def test_refuse_a_rubric_of_another_project(self) -> None:
        desk.a_rubric(factories.a_project(), "intent")
        with pytest.raises(Invalid, match="create it first"):
            put(factories.a_project())

    @pytest.mark.parametrize("role", [Role.MANAGER, None])
    def test_refuse_adjudicators_who_could_not_review(self, role: str | None) -> None:
        project = factories.a_project()
        desk.a_rubric(project, "intent")
        person = factories.a_member(project if role else factories.a_project(), role or Role.ADMIN)
        with pytest.raises(Invalid) as caught:
            put(project, adjudicators=[factories.a_member(project).email, person.email])
        assert [error.field for error in caught.value.errors] == ["adjudicators[1]"]
        assert not Queue.objects.exists()


class TestItemsByHand:
    def test_are_added_once(self) -> None:
        queue = desk.a_queue(factories.a_project())
        outputs = desk.filled(queue, "one", "two")
        wanted = [output.external_id for output in outputs]
        again = items.add_outputs(queue=queue, external_ids=[*wanted, wanted[0]])
        assert (again.n_added, again.n_duplicates, again.rejected) == (0, 3, [])
        assert Item.objects.count() == ItemOutput.objects.count() == 2
        assert [place.output for place in ItemOutput.objects.order_by("pk")] == outputs

    def test_name_the_unknown_by_their_place(self) -> None:
        queue = desk.a_queue(factories.a_project())
        own, foreign = factories.an_output(queue.project), factories.an_output(factories.a_project())
        added = items.add_outputs(queue=queue, external_ids=[foreign.external_id, own.external_id, "never"])
        assert added.n_added == 1
        assert [error.index for error in added.rejected] == [0, 2]
        assert [item.subject_key for item in Item.objects.all()] == [str(own.pk)]

    def test_are_refused_together_where_none_is_known(self) -> None:
        queue = desk.a_queue(factories.a_project())
        with pytest.raises(Invalid) as caught:
            items.add_outputs(queue=queue, external_ids=["never"])
        assert caught.value.as_dict()["rejected"][0]["index"] == 0


class TestRules:
    def test_are_the_same_rule_for_the_same_rate_and_filter(self) -> None:
        project = factories.a_project()
        prompt, queue = factories.a_prompt(project), desk.a_queue(project)
        given = {"prompt": prompt.name, "tag": "beta"}
        by = factories.an_actor(project)
        made = [
            rules.create_rule(queue=queue, rate=rate, given=filter_, by=by, now=clock.now())
            for rate, filter_ in [(0.5, given), (0.5, dict(reversed(given.items()))), (0.4, given), (0.5, {})]
        ]
        assert [is_new for _, is_new in made] == [True, False, True, True]
        assert made[0][0] == made[1][0]
        assert len({bytes(rule.salt) for rule in SamplingRule.objects.all()}) == 3
        assert AuditEvent.objects.filter(verb="rule.create").count() == 3

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ({"prompt": "nobody"}, "filter.prompt"),
            ({"revision": 1}, "filter.prompt"),
            ({"prompt": "intent", "revision": "1"}, "filter.revision"),
            ({"prompt": "intent", "revision": True}, "filter.revision"),
            ({"prompt": "intent", "revision": 2**40}, "filter.revision"),
            ({"status": "fine"}, "filter.status"),
            ({"status": ["ok"]}, "filter.status"),
            ({"model": ""}, "filter.model"),
            ({"tag": 7}, "filter.tag"),
            ({"environment": "x" * 61}, "filter.environment"),
            ({"prompt__project__hash_key": "x"}, "filter.prompt__project__hash_key"),
            ({"body_hash": "x"}, "filter.body_hash"),
        ],
    )
    def test_filter_by_what_is_allowed_alone(self, given, field: str) -> None:
        project = factories.a_project()
        factories.a_prompt(project, "intent")
        queue, by = desk.a_queue(project), factories.an_actor(project)
        with pytest.raises(Invalid) as caught:
            rules.create_rule(queue=queue, rate=0.5, given=given, by=by, now=clock.now())
        assert field in {error.field for error in caught.value.errors}
        assert not SamplingRule.objects.exists()

    def test_refuse_a_prompt_of_another_project(self) -> None:
        factories.a_prompt(factories.a_project(), "intent")
        project = factories.a_project()
        with pytest.raises(Invalid, match="create it first"):
            rules.create_rule(
                queue=desk.a_queue(project),
                rate=1.0,
                given={"prompt": "intent"},
                by=factories.an_actor(project),
                now=clock.now(),
            )
