"""The page in Airflow's API server: what it shows, and to whom."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from airflow_provider_mailvet.plugin.stored import verify_tasks
from tests.airflow.conftest import CELLS, RunDag
from tests.airflow.page.conftest import HOSTILE, Login
from tests.airflow.page.readers import ONLY_NEWSLETTER

if TYPE_CHECKING:
    from fastapi.testclient import TestClient


def path_of(run_id: str, dag_id: str = "campaign", task_id: str = "verify_contacts", map_index: str = "-1") -> str:
    return f"/mailvet/runs/{dag_id}/{quote(run_id, safe='')}/{task_id}/{map_index}"


PATHS = ("/mailvet/", "/mailvet/dags/campaign", path_of("x"), "/mailvet/check", "/mailvet/nothing")


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def words(text: str) -> str:
    """The page without its tags."""
    text = re.sub(r"(?s)<(style|script|title|desc)[^>]*>.*?</\1>", " ", text)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


# ------------------------------------------------------------------ who may see


@pytest.mark.parametrize("path", PATHS[:-1])
def test_nobody_reads_a_page_without_a_login(anonymous: TestClient, path: str) -> None:
    answer = anonymous.get(path)
    assert answer.status_code == 401
    assert "contacts" not in answer.text


def test_nobody_checks_an_address_without_a_login(anonymous: TestClient) -> None:
    assert anonymous.post("/mailvet/check", data={"address": "ann@example.com"}).status_code == 401


@pytest.mark.parametrize("path", ["/mailvet/docs", "/mailvet/redoc", "/mailvet/openapi.json"])
def test_the_page_has_no_description_of_its_routes(viewer: TestClient, anonymous: TestClient, path: str) -> None:
    assert viewer.get(path).status_code == 404
    assert anonymous.get(path).status_code in (401, 404)


def test_a_user_sees_only_the_dags_that_may_be_read(login: Login, viewer: TestClient, recorded: dict[str, str]) -> None:
    nora = login(ONLY_NEWSLETTER)
    page = nora.get("/mailvet/")
    assert page.status_code == 200
    assert "subscribers" in page.text
    assert "contacts" not in page.text
    assert "campaign" not in page.text
    assert "campaign" in viewer.get("/mailvet/").text
    assert nora.get("/mailvet/dags/campaign").status_code == 403
    assert nora.get(path_of(recorded["newest"])).status_code == 403
    assert nora.get(path_of(recorded["newest"]) + "?dag_id=newsletter").status_code == 403


def test_a_bearer_token_is_a_login_too(viewer: TestClient, anonymous: TestClient) -> None:
    token = viewer.cookies["_token"]
    assert anonymous.get("/mailvet/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_dag_that_does_not_exist_is_an_empty_page_and_no_error(viewer: TestClient) -> None:
    page = viewer.get("/mailvet/dags/no_such_dag")
    assert page.status_code == 200
    assert "No verification has ended yet" in page.text


# ------------------------------------------------------------------ what it shows


def test_the_overview_shows_every_table_and_its_newest_run(viewer: TestClient) -> None:
    text = words(viewer.get("/mailvet/").text)
    for part in ("contacts", "subscribers", "customers", "1,001 rows", "mailbox accepted", "Google", "Last runs"):
        assert part in text, part


def test_charts_are_drawn_on_the_server_with_words_for_those_who_do_not_see_them(viewer: TestClient) -> None:
    page = viewer.get("/mailvet/").text
    charts = [attrs for tag, attrs in Elements(page).found if tag == "svg"]
    assert len([attrs for attrs in charts if attrs["class"] == "chart"]) == 1
    assert len([attrs for attrs in charts if attrs["class"] == "spark"]) >= 5
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)
    assert page.count("<details>") == 2  # each chart's figures as a table


def test_a_table_can_be_chosen(viewer: TestClient) -> None:
    links = [attrs["href"] for tag, attrs in Elements(viewer.get("/mailvet/").text).found if tag == "a"]
    pages = [words(viewer.get(f"/mailvet/{link}").text) for link in links if link and link.startswith("?table=")]
    assert len(pages) >= 3
    assert sum("how customers stood after each run" in page for page in pages) == 1


def test_a_run_that_failed_without_a_summary_is_told_and_its_table_has_no_green_dot(viewer: TestClient) -> None:
    page = viewer.get("/mailvet/dags/quiet").text
    spans = [attrs.get("class") or "" for tag, attrs in Elements(page).found if tag == "span"]
    dots = [name for name in spans if name.startswith("dot")]
    assert dots == ["dot bad"]
    text = words(page)
    assert "failed Its log in Airflow says why" in text
    assert text.partition("Last runs")[2].index("task failed") < text.partition("Last runs")[2].index("members")


def test_a_dag_that_only_ever_failed_shows_that(viewer: TestClient) -> None:
    text = words(viewer.get("/mailvet/dags/failing").text)
    assert "No verification has left a summary yet" in text
    assert "failed, tried again" in text


def test_the_providers_stay_after_a_run_with_nothing_due(viewer: TestClient) -> None:
    text = words(viewer.get("/mailvet/dags/quiet").text)
    assert "none was asked since" in text
    assert "Google 4,211" in text


def test_several_runs_of_one_day_are_told_apart_by_their_time(viewer: TestClient) -> None:
    page = viewer.get("/mailvet/dags/quiet").text
    chart = page[page.index('<svg class="chart"') : page.index('<svg class="chart narrow"')]
    labels = re.findall(r'<text class="axis"[^>]*text-anchor="middle">([^<]+)<', chart)
    assert len(labels) == 6  # a day and a time for each of three runs
    assert len(set(zip(labels[::2], labels[1::2], strict=True))) == 3


def test_the_text_of_the_chart_is_not_made_smaller_on_a_phone(viewer: TestClient) -> None:
    page = viewer.get("/mailvet/").text
    boxes = dict(re.findall(r'<svg class="(chart[^"]*)" viewBox="0 0 (\d+) ', page))
    assert int(boxes["chart narrow"]) <= 350 < int(boxes["chart"])


def test_results_of_gates_are_shown_with_every_limit(viewer: TestClient, recorded: dict[str, str]) -> None:
    text = words(viewer.get("/mailvet/dags/campaign").text)
    gates = text[text.index("Gates what MailvetCheckOperator let through") : text.index("Last runs")]
    assert "contacts campaign gate passed" in gates
    assert "contacts campaign gate failed" in gates
    assert re.search(r"bounce rate \d+\.\d+ % of 0\.1 % 1 warning", gates)
    page = viewer.get(path_of(recorded["stopped"], task_id="gate"))
    assert page.status_code == 200
    assert re.search(r"max_bounce_rate \d+\.\d+ % 0\.1 % failed", words(page.text))
    assert "max_unknown_rate of 100% cannot fail" in page.text
    odd = viewer.get(path_of(recorded["odd gate"], task_id="gate"))
    assert odd.status_code == 200
    assert HOSTILE not in odd.text
    assert "Result failed" in words(odd.text)


def test_the_shards_of_one_run_are_added_up(viewer: TestClient) -> None:
    assert "15,0" in words(viewer.get("/mailvet/dags/monthly_cleaning").text).partition("rows to send")[0]


def test_the_page_of_a_task_shows_that_task_only(viewer: TestClient) -> None:
    assert "contacts" in viewer.get("/mailvet/dags/campaign?task_id=verify_contacts").text
    assert "No verification has ended yet" in viewer.get("/mailvet/dags/campaign?task_id=export").text


def test_a_run_has_a_page(viewer: TestClient, recorded: dict[str, str]) -> None:
    page = viewer.get(path_of(recorded["newest"]))
    assert page.status_code == 200
    text = words(page.text)
    for part in ("contacts in crm", "1,001", "do not send", "Expected hard bounces", "Yahoo refused to answer us"):
        assert part in text, part


@pytest.mark.parametrize("map_index", ["-1", "{MAP_INDEX}", "%7BMAP_INDEX%7D"])
def test_a_task_that_is_not_mapped_is_found_as_the_ui_asks_for_it(
    viewer: TestClient, recorded: dict[str, str], map_index: str
) -> None:
    assert viewer.get(path_of(recorded["newest"], map_index=map_index)).status_code == 200


def test_each_shard_has_a_page_of_its_own(viewer: TestClient, recorded: dict[str, str]) -> None:
    for index, rows in enumerate(("4,0", "5,0", "6,0")):
        page = viewer.get(path_of(recorded["shards"], "monthly_cleaning", "verify_shard", str(index)))
        assert re.search(rf"Rows {rows}\d\d", words(page.text))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("failed", "The task left no summary"),
        ("deferred", "It waits for servers that asked to come back later"),
        ("none", "The task left no summary"),
    ],
)
def test_a_task_without_summary_says_why(viewer: TestClient, recorded: dict[str, str], name: str, told: str) -> None:
    page = viewer.get(path_of(recorded[name]))
    assert page.status_code == 404
    assert told in words(page.text)


def test_a_task_that_verifies_nothing_is_sent_elsewhere(viewer: TestClient, recorded: dict[str, str]) -> None:
    page = viewer.get(path_of(recorded["newest"], task_id="export"))
    assert page.status_code == 404
    assert "This task verifies no e-mail addresses" in page.text
    assert "no such task instance" in viewer.get(path_of("no_run")).text


def test_an_empty_page_says_what_to_do(viewer: TestClient) -> None:
    page = words(viewer.get("/mailvet/dags/nothing_yet").text)
    assert "No verification has ended yet in this DAG" in page
    assert "MailvetVerifyOperator(" in page


# ------------------------------------------------------------- what is not trusted


@pytest.mark.parametrize("path", ["/mailvet/", "/mailvet/dags/campaign", "run"])
def test_what_an_xcom_holds_is_text_and_never_markup(viewer: TestClient, recorded: dict[str, str], path: str) -> None:
    page = viewer.get(path_of(recorded["hostile"]) if path == "run" else path)
    assert page.status_code == 200
    assert "&lt;script&gt;alert(1)" in page.text
    assert HOSTILE not in page.text
    tags = Elements(page.text).found
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert not [attrs for tag, attrs in tags if tag == "img" or any(name.startswith("on") for name in attrs)]


def test_names_in_a_path_are_text_and_never_markup(login: Login) -> None:
    page = login("vera").get("/mailvet/dags/" + quote(HOSTILE, safe=""))
    assert HOSTILE not in page.text


def test_a_malformed_summary_is_shown_as_far_as_it_goes(viewer: TestClient, recorded: dict[str, str]) -> None:
    page = viewer.get(path_of(recorded["malformed"]))
    assert page.status_code == 200
    assert "unnamed table" in viewer.get("/mailvet/dags/campaign").text


def test_what_is_no_summary_is_left_out_and_counted(viewer: TestClient) -> None:
    assert "3 results of MailvetVerifyOperator could not be read" in words(viewer.get("/mailvet/dags/campaign").text)


def test_an_address_in_a_summary_is_masked(viewer: TestClient, recorded: dict[str, str]) -> None:
    for path in ("/mailvet/", path_of(recorded["web"], "newsletter", "verify_subscribers")):
        page = viewer.get(path).text
        assert "ann.lee" not in page
    assert "a***@example.com" in page


def test_nothing_is_fetched_and_no_other_script_runs(viewer: TestClient, recorded: dict[str, str]) -> None:
    for path in ("/mailvet/", path_of(recorded["newest"]), "/mailvet/check"):
        page = viewer.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        (nonce,) = re.findall(r"script-src 'nonce-([^']+)'", policy)
        tags = Elements(page.text).found
        assert {attrs.get("nonce") for tag, attrs in tags if tag in ("script", "style")} == {nonce}
        assert not [attrs for _, attrs in tags if "src" in attrs or "style" in attrs]
        assert not [attrs for tag, attrs in tags if tag == "link"]
        assert "http" not in re.sub(r"https?://testserver", "", "".join(str(attrs) for _, attrs in tags))
        assert "url(" not in page.text
        assert page.headers["cache-control"] == "no-store"
    assert viewer.get("/mailvet/check").headers["content-security-policy"] != policy


# ----------------------------------------------------------------- in Airflow itself


def test_airflow_lists_the_page_for_navigation_dag_and_task(login: Login) -> None:
    plugins = login("ada", "ADMIN").get("/api/v2/plugins").json()["plugins"]
    (plugin,) = [plugin for plugin in plugins if plugin["name"] == "mailvet"]
    assert [app["url_prefix"] for app in plugin["fastapi_apps"]] == ["/mailvet"]
    views = {view["destination"]: view for view in plugin["external_views"]}
    assert set(views) == {"nav", "dag", "task", "task_instance"}
    assert len({view["url_route"] for view in views.values()}) == 4
    assert views["task_instance"]["href"] == "/mailvet/runs/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}"


_LIGHT = """
import sys
import airflow.plugins_manager
before = set(sys.modules)
from airflow_provider_mailvet.plugin import MailvetPlugin
new = set(sys.modules) - before
heavy = {"fastapi", "jinja2.environment", "starlette", "polars", "duckdb", "pyarrow", "airflow.api_fastapi", "mailvet"}
print(sorted(new & heavy), sorted(name for name in new if name.startswith("airflow_provider_mailvet.plugin")))
"""


def test_a_process_that_loads_the_plugin_does_not_build_the_page() -> None:
    done = subprocess.run([sys.executable, "-c", _LIGHT], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.splitlines()[-1] == "[] ['airflow_provider_mailvet.plugin']"


def test_a_run_of_the_gate_itself_appears_and_its_links_too(viewer: TestClient, run_dag: RunDag, crm: Path) -> None:
    from airflow.sdk import DAG

    from airflow_provider_mailvet.operators.check import MailvetCheckOperator
    from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

    with DAG("page_shows_gates") as dag:
        MailvetVerifyOperator(
            task_id="verify", conn_id="crm", table="contacts", depth="offline", outlets=[]
        ) >> MailvetCheckOperator(task_id="gate", conn_id="crm", table="contacts", max_undeliverable_rate=0)
    done = run_dag(dag)
    assert (done.state, done.tasks[("gate", -1)]) == ("failed", "failed")
    verify_tasks.forget()
    assert "undeliverable rate" in words(viewer.get("/mailvet/dags/page_shows_gates").text)
    run = quote(done.run.run_id, safe="")
    for task, name, said in (("verify", "Verification report", "What is known"), ("gate", "Gate report", "Limits")):
        api = f"/api/v2/dags/page_shows_gates/dagRuns/{run}/taskInstances/{task}/links"
        link = viewer.get(api).json()["extra_links"][name]  # what the tab Details of the task instance shows
        assert said in words(viewer.get(link).text)


def test_a_run_of_the_operator_itself_appears(viewer: TestClient, run_dag: RunDag, crm: Path) -> None:
    from airflow.sdk import DAG

    from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

    with DAG("page_shows_this") as dag:
        MailvetVerifyOperator(task_id="verify", conn_id="crm", table="contacts", depth="offline")
    done = run_dag(dag)
    assert done.state == "success"
    verify_tasks.forget()
    page = viewer.get("/mailvet/dags/page_shows_this")
    assert page.status_code == 200
    assert "the text cannot be an e-mail address" in words(page.text)
    links = [attrs["href"] or "" for tag, attrs in Elements(page.text).found if tag == "a"]
    (link,) = [link for link in links if "/runs/" in link]
    report = viewer.get(link)
    assert report.status_code == 200
    assert f"Rows {len(CELLS)}" in words(report.text)
    assert not [cell for cell in CELLS if cell and "@" in cell and cell in report.text + page.text]
