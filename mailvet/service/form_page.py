"""The script for sign-up forms, and a page with such a form in five languages."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from string import Template
from typing import Annotated, Final

from fastapi import APIRouter, Header
from fastapi.responses import Response

__all__ = ["form_routes"]

_FALLBACK: Final = "en"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_SCRIPT_HEADERS: Final = {
    "Cache-Control": "public, max-age=3600",
    "Cross-Origin-Resource-Policy": "cross-origin",  # pages of other sites load it
    "Vary": "Accept-Encoding",
}


def form_routes() -> APIRouter:
    """`/form.js` for the pages of a site, and `/form` to try it. Neither needs a key; a check from them does."""
    router = APIRouter(include_in_schema=False)
    texts: Mapping[str, Mapping[str, str]] = json.loads(_file("page.json"))
    template = Template(_file("page.html"))
    script = _file("form.js").encode()
    packed = gzip.compress(script, 9, mtime=0)
    script_of_page, style_of_page = _file("page.js"), _file("page.css")

    @router.get("/form.js")
    async def form_script(accept_encoding: Annotated[str, Header()] = "") -> Response:
        """The script that a site's page loads."""
        if "gzip" in accept_encoding:
            return Response(
                packed, headers=_SCRIPT_HEADERS | {"Content-Encoding": "gzip"}, media_type="text/javascript"
            )
        return Response(script, headers=_SCRIPT_HEADERS, media_type="text/javascript")

    @router.get("/form")
    async def page(lang: str = "", accept_language: Annotated[str, Header()] = "") -> Response:
        """A page with a sign-up field."""
        language = _language(lang or accept_language, texts)
        links = "\n".join(_link(name, of["name"], name == language) for name, of in texts.items())
        values = {name: escape(text) for name, text in texts[language].items()}
        return Response(
            template.substitute(values, language=language, links=links),
            headers={"Content-Security-Policy": _POLICY, "Content-Language": language, "Vary": "Accept-Language"},
            media_type="text/html",
        )

    @router.get("/form/page.js")
    async def page_script() -> Response:
        """The script of that page alone."""
        return Response(script_of_page, media_type="text/javascript")

    @router.get("/form/page.css")
    async def page_style() -> Response:
        """Its style sheet."""
        return Response(style_of_page, media_type="text/css")

    return router


def _file(name: str) -> str:
    return resources.files("mailvet.service").joinpath("form", name).read_text("utf-8")


def _link(language: str, name: str, is_current: bool) -> str:
    current = ' aria-current="true"' if is_current else ""
    return f'<a href="?lang={language}" lang="{language}" hreflang="{language}"{current}>{escape(name)}</a>'


def _language(wanted: str, texts: Mapping[str, object]) -> str:
    """The first language of a list as in `Accept-Language` that there are texts in; every Chinese is Traditional."""
    for part in wanted.split(",")[:20]:
        primary = part.partition(";")[0].strip().lower()[:2]
        for name in texts:
            if primary and name.startswith(primary):
                return name
    return _FALLBACK
