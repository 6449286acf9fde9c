"""Signals over a whole table: what they find, and whom they leave alone."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from importlib import resources
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailvet.reference.columns import Reference
from mailvet.signals import columns as module
from mailvet.signals.columns import examine, keyboard_walk, log_odds
from mailvet.signals.gibberish import CharacterModel
from mailvet.signals.keyboard import walk_runs
from mailvet.signals.scalar import NOTHING, is_keyboard_walk
from mailvet.signals.scalar import examine_table as examine_plainly
from mailvet.verification.columns import keys_of

# Local parts as people of each language choose them; none of them took part in training as a whole.
PEOPLE = {
    "Arabic": "abdelhakim.belkacem mohamadalsharif ghalia.almutawakkil sbenslimane qutaibah88 youssef_elkhattabi",
    "Chinese": "zhangxiaoqing xuqiuyue88 liuzhiqiang qiangzhao huangxuejing cxzhang zhengxu1990 jingxuanlyu wuxinyi",
    "Czech": "zdenek.hrdlicka jstrnad vlk.krystof prchlik.zbynek bstrnadova",
    "Dutch": "gijs.vanderschoot wytzedijkstra j.hzwart schuurmansb dirkjanvanwijk",
    "English": "jrrtolkien mkthompson dwight.schrute rjmccarthy thwaites_p mhughes1984 chrisknight jlwright",
    "Finnish": "jyrki.hyyrylainen pyykkonen.t aijaylonen",
    "French": "jfcouturier guillaume.lhuillier mlegoff pquertier jeanyvesbreizh",
    "German": "juergen.schmidtschneider hgoetzschmann schwarzkopf77 ulrichpfitzner kschlechtriem dschwarz",
    "Hindi": "krishnamurthy.s vvslakshman prakashchandra bhupindersingh rkvishwakarma shrutijha",
    "Hungarian": "szabolcs.nyilas gyorgykovacs nagyzsofi kszilvasy",
    "Indonesian": "tri.wahyuningsih bambangsusilo nyomansudiartha",
    "Japanese": "tsutsumi.ryuunosuke shunsukenkm kyosuketsuji chizuruhotta mitsuyoshi.kuze",
    "Korean": "hyeonseokkwon kyungwhankim jhchoi yjkwak1992 eunhyelee",
    "Polish": "krzysztof.brzeczyszczykiewicz gzegzolka strzelczyk.w pszczolkowska jszczepaniak wlodzimierzwcislo",
    "Russian": "vsevolod.shcherbakov yuzhakov.vyacheslav schtschukin dzhugashvili svyatoslavkhrushchev",
    "Spanish": "xochitl.quetzalcoatl jquijano guadalupevazquez9 ezequieldominguez",
    "Thai": "chatchaipongsak wongsuphasawat.n nattapatphromsuk",
    "Turkish": "cagri.yildizoglu gkcnyilmaz ozgursahin ykarabiyik34 tugcekucukgul",
    "Vietnamese": "nguyenthithuytrang phuongthaonguyen tranquochuy99 khanhvy.ngo ductrungbui huynhnhuy",
    "words": "thesoccermom24 coolguy4ever darkknight99 acctspayable bestbooksshop mktgdept pixelwizard 24hsupport",
    "abbreviations": "hrsrvcs nypdblue kpmgbdo mpdfgroup hvacpros kfzwerkstatt bsnlsupport jfkairport sk8rboi2002",
    "names without vowels": "mcghee grzybrn schwrtz msdhoni pvsindhu",
}
RANDOM = (
    "xkqjzvbwmt",
    "hjxqlwpz8k",
    "q8z7x6kv2p3wtj",
    "gmxbtrw84qk",
    "b9kzqv7xjw",
    "zqxjkvbpwd",
    "w4rkz8xqpl2",
    "d41d8cd98f00b204e9800998ecf8427e",
    "vqk.zxw.jpb",
    "pzqk_vxjw_bdtk",
)


def table(*addresses: str | None) -> pl.DataFrame:
    parts = [address.rpartition("@")[::2] if address else (None, None) for address in addresses]
    return pl.DataFrame(parts, schema={"local": pl.String, "domain": pl.String}, orient="row")


def signals(local: str, domain: str = "acme.com", **more: Any) -> dict[str, Any]:
    return examine(table(f"{local}@{domain}"), **more).row(0, named=True)


# --- Gibberish -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", PEOPLE)
def test_names_of_any_language_are_not_gibberish(language: str) -> None:
    names = PEOPLE[language].split()
    rows = examine(table(*(f"{name}@acme.com" for name in names)))
    assert [name for name, called in zip(names, rows["gibberish"], strict=True) if called] == []


@pytest.mark.parametrize("local", RANDOM)
def test_random_characters_are_gibberish(local: str) -> None:
    found = signals(local)
    assert found["gibberish"]
    assert found["gibberish_score"] > 0


def test_nine_of_ten_random_strings_are_found() -> None:
    choice = random.Random(5)
    letters = string.ascii_lowercase + string.digits
    texts = ["".join(choice.choices(letters, k=choice.randint(10, 20))) for _ in range(2_000)]
    found = examine(table(*(f"{text}@acme.com" for text in texts)))["gibberish"]
    assert found.sum() >= 0.9 * len(texts)


@pytest.mark.parametrize("local", ["xkqjz", "x1k2q3j4z5", "qzx", "x.q.z.k.j", "20260412", "1234567890123", "", "._-"])
def test_fewer_than_six_letters_are_never_gibberish(local: str) -> None:
    row = examine(pl.DataFrame({"local": [local], "domain": ["acme.com"]})).row(0, named=True)
    assert not row["gibberish"]
    assert row["gibberish_score"] is None


@pytest.mark.parametrize("local", ["xkqjzvbwmté", "ждщъфцыхэ", "çğşıöüçğşğ", "张xkqjzvbwm", "क्ष्त्रज्ञ"])
def test_characters_beyond_ascii_are_never_gibberish(local: str) -> None:
    found = signals(local)
    assert not found["gibberish"]
    assert found["gibberish_score"] is None


def test_a_random_tag_after_a_name_is_not_gibberish() -> None:
    assert not signals("ann.lee+xkqjzvbwmt")["gibberish"]
    assert signals("xkqjzvbwmt+news")["gibberish"]
    assert signals("+xkqjzvbwmt")["gibberish"]


def test_aliases_of_forwarding_services_are_never_gibberish() -> None:
    frame = table("xkqjzvbwmt@relay.example", "xkqjzvbwmt@acme.com", "xkqjzvbwmt@other.com")
    rows = examine(frame, relay_alias=pl.Series([True, False, None]))
    assert rows["gibberish"].to_list() == [False, True, True]
    assert rows["gibberish_score"].null_count() == 0


def test_case_and_row_order_do_not_change_the_score() -> None:
    locals_ = pl.Series(["ann.lee", "xkqjzvbwmt", "müller", "krzysztof", "", "12345", "schwarzkopf77"])
    together = log_odds(locals_)
    alone = [log_odds(pl.Series([local]))[0] for local in locals_]
    assert together.to_list() == alone
    assert log_odds(locals_.reverse()).reverse().to_list() == alone
    assert signals("XKQJZVBWMT") == signals("xkqjzvbwmt")


def test_the_score_is_the_same_in_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    locals_ = pl.Series((*RANDOM, "ann.lee", "müller", "anne.marie"))
    expected = log_odds(locals_).to_list()
    monkeypatch.setattr(module, "_CHUNK", 3)
    assert log_odds(locals_).to_list() == expected
    assert log_odds(locals_.slice(5, 4)).to_list() == expected[5:9]


def test_the_score_is_the_sum_of_the_weights_over_the_characters() -> None:
    model = CharacterModel.shipped()
    alphabet = "." + string.ascii_lowercase + "0"
    padded = "..schwarz.kopf07.".replace("7", "0")
    places = [alphabet.index(character) for character in padded]
    weights = [model.weights[28 * 28 * a + 28 * b + c] for a, b, c in zip(places, places[1:], places[2:], strict=False)]
    assert log_odds(pl.Series(["schwarz_kopf07"]))[0] == pytest.approx(sum(weights) / model.unit / 14, rel=1e-5)


def test_a_local_part_is_gibberish_from_the_line_of_its_length_on() -> None:
    choice = random.Random(6)
    model = CharacterModel.shipped()
    texts = pl.Series(["".join(choice.choices(string.ascii_lowercase, k=choice.randint(6, 9))) for _ in range(3_000)])
    line = [model.offset + model.slope * len(text) for text in texts]
    beyond = [score * len(text) > least for text, score, least in zip(texts, log_odds(texts), line, strict=True)]
    assert examine(pl.DataFrame({"local": texts, "domain": "acme.com"}))["gibberish"].to_list() == beyond
    assert 0.2 < sum(beyond) / len(beyond) < 0.8


def test_the_model_is_small_and_says_where_it_comes_from() -> None:
    text = resources.files("mailvet.data").joinpath("gibberish.csv").read_text("utf-8")
    assert len(text) < 300_000
    for key in ("source", "version", "licence", "date"):
        assert f"\n# {key}: " in text
    assert len(CharacterModel.shipped().weights) == 28**3


# --- Keyboard walks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "local",
    [
        "qwerty",
        "qwertz",
        "azerty",
        "asdf",
        "asdfasdf",
        "asdfghjkl",
        "lkjhgf",
        "zxcvbnm",
        "yxcvb",
        "wxcvbn",
        "qsdfgh",
        "poiuytre",
        "asdfjkl",
        "qweasdzxc",
        "qazwsx",
        "1qaz2wsx",
        "zaq1",
        "1234qwer",
        "qwerty1987",
        "99asdf",
        "a.s.d.f",
        "asdf_qwer",
        "ASDF",
        "asdf+news",
        "12345",
        "123456789",
        "54321",
        "11111",
        "111222",
        "123123",
        "123abc",
        "abc123",
        "qwe1234",
        "abcd",
        "abcdefg",
        "abcabc",
        "aaaa",
        "aaaabbbb",
        "xyxyxy",
        "dfgdfg",
        "hahaha",
        "jkdjkdjkd",
        "789456123",
    ],
)
def test_walks_over_the_keyboard_are_found(local: str) -> None:
    assert signals(local)["keyboard_walk"]


@pytest.mark.parametrize(
    "local",
    [
        "ann.lee",
        "fred",
        "robert",
        "reza",
        "azer",
        "wert",
        "reza1987",
        "wertheim",
        "power",
        "asdis",
        "a",
        "abc",
        "123",
        "asd",
        "aaa",
        "jojo",
        "coco",
        "mimi",
        "lingling",
        "tintin",
        "bongbong",
        "xiaoxiao",
        "dede.dede",
        "nana",
        "edc123",
        "www123",
        "john12345",
        "anna1234",
        "asdfanna",
        "john.qwerty",
        "13800138000",
        "1985",
        "20012001",
        "20260412",
        "+4915112345678",
        "stu",
        "def",
        "hijlouise",
        "müllll",
        "info",
        "mno7",
        "",
    ],
)
def test_names_and_numbers_of_people_are_no_walks(local: str) -> None:
    row = examine(pl.DataFrame({"local": [local], "domain": ["acme.com"]})).row(0, named=True)
    assert not row["keyboard_walk"]


@pytest.mark.parametrize("language", PEOPLE)
def test_names_of_any_language_are_no_walks(language: str) -> None:
    assert not keyboard_walk(pl.Series(PEOPLE[language].split())).any()


# --- Series --------------------------------------------------------------------------------------------------------


def series_of(*addresses: str, free: list[bool] | None = None) -> list[int]:
    return examine(table(*addresses), free=None if free is None else pl.Series(free))["series_size"].to_list()


def test_local_parts_that_differ_only_in_a_counter_are_a_series() -> None:
    members = [f"user{number:03}@acme.com" for number in range(1, 951)]
    rows = examine(table("ann@acme.com", *members, "user@acme.com"))
    assert rows["series"].to_list() == [False, *[True] * 950, False]
    assert rows["series_size"].to_list() == [0, *[950] * 950, 0]


@pytest.mark.parametrize(
    ("locals_", "sizes"),
    [
        (["u1", "u2", "u3", "u4", "u5"], [5] * 5),
        (["u1", "u2", "u3", "u4"], [0] * 4),
        (["u1", "u5", "u9", "u13", "u17"], [5] * 5),
        (["u1", "u2", "u3", "u4", "u9"], [0] * 5),
        (["u1", "u2", "u3", "u4", "u5", "u100"], [5] * 5 + [0]),
        (["u1", "u01", "u2", "u3", "u4", "u5"], [5] * 6),
        (["u1", "u1", "u1", "u1", "u1"], [0] * 5),
        (["U1", "u2+news", "u3", "u4", "u5"], [5] * 5),
        (["1", "2", "3", "4", "5"], [5] * 5),
        (["u1.test", "u2.test", "u3.test", "u4.test", "u5.test"], [5] * 5),
        (["u1.a", "u2.b", "u3.c", "u4.d", "u5.e"], [0] * 5),
        (["2024u1", "2024u2", "2024u3", "2024u4", "2024u5"], [5] * 5),
        (["ü1", "ü2", "ü3", "ü4", "ü5"], [5] * 5),
        ([f"u{10**18 + n}" for n in range(5)], [0] * 5),
        ([f"u{10**17 + n}" for n in range(5)], [5] * 5),
        (["#1", "2", "#3", "4", "#5"], [0] * 5),
    ],
)
def test_a_series_is_a_run_of_at_least_five_counters(locals_: list[str], sizes: list[int]) -> None:
    assert series_of(*(f"{local}@acme.com" for local in locals_)) == sizes


def test_the_same_counter_at_two_domains_is_no_series() -> None:
    assert series_of(*(f"u{number}@acme{number}.com" for number in range(9))) == [0] * 9


def test_a_series_is_measured_against_the_size_of_its_domain() -> None:
    others = [f"{a}{b}@isp.example" for a in string.ascii_lowercase for b in map("x".__mul__, range(1, 41))]
    members = [f"maria{number}@isp.example" for number in range(1, 6)]
    assert series_of(*members, *others[:995]) == [5] * 5 + [0] * 995
    assert series_of(*members, *others[:996]) == [0] * 1001


@pytest.mark.parametrize(
    ("locals_", "size"),
    [
        ([f"maria{number}" for number in range(60, 100)], 0),
        ([f"maria{number}" for number in range(1960, 2020)], 0),
        ([f"bot{number:03}" for number in range(1, 13)], 12),
        ([f"bot{number:03}" for number in range(1, 12)], 0),
        ([f"bot{number:03}" for number in range(1, 40, 2)], 0),
        ([f"bot{number}" for number in range(2030, 2042)], 12),
    ],
)
def test_at_free_providers_only_long_unbroken_series_count(locals_: list[str], size: int) -> None:
    assert set(series_of(*(f"{local}@gmail.com" for local in locals_))) == {size}
    assert set(series_of(*(f"{local}@acme.com" for local in locals_), free=[True] * len(locals_))) == {size}


# --- Duplicates ----------------------------------------------------------------------------------------------------


def test_later_spellings_of_a_mailbox_point_to_the_first() -> None:
    spellings = ("AnnLee+news@gmail.com", "bob@acme.com", None, "a.nnlee@googlemail.com")
    frame = table("ann.lee@gmail.com", "bob@acme.com", None, *spellings)
    key = Reference().examine(frame)["mailbox"]
    assert examine(frame, mailbox=key)["duplicate_of"].to_list() == [None, None, None, 0, 1, None, 0]


def test_without_a_mailbox_key_nothing_is_a_duplicate() -> None:
    assert examine(table("bob@acme.com", "bob@acme.com"))["duplicate_of"].to_list() == [None, None]


# --- Bursts --------------------------------------------------------------------------------------------------------

START = datetime(2026, 3, 1, 12, 0, 0)


def background(rows: int = 2_000, seed: int = 1) -> list[tuple[str, datetime]]:
    """Sign-ups of many domains over a year."""
    choice = random.Random(seed)
    return [
        (f"name{row}@company{choice.randrange(300)}.com", START + timedelta(seconds=choice.randrange(365 * 86_400)))
        for row in range(rows)
    ]


def bursts(rows: Sequence[tuple[str | None, Any]], **more: Any) -> list[str | None]:
    frame = table(*(address for address, _ in rows))
    found = examine(frame, signed_up=pl.Series([time for _, time in rows]), **more)["burst"]
    return [address for (address, _), burst in zip(rows, found, strict=True) if burst]


@pytest.mark.parametrize(("count", "minutes", "found"), [(10, 0, 10), (9, 0, 0), (30, 29, 30), (10, 600, 0)])
def test_many_signups_of_one_domain_within_the_hour_are_a_burst(count: int, minutes: int, found: int) -> None:
    noon = START + timedelta(days=100, minutes=17)
    spread = [(f"new{row}@small.com", noon + timedelta(minutes=minutes * row / count)) for row in range(count)]
    assert len(bursts(background() + spread)) == found
    assert bursts(background()) == []


def test_signups_of_the_domain_at_other_times_are_not_in_the_burst() -> None:
    together = [(f"new{row}@small.com", START + timedelta(days=9)) for row in range(12)]
    earlier = [("old@small.com", START + timedelta(days=2))]
    assert bursts(background() + earlier + together) == [address for address, _ in together]


def test_an_import_of_the_whole_table_is_no_burst() -> None:
    rows = [(f"name{row}@company{row % 7}.com", START) for row in range(500)]
    assert bursts(rows) == []
    assert bursts(background(100) + rows) == []


def test_free_providers_and_domains_with_many_signups_have_no_bursts() -> None:
    noon = START + timedelta(days=100)
    assert bursts(background() + [(f"new{row}@gmail.com", noon) for row in range(50)]) == []
    often = [(f"often{row}@isp.com", START + timedelta(minutes=4 * row)) for row in range(130_000)]
    assert bursts(often + [(f"new{row}@isp.com", noon) for row in range(10)]) == []


def test_signups_that_come_at_a_steady_pace_are_no_burst_when_the_rest_is_quiet() -> None:
    # At night there are no other sign-ups, and the shop's share of the window is far above its share of the table.
    steady = [(f"n{row}@shop.com", START + timedelta(minutes=5 * row)) for row in range(12 * 24 * 10)]
    by_day = [
        (f"n{row}@c{row % 5_000}.com", START + timedelta(days=row % 10, seconds=row * 7 % 28_800))
        for row in range(60_000)
    ]
    assert bursts(steady + by_day) == []


def test_rows_without_a_time_or_an_address_are_never_in_a_burst() -> None:
    noon = START + timedelta(days=9)
    rows = [(f"new{row}@small.com", noon) for row in range(10)]
    found = bursts([*background(), *rows, ("late@small.com", None), (None, noon)])
    assert found == [address for address, _ in rows]


@pytest.mark.parametrize(
    "times",
    [
        pl.Series([START.date() + timedelta(days=n) for n in range(400)] + [date(2026, 5, 5)] * 12),
        pl.Series([START + timedelta(days=n) for n in range(400)] + [START] * 12).cast(pl.Datetime("ns")),
        pl.Series([START + timedelta(days=n) for n in range(400)] + [START] * 12).dt.replace_time_zone("Asia/Tokyo"),
        pl.Series([START - timedelta(days=365 * 80 - n) for n in range(400)] + [START] * 12).cast(pl.Datetime("ms")),
    ],
    ids=["dates", "nanoseconds", "with a zone", "before 1970"],
)
def test_a_time_may_be_a_date_or_a_datetime_of_any_unit(times: pl.Series) -> None:
    frame = table(*(f"n{n}@c{n}.com" for n in range(400)), *(f"n{n}@small.com" for n in range(12)))
    assert examine(frame, signed_up=times)["burst"].to_list() == [False] * 400 + [True] * 12


def test_what_is_no_time_or_no_window_is_refused() -> None:
    with pytest.raises(TypeError, match="Date or Datetime"):
        examine(table("a@b.c"), signed_up=pl.Series(["yesterday"]))
    with pytest.raises(ValueError, match="even number of seconds"):
        examine(table("a@b.c"), signed_up=pl.Series([START]), burst_window=timedelta(seconds=3))


# --- The whole table -----------------------------------------------------------------------------------------------


def test_an_empty_table_and_refused_rows_have_no_signals() -> None:
    assert examine(table()).schema == pl.Schema(module.SCHEMA)
    no_key = pl.Series([None, None], dtype=pl.String)
    rows = examine(table(None, None), signed_up=pl.Series([START, None]), mailbox=no_key)
    assert rows.schema == pl.Schema(module.SCHEMA)
    nothing = {
        "gibberish": False,
        "gibberish_score": None,
        "keyboard_walk": False,
        "series": False,
        "series_size": 0,
        "duplicate_of": None,
        "burst": False,
    }
    assert rows.to_dicts() == [nothing, nothing]


@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=8))
def test_any_text_gets_a_row_and_flags_are_never_null(locals_: list[str | None]) -> None:
    clean = [text.encode("utf-8", "replace").decode() if text else text for text in locals_]
    rows = examine(pl.DataFrame({"local": clean}, schema={"local": pl.String}).with_columns(domain=pl.lit("acme.com")))
    assert rows.height == len(clean)
    for flag in ("gibberish", "keyboard_walk", "series", "series_size", "burst"):
        assert rows[flag].null_count() == 0


@given(
    pieces=st.lists(
        st.sampled_from(sorted(walk_runs().some | walk_runs().long | walk_runs().digits)),
        min_size=1,
        max_size=3,
    ),
    between=st.lists(st.sampled_from(["", ".", "_", "-", "7", "1.2"]), min_size=1, max_size=12),
    block=st.text("abxyz19._é+", min_size=1, max_size=4),
    times=st.integers(1, 4),
)
def test_a_walk_is_found_though_only_what_begins_like_one_is_looked_at(
    pieces: list[str], between: list[str], block: str, times: int
) -> None:
    keys = "".join(pieces)
    spread = "".join(key + between[place % len(between)] for place, key in enumerate(keys))
    texts = [keys, between[0].join(pieces), spread, between[0] + keys, block * times, f"{block * times}{block[:1]}"]
    assert keyboard_walk(pl.Series(texts)).to_list() == [is_keyboard_walk(text) for text in texts]


_PARTS = st.sampled_from(
    [
        "ann",
        "a.n.n",
        "kasse",
        "1",
        "2",
        "3",
        "07",
        "+x",
        ".",
        "@",
        "\n",
        "Ü",
        "@acme.com",
        "@gmail.com",
        "@googlemail.com",
    ]
)


@given(st.lists(st.lists(_PARTS, max_size=5).map("".join), min_size=2, max_size=60, unique=True))
def test_what_a_whole_table_shows_is_the_same_with_and_without_the_table_engine(cells: list[str]) -> None:
    column = pl.Series(cells, dtype=pl.String)
    found = module.examine_table(column, keys_of(column))
    plain = [examine_plainly(cells).get(cell, NOTHING) for cell in cells]
    assert found["series_size"].to_list() == [shown.series_size for shown in plain]
    assert found["duplicate_of"].to_list() == [shown.duplicate_of for shown in plain]


def test_cells_that_are_no_address_or_lie_on_two_lines_show_what_they_show_plainly() -> None:
    cells = [f"kasse{n}@acme.com" for n in range(8)]
    cells += ["a@b@acme.com", "@acme.com", "ann@", "x\ny@acme.com", "ann@acme\n.com", "", "@"]
    cells += ["a.nn@gmail.com", "ann@gmail.com"]
    column = pl.Series(cells, dtype=pl.String)
    found = module.examine_table(column, keys_of(column))
    plain = [examine_plainly(cells).get(cell, NOTHING) for cell in cells]
    assert found["series_size"].to_list() == [shown.series_size for shown in plain]
    assert found["duplicate_of"].to_list() == [shown.duplicate_of for shown in plain]
    assert found["series_size"][:8].to_list() == [8] * 8
    assert found["duplicate_of"].null_count() == len(cells) - 1
