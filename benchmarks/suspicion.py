"""
How often the signals of the suspicion layer are wrong, what they find, and how fast they are.

    python benchmarks/suspicion.py [--write]

False alarms are counted over local parts made of names that took no part in training (see `train_gibberish.py`, whose
material has to be installed: `pip install Faker mimesis pypinyin`); once with the shipped model, and once with a model
that never saw the language at all. With `--write` the tables go to docs/suspicion.md.
"""

from __future__ import annotations

import random
import string
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from benchmarks.intervals import wilson
from benchmarks.train_gibberish import LANGUAGES, PARTS, SCREEN_NAMES, local_parts, weights
from mailvet.reference import domains
from mailvet.reference.columns import Reference
from mailvet.signals import columns as signals
from mailvet.signals.columns import examine, keyboard_walk, log_odds
from mailvet.signals.gibberish import CharacterModel
from mailvet.signals.rules import BURST_WINDOW

__all__ = ["false_alarms", "main", "recall", "speed"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "suspicion.md"
_BEGIN, _END = "<!-- measured: {name} -->", "<!-- end: {name} -->"
_COUNT, _SEED = 5_000, 3
_NAMES = {
    "ar": "Arabic",
    "az": "Azerbaijani",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fi": "Finnish",
    "fil": "Filipino",
    "fr": "French",
    "ga": "Irish",
    "gu": "Gujarati",
    "ha": "Hausa",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "ig": "Igbo",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "kk": "Kazakh",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mk": "Macedonian",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "th": "Thai",
    "tr": "Turkish",
    "tw": "Twi",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "uz": "Uzbek",
    "vi": "Vietnamese",
    "yo": "Yoruba",
    "zh": "Chinese",
    "zu": "Zulu",
    SCREEN_NAMES: "screen names, words",
}

_ABBREVIATIONS = (
    "mktgdept acctspayable hrsrvcs bwfcfan jfkairport nypdblue ksrtchelp bsnlsupport xxdarkxx xxxdarklordxxx mcdxlvii "
    "llanfairpwll ngqakula hvacpros l33thax0r h4ck3rman sk8rboi2002 wtfbbq lmfao123 gr8dealz abc12xyz3 zxspectrum "
    "mrbxl wwwjdoe xyzcorp kfzwerkstatt ghsdrama mpdfgroup tvshqmgr drsmhptl mgmtsvcs pwcadvisory ktmrider hdfcbank "
    "mbtabus ltdspwc kpmgbdo ymcansw phdstudent mscphysics bschmidt dkny4life rfcbxl"
)
"""The hardest that people choose: abbreviations run together, digits for letters. Written by the authors."""


def _called(base: pl.Series, model: CharacterModel) -> tuple[int, int]:
    """How many local parts a model calls gibberish, and of how many it judges at all."""
    score, size = log_odds(base, model), base.str.len_bytes()
    return int((score * size > model.offset + model.slope * size).sum()), len(score) - score.null_count()


def false_alarms() -> str:
    """A row per language: share of held-out local parts called gibberish, with and without the language, and walks."""
    shipped = CharacterModel.shipped()
    everything = (*LANGUAGES, SCREEN_NAMES)
    lines = [
        "| language | judged | gibberish % (95 %) | never taught % | walks % |",
        "|---|---:|---:|---:|---:|",
    ]
    for language in sorted(everything, key=lambda code: (code == SCREEN_NAMES, _NAMES[code])):
        base = pl.Series(local_parts(language, PARTS[2], _COUNT, _SEED)).unique(maintain_order=True)
        hits, judged = _called(base, shipped)
        others = weights(code for code in everything if code != language).ravel()
        unseen = CharacterModel(tuple(others), shipped.unit, shipped.offset, shipped.slope)
        unseen_hits, _ = _called(base, unseen)
        walks = int(keyboard_walk(base).sum())
        lines.append(
            f"| {_NAMES[language]} | {judged:,} | {_share(hits, judged)} | {100 * unseen_hits / judged:.2f} | "
            f"{100 * walks / len(base):.2f} |"
        )
    hard = pl.Series(_ABBREVIATIONS.split())
    hits, judged = _called(hard, shipped)
    walks = int(keyboard_walk(hard).sum())
    lines.append(
        f"| abbreviations, digits for letters | {judged} | {_share(hits, judged)} | | {100 * walks / len(hard):.2f} |"
    )
    return "\n".join(lines)


def _share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{100 * hits / of:.2f} ({100 * low:.2f}-{100 * high:.2f})"


def recall() -> str:
    """A row per kind of random string: how many are found."""
    choice = random.Random(11)
    letters, both, hexadecimal = string.ascii_lowercase, string.ascii_lowercase + string.digits, "0123456789abcdef"
    kinds: list[tuple[str, str, Sequence[int]]] = [
        ("letters and digits, 10 to 20", both, range(10, 21)),
        ("letters and digits, 8", both, (8,)),
        ("letters and digits, 10", both, (10,)),
        ("letters and digits, 12", both, (12,)),
        ("letters and digits, 16", both, (16,)),
        ("letters, 6", letters, (6,)),
        ("letters, 8", letters, (8,)),
        ("letters, 10", letters, (10,)),
        ("letters, 14", letters, (14,)),
        ("hexadecimal, 16", hexadecimal, (16,)),
        ("hexadecimal, 32", hexadecimal, (32,)),
    ]
    lines = [
        "| random strings, characters | strings | six letters or more % | found % (95 %) |",
        "|---|---:|---:|---:|",
    ]
    for name, alphabet, sizes in kinds:
        texts = ["".join(choice.choices(alphabet, k=size)) for size in sizes for _ in range(2 * _COUNT // len(sizes))]
        found, judged = _called(pl.Series(texts), CharacterModel.shipped())
        lines.append(f"| {name} | {len(texts):,} | {100 * judged / len(texts):.1f} | {_share(found, len(texts))} |")
    return "\n".join(lines)


def _table(count: int) -> pl.DataFrame:
    """A contact table from a fixed seed: half at free mail providers, 30 % with a number after the name."""
    choice = random.Random(4)
    names = [
        name for code in ("de", "en", "pl", "zh", "tr", "ar", "es") for name in local_parts(code, PARTS[0], 6_000, 1)
    ]
    free = ("gmail.com", "yahoo.com", "hotmail.com")
    start = datetime(2026, 1, 1)
    return pl.DataFrame(
        {
            "local": [
                choice.choice(names) + (str(choice.randrange(1000)) if choice.random() < 0.3 else "")
                for _ in range(count)
            ],
            "domain": [
                choice.choice(free) if row % 2 else f"company{int(choice.paretovariate(0.5)) % 60_000}.com"
                for row in range(count)
            ],
            "signed_up": [start + timedelta(seconds=choice.randrange(300 * 86_400)) for _ in range(count)],
        }
    )


def speed(count: int = 1_000_000) -> str:
    """Rows for each second of processor time, the best of three runs."""
    frame = _table(count)
    key = Reference().examine(frame)["mailbox"]
    base = frame.select(signals._base()).to_series()
    free = frame["domain"].is_in(sorted(domains.free_domains())).alias("free")
    rows = frame.select("domain", base=base).with_columns(free)
    hour = BURST_WINDOW
    work: dict[str, Callable[[], object]] = {
        "gibberish": lambda: log_odds(base),
        "keyboard walks, series and duplicates": lambda: (
            keyboard_walk(frame.select(signals._base()).to_series()),
            signals._series_size(rows),
            signals._duplicate_of(key, count),
        ),
        "bursts": lambda: signals._burst(frame["domain"], free, frame["signed_up"], hour),
        "everything": lambda: examine(frame, mailbox=key, signed_up=frame["signed_up"]),
    }
    lines = [f"| {count:,} rows | rows per CPU second |", "|---|---:|"]
    for name, run in work.items():
        seconds = []
        for _ in range(3):
            began = time.process_time()
            run()
            seconds.append(time.process_time() - began)
        lines.append(f"| {name} | {count / min(seconds):,.0f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print; with `--write` also into docs/suspicion.md."""
    text = PAGE.read_text(encoding="utf-8")
    measured: dict[str, Callable[[], str]] = {"false_alarms": false_alarms, "recall": recall, "speed": speed}
    for name, measure in measured.items():
        table = measure()
        print(f"{table}\n")
        begin, end = _BEGIN.format(name=name), _END.format(name=name)
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"
    if "--write" in arguments:
        PAGE.write_text(text, encoding="utf-8")
        print(f"{PAGE.name} written")


if __name__ == "__main__":
    main(sys.argv[1:])
