"""A metadata database of Airflow with verifications in it, written through Airflow's own models.

The DAGs are real ones, serialized as the DAG processor does it; their runs and XComs are recorded instead of being
executed, so that months of runs take a second.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

BUNDLE = "verifications"

DAGS = '''
from airflow.sdk import DAG, BaseOperator


class MailvetVerifyOperator(BaseOperator):
    """Stands where the operator of the provider would; the runs are recorded, so it is never executed."""


class MailvetCheckOperator(BaseOperator):
    """Stands where the gate would."""


class ExportOperator(BaseOperator):
    """A task that verifies nothing."""


with DAG("campaign", schedule=None, tags=["crm"]):
    (
        MailvetVerifyOperator(task_id="verify_contacts")
        >> MailvetCheckOperator(task_id="gate")
        >> ExportOperator(task_id="export")
    )

with DAG("newsletter", schedule=None, tags=["web"]):
    MailvetVerifyOperator(task_id="verify_subscribers")

with DAG("monthly_cleaning", schedule=None):
    MailvetVerifyOperator.partial(task_id="verify_shard").expand_kwargs([{"owner": name} for name in "abc"])

with DAG("quiet", schedule=None):
    MailvetVerifyOperator(task_id="verify")

with DAG("failing", schedule=None):
    MailvetVerifyOperator(task_id="verify")

with DAG("nothing_yet", schedule=None):
    MailvetVerifyOperator(task_id="verify")
'''


def create(folder: Path) -> None:
    """The DAGs of `DAGS`, written to a folder and taken into the metadata database, which has to be there."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verifications.py").write_text(DAGS)
    with create_session() as session:
        session.merge(DagBundleModel(name=BUNDLE))
    bag = DagBag(dag_folder=folder, bundle_path=folder, bundle_name=BUNDLE)
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, bundle_name=BUNDLE, bundle_version=None)


def record(
    dag_id: str,
    task_id: str,
    at: datetime,
    values: Iterable[Any],
    *,
    state: str = "success",
    run_id: str | None = None,
    map_indexes: Iterable[int] = (-1,),
) -> str:
    """A DAG run at a time with an XCom for each task instance; the value None leaves none. Gives the run's id."""
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select, update

    run_id = run_id or f"manual__{at.isoformat()}"
    with create_session() as session:
        serialized = SerializedDagModel.get(dag_id, session=session)
        assert serialized is not None
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        run = run or serialized.dag.create_dagrun(
            run_id=run_id,
            logical_date=at,
            data_interval=(at, at),
            run_after=at,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            start_date=at,
            session=session,
        )
        run.state = DagRunState.FAILED if state == "failed" else DagRunState.SUCCESS
        instances = select(TaskInstance).where(
            TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id
        )
        for value, map_index in zip(values, map_indexes, strict=True):
            instance = session.scalars(instances.where(TaskInstance.map_index == map_index)).one_or_none()
            if instance is None:
                template = session.scalars(instances).first()
                assert template is not None
                task = serialized.dag.get_task(task_id)
                instance = TaskInstance(
                    task, run_id=run_id, map_index=map_index, dag_version_id=template.dag_version_id
                )
                session.add(instance)
            instance.state = TaskInstanceState(state)
            instance.start_date, instance.end_date = at, at + timedelta(minutes=3)
            session.flush()
            if value is not None:
                XComModel.set(
                    "return_value",
                    value,
                    dag_id=dag_id,
                    task_id=task_id,
                    run_id=run_id,
                    map_index=map_index,
                    serialize=False,
                    session=session,
                )
                session.execute(
                    update(XComModel)
                    .where(
                        XComModel.dag_id == dag_id,
                        XComModel.run_id == run_id,
                        XComModel.task_id == task_id,
                        XComModel.map_index == map_index,
                    )
                    .values(timestamp=at + timedelta(minutes=3))
                )
    return run_id


def summary(at: datetime, rows: int) -> dict[str, Any]:
    """A summary as the operator leaves it."""
    reasons = {
        "mailbox_accepted": 0.71,
        "accept_all": 0.09,
        "role_account": 0.03,
        "mailbox_not_found": 0.055,
        "domain_not_found": 0.022,
        "disposable": 0.015,
        "greylisted": 0.028,
        "syntax_invalid": 0.012,
        "mailbox_full": 0.008,
        "typo_domain": 0.01,
        "server_temporary_error": 0.02,
    }
    return summary_of(at, rows, reasons)


def summary_of(at: datetime, rows: int, shares: Mapping[str, float], **changes: Any) -> dict[str, Any]:
    """A summary in which each reason has about its share of the rows, and everything else follows from the reasons."""
    from mailvet.policies import recommend
    from mailvet.scoring.priors import bounce_probability
    from mailvet.vocabulary import REASONS, Policy, Reason

    whole = sum(shares.values())
    by_reason = {reason: round(rows * share / whole) for reason, share in shares.items()}
    by_status: dict[str, int] = {}
    by_recommendation: dict[str, int] = {}
    bounces = sent_bounces = kept_bounces = 0.0
    for word, count in by_reason.items():
        reason = Reason(word)
        chance = bounce_probability(reason)
        choice = str(recommend(reason, Policy.marketing, math.floor(100 * (1 - chance)), 1))
        by_status[str(REASONS[reason].status)] = by_status.get(str(REASONS[reason].status), 0) + count
        by_recommendation[choice] = by_recommendation.get(choice, 0) + count
        bounces += count * chance
        sent_bounces += count * chance if choice == "send" else 0.0
        kept_bounces += count * chance if choice != "do_not_send" else 0.0
    judged = sum(by_reason.values())
    sent = by_recommendation.get("send", 0)
    kept = judged - by_recommendation.get("do_not_send", 0)
    return {
        "mailvet": 1,
        "run_id": f"{at:%Y%m%dT%H%M%S}-0badc0de",
        "source": "contacts in crm",
        "conn_id": "crm",
        "table": "contacts",
        "depth": "smtp",
        "policy": "marketing",
        "started_at": at.isoformat(),
        "seconds": 141.2,
        "rows": judged,
        "missing": 0,
        "addresses": round(judged * 0.97),
        "due": round(judged * 0.2),
        "checked": round(judged * 0.2),
        "updates": round(judged * 0.07),
        "pending": by_reason.get("greylisted", 0),
        "next_check_at": (at + timedelta(minutes=30)).isoformat() if by_reason.get("greylisted") else None,
        "by_status": by_status,
        "by_reason": by_reason,
        "by_recommendation": by_recommendation,
        "bounce_before": bounces / judged if judged else None,
        "bounce_after": sent_bounces / sent if sent else None,
        "bounce_without_do_not_send": kept_bounces / kept if kept else None,
        "undeliverable_rate": by_status.get("undeliverable", 0) / max(judged, 1),
        "operators": [
            {
                "name": name,
                "asked": asked,
                "accepted": accepted,
                "refused": refused,
                "unclear": asked - accepted - refused,
                "state": state,
            }
            for name, asked, accepted, refused, state in (
                ("Google", 4211, 3870, 214, "done"),
                ("Microsoft 365", 2630, 2302, 180, "done"),
                ("Yahoo", 960, 611, 31, "stopped: it refuses us"),
                ("GMX", 604, 571, 24, "done"),
                ("example-hosting.com", 233, 201, 30, "done"),
            )
        ],
        "probes": 8638,
        "lookups": 1904,
        "health": "ok",
        "layers": {"syntax": 240, "reference": 611, "history": 180, "route": 402, "mailbox": 8150},
        **changes,
    }


def gate(values: Mapping[str, Any], **limits: float) -> dict[str, Any]:
    """The result of a gate over the table of a summary: its figures held against limits by their names."""
    verified = sum(values["by_status"].values())
    figures = {
        "max_undeliverable_rate": values["undeliverable_rate"],
        "max_bounce_rate": values["bounce_before"],
        "max_unverified_rate": 0.0,
        "max_unknown_rate": values["by_status"].get("unknown", 0) / max(verified, 1),
    }
    held = [
        {"name": name, "limit": limit, "figure": figures[name], "passed": figures[name] <= limit}
        for name, limit in limits.items()
    ]
    return {
        "mailvet_gate": 1,
        "conn_id": values["conn_id"],
        "table": values["table"],
        "source": values["source"],
        "policy": values["policy"],
        "passed": all(limit["passed"] for limit in held),
        "among": [],
        "rows": values["rows"],
        "addresses": verified,
        "verified": verified,
        "audience": verified,
        "limits": held,
        "warnings": [],
    }


def months(now: datetime) -> str:
    """A believable past: three tables over some weeks, each with a story of its own. The newest run of `campaign`."""
    chance = random.Random(20)
    newest = ""
    base = {
        "mailbox_accepted": 0.66,
        "recently_delivered": 0.09,
        "accept_all": 0.06,
        "role_account": 0.024,
        "mailbox_not_found": 0.052,
        "domain_not_found": 0.018,
        "hard_bounced": 0.014,
        "disposable": 0.012,
        "greylisted": 0.02,
        "syntax_invalid": 0.009,
        "mailbox_full": 0.008,
        "typo_domain": 0.011,
        "server_temporary_error": 0.012,
        "null_mx": 0.003,
    }
    for week in range(16, -1, -1):
        at = now - timedelta(days=7 * week, hours=1, minutes=12)
        shares = {word: share * chance.uniform(0.93, 1.07) for word, share in base.items()}
        # Before the first cleaning the table was bad; a list bought in between made it worse for a while.
        old = max(0.0, (week - 9) / 7)
        bought = 1.0 if week in (5, 4) else 0.35 if week == 3 else 0.0
        shares["mailbox_not_found"] *= 1 + 1.6 * old + 1.5 * bought
        shares["domain_not_found"] *= 1 + 2 * old + 0.8 * bought
        shares["hard_bounced"] *= 1 + old
        shares["not_probed"] = 0.12 * max(0.0, (week - 13) / 3)
        rows = 41_800 + 310 * (16 - week) + (2900 if week <= 5 else 0)
        values = summary_of(at, rows, shares, seconds=96 + chance.random() * 140, missing=chance.randrange(90, 140))
        newest = record("campaign", "verify_contacts", at, [values])
        if week < 12:
            checked = gate(values, max_bounce_rate=0.15, max_undeliverable_rate=0.12, max_unverified_rate=0)
            record(
                "campaign",
                "gate",
                at + timedelta(minutes=4),
                [checked],
                state="success" if checked["passed"] else "failed",
                run_id=newest,
            )
    for day in range(12, -1, -1):
        at = now - timedelta(days=day, hours=5, minutes=40)
        shares = {word: share * chance.uniform(0.9, 1.1) for word, share in base.items()} | {"disposable": 0.06}
        ill = day == 1
        if ill:
            shares |= {"dns_timeout": 0.31, "mailbox_accepted": 0.4}
        health = "The resolver stopped answering after 812 domains" if ill else "ok"
        record(
            "newsletter",
            "verify_subscribers",
            at,
            [
                summary_of(
                    at,
                    6_200 + 44 * (12 - day),
                    shares,
                    source="subscribers in web",
                    conn_id="web",
                    table="subscribers",
                    health=health,
                    seconds=19 + chance.random() * 6,
                    operators=[],
                )
            ],
        )
    for month in (2, 1, 0):
        at = now - timedelta(days=30 * month + 3, hours=2)
        record(
            "monthly_cleaning",
            "verify_shard",
            at,
            [
                summary_of(
                    at,
                    rows,
                    {word: share * chance.uniform(0.8, 1.2) for word, share in base.items()},
                    source="customers in warehouse",
                    conn_id="warehouse",
                    table="customers",
                )
                for rows in (88_412, 90_207, 61_950)
            ],
            map_indexes=(0, 1, 2),
        )
    return newest
