"""The simulation of large tables: its sums hold, and its page is written by it alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import simulate
from benchmarks.simulate import Assumptions, Measured, operator_shares
from mailvet.settings import Pacing

MEASURED = Measured(offline=0.01, routes=0.1, asking=0.1)
GIVEN = Assumptions()
SHARES = operator_shares()


def run(rows: int = 1_000_000_000, given: Assumptions = GIVEN, pacing: Pacing | None = None) -> simulate.Simulation:
    return simulate.simulate(rows, given, MEASURED, SHARES, pacing or Pacing())


def test_nobody_is_lost_between_the_operators() -> None:
    assert sum(part.addresses for part in run().operators) == pytest.approx(1e9 * GIVEN.distinct * GIVEN.asked)


def test_an_operator_takes_its_recipients_and_its_conversations_at_its_cap() -> None:
    given = Assumptions(distinct=1.0, asked=1.0, round_trip=0.1, thinking=0.1, greeting=10.0)
    halves = {"google": 0.5, "outlook_com": 0.5}
    parts = {part.name: part for part in simulate.simulate(1_000_000, given, MEASURED, halves, Pacing()).operators}
    # 500,000 recipients of 0.2 s, and a conversation of 1 s for each 50, or for each one; five at a time.
    assert parts["google"].seconds == pytest.approx((500_000 * 0.2 + 10_000 * 1.0) / 5)
    assert parts["outlook_com"].seconds == pytest.approx((500_000 * 0.2 + 500_000 * 1.0) / 5)


def test_a_daily_limit_makes_it_longer_and_operators_that_say_nothing_cost_nothing() -> None:
    parts = {part.name: part for part in run(1_000_000, pacing=Pacing(daily_limits={"gmx": 100})).operators}
    assert parts["gmx"].seconds == pytest.approx(parts["gmx"].addresses / 100 * 86_400)
    assert parts["yahoo"].seconds == parts["t_online"].seconds == 0


def test_more_cores_make_computing_faster_and_no_operator() -> None:
    few, many = run(given=Assumptions(cores=10)), run(given=Assumptions(cores=100))
    assert few.stages[0].seconds == pytest.approx(10 * many.stages[0].seconds)
    assert few.stages[0].dollars == many.stages[0].dollars
    assert few.slowest.seconds == many.slowest.seconds


def test_shares_that_do_not_add_up_or_name_nobody_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "shares.csv"
    path.write_text("operator,share\ngoogle,0.5\n")
    with pytest.raises(ValueError, match=r"add up to 0\.500"):
        operator_shares(path)
    path.write_text("operator,share\ngoggle,1.0\n")
    with pytest.raises(ValueError, match="goggle"):
        operator_shares(path)


def test_the_page_is_written_from_flags_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "scale.md").write_text((simulate.ROOT / "docs" / "scale.md").read_text())
    flags = [word for name in ("offline", "routes", "asking") for word in (f"--cpu-{name}", "0.5")]
    assert simulate.main(["--docs", str(tmp_path), "--price", "2", *flags]) == 0
    first = (tmp_path / "scale.md").read_text()
    assert "1 billion rows" in first
    assert "`--price` | 2 |" in first
    assert (tmp_path / "images" / "scale.svg").stat().st_size > 1_000
    assert simulate.main(["--docs", str(tmp_path), "--price", "2", *flags]) == 0
    assert (tmp_path / "scale.md").read_text() == first


def test_without_figures_it_says_how_to_measure_them(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--only spark"):
        simulate.main(["--json", str(tmp_path / "none.json")])


def test_every_assumption_says_what_it_is() -> None:
    text = Path(simulate.__file__).read_text()
    for field in dataclasses.fields(Assumptions):
        declared = text.split(f"    {field.name}: ")[1].splitlines()
        assert declared[1].strip().startswith('"""')
