"""What the operators left in Airflow's own metadata database: XComs, and task instances that left none."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from airflow_provider_mailvet.plugin.gates import Gate
from airflow_provider_mailvet.plugin.summaries import Failure, Instance, Run, Runs

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = [
    "GATE_OPERATOR",
    "LAST_RUNS",
    "OPERATOR_NAME",
    "find_failures",
    "find_gate",
    "find_gates",
    "find_instance",
    "find_runs",
    "verify_tasks",
]

OPERATOR_NAME = "MailvetVerifyOperator"
"""The operator whose XComs are the summaries."""
GATE_OPERATOR = "MailvetCheckOperator"
"""The operator whose XComs are results of gates."""
LAST_RUNS = 300
"""At most so many summaries are read for one page, the newest first."""
LAST_FAILURES = 30
_INSTANCE = ("dag_id", "task_id", "run_id", "map_index")
_TASKS_KEPT_SECONDS = 60.0
LAST_GATES = 40


class _Tasks:
    """Which tasks are verifications or gates.

    `task_instance` has no index on the operator's name, so the answer is kept for a minute; the XComs themselves are
    then found through indexes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._known: frozenset[tuple[str, str, str]] = frozenset()
        self._until = -math.inf

    def forget(self) -> None:
        """Ask anew next time."""
        self._until = -math.inf

    def among(self, session: Session, dag_ids: Collection[str], operator: str = OPERATOR_NAME) -> list[tuple[str, str]]:
        """(DAG, task) of an operator for the DAGs given."""
        with self._lock:
            if self._clock() >= self._until:
                self._known = frozenset(self._ask(session))
                self._until = self._clock() + _TASKS_KEPT_SECONDS
        return sorted((dag, task) for name, dag, task in self._known if name == operator and dag in dag_ids)

    @staticmethod
    def _ask(session: Session) -> Iterable[tuple[str, str, str]]:
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        rows = select(TaskInstance.operator, TaskInstance.dag_id, TaskInstance.task_id).where(
            TaskInstance.operator.in_((OPERATOR_NAME, GATE_OPERATOR))
        )
        return [(row.operator, row.dag_id, row.task_id) for row in session.execute(rows.distinct())]


verify_tasks = _Tasks()


def find_runs(
    session: Session, dag_ids: Collection[str], *, task_id: str | None = None, limit: int = LAST_RUNS
) -> Runs:
    """The newest runs in the DAGs given.

    Args:
        session: of Airflow's database.
        dag_ids: the DAGs that the reader may read.
        task_id: only of this task.
        limit: at most so many summaries.
    """
    rows = _returned(session, dag_ids, OPERATOR_NAME, task_id=task_id, limit=limit + 1)
    found = [_run(row) for row in rows[:limit]]
    runs = [run for run in found if run is not None]
    return Runs(runs, len(found) - len(runs), len(rows) > limit)


def _returned(
    session: Session, dag_ids: Collection[str], operator: str, *, task_id: str | None, limit: int
) -> Sequence[Any]:
    """The newest XComs that an operator returned in the DAGs given, with their task instances."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
    from sqlalchemy import and_, select

    chosen = _chosen(session, dag_ids, operator, task_id, XComModel)
    if chosen is None:
        return []
    same = [getattr(XComModel, name) == getattr(TaskInstance, name) for name in _INSTANCE]
    query = (
        select(
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            XComModel.value,
            XComModel.timestamp,
            TaskInstance.state,
            TaskInstance.operator,
        )
        .join(TaskInstance, and_(*same))
        .where(chosen, XComModel.key == XCOM_RETURN_KEY, TaskInstance.operator == operator)
        .order_by(XComModel.timestamp.desc())
        .limit(limit)
    )
    return session.execute(query).all()


def find_failures(session: Session, dag_ids: Collection[str], *, task_id: str | None = None) -> list[Failure]:
    """The newest verifications in the DAGs given that failed and left no summary."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
    from sqlalchemy import and_, select

    chosen = _chosen(session, dag_ids, OPERATOR_NAME, task_id, TaskInstance)
    if chosen is None:
        return []
    same = [getattr(XComModel, name) == getattr(TaskInstance, name) for name in _INSTANCE]
    query = (
        select(
            TaskInstance.dag_id,
            TaskInstance.run_id,
            TaskInstance.task_id,
            TaskInstance.map_index,
            TaskInstance.start_date,
            TaskInstance.state,
            TaskInstance.operator,
        )
        .join(XComModel, and_(*same, XComModel.key == XCOM_RETURN_KEY), isouter=True)
        .where(
            chosen,
            TaskInstance.operator == OPERATOR_NAME,
            TaskInstance.state.in_(("failed", "up_for_retry")),
            TaskInstance.start_date.is_not(None),
            XComModel.timestamp.is_(None),
        )
        .order_by(TaskInstance.start_date.desc())
        .limit(LAST_FAILURES)
    )
    return [Failure(_instance_of(row), row.start_date) for row in session.execute(query)]


def _chosen(session: Session, dag_ids: Collection[str], operator: str, task_id: str | None, model: Any) -> Any:
    """A condition on the rows of a model that belong to an operator's tasks; None where there are none."""
    from sqlalchemy import and_, or_

    tasks: dict[str, list[str]] = {}
    for dag, task in verify_tasks.among(session, dag_ids, operator):
        if task_id in (None, task):
            tasks.setdefault(dag, []).append(task)
    if not tasks:
        return None
    return or_(*(and_(model.dag_id == dag, model.task_id.in_(names)) for dag, names in tasks.items()))


def find_gates(session: Session, dag_ids: Collection[str], *, task_id: str | None = None) -> list[Gate]:
    """The newest results in the DAGs given; what cannot be read is left out."""
    rows = _returned(session, dag_ids, GATE_OPERATOR, task_id=task_id, limit=LAST_GATES)
    return [gate for row in rows if (gate := Gate.of(row.value, _instance_of(row), row.timestamp)) is not None]


def find_gate(session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> Gate | None:
    """The result of one task instance."""
    row = _instance_row(session, dag_id, run_id, task_id, map_index)
    return None if row is None or row.timestamp is None else Gate.of(row.value, _instance_of(row), row.timestamp)


def find_instance(
    session: Session, dag_id: str, run_id: str, task_id: str, map_index: int
) -> tuple[Instance | None, Run | None]:
    """One task instance, or None if there is no such, and its summary if it left one."""
    row = _instance_row(session, dag_id, run_id, task_id, map_index)
    if row is None:
        return None, None
    return _instance_of(row), _run(row) if row.timestamp is not None else None


def _instance_row(session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
    """One task instance with what it returned, if anything; None if there is no such."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
    from sqlalchemy import and_, select

    same = [getattr(XComModel, name) == getattr(TaskInstance, name) for name in _INSTANCE]
    query = (
        select(
            TaskInstance.dag_id,
            TaskInstance.run_id,
            TaskInstance.task_id,
            TaskInstance.map_index,
            XComModel.value,
            XComModel.timestamp,
            TaskInstance.state,
            TaskInstance.operator,
        )
        .join(XComModel, and_(*same, XComModel.key == XCOM_RETURN_KEY), isouter=True)
        .where(
            TaskInstance.dag_id == dag_id,
            TaskInstance.run_id == run_id,
            TaskInstance.task_id == task_id,
            TaskInstance.map_index == map_index,
        )
    )
    return session.execute(query).first()


def _instance_of(row: Any) -> Instance:
    """The task instance in a row of a query."""
    state = None if row.state is None else str(getattr(row.state, "value", row.state))
    return Instance(row.dag_id, row.run_id, row.task_id, row.map_index, state, row.operator)


def _run(row: Any) -> Run | None:
    return Run.of(row.value, _instance_of(row), row.timestamp)
