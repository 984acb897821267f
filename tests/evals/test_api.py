"""The API of golden sets, policies and runs: who may, what comes back, what is refused."""

import contextlib
import gzip
import json

import celery
import pytest
from django.urls import reverse

from core import clock
from evals.models import GoldenCase, GoldenSet, Look, Run
from evals.services import runs
from projects.models import AuditEvent, Role
from tests import factories
from tests.evals import gates
from tests.evals.gates import a_revision, a_site, play, start

pytestmark = pytest.mark.django_db

POLICY = {
    "golden_set": "exam",
    "scorers": [{"name": "exact_match"}],
    "kind": "non_inferiority",
    "margin": 0.02,
}


class Client:
    """JSON in and out with one key."""

    def __init__(self, django, project, *scopes):
        self.django = django
        self.headers = factories.bearer(factories.a_key(project, *scopes))

    def get(self, path, **headers):
        return self.django.get(f"/api/v1/{path}", headers={**self.headers, **headers})

    def post(self, path, body=None, **headers):
        return self._send(self.django.post, path, body, headers)

    def put(self, path, body):
        return self._send(self.django.put, path, body, {})

    def rows(self, path, text, **headers):
        body = text if isinstance(text, bytes) else text.encode()
        return self.django.post(
            f"/api/v1/{path}", body, content_type="application/x-ndjson", headers={**self.headers, **headers}
        )

    def _send(self, method, path, body, headers):
        return method(
            f"/api/v1/{path}",
            json.dumps({} if body is None else body),
            content_type="application/json",
            headers={**self.headers, **headers},
        )


@pytest.fixture
def rung(monkeypatch, django_capture_on_commit_callbacks):
    """`with rung() as bells:` collects the bells that the broker would get once the block is committed."""

    @contextlib.contextmanager
    def listen():
        bells = []
        monkeypatch.setattr(
            celery.current_app._get_current_object(),
            "send_task",
            lambda name, args, **_: bells.append((name, *args)),
        )
        with django_capture_on_commit_callbacks(execute=True):
            yield bells

    return listen


@pytest.fixture
def site():
    return a_site(n_cases=4)


@pytest.fixture
def call(client, site):
    return Client(client, site.by.project)


def fields(answer):
    return [error["field"] for error in answer.json()["errors"]]


ROUTES = [
    ("get", "golden-sets", "read"),
    ("post", "golden-sets", "evaluate"),
    ("post", "golden-sets/exam/cases", "evaluate"),
    ("post", "golden-sets/exam/versions", "evaluate"),
    ("get", "golden-sets/exam/versions/1", "read"),
    ("get", "golden-sets/exam/versions/1/diff/1", "read"),
    ("get", "prompts/intent/labels/production/policy", "read"),
    ("put", "prompts/intent/labels/production/policy", "admin"),
    ("get", "runs", "read"),
    ("post", "runs", "evaluate"),
    ("get", "runs/{run}", "read"),
    ("get", "runs/{run}/results", "read"),
    ("post", "runs/{run}/cancel", "evaluate"),
    ("post", "runs/{run}/pause", "evaluate"),
    ("post", "runs/{run}/resume", "evaluate"),
]
ALLOWED = {
    "read": {Role.ENGINEER, Role.MANAGER, Role.ADMIN},
    "evaluate": {Role.ENGINEER, Role.ADMIN},
    "admin": {Role.ADMIN},
}


class TestRights:
    def send(self, client, method, path, headers, site):
        run = start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        body = () if method == "get" else ("{}", "application/json")
        return getattr(client, method)(f"/api/v1/{path.format(run=run.pk)}", *body, headers=headers)

    @pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
    @pytest.mark.parametrize("role", Role.values)
    def test_a_role_may_what_its_scopes_say(self, client, site, method, path, scope, role):
        client.force_login(factories.a_member(site.by.project, role))
        answer = self.send(client, method, path, {}, site)
        assert (answer.status_code == 403) == (role not in ALLOWED[scope])

    @pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
    def test_a_key_needs_the_scope(self, client, site, method, path, scope):
        others = {"ingest", "read", "evaluate", "review", "release", "admin"} - {scope}
        key = factories.a_key(site.by.project, *sorted(others))
        assert self.send(client, method, path, factories.bearer(key), site).status_code == 403

    @pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
    def test_nobody_is_let_in_without_a_key(self, client, site, method, path, scope):
        assert self.send(client, method, path, {}, site).status_code == 401

    @pytest.mark.parametrize(("method", "path", "scope"), [route for route in ROUTES if "/" in route[1]])
    def test_to_a_stranger_nothing_is_there(self, client, site, method, path, scope):
        key = factories.a_key(factories.a_project())
        answer = self.send(client, method, path, factories.bearer(key), site)
        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("path", ["golden-sets", "runs"])
    def test_a_strangers_lists_are_empty(self, client, site, path):
        start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        answer = Client(client, factories.a_project()).get(path)
        assert answer.json() == {"results": [], "next": None}


class TestGoldenSets:
    def test_are_created_once(self, call):
        body = {"name": "fresh", "prompt": "intent", "description": "first words"}
        first, again = call.post("golden-sets", body), call.post("golden-sets", body)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert first.json()["version"] is None
        assert call.post("golden-sets", {**body, "description": "other"}).status_code == 409

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            ({}, 400, "name"),
            ({"name": ""}, 400, "name"),
            ({"name": "a/b"}, 400, "name"),
            ({"name": "x" * 101}, 400, "name"),
            ({"name": 7}, 400, "name"),
            ({"name": "a", "nme": "b"}, 400, "nme"),
            ({"name": "a", "prompt": "unknown"}, 404, None),
        ],
    )
    def test_refuse_what_is_wrong(self, call, body, status, field):
        answer = call.post("golden-sets", body)
        assert answer.status_code == status
        assert field is None or fields(answer) == [field]
        assert GoldenSet.objects.count() == 1

    def test_are_listed_with_newest_version_and_draft(self, call):
        listed = call.get("golden-sets").json()["results"]
        assert [(one["name"], one["prompt"], one["version"], one["draft_cases"]) for one in listed] == [
            ("exam", "intent", 1, 4)
        ]


class TestCases:
    def test_are_taken_row_by_row_and_the_bad_ones_named(self, call):
        lines = [
            '{"id": "a", "input": "one", "expected": "x", "part": "gate"}',
            '{"id": "b", "inptu": "two"}',
            "not json",
            '{"id": "c", "input": "a\\u0000b"}',
            "",
            '{"id": "c", "id": "d", "input": "x"}',
            "[1]",
            '{"id": "e", "input": "x", "part": "teach"}',
            '{"id": "a", "input": "one", "expected": "y", "part": "gate"}',
            '{"id": "f", "input": "six", "expected": "x", "part": "dev"}',
        ]
        answer = call.rows("golden-sets/exam/cases?format=jsonl", "\n".join(lines))
        assert answer.status_code == 201
        said = answer.json()
        assert (said["draft"], said["added"], said["changed"], said["unchanged"]) == (2, 2, 0, 0)
        named = {one["index"]: [error["field"] for error in one["errors"]] for one in said["rejected"]}
        assert named == {
            1: ["inptu", "input"],
            2: ["case"],
            3: ["input"],
            4: ["case"],
            5: ["case"],
            6: ["part"],
            7: ["id"],
        }
        assert GoldenCase.objects.in_draft().filter(key__in="abcdef").count() == 2

    def test_come_as_a_json_array_too(self, call):
        rows = [{"id": "a", "input": "one"}, {"id": "b"}]
        said = call.post("golden-sets/exam/cases", rows).json()
        assert (said["added"], [one["index"] for one in said["rejected"]]) == (1, [1])

    def test_come_compressed(self, call):
        body = gzip.compress(b'{"id": "a", "input": "one"}\n')
        answer = call.rows("golden-sets/exam/cases", body, **{"Content-Encoding": "gzip"})
        assert answer.json()["added"] == 1

    def test_a_repeat_changes_nothing(self, call):
        row = '{"input": "one", "expected": "x"}'
        first, again = (call.rows("golden-sets/exam/cases", row) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == {"draft": 2, "added": 0, "changed": 0, "unchanged": 1, "rejected": []}

    def test_none_good_is_a_problem_with_the_rows(self, call):
        answer = call.rows("golden-sets/exam/cases", '{"id": "a"}\n{"id": "b"}')
        assert answer.status_code == 400
        assert [row["index"] for row in answer.json()["rejected"]] == [0, 1]

    @pytest.mark.parametrize("body", ["", "\n \n"])
    def test_an_empty_body_is_refused(self, call, body):
        assert call.rows("golden-sets/exam/cases", body).status_code == 400
        assert call.post("golden-sets/exam/cases", []).status_code == 400

    def test_cut_cuts_at_once(self, call):
        said = call.rows("golden-sets/exam/cases?cut=true", '{"id": "a", "input": "one"}').json()
        assert said["version"] == 2

    @pytest.mark.parametrize(
        ("query", "field"), [("format=csv", "format"), ("cut=yes", "cut"), ("fromat=jsonl", "fromat")]
    )
    def test_unknown_parameters_are_refused_with_the_list(self, call, query, field):
        answer = call.rows(f"golden-sets/exam/cases?{query}", '{"id": "a", "input": "one"}')
        assert answer.status_code == 400
        assert fields(answer) == [field]
        assert not GoldenCase.objects.filter(key="a").exists()


class TestVersions:
    def test_are_cut_once_for_each_change(self, call):
        call.rows("golden-sets/exam/cases", '{"id": "a", "input": "one"}')
        first, again = call.post("golden-sets/exam/versions"), call.post("golden-sets/exam/versions")
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert (first.json()["version"], first.json()["cases"]) == (2, 5)

    def test_show_their_cases_in_pages(self, call):
        first = call.get("golden-sets/exam/versions/1?limit=3").json()
        second = call.django.get(first["next"], headers=call.headers).json()
        assert [case["id"] for case in first["results"] + second["results"]] == [f"question {n}" for n in (3, 2, 1, 0)]
        assert first["results"][0]["expected"] == "answer of question 3"
        assert second["next"] is None

    def test_that_are_not_there_are_404(self, call):
        assert call.get("golden-sets/exam/versions/2").status_code == 404
        assert call.get("golden-sets/none/versions/1").status_code == 404
        assert call.get(f"golden-sets/exam/versions/{10**30}").status_code == 404

    def test_tell_their_difference(self, call):
        call.rows("golden-sets/exam/cases?cut=true", '{"id": "question 0", "input": "other", "part": "gate"}')
        assert call.get("golden-sets/exam/versions/1/diff/2").json() == {
            "added": [],
            "removed": [],
            "changed": [{"id": "question 0", "fields": ["input", "expected"]}],
        }

    def test_an_empty_set_is_not_cut(self, call):
        call.post("golden-sets", {"name": "empty"})
        assert call.post("golden-sets/empty/versions").status_code == 422


class TestPolicy:
    path = "prompts/intent/labels/production/policy"

    def test_is_put_and_got(self, call):
        put = call.put(self.path, {**POLICY, "margin": 0.05, "looks": 4})
        assert put.status_code == 200
        assert put.json() == call.get(self.path).json()
        assert (put.json()["version"], put.json()["margin"], put.json()["looks"]) == (2, 0.05, 4)
        assert put.json()["scorers"] == [{"name": "exact_match", "args": {}}]

    def test_names_who_changed_it(self, call):
        call.put(self.path, {**POLICY, "margin": 0.05})
        assert AuditEvent.objects.filter(verb="policy.put", actor__startswith="key:").count() == 1

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"golden_set": "none"}, 404, None),
            ({"scorers": []}, 400, "scorers"),
            ({"scorers": [{"name": "vibes"}]}, 400, "scorers[0].name"),
            ({"scorers": ["exact_match"]}, 400, "scorers[0]"),
            ({"scorers": [{"name": "exact_match", "margin": "0.1"}]}, 400, "scorers[0].margin"),
            ({"kind": "vibes"}, 400, "kind"),
            ({"kind": "floor"}, 400, "floor"),
            ({"margin": 1}, 400, "margin"),
            ({"margin": "0.1"}, 400, "margin"),
            ({"margin": True}, 400, "margin"),
            ({"looks": 0}, 400, "looks"),
            ({"looks": 10**12}, 400, "looks"),
            ({"part": "dev"}, 400, "part"),
            ({"part": "teach"}, 400, "part"),
            ({"gate": "open"}, 400, "gate"),
        ],
    )
    def test_refuses_what_is_wrong(self, call, change, status, field):
        answer = call.put(self.path, {**POLICY, **change})
        assert answer.status_code == status
        assert field is None or fields(answer)[0].startswith(field)
        assert call.get(self.path).json()["version"] == 1

    def test_is_404_where_there_is_none(self, call):
        assert call.get("prompts/intent/labels/staging/policy").status_code == 404
        assert call.get("prompts/none/labels/production/policy").status_code == 404


class TestStartRun:
    def body(self, **changes):
        free = {"target": {"prompt": "intent", "revision": 1}, "golden_set": "exam", "part": "gate"}
        whole = {**free, "scorers": [{"name": "exact_match"}], **changes}
        return {name: value for name, value in whole.items() if value is not None}

    def test_is_accepted_with_its_address_and_rings(self, call, rung):
        with rung() as bells:
            answer = call.post("runs", self.body())
        run = Run.objects.get()
        assert answer.status_code == 202
        assert answer.json()["id"] == run.pk
        assert answer["Location"] == answer.json()["url"]
        assert answer["Location"].endswith(reverse("evals:api-run-detail", args=[run.pk]))
        assert bells == [("evals.tasks.drain", run.pk)]

    def test_rings_for_the_baseline_too(self, call, site, rung):
        a_revision(site.prompt, site.by, "candidate")
        with rung() as bells:
            answer = call.post("runs", {"target": {"prompt": "intent", "revision": 2}, "policy": "production"})
        run = Run.objects.get(pk=answer.json()["id"])
        assert bells == [("evals.tasks.drain", run.baseline_id), ("evals.tasks.drain", run.pk)]

    def test_takes_what_a_label_points_at(self, call, site):
        answer = call.post("runs", self.body(target={"prompt": "intent", "label": "production"}))
        assert Run.objects.get(pk=answer.json()["id"]).revision == site.active

    def test_with_one_idempotency_key_starts_one_run(self, call):
        answers = [call.post("runs", self.body(), **{"Idempotency-Key": "k"}) for _ in range(2)]
        assert answers[0].content == answers[1].content
        assert Run.objects.count() == 1

    @pytest.mark.parametrize(
        ("changes", "status", "named"),
        [
            ({"target": None}, 400, "target"),
            ({"target": {}}, 400, "target.prompt"),
            ({"target": {"prompt": "intent"}}, 400, "target.revision"),
            ({"target": {"prompt": "intent", "revision": 1, "label": "production"}}, 400, "target.revision"),
            ({"target": {"prompt": "intent", "revision": "1"}}, 400, "target.revision"),
            ({"target": {"prompt": "intent", "revision": 99}}, 404, None),
            ({"target": {"prompt": "none", "revision": 1}}, 404, None),
            ({"target": {"prompt": "intent", "label": "none"}}, 404, None),
            ({"target": {"prompt": "intent", "revision": 1, "model": "nowhere/x"}}, 422, "model"),
            ({"target": {"endpoint": "http://127.0.0.1/"}}, 400, "target.endpoint"),
            ({"target": {"prompt": "intent", "revision": 1, "recorded": []}}, 400, "target.prompt"),
            ({"target": {"recorded": [{"case": "nope", "output": "x"}]}}, 400, "target.recorded[0].case"),
            (
                {"target": {"recorded": [{"case": "question 0", "output": 5}]}},
                400,
                "target.recorded[0].output",
            ),
            (
                {"target": {"recorded": [{"case": "question 0", "output": "x"}] * 2}},
                400,
                "target.recorded[1].case",
            ),
            ({"golden_set": None}, 400, "golden_set"),
            ({"golden_set": "none"}, 404, None),
            ({"version": 9}, 404, None),
            ({"version": 0}, 400, "version"),
            ({"part": "teach"}, 400, "part"),
            ({"scorers": None}, 400, "scorers"),
            ({"scorers": [{"name": "vibes"}]}, 400, "scorers[0].name"),
            ({"scorers": [{"name": "numeric", "args": {"tol": 1}}]}, 400, "scorers[0].args.tol"),
            ({"trials": 0}, 400, "trials"),
            ({"trials": 101}, 400, "trials"),
            ({"seed": -1}, 400, "seed"),
            ({"baseline": {"run": 1}}, 400, "baseline"),
            ({"baseline": "99999"}, 404, None),
            ({"baseline": "9" * 40}, 404, None),
            ({"gate": {"kind": "superiority"}}, 422, "baseline"),
            ({"gate": {"kind": "vibes"}}, 400, "gate.kind"),
            ({"gate": {"kind": "floor"}}, 400, "gate.floor"),
            ({"baseline": "production", "gate": {"margin": 7}}, 400, "gate.margin"),
            ({"baseline": "production", "gate": {"margin": 1}}, 400, "gate.margin"),
            ({"baseline": "production", "gate": {"margin": -0.1}}, 400, "gate.margin"),
            ({"gate": {"kind": "floor", "floor": 1}}, 400, "gate.floor"),
            ({"budget_usd": 5}, 400, "budget_usd"),
            ({"budget_calls": 0}, 400, "budget_calls"),
            ({"polcy": "production"}, 400, "polcy"),
            ({"policy": "production"}, 422, "golden_set"),
        ],
    )
    def test_refuses_and_names_what_is_wrong(self, call, changes, status, named):
        answer = call.post("runs", self.body(**changes))
        assert answer.status_code == status, answer.content
        assert answer["Content-Type"] == "application/problem+json"
        assert named is None or fields(answer)[0] == named
        assert not Run.objects.exists()

    def test_a_weakened_policy_request_is_refused_by_name(self, call):
        body = {"target": {"prompt": "intent", "revision": 1}, "policy": "production"}
        answer = call.post("runs", {**body, "gate": {"kind": "non_inferiority", "margin": 0.9}, "part": "dev"})
        assert answer.status_code == 422
        assert fields(answer) == ["part", "gate"]

    def test_a_set_without_a_version_is_refused(self, call):
        call.post("golden-sets", {"name": "empty"})
        answer = call.post("runs", self.body(golden_set="empty"))
        assert (answer.status_code, fields(answer)) == (422, ["golden_set"])

    def test_a_run_of_another_project_is_no_baseline(self, call):
        theirs = a_site(n_cases=1)
        run = start(theirs, theirs.active, golden_set="exam", part="gate", scorers=[gates.EXACT])
        assert call.post("runs", self.body(baseline=run.pk)).status_code == 404


class TestRunDetail:
    def test_shows_progress_scores_and_verdict(self, call, site):
        gates.a_policy(site.prompt, site.golden_set, site.by, margin=0.9)
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        before = call.get(f"runs/{run.pk}").json()
        assert (before["state"], before["scores"], before["gate"]) == ("queued", {}, None)
        assert before["progress"] == {"done": 0, "total": 4, "errors": 0}
        play(run)
        shown = call.get(f"runs/{run.pk}").json()
        assert shown["state"] == "done"
        assert shown["progress"] == {"done": 4, "total": 4, "errors": 0}
        assert shown["scores"]["exact_match"]["value"] == 1.0
        assert set(shown["scores"]["exact_match"]) == {
            "value",
            "low",
            "high",
            "level",
            "n",
            "method",
            "reason",
        }
        assert shown["cost_usd"] is None
        assert shown["gate"]["verdict"] == "pass"
        assert shown["gate"]["evidence"] is True
        assert shown["gate"]["looks_left"] == 9
        assert shown["gate"]["difference"]["n"] == 4
        assert shown["gate"]["sentence"].startswith("Pass: exact_match differs by +0.000")

    def test_names_the_cases_that_flipped(self, call, site):
        run = play(start(site, a_revision(site.prompt, site.by, "candidate")), gates.wrong_on("question 2"))
        shown = call.get(f"runs/{run.pk}").json()
        assert shown["gate"]["scorers"][0]["worse"] == ["question 2"]
        assert shown["gate"]["evidence"] is False

    def test_evidence_ends_when_the_policy_changes(self, call, site):
        gates.a_policy(site.prompt, site.golden_set, site.by, margin=0.9)
        run = play(start(site, a_revision(site.prompt, site.by, "candidate")))
        gates.a_policy(site.prompt, site.golden_set, site.by, margin=0.8)
        assert call.get(f"runs/{run.pk}").json()["gate"]["evidence"] is False

    def test_shows_why_nothing_was_asked_once_looks_are_spent(self, call, site):
        gates.a_policy(site.prompt, site.golden_set, site.by, looks=1)
        start(site, a_revision(site.prompt, site.by, "one"))
        run = start(site, a_revision(site.prompt, site.by, "two"))
        shown = call.get(f"runs/{run.pk}").json()
        assert (shown["state"], shown["gate"]["verdict"], shown["gate"]["looks_left"]) == (
            "cancelled",
            "inconclusive",
            0,
        )

    def test_takes_a_fixed_number_of_statements(self, call, site, django_assert_max_num_queries):
        run = play(start(site, a_revision(site.prompt, site.by, "candidate")))
        with django_assert_max_num_queries(16):
            call.get(f"runs/{run.pk}")

    def test_a_huge_id_is_404(self, call):
        assert call.get(f"runs/{10**30}").status_code == 404


class TestRunList:
    def test_is_filtered(self, call, site):
        done = play(start(site, a_revision(site.prompt, site.by, "candidate")))
        assert [one["id"] for one in call.get("runs").json()["results"]] == [done.pk, done.baseline_id]
        assert len(call.get("runs?state=done&prompt=intent&golden_set=exam").json()["results"]) == 2
        assert call.get("runs?state=queued").json()["results"] == []
        assert call.get("runs?state=asleep").status_code == 400
        assert call.get("runs?sate=done").status_code == 400


class TestResults:
    def test_come_in_pages_with_their_scores(self, call, site):
        run = play(start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT]))
        shown = call.get(f"runs/{run.pk}/results?limit=3").json()
        assert [one["case"] for one in shown["results"]] == [f"question {n}" for n in (3, 2, 1)]
        assert shown["results"][0]["scores"] == {"exact_match": {"value": 1.0, "reason": ""}}
        assert shown["results"][0]["output"] == "answer of question 3"
        assert shown["next"]

    def test_come_as_json_lines_on_request(self, call, site):
        run = play(start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT]))
        answer = call.get(f"runs/{run.pk}/results", Accept="application/x-ndjson")
        assert answer["Content-Type"] == "application/x-ndjson"
        rows = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
        assert [row["case"] for row in rows] == [f"question {n}" for n in range(4)]

    def test_take_a_fixed_number_of_statements(self, call, site, django_assert_max_num_queries):
        run = play(start(site, site.active, golden_set="exam", part="gate", scorers=[gates.EXACT]))
        with django_assert_max_num_queries(4):
            call.get(f"runs/{run.pk}/results")


class TestMoves:
    def test_pause_resume_and_cancel(self, call, site, rung):
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        assert call.post(f"runs/{run.pk}/pause").json()["state"] == "paused"
        with rung() as bells:
            assert call.post(f"runs/{run.pk}/resume").json()["state"] == "queued"
        assert bells == [("evals.tasks.drain", run.pk)]
        cancelled = call.post(f"runs/{run.pk}/cancel")
        assert cancelled.json()["state"] == "cancelled"
        assert call.post(f"runs/{run.pk}/cancel").json() == cancelled.json()
        assert call.post(f"runs/{run.pk}/resume").status_code == 409
        assert Look.objects.get().returned_at is not None

    def test_cancelling_a_baseline_wakes_its_candidates(self, call, site, rung):
        run = start(site, a_revision(site.prompt, site.by, "candidate"))
        with rung() as bells:
            call.post(f"runs/{run.baseline_id}/cancel")
        assert bells == [("evals.tasks.drain", run.pk)]
        assert not runs.conclude(run.pk, now=clock.now())
