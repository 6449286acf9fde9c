"""The time that a reply asks to wait before the next try, in the languages that servers write."""

from __future__ import annotations

import re

__all__ = ["retry_after"]

_WAIT = re.compile(
    r"(?:again|retry|retries|wait|back|resend|later|in|after|for|least|within|expires?|erneut|wieder|spater|nach|"
    r"dans|apres|reessayer|en|dentro de|despues de|depois de|em|tra|fra|dopo|over|na|za|po|cherez|через|после|sonra)"
    r"[:\s~(]+(?:about |at least |approximately |another )?"
    r"((?:(?:and |und |et |y |e |en |i |и )?\d{1,6}(?:[.,]\d+)?\s*[^\W\d]+[\s,]*){1,3})"
)
_WAIT_BEFORE = re.compile(
    r"(\d{1,6})\s*(秒|分钟|分鐘|分|小时|小時|時間|초|분|시간|saniye|dakika|saat)\s*"
    r"(?:后|後|之后|之後|以上|후|뒤|でも|して|経|sonra)"
)
_CLOCK = re.compile(r"(?:again|retry|wait|back|later|in|after|for)[:\s(]+(\d{1,3}):(\d\d)(?::(\d\d))?\b")
_COMING_BACK = re.compile(
    r"again|retry|retries|later|wait|come back|gr[ea]y|defer|delay|temporar|erneut|wieder|spater|versuch|sprob|reessay|"
    r"intente|reintent|mas tarde|tente|tarde|riprov|piu tardi|opnieuw|later|ponow|pozniej|повтор|позже|попроб|tekrar|"
    r"稍后|稍後|重试|重試|再|다시|나중"
)
_AMOUNT = re.compile(r"(\d{1,6}(?:[.,]\d+)?)\s*([^\W\d]+)")
_UNITS = (
    (re.compile(r"(?:s|secs?|seconds?|sek\w*|secondes?|segundos?|second[oi]|seconden?|сек\w*|saniye|秒|초)"), 1.0),
    (re.compile(r"(?:m|mins?|minutes?|minut\w*|мин\w*|dakika|分|分钟|分鐘|분)"), 60.0),
    (
        re.compile(
            r"(?:h|hrs?|hours?|stunden?|heures?|horas?|or[ae]|uur|uren|godzin\w*|час\w*|saat|小时|小時|時間|시간)"
        ),
        3600.0,
    ),
    (re.compile(r"(?:d|days?|tage?n?|jours?|dias?|giorn[oi]|dagen|dni|дн\w*|gun)"), 86400.0),
)
_LONGEST_WAIT = 7 * 86400.0


def retry_after(folded: str) -> float | None:
    """Seconds that a masked and folded reply asks to wait; None where it names none, or more than a week."""
    if not _COMING_BACK.search(folded):
        return None
    for found in _WAIT.finditer(folded):
        seconds = [_seconds(amount, unit) for amount, unit in _AMOUNT.findall(found[1])]
        known = [value for value in seconds if value is not None]
        if known and sum(known) <= _LONGEST_WAIT:
            return sum(known)
    if clock := _CLOCK.search(folded):
        first, second, third = int(clock[1]), int(clock[2]), clock[3]
        total = first * 60 + second if third is None else first * 3600 + second * 60 + int(third)
        return float(total) if total <= _LONGEST_WAIT else None
    if before := _WAIT_BEFORE.search(folded):
        return _seconds(before[1], before[2])
    return None


def _seconds(amount: str, unit: str) -> float | None:
    for pattern, size in _UNITS:
        if pattern.fullmatch(unit):
            return float(amount.replace(",", ".")) * size
    return None
