"""Two hundred odd names for tables and columns."""

from __future__ import annotations

__all__ = ["odd_names"]

_KEYWORDS = (
    "select", "from", "where", "table", "order", "group", "user", "primary", "index", "values", "left", "case", "when",
    "end", "null", "true", "default", "check", "column", "desc", "asc", "limit", "offset", "rows", "row", "all", "any",
    "and", "or", "not", "in", "is", "like", "join", "on", "using", "union", "distinct", "having", "into", "create",
    "drop", "alter", "grant", "key", "references", "interval", "timestamp", "date", "time", "current_user", "window",
    "over", "partition", "merge", "returning", "lateral", "excluded", "rowid", "ctid", "oid", "_rowid_", "tableoid",
)  # fmt: skip
_OURS = (
    "place", "answer", "blank", "verdict", "email_key", "mailbox_key", "folded", "repeats", "first", "second", "cell",
    "signed_up", "domain", "entry", "list", "labels", "mailbox", "missing", "status", "reason", "score", "suggestion",
    "recommendation", "attempts", "depth", "checked_at", "evidence", "flags", "operator", "smtp_code", "rechecked",
    "previous_reason", "v", "b", "c", "d", "h", "l", "m", "w", "s", "rows_kept", "mailvet_input", "mailvet_texts",
    "mailvet_cells", "mailvet_due", "mailvet_matched", "mailvet_numbers", "mailvet_answers", "mailvet_batch",
    "mailvet__key", "mailvet__cell", "mailvet__verdict", "mailvet__rows", "mailvet__value", "mailvet__cell_key",
    "mailvet__status", "mailvet__c0", "mailvet cell", "mailvet verdict", "mailvet verdict key",
    "mailvet verdict status", "mailvet\x1fplace", "column1", "email", "part0", "c0", "c1",
)  # fmt: skip
_ODD = (
    "a b", " leading", "a.b", "a.b.c.d", 'quo"te', "apo'strophe", "back`tick", "[bracket]", "semi;colon", "dash-dash--",
    "/*comment*/", "x); drop table bait; --", "per%cent", "%s", "%(x)s", "{brace}", "$1", "$$", "?", ":name", "@at",
    "#hash", "back\\slash", "new\nline", "tab\tulator", "Ünïcode", "名前", "имя", "\u202eevil", "\u200bzero", "😀",
    "E-Mail", "UPPER", "MiXeD", "1starts", "123", "-1", "+", "=1+1", "*", "a,b", "(x)", "<b>", "&amp;", "http://x/y",
    "../../x", "~", "null ", "\x7f", "a" * 60, "é", "e\u0301", "ß", "\u0130", "\u0131", "\u017f",
)  # fmt: skip


def odd_names() -> list[str]:
    """Names that differ in any case of letters, none longer than 63 bytes (PostgreSQL)."""
    found: dict[str, str] = {}
    for name in (*_KEYWORDS, *_OURS, *_ODD):
        found.setdefault(name.strip().casefold(), name)
    numbered = (f"odd {number}" for number in range(200))
    while len(found) < 200:
        name = next(numbered)
        found[name] = name
    return list(found.values())[:200]
