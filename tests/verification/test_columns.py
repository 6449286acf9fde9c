"""The evidence of a batch has the columns declared for it, whatever the batch brings and however far the layers got."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mailvet.dns.routes import MailHost, Route
from mailvet.probing.domain import MailboxResult
from mailvet.reference.columns import Reference
from mailvet.scoring.order import FLAGS
from mailvet.settings import Settings
from mailvet.verification import columns
from mailvet.verification.evidence import EVIDENCE
from mailvet.vocabulary import Reason

CELLS = ["ann@acme.com", "info@acme.com", "no address", "", "x@mailinator.com", "ann@gmial.com"]
MORE: dict[str, Any] = {
    "previous_reason": ["greylisted", None, None, None, None, None],
    "previous_attempts": pl.Series([2, None, 0, 0, 0, 0], dtype=pl.Int64),
    "series_size": pl.Series([0, 7, 0, 0, 0, 0], dtype=pl.Int64),
    "burst": [False, True, True, False, False, False],
    "duplicate_of": ["abc", None, "abc", None, None, None],
}


@pytest.mark.parametrize("more", [{}, MORE], ids=["cells alone", "all that a table knows"])
@pytest.mark.parametrize("store_addresses", [True, False])
def test_every_layer_gives_the_columns_declared(more: dict[str, Any], store_addresses: bool) -> None:
    settings = Settings.load(depth="smtp", store={"store_addresses": store_addresses})
    evidence = columns.offline_evidence(pl.DataFrame({"email": CELLS, **more}), Reference(), settings)
    routes = {
        "acme.com": Route("acme.com", None, (MailHost("mx.acme.com", 10, ("192.0.2.1",)),), "acme"),
        "gmial.com": Route("gmial.com", Reason.null_mx, detail="MX 0 ."),
    }
    routed = columns.with_routes(evidence, routes)
    result = MailboxResult(Reason.mailbox_accepted, 250, "ok", "mx.acme.com")
    probed = routed.with_columns(columns.mailbox_columns([result] * len(CELLS)))
    stopped = columns.not_probed(evidence, evidence["domain"].is_not_null(), "no resolver answers")
    for frame in (evidence, routed, probed, stopped, columns.with_routes(routed, routes)):
        assert dict(frame.schema) == EVIDENCE
        assert frame["cell"].to_list() == CELLS
    assert routed["operator"].to_list() == ["acme", "acme", None, None, None, None]
    assert {*FLAGS} <= {*EVIDENCE}


def test_a_flag_of_the_whole_table_is_only_for_addresses() -> None:
    batch = pl.DataFrame({"email": CELLS, **MORE})
    evidence = columns.offline_evidence(batch, Reference(), Settings.load(depth="offline"))
    assert evidence["burst"].to_list() == [False, True, False, False, False, False]
    assert evidence["duplicate_of"].to_list() == [True, False, False, False, False, False]
