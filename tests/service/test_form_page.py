"""What the service gives to pages: the script of forms, and its own page in five languages."""

from __future__ import annotations

import gzip
import json
import re
from importlib import resources
from urllib.parse import quote

import pytest

from tests.service.serving import Client

FORM = resources.files("mailvet.service").joinpath("form")
SCRIPT = FORM.joinpath("form.js").read_text("utf-8")
LANGUAGES = ("en", "de", "fr", "es", "zh-Hant")


def test_the_script_is_3_kb_at_most_and_needs_nothing_else() -> None:
    assert len(gzip.compress(SCRIPT.encode(), 9, mtime=0)) <= 3000
    assert not re.search(r"\b(import|require|eval|innerHTML|document\.write)\b", SCRIPT)


def test_the_script_comes_packed_where_the_browser_takes_it(client: Client) -> None:
    packed = client.ask("GET", "/form.js", key="", headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body).decode() == SCRIPT
    assert len(packed.body) <= 3000
    plain = client.ask("GET", "/form.js", key="")
    assert plain.body.decode() == SCRIPT
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["cross-origin-resource-policy"] == "cross-origin"
    assert {answer.headers["cache-control"] for answer in (packed, plain)} == {"public, max-age=3600"}


def test_the_page_runs_nothing_but_its_own_files(client: Client) -> None:
    response = client.ask("GET", "/form", key="")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(rb"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", response.body)
    for name in re.findall(rb'(?:src|href)="(form[\w./]*)"', response.body):
        assert client.ask("GET", f"/{name.decode()}", key="").status == 200


def test_the_page_has_every_text_in_every_language() -> None:
    texts = json.loads(FORM.joinpath("page.json").read_text("utf-8"))
    assert tuple(texts) == LANGUAGES
    for name, of in texts.items():
        assert of.keys() == texts["en"].keys()
        assert all(of.values())
        assert of["sent"].count("%s") == 1
        assert name == "en" or not set(of.values()) & set(texts["en"].values())


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "it, de-AT;q=0.8, fr;q=0.5", "de"),
        ("", "zh-TW,zh;q=0.9", "zh-Hant"),
        ("?lang=es", "de", "es"),
        ("?lang=" + quote("<b>\u0000"), "", "en"),
    ],
)
def test_the_page_is_in_the_language_of_the_visitor(client: Client, query: str, accepted: str, language: str) -> None:
    response = client.ask("GET", f"/form{query}", key="", headers={"Accept-Language": accepted})
    assert response.headers["content-language"] == language
    assert f'<html lang="{language}">' in response.body.decode()
