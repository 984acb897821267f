"""Every page has its picture: a new address is pictured by itself, if what it leaves open can be found in the demo."""

import pytest

from tests.browser.screenshots import NAMES, Screen, screens
from tests.conventions import access_table
from tests.conventions.world import names_in

FILES = {
    "{project}/outputs.csv",
    "{project}/outputs.jsonl",
    "{project}/trends/{figure}.{form}",
    "{project}/imports/{import}/rejected.{form}",
}
PARTS = {"{project}/outputs/newer/"}
OTHERS = {"healthz", "readyz", "api/schema/", "{project}/golden-sets/{golden_set}/export/", *PARTS, *FILES}


def test_every_page_but_files_and_probes_is_pictured() -> None:
    pages = {path for method, path in access_table.PAGES if method == "GET"}
    assert pages - OTHERS == {screen.path for screen in screens()}


def test_no_two_pictures_have_one_name() -> None:
    names = [screen.name for screen in screens()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("screen", screens(), ids=lambda screen: screen.name)
def test_what_an_address_leaves_open_is_found_in_the_demo(screen: Screen) -> None:
    assert names_in(screen.path) <= NAMES, f"add it to Ids in tests/browser/screenshots.py: {screen.path}"
