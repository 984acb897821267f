"""What browsers load is compressed where they can read it."""

import gzip

from django.test import Client

from tests import factories

GZIP = {"headers": {"accept-encoding": "gzip"}}


def test_the_stylesheet_travels_at_a_fifth_of_its_size(client: Client) -> None:
    plain, packed = (client.get("/static/ratchet.css", **given).getvalue() for given in ({}, GZIP))  # type: ignore[arg-type]
    assert len(packed) < len(plain) / 3
    assert gzip.decompress(packed) == plain


def test_a_page_travels_compressed_and_says_so(client: Client, transactional_db: None) -> None:
    client.force_login(factories.a_member(factories.a_project("Support")))
    page = client.get("/", **GZIP)  # type: ignore[arg-type]
    assert page["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in page["Vary"]
    assert b"Support" in gzip.decompress(page.content)


def test_an_answer_of_the_api_stays_as_it_is(client: Client) -> None:
    answer = client.get("/api/v1/prompts", **GZIP)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert not answer.has_header("Content-Encoding")
