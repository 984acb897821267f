"""The pages of imports: they work by their forms, and say what became of each row."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from outputs.models import Import, Output
from projects.models import Project, Role
from tests import factories
from tests.outputs.importing import files

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

BODY = b"frage,answer,latency_ms\nhello,there,5\n<b>bold</b>,x,6\nworse,y,not a number\n"


@pytest.fixture
def client(project: Project) -> Client:
    client = Client()
    client.force_login(factories.a_member(project, Role.ENGINEER))
    return client


@pytest.fixture
def url(project: Project) -> str:
    return f"/{project.slug}/imports/"


@pytest.fixture
def ready(client: Client, url: str) -> Import:
    sent = client.post(f"{url}+new/", {"file": SimpleUploadedFile("replies.csv", BODY), "kind": "outputs"})
    found = Import.objects.latest("pk")
    assert (sent.status_code, sent["Location"]) == (302, f"{url}{found.pk}/")
    assert b"first rows are being read" in client.get(sent["Location"]).content
    return files.worked(found.pk)


class TestImportDetail:
    def test_shows_the_mapping_and_what_becomes_of_the_first_rows(
        self, ready: Import, client: Client, url: str
    ) -> None:
        page = client.get(f"{url}{ready.pk}/").content.decode()
        assert "What do the columns mean?" in page
        assert "names no column for &#x27;input&#x27;" in page
        said = {"target-0": "input", "target-1": "output", "target-2": "latency_ms", "do": "preview"}
        page = client.post(f"{url}{ready.pk}/start/", said).content.decode()
        assert "1 of 3 would be rejected." in page
        assert "&lt;b&gt;bold&lt;/b&gt;" in page
        assert not Output.objects.filter(project=ready.project).exists()

    def test_stores_the_rows_as_the_form_says_and_reports_each_that_was_rejected(
        self, ready: Import, client: Client, url: str
    ) -> None:
        said = {"target-0": "input", "target-1": "output", "target-2": "latency_ms"}
        begun = client.post(f"{url}{ready.pk}/start/", said)
        assert begun.status_code == 302
        waiting = client.get(begun["Location"], headers={"HX-Request": "true"}, query_params={"seen": "waiting"})
        assert b"Waits for a worker." in waiting.content
        assert b"<html" not in waiting.content
        files.worked(ready.pk)
        moved = client.get(begun["Location"], headers={"HX-Request": "true"}, query_params={"seen": "waiting"})
        assert moved["HX-Refresh"] == "true"
        page = client.get(begun["Location"]).content.decode()
        assert "2 rows stored, 1 rejected" in page
        assert "<code>latency_ms</code>" in page
        report = b"".join(client.get(f"{url}{ready.pk}/rejected.csv").streaming_content).decode()
        assert report.splitlines()[1].startswith("3,4,latency_ms,")

    def test_refuses_a_mapping_that_means_nothing(self, ready: Import, client: Client, url: str) -> None:
        refused = client.post(f"{url}{ready.pk}/start/", {"target-0": "output", "target-1": "output"})
        assert refused.status_code == 422
        assert "two columns" in refused.content.decode()
        assert Import.objects.get(pk=ready.pk).state == "ready"

    def test_hides_what_the_rows_say_from_who_may_not_import(self, ready: Import, url: str) -> None:
        manager = Client()
        manager.force_login(factories.a_member(ready.project, Role.MANAGER))
        page = manager.get(f"{url}{ready.pk}/").content.decode()
        assert "hello" not in page
        assert "Cancel the import" not in page

    def test_can_be_cancelled(self, ready: Import, client: Client, url: str) -> None:
        assert client.post(f"{url}{ready.pk}/cancel/").status_code == 302
        assert "was cancelled" in client.get(f"{url}{ready.pk}/").content.decode()
        assert not ready.pieces.exists()


class TestImportNew:
    @pytest.mark.parametrize(
        ("name", "body", "said"),
        [("a.csv", b"", "empty"), ("a.bin", b"x", "choose it"), ("a.csv", b"PK\x03\x04zip", "zip file")],
    )
    def test_says_what_is_wrong_with_a_file(self, name: str, body: bytes, said: str, client: Client, url: str) -> None:
        sent = client.post(f"{url}+new/", {"file": SimpleUploadedFile(name, body), "kind": "outputs"})
        assert sent.status_code == 422
        assert said in sent.content.decode()


class TestImportList:
    def test_lists_the_newest_first(self, ready: Import, client: Client, url: str) -> None:
        page = client.get(url).content.decode()
        assert "replies.csv" in page
        assert "ready" in page
