"""The jobs of one verification: what is due, the routes of its domains, and the mailboxes, each operator in one task.

Mail operators count our connections, whichever executor they come from. So all recipients of an operator go to the
same task, whose pace then holds for the whole job, and no coordinator is needed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from mailvet import errors
from mailvet.errors import PreflightError, SettingsError, SourceError
from mailvet.history.facts import HISTORY_COLUMNS, RECIPIENT_COLUMNS, Question, decided
from mailvet.policies import base_of
from mailvet.reference.own_lists import OwnLists
from mailvet.runs.forecast import seconds_at
from mailvet.runs.recheck import Recheck, RecheckText, parse_recheck
from mailvet.runs.record import new_run_id
from mailvet.settings import EVENT_COLUMNS, Settings
from mailvet.spark.cells import SAY, cells_of
from mailvet.spark.servers import ServerFolder, canaries
from mailvet.spark.staging import Folder
from mailvet.spark.tables import Format, empty_verdicts, files_of, find_verdicts, merged, verdict_ddl
from mailvet.spark.worker import DUE, KEPT, REPORT, ROUTE, Job, utc_now, with_mailbox_key
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import Depth, rules_version
from mailvet.warehouse.due_rule import DueRule, judged_by_other_rules, suppressed_by_own_list
from mailvet.warehouse.mailboxes import EVENT_KEYS, recipients_sql
from mailvet.warehouse.verdict_columns import recommended

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["slots", "verify"]

log = logging.getLogger("mailvet")
T = TypeVar("T")

_LARGE = 20_000  # operators that are placed by their size; the others are too small to matter and placed by chance
_CROWDED = 100_000  # addresses of a domain that are judged in more time than all tasks need to look it up
_SAMPLED = 100
_HISTORY_KINDS = dict(zip(HISTORY_COLUMNS, ("string", "timestamp", "string"), strict=True))


def verify(  # the public call: all but two by keyword
    df: DataFrame,
    column: str,
    *,
    depth: Depth | str | None = None,
    settings: Settings | None = None,
    verdicts: str | Path | DataFrame | None = None,
    format: Format = "parquet",
    events: DataFrame | None = None,
    staging: str | Path | None = None,
    tasks: int | None = None,
    wait: timedelta = timedelta(0),
    save_every: timedelta = timedelta(seconds=30),
    recheck: RecheckText = None,
) -> DataFrame:
    """Verify a column of addresses; each distinct text once.

    At depth offline without `staging` this is a plan like any other of Spark's. With `staging`, which depths dns and
    smtp need, the jobs run now: the workers write the verdicts there, and these do not depend on how often the result
    is used.

    Args:
        df: rows with the addresses.
        column: of text; cells that are null or blank have no verdict.
        depth: offline, dns or smtp; default: as the settings say.
        settings: default: from the environment of the driver. Executors read no settings.
        verdicts: the verdict table so far: a DataFrame, a path (it has a slash), or a table's name. What still holds
            is not asked again.
        format: of the path.
        events: your own mail's events: `event` (see `mailvet/history/events.toml`), `occurred_at`, and whose they are:
            `email`, `mailbox_key` or `email_key`. They hold for the mailbox, whatever its spelling.
        staging: a folder that the driver and every executor can write to. Verdicts gather there; a job that was
            stopped goes on from there when it is called again. Delete it when the verdicts are saved.
        tasks: for dns and smtp, how many tasks ask at the same time. Default: the cores that Spark knows of. More tasks
            than can run at once would only wait.
        wait: how long a task stays for greylisting servers, counted from its start.
        save_every: how long a verdict may wait in a task before it is kept in `staging`.
        recheck: ask again also what is fresh in `verdicts`, as `all`, `reason=mailbox_not_found`, `older-than=30d` (see
            `mailvet.runs.recheck`). What `staging` holds already is not asked again.

    Returns:
        One row for each distinct text of the column that is not blank, with the columns of `verdict_schema()`.

    Raises:
        MailvetError: before any job has started, when something does not fit.
        PreflightError: executors cannot reach DNS.
    """
    from pyspark.sql import functions as F

    again = parse_recheck(recheck)
    if again is not None and verdicts is None:
        raise SettingsError("recheck asks again what stands in a verdict table: give it with verdicts=.")
    settings = settings if settings is not None else Settings.load()
    if depth is not None:
        settings = _at_depth(settings, depth)
    cell = cells_of(df, column)
    own = OwnLists.load(**settings.lists.model_dump())
    _check_events(events, settings)
    spark = df.sparkSession
    stored = find_verdicts(spark, verdicts, format=format) if verdicts is not None else None
    folder = _checked_staging(spark, settings, staging, tasks)
    job = Job(
        settings.model_copy(update={"lists": type(settings.lists)()}),
        own,
        new_run_id(),
        wait=wait,
        save_every=save_every.total_seconds(),
    )
    text = df.select(cell.alias("email")).where(f"not {SAY.missing('email')}")
    # Each text to its task first: where nearly all are distinct, to look for repeated ones before that is in vain. And
    # a text that fills half of the table costs its task little more than reading it.
    cells = text.repartition("email").distinct().select("email", F.expr(SAY.key("email")).alias("email_key"))

    if folder is None:
        fresh = _new(job, cells, stored, events, again).mapInArrow(job.judge, verdict_ddl())
        return _current(cells, stored, fresh, settings)
    answers = folder / "answers"
    answers.make()
    job = replace(job, answers=answers.uri)
    known, before = stored, _answered(spark, answers)
    if before is not None:
        known = merged(stored, before) if stored is not None else before
    if again is not None and stored is not None and before is not None and known is not None:
        # What was asked since the table was saved is not asked a second time when a stopped job is called again.
        known = merged(stored, before).join(_not_saved(stored, before), "email_key", "left")
    tasks = tasks or _cores(spark)
    if settings.depth is Depth.smtp:
        if settings.pacing.daily_limits and known is not None:
            job.asked_today.update(_asked_today(known))
        servers = ServerFolder.beside(verdicts, folder)
        _ask(job, _due(job, cells, known, events, again), cells, known, servers, folder / job.run_id, tasks)
        return _current(cells, stored, _answered(spark, answers), settings)
    due = _new(job, cells, known, events, again)
    files = _kept(job, _by_domain(due, text, tasks) if settings.depth is Depth.dns else due, answers)
    if known is None:
        return files_of(spark, answers, files)
    return _current(cells, stored, _answered(spark, answers), settings)


# -------------------------------------------------------------------- before anything is done


def _at_depth(settings: Settings, depth: Depth | str) -> Settings:
    try:
        return settings.model_copy(update={"depth": Depth(depth)})
    except ValueError:
        raise SettingsError(f"{depth!r} is no depth; choose offline, dns or smtp.") from None


def _check_events(events: DataFrame | None, settings: Settings) -> None:
    if events is None and settings.history.events is not None:
        raise SettingsError(
            "history.events names a table or file for the warehouses of one machine. Give the events as a DataFrame: "
            "verify(..., events=spark.table('...')), and leave history.events out."
        )
    if events is None:
        return
    lacking = [name for name in ("event", "occurred_at") if name not in events.columns]
    if not set(EVENT_KEYS) & set(events.columns):
        lacking.insert(0, "email")
    if lacking:
        raise SourceError(
            f"The events lack the columns {', '.join(lacking)}; they need email (or mailbox_key, or email_key), event, "
            "occurred_at."
        )


def _checked_staging(
    spark: SparkSession, settings: Settings, staging: str | Path | None, tasks: int | None
) -> Folder | None:
    if tasks is not None and tasks < 1:
        raise SettingsError(f"tasks={tasks}: at least one task is needed.")
    if staging is None:
        if settings.depth is Depth.offline:
            return None
        raise SettingsError(
            f"At depth {settings.depth} others are asked, and their answers are kept in a folder that the driver and "
            "all executors can write to. Give it: verify(..., staging='/shared/mailvet')."
        )
    if settings.depth is Depth.smtp:
        if spark.conf.get("spark.speculation", "false") == "true":
            raise SettingsError(
                "Speculative execution runs a slow task twice, and every mailbox in it would be asked twice at once. "
                "Set spark.speculation to false for this application."
            )
        if settings.smtp.hello_name is None:
            raise PreflightError(
                "Executors have names of their own, so the name to introduce ourselves with has to be given: set "
                "smtp.hello_name (MAILVET_SMTP__HELLO_NAME) to the public host name that the executors' address "
                "resolves to, or verify with depth 'dns'."
            )
    folder = Folder.of(staging)
    if settings.depth is not Depth.offline:
        _preflight(settings)
    folder.make()
    return folder


def _preflight(settings: Settings) -> None:
    """What one machine would find out at the start of a run: no DNS, a lying resolver, no usable name."""
    from mailvet.verification.background import run_in_background
    from mailvet.verification.verifier import Verifier

    async def look() -> tuple[bool, str | None]:
        async with Verifier(settings) as verifier:
            await verifier.check_resolver()
            return verifier.cut_off, verifier.degraded

    cut_off, degraded = run_in_background(look())
    if cut_off:
        raise PreflightError(degraded or "No DNS answers.")
    if degraded:
        log.warning("%s", degraded)


def _cores(spark: SparkSession) -> int:
    try:
        return max(1, spark.sparkContext.defaultParallelism)
    except Exception:  # Spark Connect has no context to ask
        return max(1, int(spark.conf.get("spark.sql.shuffle.partitions", "8") or 8))


# -------------------------------------------------------------------- the jobs


def _new(
    job: Job, cells: DataFrame, known: DataFrame | None, events: DataFrame | None, recheck: Recheck | None
) -> DataFrame:
    """Of the cells, those to be verified without asking a mailbox."""
    return cells if known is None and events is None else _due(job, cells, known, events, recheck)


def _kept(job: Job, due: DataFrame, answers: Folder) -> list[str]:
    """Verify without asking a mailbox, and have the workers write the verdicts.

    Returns:
        The names of the files in `answers`, each key once in all of them. What other attempts of the tasks wrote is
        deleted.
    """
    names = [row["name"] for row in _started(lambda: due.mapInArrow(job.keep, KEPT).collect())]
    answers.delete_files(f"{job.run_id}-", but=names)
    return names


def _by_domain(due: DataFrame, text: DataFrame, tasks: int) -> DataFrame:
    """What is due in as many partitions as tasks, a domain in exactly one, so that its route is looked up once.

    A domain with so many addresses that one task would keep the others waiting is looked up by each. To find those,
    one row in a hundred is counted.
    """
    from pyspark.sql import functions as F

    domain = F.expr(SAY.fold(SAY.after_at("email")))
    counted = text.sample(fraction=1 / _SAMPLED, seed=7).groupBy(domain.alias("domain")).count()
    large = _started(lambda: counted.where(F.col("count") >= _CROWDED // _SAMPLED).collect())
    together = F.when(domain.isin([row["domain"] for row in large]), F.col("email")).otherwise(domain)
    # Rows of a domain stand together, for what is known of it expires; those of a zone do not, for its servers' sake.
    return due.repartition(tasks, together).sortWithinPartitions(F.xxhash64(domain))


def _ask(
    job: Job,
    planned: DataFrame,
    cells: DataFrame,
    known: DataFrame | None,
    servers: ServerFolder,
    work: Folder,
    tasks: int,
) -> None:
    """Ask the mailboxes of what is due.

    Each stage is written to `work` before the next begins, so that no recipient is asked twice when Spark works
    something out anew.
    """
    spark = planned.sparkSession
    try:
        _started(lambda: planned.write.parquet((work / "due").uri))
        due = spark.read.schema(DUE).parquet((work / "due").uri)
        domains = due.select("domain").where("domain is not null").distinct().repartition(tasks)
        _started(lambda: domains.mapInArrow(job.look_up, ROUTE).write.parquet((work / "routes").uri))
        routes = spark.read.schema(ROUTE).parquet((work / "routes").uri)
        job = replace(job, servers=servers.read())
        if known is not None:
            job = replace(job, canaries=_started(lambda: canaries(known, cells, routes, utc_now())))
        placed = slots(due.join(routes, "domain", "left"), tasks, job.settings)
        reports = _started(lambda: placed.mapInArrow(job.ask, REPORT).collect())
    finally:
        work.delete()
    servers.add([pa.ipc.open_stream(each.servers).read_all() for each in reports if each.servers is not None])
    for sentence in sorted({report.degraded for report in reports if report.degraded}):
        log.warning("%s", sentence)
    log.info("run %s asked %d recipients in %d tasks", job.run_id, sum(each.probes for each in reports), len(reports))


def slots(routed: DataFrame, tasks: int, settings: Settings) -> DataFrame:
    """The rows in as many partitions as tasks, each operator in exactly one, in the order in which they will be asked.

    Large operators are placed by their number of recipients, the largest first, each where there is least so far.
    Within a partition rows stand in the order of the time at which the pace of their operator will come to them, so
    that a large operator's rows do not keep the others' waiting.
    """
    from pyspark.sql import functions as F

    spark = routed.sparkSession
    counted = routed.where("operator is not null").groupBy("operator").count()
    large = _started(lambda: counted.orderBy(F.desc("count"), "operator").limit(_LARGE).collect())
    load = [0] * tasks
    table: list[tuple[str, int, float]] = []
    for name, count in ((row["operator"], row["count"]) for row in large):
        least = load.index(min(load))
        load[least] += count
        table.append((name, least, seconds_at(name, count, settings)))
    places = F.broadcast(spark.createDataFrame(table, "operator string, large_slot int, seconds double"))
    by_chance = F.pmod(F.xxhash64(F.coalesce("operator", "email_key")), F.lit(tasks)).cast("int")
    # A number between 0 and 1 that is the same whenever the plan is worked out.
    chance = F.xxhash64("email_key") / F.lit(2.0**64) + 0.5
    ids = _partition_ids(spark, tasks)
    slot = F.coalesce("large_slot", by_chance)
    return (
        routed.join(places, "operator", "left")
        .withColumn("partition", F.element_at(F.array(*map(F.lit, ids)), slot + 1).cast("long"))
        .withColumn("position", F.coalesce(F.col("seconds"), F.lit(0.0)) * chance)
        # With a number of partitions, adaptive execution neither merges nor splits them.
        .repartition(tasks, "partition")
        .sortWithinPartitions("position", "email_key")
        .drop("partition", "position", "large_slot", "seconds")
    )


def _partition_ids(spark: SparkSession, tasks: int) -> list[int]:
    """For each partition a number (bigint) that Spark's hash partitioning sends there."""
    from pyspark.sql import functions as F

    found: dict[int, int] = {}
    start = 0
    while len(found) < tasks:
        tried = spark.range(start, start + 16 * tasks).select(
            F.col("id"), F.pmod(F.hash("id"), F.lit(tasks)).alias("at")
        )
        for row in tried.collect():
            found.setdefault(row["at"], row["id"])
        start += 16 * tasks
    return [found[partition] for partition in range(tasks)]


def _not_saved(stored: DataFrame, before: DataFrame) -> DataFrame:
    """Keys of verdicts that are newer than the verdict table: `email_key`, and `asked` (true)."""
    from pyspark.sql import functions as F

    answers = before.select("email_key", F.col("checked_at").alias("answered_at"))
    both = answers.join(stored.select("email_key", "checked_at"), "email_key", "left")
    return both.where("checked_at is null or answered_at > checked_at").select("email_key", F.lit(True).alias("asked"))


def _due(
    job: Job,
    cells: DataFrame,
    known: DataFrame | None,
    events: DataFrame | None,
    recheck: Recheck | None,
) -> DataFrame:
    """The cells to be verified, as `DUE`.

    Never checked, due again, less deep than asked for, contradicted, or asked for by `recheck`.

    Args:
        job: of the run.
        cells: email and email_key of all texts.
        events: the user's own events.
        recheck: what is asked again although it is fresh.
        known: verdicts; a column `asked` (true) marks those that `recheck` leaves alone.
    """
    from pyspark.sql import functions as F

    spark = cells.sparkSession
    if events is not None:
        cells = cells.mapInArrow(with_mailbox_key, "email string, email_key string, mailbox_key string")
    rows = cells.alias("c").join(
        (known if known is not None else empty_verdicts(spark)).drop("email", "mailbox_key").alias("v"),
        "email_key",
        "left",
    )
    if events is not None:
        history = _history(job, events, cells).alias("h")
        rows = rows.join(history, F.col("h.mailbox_key") == F.col("c.mailbox_key"), "left")
    rules = rules_version(job.own.digest)
    rule = DueRule(
        depth_rank=Depth(job.settings.depth).rank,
        now=utc_now(),
        rules_version=rules,
        events=events is not None,
        recheck=recheck,
    )
    condition = rule.without_lists(_moment)
    if (again := rule.asked_again(_moment)) is not None:
        left_alone = "v.asked is null and " if known is not None and "asked" in known.columns else ""
        condition += f" or ({left_alone}{again})"
    is_due = f"coalesce({condition}, false)"
    other_lists = f"v.rules_version <> '{rules}'"
    return (
        rows.where(f"{is_due} or {other_lists}")
        .selectExpr(
            "c.email",
            "email_key",
            "v.reason as previous_reason",
            "coalesce(v.attempts, 0) as previous_attempts",
            *(
                name if events is not None else f"cast(null as {kind}) as {name}"
                for name, kind in _HISTORY_KINDS.items()
            ),
            f"case when not {is_due} then v.reason end as only_if_news",
            "coalesce(contains(v.flags, 'allowed'), false) as was_allowed",
            "coalesce(contains(v.flags, 'disposable'), false) as was_disposable",
            "coalesce(contains(v.flags, 'own_trap'), false) as was_trap",
            f"coalesce({suppressed_by_own_list(SAY)}, false) as was_suppressed",
            f"coalesce({judged_by_other_rules(SAY, rules.partition('+')[0])}, false) as judged_otherwise",
        )
        .mapInArrow(job.find_due, DUE)
    )


def _moment(at: datetime) -> str:
    """A point in time (aware, UTC) as Spark writes it."""
    return f"timestamp'{at.isoformat()}'"


def _history(job: Job, events: DataFrame, cells: DataFrame) -> DataFrame:
    """What the events say of each mailbox.

    Args:
        job: the run.
        events: the user's own events.
        cells: email, email_key and mailbox_key of the texts to be verified.
    """
    from pyspark.sql import functions as F

    # Under names for the moment, since the rest is the SQL of every other database.
    ask = Question(job.settings.history, base_of(job.settings.chosen_policy), utc_now())
    token = job.run_id.replace("-", "_")
    names = [name for name in EVENT_COLUMNS if name in events.columns]
    events.select(*names).createOrReplaceTempView(f"mailvet_events_{token}")
    recipients = events.sparkSession.sql(recipients_sql(SAY, f"mailvet_events_{token}", names, ask))
    recipients = recipients.drop("folded").withColumnRenamed("recipient", "email")
    columns = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in recipients.schema)
    keyed = recipients.mapInArrow(with_mailbox_key, f"{columns}, mailbox_key string").alias("e")
    texts = cells.select(F.col("email_key").alias("given_key"), F.col("mailbox_key").alias("mailbox_of_text")).alias(
        "t"
    )
    # The key of an address that is written as its mailbox is, is that of the mailbox.
    found = F.coalesce("e.given_mailbox", "e.mailbox_key", "t.mailbox_of_text", "e.given_key")
    joined = keyed.join(texts, F.col("e.given_key") == F.col("t.given_key"), "left").select(
        found.alias("mailbox_key"), F.col("e.email").alias("recipient"), *(f"e.{name}" for name in RECIPIENT_COLUMNS)
    )
    joined.createOrReplaceTempView(f"mailvet_recipients_{token}")
    return events.sparkSession.sql(decided(f"select * from mailvet_recipients_{token}", SAY, ask))


def _asked_today(known: DataFrame) -> dict[str, int]:
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0).isoformat()
    asked = known.where(f"smtp_code is not null and operator is not null and checked_at >= timestamp'{midnight}'")
    return {row["operator"]: row["count"] for row in asked.groupBy("operator").count().collect()}


def _answered(spark: SparkSession, answers: Folder) -> DataFrame | None:
    """The newest verdict for each key that `staging` holds; None where there is none."""
    from pyspark.sql import functions as F

    if not answers.exists():
        return None
    names = verdict_schema().names
    found = spark.read.schema(verdict_ddl()).parquet(answers.uri)
    newest = F.max_by(F.struct(*names), "checked_at").alias("v")
    return found.groupBy("email_key").agg(newest).select(*(f"v.{name}" for name in names))


def _current(cells: DataFrame, known: DataFrame | None, fresh: DataFrame | None, settings: Settings) -> DataFrame:
    """One verdict for each cell, with what the policy of now recommends."""
    from pyspark.sql import functions as F

    spark = cells.sparkSession
    if known is None:
        verdicts = fresh if fresh is not None else empty_verdicts(spark)
        if settings.depth is not Depth.offline:  # staging may hold verdicts about other tables as well
            verdicts = verdicts.join(cells.select("email_key"), "email_key", "left_semi")
        return verdicts
    both = merged(known, fresh) if fresh is not None else known
    advice = recommended(SAY, settings.chosen_policy)
    ours = both.join(cells.select("email_key"), "email_key", "left_semi")
    return ours.withColumn("recommendation", F.expr(advice))


def _started(action: Callable[[], T]) -> T:
    """Run an action; what mailvet says on an executor is said here in the same words."""
    try:
        return action()
    except Exception as error:
        found: Any = re.search(r"mailvet\.errors\.(\w+): ([^\n]+)", str(error))
        if found is None or not hasattr(errors, found[1]):
            raise
        raise getattr(errors, found[1])(found[2]) from None
