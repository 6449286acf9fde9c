"""The routes of batches."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from mailvet.service.access import take_of_day
from mailvet.service.checker import policy_named
from mailvet.service.documents import refusals
from mailvet.service.jobs import RESULT_COLUMNS, as_csv_cells, told
from mailvet.service.keys import Key
from mailvet.service.models import Job
from mailvet.service.problems import ProblemError
from mailvet.service.uploads import TYPES, addresses_of
from mailvet.service.webhooks import check_webhook
from mailvet.vocabulary import Depth

if TYPE_CHECKING:
    import sqlite3

    from mailvet.service.app import Service

__all__ = ["batch_routes"]

JobId = Annotated[str, Path(pattern="^[0-9a-f]{20}$", description="As `POST /v1/batches` gave it.")]
_TEXT = {"type": "string"}
_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["addresses"],
                    "properties": {"addresses": {"type": "array", "items": {"type": ["string", "null"]}}},
                }
            },
            "application/x-ndjson": {"schema": _TEXT},
            "text/csv": {"schema": _TEXT},
        },
    }
}


def batch_routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/batches", tags=["batches"])
    settings, jobs = service.settings, service.jobs
    may_batch = Depends(service.access.key_for("batches"))
    retention = settings.service.retention.total_seconds()

    def shown(row: sqlite3.Row, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        body = Job.model_validate(told(row, retention)).model_dump(mode="json")
        return JSONResponse(body, status, headers)

    @router.post(
        "",
        status_code=202,
        response_model=Job,
        responses=refusals(401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra=_UPLOAD,
        summary="Begin a batch",
    )
    async def create(
        request: Request,
        key: Key = may_batch,
        depth: Annotated[Depth | None, Query()] = None,
        policy: Annotated[str | None, Query(max_length=64)] = None,
        column: Annotated[str | None, Query(max_length=200, description="Of addresses, in CSV.")] = None,
        webhook: Annotated[str | None, Query(max_length=2000, description="URL to be told at the end.")] = None,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> Response:
        """Upload addresses as JSON, NDJSON or CSV. The response names the batch."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            raise ProblemError(415, f"Send one of {', '.join(TYPES)}.")
        chosen = policy_named(settings, policy)
        url = None if webhook is None else check_webhook(webhook, settings)
        body = await request.body()
        digest = hashlib.sha256(json.dumps([kind, depth, policy, column, webhook]).encode() + b"\n" + body).digest()
        if idempotency_key is not None:
            before = jobs.repeated(key, idempotency_key, digest)
            if before is not None:
                return shown(before, 202, {"Idempotency-Replayed": "true"})
        cells = await run_in_threadpool(addresses_of, body, kind, column)
        if not 0 < len(cells) <= settings.service.largest_batch:
            raise ProblemError(422, f"A batch has 1 to {settings.service.largest_batch:,} addresses.")
        take_of_day(service.access.limits, key, len(cells))
        row = await run_in_threadpool(
            jobs.create, key, cells, depth=depth or Depth(settings.service.depth), policy=chosen, webhook=url
        )
        if idempotency_key is not None:
            jobs.note_request(key, idempotency_key, digest, row["id"])
        return shown(row, 202, {"Location": f"/v1/batches/{row['id']}"})

    @router.get("/{job_id}", response_model=Job, responses=refusals(401, 403, 404, 422, 429), summary="How far is it?")
    async def status(job_id: JobId, key: Key = may_batch) -> Response:
        """The state of a batch of this key."""
        return shown(jobs.of(key, job_id))

    @router.post(
        "/{job_id}/cancel",
        status_code=202,
        response_model=Job,
        responses=refusals(401, 403, 404, 409, 422, 429),
        summary="Cancel a batch",
    )
    async def cancel(job_id: JobId, key: Key = may_batch) -> Response:
        """Stop a batch; what it has found out stays."""
        return shown(jobs.cancel(key, job_id), 202)

    @router.get(
        "/{job_id}/results",
        response_class=Response,
        responses=refusals(401, 403, 404, 422, 429, 503),
        summary="A page of results",
    )
    async def results(
        job_id: JobId,
        key: Key = may_batch,
        first: Annotated[int, Query(ge=0, le=2**53)] = 0,
        count: Annotated[int, Query(ge=1, le=100_000)] = 1000,
        format: Annotated[Literal["ndjson", "csv", "parquet"], Query()] = "ndjson",
    ) -> Response:
        """Rows in the order of the upload; what is not known yet is null."""
        row = jobs.of(key, job_id)
        found = await run_in_threadpool(jobs.results, row, first, count)
        content, kind = await run_in_threadpool(_written, found, format)
        response = Response(content, media_type=kind)
        if first + count < row["rows"]:
            response.headers["Link"] = (
                f'</v1/batches/{job_id}/results?first={first + count}&count={count}&format={format}>; rel="next"'
            )
        return response

    return router


def _written(results: list[dict[str, Any]], format: str) -> tuple[bytes, str]:
    if format == "ndjson":
        lines = "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in results)
        return lines.encode("utf-8", "replace"), "application/x-ndjson"
    if format == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(RESULT_COLUMNS)
        writer.writerows(map(as_csv_cells, results))
        return text.getvalue().encode("utf-8", "replace"), "text/csv; charset=utf-8"
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"position": pa.int64(), "score": pa.int16()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in RESULT_COLUMNS])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(results, schema=schema), sink)
    return sink.getvalue().to_pybytes(), "application/vnd.apache.parquet"
