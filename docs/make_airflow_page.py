"""Take the pictures of docs/airflow-page.md: `python docs/make_airflow_page.py`.

Starts Airflow's API server with its UI in this process, on loopback and over a metadata database of its own, records
some weeks of verifications in it, and looks at the page with headless Chromium.
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Make them all."""
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="mailvet-page-") as home:
        # Airflow reads these when it is imported.
        os.environ.update(
            AIRFLOW_HOME=home,
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
            AIRFLOW__CORE__LOAD_EXAMPLES="false",
            AIRFLOW__CORE__DAGS_FOLDER=f"{home}/dags",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="true",
            AIRFLOW__API_AUTH__JWT_SECRET="a secret for pictures only, " * 4,
            AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
            AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="false",
        )
        take(Path(home))


def take(home: Path) -> None:
    """With Airflow's environment set."""
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb

    from tests.airflow.page import metadata
    from tests.airflow.page.serving import picture, served

    initdb()
    metadata.create(home / "dags")
    run_id = metadata.months(datetime.now(timezone.utc).replace(microsecond=0))
    app = create_app(apps="all")
    with served(app) as address:
        task = f"dags/campaign/runs/{quote(run_id, safe='')}/tasks/verify_contacts"
        for name, path, size in (
            ("airflow-page.png", "plugin/mailvet", (1440, 1250)),
            ("airflow-page-run.png", f"{task}/plugin/mailvet-run", (1440, 1250)),
        ):
            picture(f"{address}/{path}", IMAGES / name, size)
            print(f"docs/images/{name}")


if __name__ == "__main__":
    main()
