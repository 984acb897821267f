"""The pages of golden sets and policies: versions, cases, files in and out, what a label demands."""

import io
import json

import pytest
from django.test import Client
from django.urls import reverse

from core import clock
from evals.models import GatePolicy
from evals.services import golden
from projects.models import Project, Role
from tests import factories
from tests.evals import gates

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> gates.Site:
    return gates.a_site(n_cases=6)


def signed_in(project: Project, role: str = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, role))
    return client


def url(name: str, site: gates.Site, *args: object) -> str:
    return reverse(f"evals:{name}", args=[site.by.project.slug, *args])


def words(response) -> str:
    return " ".join(response.content.decode().split())


def a_file(text: str, name: str = "cases.jsonl") -> dict[str, io.BytesIO]:
    sent = io.BytesIO(text.encode())
    sent.name = name
    return {"file": sent}


class TestGoldenSetList:
    def test_lists_and_creates(self, site):
        client = signed_in(site.by.project)
        made = client.post(url("golden-set-list", site), {"name": "second", "prompt": "intent", "description": "More."})
        assert made["Location"] == url("golden-set-detail", site, "second")
        said = words(client.get(url("golden-set-list", site)))
        assert "never cut" in said
        assert "exam" in said

    def test_keeps_what_was_typed(self, site):
        refused = signed_in(site.by.project).post(
            url("golden-set-list", site), {"name": "not a name", "description": "Mine."}
        )
        assert refused.status_code == 422
        assert "Mine." in words(refused)
        assert list(site.by.project.golden_sets.values_list("name", flat=True)) == ["exam"]

    def test_a_manager_reads_and_makes_none(self, site):
        client = signed_in(site.by.project, Role.MANAGER)
        assert "Make a golden set" not in words(client.get(url("golden-set-list", site)))
        assert client.post(url("golden-set-list", site), {"name": "mine"}).status_code == 403


class TestGoldenSetDetail:
    def test_shows_versions_health_and_cases(self, site):
        said = words(signed_in(site.by.project).get(url("golden-set-detail", site, "exam")))
        assert "version 1 with 6 cases" in said
        assert "No text stands twice." in said
        assert "answer of question 5" in said
        assert "intent@production" in said

    def test_says_what_is_odd_about_a_draft(self, site):
        case = {"expected": "x", "part": "gate"}
        rows = [{"id": f"twin {n}", "input": text, **case} for n, text in enumerate(["Same?", "same ?", "Leaked!"])]
        client = signed_in(site.by.project)
        lines = "\n".join(json.dumps(row) for row in [*rows, {"input": "Open?", "part": "gate"}])
        client.post(url("golden-set-import", site, "exam"), a_file(lines))
        revision = gates.a_revision(site.prompt, site.by, "With examples.", examples=["leaked!"])
        gates.prompts.point_label(label=site.label, revision=revision, now=clock.now())
        said = words(client.get(url("golden-set-detail", site, "exam")))
        assert "<strong>2</strong> cases share their text" in said
        assert "<strong>1</strong> cases stand as examples" in said
        assert "<strong>1</strong> cases do not say what is expected" in said

    def test_costs_the_same_for_any_number_of_cases(self, site, django_assert_num_queries, monkeypatch):
        monkeypatch.setattr("evals.golden_queries.ROWS", 4)
        client = signed_in(site.by.project)
        client.get(url("golden-set-detail", site, "exam"))
        with django_assert_num_queries(12) as few:
            client.get(url("golden-set-detail", site, "exam"))
        gates.a_version(site.golden_set, site.by, (f"more {n}" for n in range(40)))
        with django_assert_num_queries(len(few)):
            client.get(url("golden-set-detail", site, "exam"))

    def test_a_version_that_is_not_there_is_not_found(self, site):
        client = signed_in(site.by.project)
        assert client.get(url("golden-set-detail", site, "exam"), {"version": "9"}).status_code == 404
        assert client.get(url("golden-set-detail", site, "exam"), {"version": "x"}).status_code == 422

    def test_a_stranger_finds_nothing(self, site):
        stranger = signed_in(factories.a_project())
        assert stranger.get(url("golden-set-detail", site, "exam")).status_code == 404
        assert stranger.post(url("golden-set-cut", site, "exam")).status_code == 404


class TestImport:
    def test_names_each_bad_row_and_takes_the_others(self, site):
        lines = '{"input": "New?", "expected": "a", "part": "dev"}\n{"expected": "a"}\nno json\n'
        refused = signed_in(site.by.project).post(url("golden-set-import", site, "exam"), a_file(lines))
        said = words(refused)
        assert refused.status_code == 422
        assert "2 rows of what was sent were refused" in said
        assert '<td class="num">2</td><td><code>input</code></td>' in said
        assert '<td class="num">3</td>' in said
        assert site.golden_set.cases.in_draft().count() == 7

    def test_takes_csv_and_gives_it_back(self, site):
        text = 'id,input,expected,tags,part\na,"One, two",\'=1+1,x|y,dev\n'
        client = signed_in(site.by.project)
        assert client.post(url("golden-set-import", site, "exam"), a_file(text, "cases.csv")).status_code == 302
        case = site.golden_set.cases.in_draft().get(key="a")
        assert (case.input, case.expected, case.tags, case.part) == ("One, two", "=1+1", ["x", "y"], "dev")
        given = b"".join(client.get(url("golden-set-export", site, "exam"), {"format": "csv"})).decode()
        assert 'a,"One, two",,\'=1+1,,x|y,dev' in given

    @pytest.mark.parametrize(("text", "said"), [("a,b\n1,2\n", "has no column"), ("", "missing or empty")])
    def test_refuses_a_file_that_cannot_be_read(self, site, text, said):
        refused = signed_in(site.by.project).post(url("golden-set-import", site, "exam"), a_file(text, "cases.csv"))
        assert refused.status_code == 422
        assert said in words(refused)

    def test_what_is_exported_comes_back_unchanged(self, site):
        client = signed_in(site.by.project)
        given = b"".join(client.get(url("golden-set-export", site, "exam"), {"format": "jsonl"})).decode()
        assert client.post(url("golden-set-import", site, "exam"), a_file(given)).status_code == 302
        cut, is_new = golden.cut(golden_set=site.golden_set, by=site.by, now=clock.now())
        assert (cut.number, is_new) == (1, False)

    def test_a_manager_may_not(self, site):
        client = signed_in(site.by.project, Role.MANAGER)
        assert client.post(url("golden-set-import", site, "exam"), a_file("{}")).status_code == 403


class TestVerdicts:
    def test_settled_verdicts_become_cases_with_a_way_back(self, site):
        verdict = factories.a_verdict(site.prompt, text="Where is my bike?", part="gate")
        client = signed_in(site.by.project)
        client.post(url("golden-set-verdicts", site, "exam"))
        said = words(client.get(url("golden-set-detail", site, "exam")))
        assert f"/verdicts/{verdict.pk}/" in said

    def test_a_set_of_no_prompt_says_why_not(self, site):
        golden.create_set(name="loose", prompt=None, description="", by=site.by, now=clock.now())
        assert signed_in(site.by.project).post(url("golden-set-verdicts", site, "loose")).status_code == 422


class TestCutAndDiff:
    def test_cuts_once_and_tells_what_changed(self, site):
        client = signed_in(site.by.project)
        client.post(url("golden-set-import", site, "exam"), a_file('{"id": "new", "input": "New?", "part": "dev"}'))
        for _ in range(2):
            client.post(url("golden-set-cut", site, "exam"))
        assert site.golden_set.versions.count() == 2
        said = words(client.get(url("golden-set-diff", site, "exam", 1, 2)))
        assert "1 case came, 0 went, 0 changed." in said
        assert client.get(url("golden-set-diff", site, "exam", 1, 9)).status_code == 404


class TestPolicyEdit:
    def sent(self, **fields: str) -> dict[str, str]:
        terms = {"golden_set": "exam", "kind": "non_inferiority", "margin": "0.05", "max_error_share": "0.02"}
        return {**terms, "looks": "5", "use_exact_match": "on", **fields}

    def test_an_admin_changes_what_is_demanded(self, site):
        client = signed_in(site.by.project, Role.ADMIN)
        address = url("policy-edit", site, "intent", "production")
        assert client.post(address, self.sent(margin_exact_match="0.1")).status_code == 302
        policy = GatePolicy.objects.latest("version")
        assert (policy.version, policy.margin, policy.looks) == (2, 0.05, 5)
        assert policy.scorers == [{"name": "exact_match", "args": {}, "margin": 0.1}]
        assert "5.0 points" in words(client.get(address))

    def test_names_the_field_and_keeps_what_was_typed(self, site):
        client = signed_in(site.by.project, Role.ADMIN)
        refused = client.post(url("policy-edit", site, "intent", "production"), self.sent(margin="2"))
        assert refused.status_code == 422
        assert "send a share from 0" in words(refused)
        assert 'value="2"' in words(refused)
        none = client.post(url("policy-edit", site, "intent", "production"), self.sent(use_exact_match=""))
        assert "send at least one scorer" in words(none)

    def test_an_engineer_reads_it_alone(self, site):
        client = signed_in(site.by.project)
        assert "Change it" not in words(client.get(url("policy-edit", site, "intent", "production")))
        assert client.post(url("policy-edit", site, "intent", "production"), self.sent()).status_code == 403

    def test_a_stranger_finds_nothing(self, site):
        address = url("policy-edit", site, "intent", "production")
        assert signed_in(factories.a_project(), Role.ADMIN).get(address).status_code == 404
