"""The page inside Airflow's own UI, in a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airflow.page.conftest import HOSTILE
from tests.airflow.page.serving import browse, picture, served

if TYPE_CHECKING:
    from fastapi import FastAPI

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Chromium prints the outer document only, so the frame's text is written beside it by a script of the test.
_LOOK_INSIDE = """
<!doctype html><title>waiting</title><iframe sandbox="allow-scripts allow-same-origin allow-forms allow-downloads"
 src="/mailvet/" width="1300" height="900"></iframe><pre></pre><script>
var frame = document.querySelector("iframe");
frame.onload = function () {
  var inside = frame.contentDocument, chart = inside.querySelector("svg.chart");
  document.querySelector("pre").textContent = JSON.stringify({
    heading: inside.querySelector("h1").textContent, theme: inside.documentElement.getAttribute("data-theme"),
    framed: inside.documentElement.className, ground: frame.contentWindow.getComputedStyle(inside.body).backgroundColor,
    columns: chart.querySelectorAll("rect").length, height: chart.getBoundingClientRect().height,
    fill: frame.contentWindow.getComputedStyle(chart.querySelector("rect")).fill, alerted: String(window.alerted),
  });
};
window.alert = function () { window.alerted = true; };
localStorage.setItem("theme", "dark");
</script>"""


@pytest.fixture(scope="module")
def address(airflow_app: FastAPI) -> object:
    """Airflow's UI, in which everybody is an administrator, since a headless browser cannot log in."""
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from fastapi.responses import HTMLResponse

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "true")
        purge_cached_app()
        app = create_app(apps="all")
    look = app.router.routes
    app.add_api_route("/look-inside", lambda: HTMLResponse(_LOOK_INSIDE))
    look.insert(0, look.pop())  # before Airflow's own route for everything else
    with served(app) as found:
        yield found


def test_the_page_works_in_the_sandbox_of_airflows_ui(address: str) -> None:
    dom = browse(f"{address}/look-inside", "--dump-dom")
    (seen,) = re.findall(r"<pre>(.*?)</pre>", dom, re.S)
    assert '"heading":"E-mail verification"' in seen
    assert '"theme":"dark"' in seen  # as Airflow has it
    assert '"ground":"rgb(16, 18, 22)"' in seen  # the style sheet applies under the policy
    assert '"framed":"framed"' in seen  # the script runs under the policy
    assert re.search(r'"columns":[1-9]', seen)
    assert re.search(r'"height":[1-9]\d\d', seen)
    assert '"fill":"rgb(63, 181, 132)"' in seen
    assert '"alerted":"undefined"' in seen


def test_airflow_shows_the_page_under_its_navigation(address: str, tmp_path: Path) -> None:
    dom = browse(f"{address}/plugin/mailvet", "--dump-dom")
    assert re.search(r'<iframe[^>]*src="/mailvet/"', dom)
    assert HOSTILE not in dom
    picture(f"{address}/plugin/mailvet", tmp_path / "page.png", (1200, 900))


def test_airflow_shows_the_page_as_a_tab_of_a_dag_and_of_a_task_instance(
    address: str, recorded: dict[str, str]
) -> None:
    dag = browse(f"{address}/dags/campaign/plugin/mailvet-dag", "--dump-dom")
    assert re.search(r'<iframe[^>]*src="/mailvet/dags/campaign"', dag)
    run = browse(
        f"{address}/dags/campaign/runs/{recorded['newest']}/tasks/verify_contacts/plugin/mailvet-run", "--dump-dom"
    )
    assert re.search(r'<iframe[^>]*src="/mailvet/runs/campaign/manual__[^"]+/verify_contacts/', run)
