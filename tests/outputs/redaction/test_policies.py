"""What a policy may say, how it is saved, and the pages and endpoints around it."""

from typing import Any

import orjson
import pytest
from django.test import Client

from core import clock
from core.problems import Invalid
from outputs.models import RedactionPolicy
from outputs.redaction import policy
from outputs.redaction.policy import LACKING, Action
from outputs.services import redaction
from projects import access
from projects.models import AuditEvent, Project, Role
from tests import factories

pytestmark = pytest.mark.django_db

PATTERN = {"name": "order", "pattern": "ORD-[0-9]+", "action": "replace"}


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


@pytest.fixture
def admin(client: Client, project: Project) -> Client:
    client.force_login(factories.a_member(project, Role.ADMIN))
    return client


class TestChecked:
    def test_detectors_that_are_not_named_do_as_by_default(self) -> None:
        said = policy.checked(detectors={"ip": "keep"})
        assert dict(said.actions) == {**dict(policy.DEFAULT.actions), "ip": Action.KEEP}

    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({"detectors": {"emails": "drop"}}, "detectors.emails"),
            ({"detectors": {"email": "burn"}}, "detectors.email"),
            ({"regions": ["Germany"]}, "regions"),
            ({"regions": ["DE"] * 11}, "regions"),
            ({"patterns": [PATTERN] * 2}, "patterns[1].name"),
            ({"patterns": [{**PATTERN, "name": f"p{n}"} for n in range(21)]}, "patterns"),
            ({"patterns": [{**PATTERN, "name": "email"}]}, "patterns[0].name"),
            ({"patterns": [{**PATTERN, "name": "Bad Name"}]}, "patterns[0].name"),
            ({"patterns": [{**PATTERN, "action": "burn"}]}, "patterns[0].action"),
            ({"patterns": [{**PATTERN, "pattern": "(?<=a)b"}]}, "patterns[0].pattern"),
            ({"patterns": [{**PATTERN, "pattern": r"(a)\1"}]}, "patterns[0].pattern"),
            ({"patterns": [{**PATTERN, "pattern": "a*"}]}, "patterns[0].pattern"),
            ({"patterns": [{**PATTERN, "pattern": "("}]}, "patterns[0].pattern"),
            ({"patterns": [{**PATTERN, "pattern": ""}]}, "patterns[0].pattern"),
            ({"patterns": [{**PATTERN, "pattern": "a" * 501}]}, "patterns[0].pattern"),
            ({"patterns": [{**PATTERN, "pattern": r"(?:\pL{50}){20}"}]}, "patterns[0].pattern"),
        ],
    )
    def test_refuses_and_names_the_field(self, asked: dict[str, Any], field: str) -> None:
        with pytest.raises(Invalid) as refused:
            policy.checked(**{"detectors": {}, **asked})
        assert [error.field for error in refused.value.errors] == [field]

    def test_a_pattern_that_re2_lacks_is_told_so(self) -> None:
        with pytest.raises(Invalid) as refused:
            policy.checked(detectors={}, patterns=[{**PATTERN, "pattern": "(?=a)b"}])
        assert LACKING in refused.value.errors[0].message

    def test_what_is_shown_can_be_saved_again(self) -> None:
        said = policy.checked(detectors={"email": "hash"}, regions=["de", "GB"], patterns=[PATTERN])
        assert policy.checked(**said.as_dict()) == policy.from_stored(said.as_dict()) == said


class TestSave:
    def test_is_audited_with_before_and_after(self, project: Project) -> None:
        by = access.system(project)
        for action in ("drop", "drop", "hash"):
            said = policy.checked(detectors={"email": action})
            redaction.save_policy(environment="", policy=said, by=by, now=clock.now())
        events = AuditEvent.objects.filter(project=project, verb="redaction.save").order_by("pk")
        assert [(event.after or {})["detectors"]["email"] for event in events] == ["drop", "hash"]
        assert (events[1].before or {})["detectors"]["email"] == "drop"
        assert RedactionPolicy.objects.of(project.pk).count() == 1

    def test_refuses_an_environment_too_many(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(redaction, "MOST_ENVIRONMENTS", 1)
        by = access.system(project)
        redaction.save_policy(environment="a", policy=policy.DEFAULT, by=by, now=clock.now())
        with pytest.raises(Invalid, match="environment"):
            redaction.save_policy(environment="b", policy=policy.DEFAULT, by=by, now=clock.now())

    def test_what_is_removed_is_gone_and_a_repeat_changes_nothing(self, project: Project) -> None:
        by = access.system(project)
        redaction.save_policy(environment="a", policy=policy.DEFAULT, by=by, now=clock.now())
        for _ in "12":
            redaction.remove_policy(environment="a", by=by, now=clock.now())
        assert not RedactionPolicy.objects.exists()
        assert AuditEvent.objects.filter(project=project, verb="redaction.remove").count() == 1


class TestApi:
    def ask(self, project: Project, method: str, path: str, body: Any = None) -> Any:
        headers = factories.bearer(factories.a_key(project, "admin", "read"))
        url = f"/api/v1/{path}"
        return Client().generic(method, url, _json(body), content_type="application/json", headers=headers)

    def test_tells_the_default_and_what_is_known(self, project: Project) -> None:
        said = self.ask(project, "GET", "redaction").json()
        assert said["policies"] == []
        assert set(said["default"]["detectors"].values()) == {"replace"}
        assert {one["name"] for one in said["known"]} == set(said["default"]["detectors"])

    def test_saves_and_tells_what_was_saved(self, project: Project) -> None:
        sent = {"environment": "staging", "detectors": {"ip": "keep"}, "regions": ["DE"], "patterns": [PATTERN]}
        answer = self.ask(project, "PUT", "redaction", sent)
        assert answer.status_code == 200, answer.content
        (saved,) = self.ask(project, "GET", "redaction").json()["policies"]
        assert saved == answer.json()
        assert saved["detectors"]["ip"] == "keep"
        assert (saved["environment"], saved["regions"], saved["patterns"]) == ("staging", ["DE"], [PATTERN])
        assert self.ask(project, "DELETE", "redaction?environment=staging").status_code == 204
        assert self.ask(project, "GET", "redaction").json()["policies"] == []

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"detectors": {"email": 1}}, "detectors.email"),
            ({"detectors": []}, "detectors"),
            ({"regions": "DE"}, "regions"),
            ({"patterns": [{"name": "x"}]}, "patterns[0].pattern"),
            ({"patterns": [{**PATTERN, "pattern": "(?<=a)b"}]}, "patterns[0].pattern"),
            ({"environment": "x" * 61}, "environment"),
            ({"rules": {}}, "rules"),
        ],
    )
    def test_a_bad_policy_is_refused_at_its_field(self, project: Project, body: Any, field: str) -> None:
        answer = self.ask(project, "PUT", "redaction", body)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    def test_previews_a_policy_that_is_not_saved(self, project: Project) -> None:
        value = {"a@example.com": ["call +12025550143"], "n": 4111111111111111}
        sent = {"value": value, "policy": {"detectors": {"phone": "keep"}}}
        said = self.ask(project, "POST", "redaction/preview", sent).json()
        assert said["redacted"] == {"[email]": ["call +12025550143"], "n": "[card]"}
        assert said["counts"] == {"card": 1, "email": 1}
        assert said["findings"] == [
            {"path": "a@example.com", "is_key": True, "start": 0, "end": 13, "detector": "email"},
            {"path": "n", "is_key": False, "start": 0, "end": 16, "detector": "card"},
        ]
        assert not RedactionPolicy.objects.exists()

    def test_previews_what_is_in_force(self, project: Project) -> None:
        self.ask(project, "PUT", "redaction", {"detectors": {"email": "drop"}})
        said = self.ask(project, "POST", "redaction/preview", {"value": "a@example.com!", "environment": "any"})
        assert said.json()["redacted"] == "!"

    def test_what_is_previewed_is_not_logged(self, project: Project, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level("DEBUG"):
            self.ask(project, "POST", "redaction/preview", {"value": "secret@example.com"})
        assert "secret@example.com" not in caplog.text


class TestRedactionPolicy:
    def form(self, **said: str) -> dict[str, str]:
        actions = {f"detect-{name}": action.value for name, action in policy.DEFAULT.actions}
        rows = {"patterns-TOTAL_FORMS": "2", "patterns-INITIAL_FORMS": "0"}
        actions_of_rows = {"patterns-0-action": "replace", "patterns-1-action": "replace"}
        return {"environment": "", "regions": "", "text": "", **actions, **rows, **actions_of_rows, **said}

    def test_says_what_holds(self, admin: Client, project: Project) -> None:
        page = admin.get(f"/{project.slug}/redaction/").content.decode()
        assert "the default holds" in page
        assert "never rewritten" in page
        assert "two seconds" in page
        assert "no look-ahead" in page

    def test_saves(self, admin: Client, project: Project) -> None:
        sent = self.form(**{"detect-email": "hash", "regions": "de, GB", "patterns-1-name": "order"})
        sent["patterns-1-pattern"] = "ORD-[0-9]+"
        answer = admin.post(f"/{project.slug}/redaction/", {**sent, "environment": "staging", "do": "save"})
        assert answer.status_code == 302, answer.content.decode()
        saved = RedactionPolicy.objects.get(project=project, environment="staging")
        assert saved.said["detectors"]["email"] == "hash"
        assert saved.said["regions"] == ["DE", "GB"]
        assert saved.said["patterns"] == [PATTERN]
        assert "ORD-[0-9]+" in admin.get(answer["Location"]).content.decode()

    def test_a_bad_pattern_keeps_what_was_typed(self, admin: Client, project: Project) -> None:
        sent = self.form(**{"patterns-0-name": "order", "patterns-0-pattern": "(?<=a)b", "do": "save"})
        answer = admin.post(f"/{project.slug}/redaction/", sent)
        assert answer.status_code == 422
        assert "(?&lt;=a)b" in answer.content.decode()
        assert "not taken by RE2" in answer.content.decode()
        assert not RedactionPolicy.objects.exists()

    def test_shows_what_would_go_without_saving(self, admin: Client, project: Project) -> None:
        sent = self.form(text="<b>mail</b> john@example.com", do="try")
        page = admin.post(f"/{project.slug}/redaction/", sent).content.decode()
        assert "<mark>john@example.com</mark>" in page
        assert "&lt;b&gt;mail&lt;/b&gt;" in page
        assert "1 finding" in page
        assert not RedactionPolicy.objects.exists()

    def test_tries_the_newest_outputs(self, admin: Client, project: Project) -> None:
        prompt = factories.a_prompt(project)
        factories.an_output(project, prompt, text="order ORD-7 of yours")
        sent = self.form(**{"patterns-0-name": "order", "patterns-0-pattern": "ORD-[0-9]+", "do": "sample"})
        page = admin.post(f"/{project.slug}/redaction/", sent).content.decode()
        assert "<mark>ORD-7</mark>" in page

    def test_removes(self, admin: Client, project: Project) -> None:
        admin.post(f"/{project.slug}/redaction/", self.form(environment="staging", do="save"))
        assert (
            admin.post(f"/{project.slug}/redaction/", self.form(environment="staging", do="remove")).status_code == 302
        )
        assert not RedactionPolicy.objects.exists()

    def test_is_for_admins(self, client: Client, project: Project) -> None:
        client.force_login(factories.a_member(project, Role.ENGINEER))
        assert client.get(f"/{project.slug}/redaction/").status_code == 403


def _json(body: Any) -> bytes:
    return b"" if body is None else orjson.dumps(body)
