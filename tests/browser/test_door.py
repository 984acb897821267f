"""A session that ends while somebody types, in a real browser, with and without scripts."""

import pytest
from playwright.sync_api import expect

from projects.models import ApiKey, Project, Role, User
from tests import factories
from tests.browser.conftest import SignIn

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"
TYPED = 'the "night" job'


@pytest.fixture
def project() -> Project:
    return factories.a_project("Shop")


@pytest.fixture
def mara(project: Project) -> User:
    user = factories.a_member(project, Role.ADMIN, "mara@example.org")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_what_was_typed_is_sent_after_signing_in_again(
    sign_in: SignIn, project: Project, mara: User, scripts: bool
) -> None:
    page = sign_in(mara, java_script_enabled=scripts)
    page.goto(f"/{project.slug}/keys/")
    page.get_by_label("Name").fill(TYPED)
    page.get_by_label("read: see everything").check()
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("You were signed out meanwhile.")).to_be_visible()
    assert not ApiKey.objects.exists()
    page.get_by_label("E-mail").fill(mara.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("name")).to_have_value(TYPED)
    page.reload()
    expect(page.get_by_label("name")).to_have_value(TYPED)
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_text("It is shown this once.")).to_be_visible()
    assert ApiKey.objects.get().name == TYPED


def test_a_page_that_stood_open_goes_on_after_signing_in_in_another_tab(
    sign_in: SignIn, project: Project, mara: User
) -> None:
    page = sign_in(mara)
    page.goto(f"/{project.slug}/keys/")
    page.get_by_label("Name").fill(TYPED)
    page.get_by_label("read: see everything").check()
    page.context.clear_cookies(name="sessionid")
    other = page.context.new_page()
    other.goto("/login/?next=/signed-in/")
    other.get_by_label("E-mail").fill(mara.email)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_text("Close this tab")).to_be_visible()
    page.bring_to_front()
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("It is shown this once.")).to_be_visible()


def test_the_first_output_appears_by_itself(sign_in: SignIn, project: Project, mara: User) -> None:
    page = sign_in(mara)
    page.goto(f"/{project.slug}/")
    expect(page.get_by_text("Waiting for the first output")).to_be_visible()
    output = factories.an_output(project)
    expect(page.get_by_role("link", name=output.external_id)).to_be_visible()
    expect(page.get_by_text("Waiting for the first output")).to_be_hidden()
