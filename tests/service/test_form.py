"""The form in Chromium: what a visitor sees and hears, and that it can always be sent."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

import pytest

from mailvet.lab import Lab
from tests.browser import Page, browser_page
from tests.service.conftest import service_settings
from tests.service.serving import Client, running

pytestmark = [pytest.mark.external, pytest.mark.xdist_group("form")]

SCRIPT = resources.files("mailvet.service").joinpath("form", "form.js").read_text("utf-8")
LANGUAGES = ("en", "de", "fr", "es", "zh-Hant")
PAGE = """<!doctype html><html lang="{lang}"><title>shop</title><body>
<script src="{service}/form.js" data-key="{key}" data-timeout="{timeout}" defer></script>
<p id="hint">We write once a month.</p>
<form action="/signed-up" method="post"{more}>
<label for="mail">Address</label> <input id="mail" name="mail" type="email" aria-describedby="hint" data-mailvet>
<button id="send" name="plan" value="free">Send</button></form>
<script>
window.told = []; window.sent = 0;
document.addEventListener("mailvet", (event) => told.push(event.detail.result));
document.querySelector("form").addEventListener("submit", () => sent++);
</script></body></html>"""


class Shop(BaseHTTPRequestHandler):
    """The site of the form. Its own `/v1/form` is a service that is out of order in the way that the key says."""

    server: ShopServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/form.js":
            self._send(SCRIPT, "text/javascript")
        else:
            self._send(self.server.page, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path != "/v1/form":
            self.server.signed_up.append(body)
            return self._send("<p>done", "text/html")
        self.server.asked += 1
        way = self.headers["Authorization"].removeprefix("Bearer ")
        if way == "hangs":
            self.server.over.wait(60)
        elif way == "closes":
            self.close_connection = True
        elif way.isdigit():
            self._send("{}", "application/json", int(way))
        else:
            self._send({"null": "null", "page": "<p>Sorry"}[way], "application/json")
        return None

    def _send(self, text: str, kind: str, status: int = 200) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class ShopServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Shop)
        self.page, self.asked = "", 0
        self.signed_up: list[str] = []
        self.over = threading.Event()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture(scope="module")
def shop() -> Iterator[ShopServer]:
    with ShopServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser_page("--lang=en-US") as page:
        yield page


@pytest.fixture(scope="module")
def service(tab: Page, world_lab: Lab, shop: ShopServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    more: dict[str, Any] = {"origins": (shop.origin,), "deadline": "50s"}
    with running(service_settings(world_lab, tmp_path_factory.mktemp("service"), service=more)) as found:
        yield found


Visit = Callable[..., Page]


@pytest.fixture
def visit(tab: Page, shop: ShopServer, service: Client) -> Visit:
    """Open the shop's form with the cursor in its field; the address of the service is its own unless given."""
    published = service.new_key(scopes=["form"], per_minute_and_client=1000)

    def work(*, lang: str = "en", timeout: int = 60_000, more: str = "", **given: str) -> Page:
        shop.asked, shop.signed_up = 0, []
        values = {"service": f"http://127.0.0.1:{service.port}", "key": published, **given}
        shop.page = PAGE.format(lang=lang, timeout=timeout, more=more, **values)
        tab.open(f"{shop.origin}/")
        tab.run("mail.focus()")
        return tab

    return work


def message(page: Page) -> str:
    return str(page.run("document.querySelector('.mailvet p').textContent"))


def signed_up(page: Page, shop: ShopServer) -> str:
    """What the form has sent, once it has."""
    page.wait("location.pathname === '/signed-up' && document.readyState === 'complete'")
    (body,) = shop.signed_up
    return body


# What a visitor meets


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_message_is_in_the_language_of_the_page(visit: Visit, lang: str) -> None:
    page = visit(lang=lang)
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    seen = page.run("[...document.querySelectorAll('.mailvet > *')].map((part) => part.textContent)")
    page.run("mail.focus(); mail.select()")
    page.type("ann@mailinator.com")
    page.press("Tab")
    page.wait("told.length === 2")
    seen.append(message(page))
    assert page.run("document.querySelector('.mailvet').lang") == lang
    assert "ann@gmail.com" in seen[0]
    texts = [text.replace("ann@gmail.com", "%s") for text in seen]
    begin = SCRIPT.index(f"{lang}:" if "-" not in lang else f'"{lang}":')
    own = re.findall(r'"([^"]+)"[,\]]', SCRIPT[begin : SCRIPT.index("],", begin) + 1])
    assert texts == own
    assert len(set(own)) == 4


def test_another_language_of_the_page_gets_english_that_is_marked_so(visit: Visit) -> None:
    page = visit(lang="it")
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    assert message(page) == "Did you mean ann@gmail.com?"
    assert page.run("document.querySelector('.mailvet').lang") == "en"


def test_a_suggestion_is_taken_by_keyboard_alone(visit: Visit, shop: ShopServer) -> None:
    page = visit()
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    page.run("mail.focus()")
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "Yes, change it"
    page.press("Enter")
    assert page.run("mail.value") == "ann@gmail.com"
    assert page.run("document.activeElement.id") == "mail"
    assert message(page) == ""
    page.press("Enter")
    assert signed_up(page, shop) == "mail=ann%40gmail.com&plan=free"


def test_a_suggestion_can_be_declined_and_is_not_made_again(visit: Visit, shop: ShopServer) -> None:
    page = visit()
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    page.run("mail.focus()")
    page.press("Tab", "Tab")
    assert page.run("document.activeElement.textContent") == "No, keep mine"
    page.press(" ")
    assert (page.run("mail.value"), message(page)) == ("ann@gmial.com", "")
    page.press("Enter")
    assert signed_up(page, shop) == "mail=ann%40gmial.com&plan=free"


def test_a_suggestion_stops_the_first_attempt_to_send_alone(visit: Visit, shop: ShopServer) -> None:
    page = visit()
    page.type("ann@gmial.com")
    page.press("Enter")
    page.wait("told.length")
    assert message(page) == "Did you mean ann@gmail.com?"
    assert (page.run("sent"), page.run("document.activeElement.id")) == (0, "mail")
    page.press("Enter")
    assert signed_up(page, shop) == "mail=ann%40gmial.com&plan=free"


def test_a_framework_hears_of_the_change(visit: Visit) -> None:
    page = visit()
    # As React does: a setter of the element that hides the prototype's, and believes what it saw last.
    page.run(
        "window.heard = []; Object.defineProperty(mail, 'value', {configurable: true, set() { heard.push('set'); },"
        " get() { return Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').get.call(this); }});"
        "for (const type of ['input', 'change']) mail.addEventListener(type, () => heard.push(type)); 0"
    )
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    page.run("heard.length = 0; document.querySelector('.mailvet button').click()")
    assert page.run("heard") == ["input", "change"]
    assert page.run("mail.value") == "ann@gmail.com"


@pytest.mark.parametrize("address", ["ann@mailinator.com", "ann@gone.test"])
def test_an_address_that_takes_no_mail_is_refused_until_it_is_changed(
    visit: Visit, shop: ShopServer, address: str
) -> None:
    page = visit()
    page.type(address)
    page.click("#send")
    page.wait("told.length")
    assert message(page).startswith("This address cannot be used.")
    assert page.run("mail.getAttribute('aria-invalid')") == "true"
    assert page.run("mail.validationMessage") == message(page)
    page.click("#send")
    assert page.run("sent") == 0
    page.run("mail.focus(); mail.select()")
    page.type("ann@acme.test")
    assert (message(page), page.run("mail.getAttribute('aria-invalid')")) == ("", "false")
    page.click("#send")
    assert signed_up(page, shop) == "mail=ann%40acme.test&plan=free"


def test_a_form_without_validation_is_told_and_not_blocked(visit: Visit, shop: ShopServer) -> None:
    page = visit(more=" novalidate")
    page.type("ann@mailinator.com")
    page.press("Tab")
    page.wait("told.length")
    assert message(page).startswith("This address cannot be used.")
    page.click("#send")
    assert signed_up(page, shop) == "mail=ann%40mailinator.com&plan=free"


def test_what_dns_does_not_tell_never_blocks(visit: Visit, shop: ShopServer) -> None:
    page = visit()
    page.type("ann@dead.test")
    page.click("#send")
    assert signed_up(page, shop) == "mail=ann%40dead.test&plan=free"


def test_an_address_is_sent_once_however_often_the_button_is_clicked(visit: Visit, shop: ShopServer) -> None:
    page = visit(service=shop.origin, key="hangs", timeout=1500, more=' onsubmit="return false"')
    page.type("ann@acme.test")
    for _ in range(3):
        page.click("#send")
    page.wait("sent")
    page.run("new Promise((resolve) => setTimeout(resolve, 200))")
    assert (page.run("sent"), shop.asked) == (1, 1)


def test_a_form_that_is_emptied_says_nothing_any_more(visit: Visit) -> None:
    page = visit()
    page.type("ann@mailinator.com")
    page.press("Tab")
    page.wait("told.length")
    page.run("document.querySelector('form').reset()")
    assert (message(page), page.run("mail.validationMessage"), page.run("mail.value")) == ("", "", "")


# Without the service


@pytest.mark.parametrize("way", ["hangs", "closes", "429", "401", "500", "page", "null"])
def test_a_service_that_is_out_of_order_delays_once_and_never_blocks(visit: Visit, shop: ShopServer, way: str) -> None:
    page = visit(service=shop.origin, key=way, timeout=300)
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    assert (page.run("told"), message(page), page.run("mail.validity.valid")) == (["unknown"], "", True)
    page.run("mail.focus(); mail.select()")
    page.type("bob@gmial.com")
    page.press("Tab")
    page.wait("told.length === 2")
    page.click("#send")
    assert signed_up(page, shop) == "mail=bob%40gmial.com&plan=free"
    assert shop.asked == (2 if way == "null" else 1)  # an empty response is no failure


def test_what_is_not_asked_any_more_is_sent_at_once(visit: Visit, shop: ShopServer) -> None:
    page = visit(service=shop.origin, key="500")
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    page.run("mail.focus(); mail.select()")
    page.type("bob@gmial.com")
    page.press("Enter")
    assert signed_up(page, shop) == "mail=bob%40gmial.com&plan=free"
    assert shop.asked == 1


def test_a_field_that_may_stay_empty_is_sent_empty(visit: Visit, shop: ShopServer) -> None:
    page = visit(service=shop.origin, key="500")
    page.press("Enter")
    assert signed_up(page, shop) == "mail=&plan=free"
    assert shop.asked == 0


def test_nothing_listens_where_the_service_should_be(visit: Visit, shop: ShopServer) -> None:
    page = visit(service="http://127.0.0.1:9")
    page.type("ann@gmial.com")
    page.click("#send")
    assert signed_up(page, shop) == "mail=ann%40gmial.com&plan=free"


def test_a_limit_that_is_reached_leaves_the_form_usable(visit: Visit, shop: ShopServer, service: Client) -> None:
    page = visit(key=service.new_key(scopes=["form"], per_minute_and_client=1))
    for number, address in enumerate(("ann@gmial.com", "bob@gmial.com"), 1):
        page.run("mail.focus(); mail.select()")
        page.type(address)
        page.press("Tab")
        page.wait(f"told.length === {number}")
    assert page.run("told") == ["suggest", "unknown"]
    page.click("#send")
    assert signed_up(page, shop) == "mail=bob%40gmial.com&plan=free"


def test_a_page_that_is_not_among_the_origins_gets_no_check_and_works(visit: Visit, shop: ShopServer) -> None:
    page = visit()
    page.open(f"http://localhost:{shop.server_address[1]}/")
    page.run("mail.focus()")
    page.type("ann@gmial.com")
    page.click("#send")
    assert signed_up(page, shop) == "mail=ann%40gmial.com&plan=free"


def test_a_known_address_is_not_asked_again(visit: Visit, service: Client) -> None:
    page = visit(key=service.new_key(scopes=["form"], per_minute_and_client=1))
    for _ in range(3):
        page.run("mail.focus(); mail.select()")
        page.type("ann@gmial.com")
        page.press("Tab")
        page.wait("document.querySelector('.mailvet p').textContent")
    assert set(page.run("told")) == {"suggest"}


# What a screen reader is told


def test_a_screen_reader_is_told_of_every_message(visit: Visit) -> None:
    page = visit()
    region = "document.querySelector('.mailvet [role=status][aria-live=polite]')"
    assert page.run(f"!!{region} && {region}.textContent") == ""  # it is there before its text
    page.type("ann@gmial.com")
    page.press("Tab")
    page.wait("told.length")
    told = page.accessible()
    assert ("textbox", "Address") in told
    assert ("button", "Yes, change it") in told
    assert ("button", "No, keep mine") in told
    assert "status" in {role for role, _ in told}
    described = page.run(
        "mail.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id).textContent)"
    )
    assert described == ["We write once a month.", "Did you mean ann@gmail.com?"]


def test_buttons_without_a_suggestion_are_out_of_the_way(visit: Visit) -> None:
    page = visit()
    assert [name for role, name in page.accessible() if role == "button"] == ["Send"]
    page.press("Tab")
    assert page.run("document.activeElement.id") == "send"


# The page of the service


def test_the_page_checks_with_the_key_behind_its_hash(tab: Page, service: Client) -> None:
    key = service.new_key(scopes=["form"], per_minute_and_client=1000)
    tab.open(f"http://127.0.0.1:{service.port}/form?lang=de#{key}")
    tab.run(
        "window.broken = []; addEventListener('securitypolicyviolation', (e) => broken.push(e.violatedDirective)); 0"
    )
    assert tab.run("document.getElementById('no-key').hidden")
    assert tab.run("[...document.links].every((link) => link.hash.length > 20)")
    tab.run("address.focus()")
    tab.type("ann@gmial.com")
    tab.press("Tab")
    assert tab.wait("document.querySelector('.mailvet p').textContent") == "Meinten Sie ann@gmail.com?"
    tab.run("document.querySelector('.mailvet button').click()")
    tab.click("form > button")
    assert "ann@gmail.com" in tab.wait("document.getElementById('sent').textContent")
    assert tab.run("getComputedStyle(document.querySelector('label')).display") == "block"
    assert tab.run("broken") == []


def test_the_page_says_that_it_has_no_key(tab: Page, service: Client) -> None:
    tab.open(f"http://127.0.0.1:{service.port}/form")
    assert not tab.run("document.getElementById('no-key').hidden")
    tab.run("address.focus()")
    tab.type("ann@gmial.com")
    tab.press("Enter")
    assert "ann@gmial.com" in tab.wait("document.getElementById('sent').textContent")
