"""What a reply of a mail server means."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailvet.smtp import reply_reading
from mailvet.smtp.masking import with_stand_in
from mailvet.smtp.reply_reading import Reading, Rule, Stage, classify_reply, mask, read_reply, rules, weigh
from mailvet.vocabulary import REASONS, Reason, Status

RECIPIENT = "ann@example.com"
OWN = ("probe@sender.test", "mx.sender.test", "192.0.2.25")
BEFORE_RCPT = {
    Reason.sender_blocked,
    Reason.sender_throttled,
    Reason.server_temporary_error,
    Reason.greylisted,
    Reason.relay_denied,
    Reason.protocol_error,
}


class Labelled(NamedTuple):
    stage: str
    code: int
    text: str
    recipient: str
    expected: str
    about: str
    source: str


def labelled() -> list[Labelled]:
    path = Path(__file__).parents[1] / "data" / "replies.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [Labelled(**{**row, "code": int(row["code"])}) for row in csv.DictReader(file)]  # type: ignore[arg-type]


REPLIES = labelled()


def read(text: str, code: int = 550, stage: str = "rcpt", recipient: str = RECIPIENT) -> Reading:
    return read_reply(stage, code, text, recipient=recipient, own=OWN)


def undeliverable(reason: Reason | None) -> bool:
    return reason is not None and REASONS[reason].status is Status.undeliverable


def told(reading: Reading) -> str:
    return "accepted" if reading.reason is None else reading.reason.value


_NAMES = ("ann", "ann.lee", "user", "unknown", "spam-trap", "x1", "no", "blocked", "a+b", "mailbox", "j_d", "Ann.Lee")


@pytest.mark.parametrize("own", [OWN, (), ("verify@example.com", "mx.example.com")], ids=["own", "none", "same domain"])
def test_a_reply_read_for_a_stand_in_is_read_as_for_the_recipient(
    own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = []
    for number, reply in enumerate(REPLIES):
        local, _, domain = (reply.recipient or RECIPIENT).rpartition("@")
        for name in (local, _NAMES[number % len(_NAMES)], _NAMES[(number * 7 + 3) % len(_NAMES)]):
            text = reply.text.replace(f"{local}@{domain}", f"{name}@{domain}")
            for end in ("", f" <{name}@{domain}>", f" (x{name}@{domain}, {name})", f" at mx.{domain}"):
                cases.append((Stage(reply.stage), reply.code, text + end, name, domain))
    recipients = [(text, f"{local}@{domain}") for *_, text, local, domain in cases]
    stood_in = sum(with_stand_in(text, recipient, own)[1] != recipient for text, recipient in recipients)
    assert stood_in > len(cases) / 4
    quick = [reply_reading.read_and_mask(*case, own) for case in cases]
    monkeypatch.setattr(reply_reading, "with_stand_in", lambda text, recipient, own: (text, recipient))
    assert quick == [reply_reading.read_and_mask(*case, own) for case in cases]


# --- the labelled replies --------------------------------------------------------------------------------------------


def test_there_are_enough_labelled_replies_of_every_kind() -> None:
    assert len(REPLIES) >= 400
    assert len({(reply.stage, reply.code, reply.text, reply.recipient) for reply in REPLIES}) == len(REPLIES)
    counts = {about: sum(reply.about == about for reply in REPLIES) for about in {reply.about for reply in REPLIES}}
    assert set(counts) == {"recipient", "sender", "temporary", "relay", "domain", "server"}
    assert min(counts.values()) >= 10


@pytest.mark.parametrize("own", [OWN, ()], ids=["own names known", "own names unknown"])
def test_no_refusal_of_us_is_read_as_undeliverable(own: tuple[str, ...]) -> None:
    wrong = [
        reply
        for reply in REPLIES
        if reply.about in ("sender", "temporary", "relay", "server")
        and undeliverable(read_reply(reply.stage, reply.code, reply.text, recipient=reply.recipient, own=own).reason)
    ]
    assert wrong == []


@pytest.mark.parametrize("own", [OWN, ()], ids=["own names known", "own names unknown"])
def test_unknown_mailboxes_are_found(own: tuple[str, ...]) -> None:
    unknown = [reply for reply in REPLIES if reply.expected == "mailbox_not_found"]
    found = [
        reply
        for reply in unknown
        if classify_reply(reply.stage, reply.code, reply.text, reply.recipient) is Reason.mailbox_not_found
    ]
    assert len(unknown) >= 200
    assert len(found) >= 0.95 * len(unknown)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: f"{reply.stage} {reply.code} {reply.text[:40]}")
def test_every_labelled_reply_is_read_as_labelled(reply: Labelled) -> None:
    assert told(read(reply.text, reply.code, reply.stage, reply.recipient)) == reply.expected


# --- the rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_every_example_is_decided_by_its_rule(rule: Rule) -> None:
    assert rule.examples
    recipient = "änn@example.com" if rule.eai or rule.reason is Reason.smtputf8_unsupported else RECIPIENT
    for example in rule.examples:
        code, _, text = example.partition(" ")
        reading = read(text, int(code), rule.stages[-1], recipient)
        assert (reading.rule, reading.reason) == (rule.id, rule.reason), example


def test_rules_have_an_id_a_source_and_a_date() -> None:
    assert len({rule.id for rule in rules()}) == len(rules())
    for rule in rules():
        assert re.fullmatch(r"[a-z0-9_.]+", rule.id), rule.id
        assert rule.source
        assert re.fullmatch(r"\d{4}-\d\d", rule.date)
        assert rule.limit in (None, "recipients", "connections", "errors", "rate")


def test_an_ambiguous_rule_never_names_the_mailbox() -> None:
    for rule in rules():
        assert not (rule.ambiguous and (rule.reason is None or undeliverable(rule.reason))), rule.id


# fmt: off
LANGUAGES = [
    "en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "tr", "zh", "ja", "ko", "sv", "no", "da", "fi", "cs", "sk",
    "hu", "ro", "el", "bg", "sr", "hr", "sl", "uk", "id", "vi", "th", "ar", "he",
]
# fmt: on


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_knows_unknown_users_full_mailboxes_and_refused_senders(language: str) -> None:
    of_language = [rule for rule in rules() if language in rule.language.split()]
    assert {Reason.mailbox_not_found, Reason.mailbox_disabled, Reason.mailbox_full, Reason.sender_blocked} <= {
        rule.reason for rule in of_language
    }


# --- invariants ------------------------------------------------------------------------------------------------------

FRAGMENTS = sorted({word for reply in REPLIES for word in re.split(r"(?<=[\s:;.])", reply.text) if word.strip()})
texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join),
    st.sampled_from([reply.text for reply in REPLIES]),
)
recipients = st.sampled_from([None, RECIPIENT, "user@example.com", "blocked@example.com", "änn@example.com"])


@settings(max_examples=300)
@given(stage=st.sampled_from(list(Stage)), code=st.integers(0, 999), text=texts, recipient=recipients)
def test_only_a_permanent_reply_to_rcpt_says_undeliverable(
    stage: Stage, code: int, text: str, recipient: str | None
) -> None:
    reading = read_reply(stage, code, text, recipient=recipient, own=OWN)
    if stage is not Stage.rcpt or not 500 <= code <= 599:
        assert not undeliverable(reading.reason)
        assert not reading.ambiguous
    if stage is not Stage.rcpt and reading.reason is not None:
        assert reading.reason in BEFORE_RCPT
    if reading.ambiguous:
        assert not undeliverable(reading.reason)
    assert (reading.reason is None) == (200 <= code <= 299 and not (stage is Stage.rcpt and code == 252))


@pytest.mark.parametrize("code", [421, 450, 451, 452, 454, 471])
def test_a_temporary_reply_never_says_undeliverable(code: int) -> None:
    for reply in REPLIES:
        assert not undeliverable(read(reply.text, code, "rcpt", reply.recipient).reason), reply.text


@pytest.mark.parametrize("stage", ["connect", "hello", "mail", "starttls", "banner"])
def test_before_rcpt_nothing_is_said_of_a_mailbox(stage: str) -> None:
    for reply in REPLIES:
        assert classify_reply(stage, 550, reply.text, reply.recipient) in BEFORE_RCPT, reply.text


def test_a_careless_rule_cannot_break_the_guarantee(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = [
        Rule(
            id="careless",
            stages=tuple(Stage),
            codes=re.compile("..."),
            enhanced=None,
            match=None,
            unless=None,
            reason=reason,
            ambiguous=False,
            limit=None,
            eai=False,
            alone=False,
            operator=None,
            language="en",
            source="",
            date="",
            examples=(),
        )
        for reason in (Reason.mailbox_not_found, Reason.mailbox_full)
    ]
    known = rules()
    monkeypatch.setattr(reply_reading, "rules", lambda: (*careless, *known))
    forget = (reply_reading._judge.cache_clear, reply_reading._candidates.cache_clear)
    for clear in forget:
        clear()
    try:
        assert read("5.1.1 User unknown", 550).rule == "careless"
        assert read("5.1.1 User unknown", 450).reason is Reason.mailbox_full
        for stage in ("connect", "hello", "mail"):
            assert read("5.1.1 User unknown", 550, stage).reason in BEFORE_RCPT
            assert read("5.1.1 User unknown", 450, stage).reason in BEFORE_RCPT
    finally:
        for clear in forget:
            clear()


OURS = [
    "Sender",
    "Sender's address",
    "Your domain",
    "Your e-mail address",
    "Client host [192.0.2.25]",
    "The connecting client",
    "HELO name",
    "Your IP address",
    "192.0.2.25",
    "MAIL FROM address",
    "Return path",
    "Envelope sender",
    "Your mail server",
    "Your user account",
    "Sender mailbox",
    "The address you send from",
    "Authentication user",
]
THEIRS = ["User", "Recipient address", "The mailbox", "<ann@example.com>", "User ann@example.com", "The e-mail address"]
MISSING = ["unknown", "is unknown", "not found", "does not exist", "is invalid", "is not valid", "no longer exists"]
DISABLED = ["is disabled", "has been suspended", "is inactive", "expired"]


@pytest.mark.parametrize("subject", OURS)
@pytest.mark.parametrize("prefix", ["", "5.1.0 ", "5.7.1 ", "Sorry, "])
def test_a_sentence_about_us_is_not_about_the_mailbox(subject: str, prefix: str) -> None:
    for predicate in MISSING + DISABLED:
        assert not undeliverable(read(f"{prefix}{subject} {predicate}").reason), predicate


@pytest.mark.parametrize("subject", THEIRS)
@pytest.mark.parametrize("prefix", ["", "5.1.0 ", "5.7.1 ", "Sorry, "])
def test_a_sentence_about_the_recipient_is_read_whatever_the_code(subject: str, prefix: str) -> None:
    for predicate in MISSING:
        assert read(f"{prefix}{subject} {predicate}").reason is Reason.mailbox_not_found, predicate
    for predicate in DISABLED:
        assert read(f"{prefix}{subject} {predicate}").reason is Reason.mailbox_disabled, predicate


# --- codes -----------------------------------------------------------------------------------------------------------


def test_an_enhanced_code_of_another_class_is_not_used() -> None:
    assert read("4.1.1 Refused").reason is Reason.sender_blocked
    assert read("5.1.1 Refused").reason is Reason.mailbox_not_found
    assert read("5.2.2 Refused", 450).reason is Reason.server_temporary_error


@pytest.mark.parametrize("text", ["Refused (error 5.1.1)", "Refused by mx-5.1.1.example.net", "[5.1.1.7] refused"])
def test_a_code_counts_only_at_the_front(text: str) -> None:
    assert not undeliverable(read(text).reason)


def test_the_code_of_qmail_stands_at_the_end() -> None:
    assert read("sorry, refused (#5.1.1)").reason is Reason.mailbox_not_found


@pytest.mark.parametrize("text", ["550 5.1.1 Refused", "550-5.1.1 Refused\n550 5.1.1 here", "-5.1.1 Refused"])
def test_a_repeated_basic_code_is_tolerated(text: str) -> None:
    assert read(text).reason is Reason.mailbox_not_found


def test_a_phrase_about_the_mailbox_does_not_run_over_two_lines() -> None:
    assert not undeliverable(read("5.0.0 The address you wrote to does\n5.0.0 not exist").reason)
    assert not undeliverable(read("5.0.0 Message refused for this user\nunknown client software").reason)


def test_a_refusal_of_us_may_run_over_two_lines() -> None:
    text = "5.7.1 Our system has detected that this message is\n5.7.1 likely suspicious"
    assert read(text).rule == "operator.google.blocked"
    assert not undeliverable(read("5.1.1 The sender's\n5.1.1 mailbox does not exist").reason)


@pytest.mark.parametrize("code", ["5.1.0", "5.2.0", "5.5.0", "5.0.0"])
def test_a_code_that_settles_nothing_leaves_it_open(code: str) -> None:
    reading = read(f"{code} Refused")
    assert (reading.reason, reading.ambiguous) == (Reason.sender_blocked, True)


@pytest.mark.parametrize("text", ["Requested action not taken", "No", "", "5.7.1 No", "\x00\x01", "。"])
def test_an_unknown_refusal_is_ambiguous_and_not_undeliverable(text: str) -> None:
    reading = read(text)
    assert (reading.reason, reading.ambiguous) == (Reason.sender_blocked, True)


def test_a_clear_refusal_of_us_is_not_ambiguous() -> None:
    assert not read("5.7.1 Client host [192.0.2.25] blocked using zen.spamhaus.org").ambiguous


def test_a_local_part_outside_ascii_explains_a_syntax_error() -> None:
    text = "5.1.3 Bad recipient address syntax"
    assert read(text, 501, recipient="änn@example.com").reason is Reason.smtputf8_unsupported
    assert read(text, 501).reason is Reason.syntax_invalid


def test_an_ascii_recipient_never_needs_smtputf8() -> None:
    assert read("5.6.7 SMTPUTF8 required").reason is Reason.protocol_error


def test_a_stage_may_be_a_word_and_no_other() -> None:
    assert classify_reply("RCPT TO", 550, "5.1.1 User unknown") is Reason.mailbox_not_found
    with pytest.raises(ValueError, match="is not a valid Stage"):
        classify_reply("delivery", 550, "5.1.1 User unknown")


# --- what else a reply tells -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 300 seconds", 300),
        ("4.7.1 try again in 5 minutes", 300),
        ("Please retry after 1 hour", 3600),
        ("come back in 00:04:59", 299),
        ("retry in 4 min 30 s", 270),
        ("Greylisted for 5 minutes", 300),
        ("Bitte versuchen Sie es in 10 Minuten erneut", 600),
        ("Réessayez dans 2 minutes", 120),
        ("Повторите через 5 минут", 300),
        ("请5分钟后重试", 300),
        ("300秒後に再試行してください", 300),
        ("5 dakika sonra tekrar deneyin", 300),
        ("try again later", None),
        ("try again in 900 days", None),
        ("552 messages are too many", None),
    ],
)
def test_the_wait_a_server_asks_for_is_in_seconds(text: str, seconds: float | None) -> None:
    assert read(text, 451).retry_after == seconds


@pytest.mark.parametrize(
    ("code", "text", "limit"),
    [
        (452, "4.5.3 Error: too many recipients", "recipients"),
        (452, "4.5.3 Too many recipients (AS780090)", "recipients"),
        (421, "Too many concurrent SMTP connections", "connections"),
        (421, "4.7.0 Error: too many errors", "errors"),
        (550, "Too many invalid recipients", "errors"),
        (451, "4.7.1 Sender rate limit exceeded", "rate"),
        (550, "5.1.1 User unknown", None),
    ],
)
def test_a_limit_is_named(code: int, text: str, limit: str | None) -> None:
    assert read(text, code).limit == limit


# --- masking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("<ann@example.com>: user ann unknown", "<recipient>: user <recipient> unknown"),
        ("other@example.net from probe@sender.test", "<address> from <sender>"),
        ('"a b"@example.com unknown', "<address> unknown"),
        ("RCPT TO:<Ann@Example.COM>", "RCPT TO:<recipient>"),
        ("\uff21nn\uff20example.com unknown", "<address> unknown"),
        ("on mx1.example.com[192.0.2.1]:25", "on <host>[<ip>]:25"),
        ("from [IPv6:2001:db8::1] or 2001:db8::2", "from [<ip>] or <ip>"),
        ("see https://example.net/a?b=c@d for help", "see <url> for help"),
        ("listed at 4.3.2.1.zen.spamhaus.org", "listed at <blocklist>"),
        ("id d9443c01a7336-1fd9f1e3si1234567plb.123 - gsmtp", "id <id> - gsmtp"),
        ("2026-05-01T12:34:56.789Z 08DC69A1B2C3D4E5", "<time> <id>"),
        ("5.7.606 banned (S3140) IB607 AS780090", "5.7.606 banned (S3140) IB607 AS780090"),
        ("user unknown.Please check", "user unknown.Please check"),
        ("RESOLVER.ADR.RecipNotFound; not found", "RESOLVER.ADR.RecipNotFound; not found"),
        ("wait 500 seconds", "wait 500 seconds"),
        ("one\r\ntwo\x1b[0m", "one \ntwo [0m"),
    ],
)
def test_what_changes_from_reply_to_reply_is_masked(text: str, masked: str) -> None:
    assert mask(text, recipient=RECIPIENT, own=OWN) == masked


def test_a_local_part_that_is_a_word_is_masked_only_where_set_off() -> None:
    assert mask("user unknown: 'user'", recipient="user@example.com") == "user unknown: '<recipient>'"


@settings(max_examples=200)
@given(text=texts, local=st.from_regex(r"[a-z][a-z0-9.+_-]{0,20}[a-z0-9]", fullmatch=True))
def test_masked_text_holds_no_address_and_stays_as_it_is(text: str, local: str) -> None:
    masked = mask(f"{text} <{local}@example.com> {local}@example.com", recipient=f"{local}@example.com", own=OWN)
    assert not re.search(r"[^\s<>]@[^\s<>]", masked)
    assert mask(masked, recipient=f"{local}@example.com", own=OWN) == masked


@pytest.mark.parametrize(
    "text", ["ab:" * 1300, "ab:." * 1000, "user " * 800, "@" * 4000, '"' * 4000, "a." * 2000, "x" * 100_000]
)
def test_a_hostile_text_is_read_like_any_other(text: str) -> None:
    assert read(text).reason is Reason.sender_blocked
    assert len(mask(text)) <= 4100


# --- the control address ---------------------------------------------------------------------------------------------

DENIED = "5.4.1 Recipient address rejected: Access denied. [host.example.net 2026-05-01T12:34:56Z 08DC69A1B2C3D4E5]"
DENIED_TOO = "5.4.1 Recipient address rejected: Access denied. [host.example.org 2026-05-01T12:35:01Z 08DC69FFFFFFFFF1]"


def weighed(text: str, control: str | None, *, another_accepted: bool = False, code: int = 550) -> Reading:
    other = "x7k2q9v4m1zp@example.com"
    control_code = 250 if control == "OK" else code
    return weigh(
        read(text, code),
        mask(text, recipient=RECIPIENT, own=OWN),
        None if control is None else read(control, control_code, "rcpt", other),
        None if control is None else mask(control, recipient=other, own=OWN),
        another_accepted=another_accepted,
    )


def test_the_same_unclear_refusal_means_unknown_once_another_recipient_was_accepted() -> None:
    reading = weighed(DENIED, DENIED_TOO, another_accepted=True)
    assert (reading.reason, reading.ambiguous) == (Reason.mailbox_not_found, False)


@pytest.mark.parametrize(
    ("control", "another_accepted"),
    [(DENIED_TOO, False), (None, True), ("5.1.1 User unknown", True), ("OK", True), ("5.4.1 Something else", True)],
)
def test_an_unclear_refusal_stays_open_without_both_proofs(control: str | None, another_accepted: bool) -> None:
    reading = weighed(DENIED, control, another_accepted=another_accepted)
    assert (reading.reason, reading.ambiguous) == (Reason.sender_blocked, True)


@pytest.mark.parametrize(
    "text",
    [
        "5.7.1 Client host [192.0.2.25] blocked using zen.spamhaus.org",
        "5.7.1 <ann@example.com>: Recipient address rejected: blocked by policy",
        "5.7.1 <ann@example.com>: Relay access denied",
    ],
)
def test_a_clear_policy_text_is_never_about_the_mailbox(text: str) -> None:
    reading = weighed(text, text.replace("ann@", "x7k2q9v4m1zp@"), another_accepted=True)
    assert not undeliverable(reading.reason)
    assert reading == read(text)


def test_a_random_address_cannot_be_disabled() -> None:
    text = "5.2.1 This account has been disabled"
    assert weighed(text, None).reason is Reason.mailbox_disabled
    assert weighed(text, "5.1.1 User unknown").reason is Reason.mailbox_disabled
    assert weighed(text, text).reason is Reason.sender_blocked
    assert weighed(text, text, another_accepted=True).reason is Reason.mailbox_not_found


def test_a_random_address_cannot_be_full() -> None:
    text = "4.2.2 Mailbox full"
    assert weighed(text, text, another_accepted=True, code=452).reason is Reason.server_temporary_error


def test_a_random_address_keeps_no_allow_list() -> None:
    text = "5.7.1 This mailbox only accepts mail from known senders"
    assert weighed(text, None).reason is Reason.sender_not_known
    assert weighed(text, "5.1.1 User unknown", another_accepted=True).reason is Reason.sender_not_known
    assert weighed(text, text).reason is Reason.sender_blocked
    assert weighed(text, text, another_accepted=True).reason is Reason.sender_blocked


def test_unknown_like_the_control_is_the_strong_negative() -> None:
    assert weighed("5.1.1 User unknown", "5.1.1 User unknown").reason is Reason.mailbox_not_found


@pytest.mark.parametrize("control", ["OK", "5.1.1 User unknown", None])
def test_an_accepted_recipient_stays_accepted(control: str | None) -> None:
    reply = read("2.1.5 OK", 250)
    other = None if control is None else read(control, 250 if control == "OK" else 550)
    assert weigh(reply, "2.1.5 OK", other, control, another_accepted=True) == reply


@settings(max_examples=200)
@given(
    text=texts,
    control=texts,
    code=st.sampled_from([250, 421, 450, 452, 550, 552, 554]),
    control_code=st.sampled_from([250, 450, 550, 554]),
    another_accepted=st.booleans(),
)
def test_weighing_needs_a_permanent_reply_to_say_undeliverable(
    text: str, control: str, code: int, control_code: int, another_accepted: bool
) -> None:
    reading = weigh(
        read(text, code), mask(text), read(control, control_code), mask(control), another_accepted=another_accepted
    )
    if code < 500:
        assert not undeliverable(reading.reason)


# --- replies that no rule was written from ---------------------------------------------------------------------------


def held_out() -> list[dict[str, str]]:
    path = Path(__file__).parents[1] / "data" / "replies_heldout.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def test_of_replies_never_seen_none_about_us_is_undeliverable_and_unknown_mailboxes_are_found() -> None:
    rows = held_out()
    asked = [(row, classify_reply("rcpt", int(row["code"]), row["text"], row["recipient"])) for row in rows]
    others = {"us", "temporary", "relay", "full", "throttled"}
    assert [row["text"] for row, reason in asked if row["about"] in others and undeliverable(reason)] == []
    unknown = [reason for row, reason in asked if row["about"] == "unknown"]
    assert len(rows) >= 230
    assert len(unknown) >= 45
    assert unknown.count(Reason.mailbox_not_found) >= 0.95 * len(unknown)


def test_a_stored_reply_is_read_as_the_words_of_the_server_were() -> None:
    replies_ = [(r.stage, r.code, r.text, r.recipient) for r in REPLIES]
    replies_ += [("rcpt", int(row["code"]), row["text"], row["recipient"]) for row in held_out()]
    changed = []
    for stage, code, text, recipient in replies_:
        stored = mask(text, recipient=recipient, own=OWN)
        then = read_reply(stage, code, text, recipient=recipient, own=OWN)
        domain = recipient.rpartition("@")[2]
        again = read_reply(stage, code, stored, recipient=f"@{domain}" if recipient.isascii() else f"ä@{domain}")
        if (then.reason, then.ambiguous) != (again.reason, again.ambiguous):
            changed.append((text, stored, then, again))
    assert changed == []


def test_long_replies_are_read_and_not_kept_so_that_the_memory_has_a_bound_in_bytes() -> None:
    def kept() -> int:
        return (
            len(reply_reading._familiar)
            + reply_reading._judge.cache_info().currsize
            + reply_reading._reduce_cached.cache_info().currsize
        )

    own = ("probe.example.com",)
    reply_reading.read_and_mask(Stage.rcpt, 550, "5.1.1 user unknown", "ann", "acme.test", own)
    before = kept()
    for number in range(20):
        text = f"5.1.1 user unknown {number} " + "\u20ac uro " * 300
        reading, _ = reply_reading.read_and_mask(Stage.rcpt, 550, text, "ann", "acme.test", own)
        assert reading.reason is Reason.mailbox_not_found
    assert kept() <= before + 2
