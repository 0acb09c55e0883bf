"""The benchmark's tables say what the samples say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import Figure, Line, Machine, Report, Row, Table, Target, read_report

MACHINE = Machine(load=(0.1, 0.4), calibration=(31.0, 33.2), model=0.9)


def line(ours: Figure, peer: Figure, floor: Figure, row: Row) -> Line:
    return Line(row, {"agentspan": ours, "peer": peer, "floor": floor})


def table(*lines: Line, name: str = "steps") -> Table:
    return Table(name, "What a step costs.", "2026-01-02 03:04 UTC", 3, MACHINE, lines)


def cells(report: Report, title: str) -> list[str]:
    (found,) = [text for text in report.to_markdown().splitlines() if text.startswith(f"| {title} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


STEP = Row("step", "a step", "ms", (Target(50), Target(1.5, "floor")))
RATE = Row("rate", "many runs", "steps/s", (Target(10, "peer"),), better="higher")


def test_a_line_has_medians_ratios_and_verdicts() -> None:
    shown = line(Figure((45.0, 60.0, 48.0)), Figure((400.0, 480.0, 5000.0)), Figure((20.0, 24.0, 30.0)), STEP)

    assert cells(Report("embedded", {}, (table(shown),)), "a step") == [
        "a step",
        "48 ms",
        "480 ms",
        "24 ms",
        "0.1 ×",
        "2 ×",
        "≤ 50 ms; ≤ 1.5 × floor",
        "yes; **no**",
    ]


@pytest.mark.parametrize(("ours", "verdict"), [(99.0, "**no**"), (100.0, "yes"), (250.0, "yes")])
def test_more_can_be_better(ours: float, verdict: str) -> None:
    shown = line(Figure((ours,)), Figure((10.0,)), Figure(), RATE)

    assert cells(Report("embedded", {}, (table(shown),)), "many runs")[6:] == ["≥ 10 × peer", verdict]


def test_who_did_not_finish_has_no_figure_and_no_ratio() -> None:
    late = "did not finish (184 of 300 steps in 480 s)"
    shown = line(Figure((45.0,)), Figure((410.0,), (late, late)), Figure(), STEP)
    report = Report("embedded", {}, (table(shown),))

    assert cells(report, "a step")[2:6] == [late, "–", "–", "–"]
    assert cells(report, "a step")[7] == "yes; unknown"
    assert report.to_markdown().count(f"- step, peer: {late}") == 1


def test_a_single_failure_among_many_is_told_beside_the_figure() -> None:
    shown = line(Figure((45.0, 46.0), ("its process ended",)), Figure(), Figure(), STEP)
    report = Report("embedded", {}, (table(shown),))

    assert cells(report, "a step")[1] == "45.5 ms"
    assert "- step, agentspan: its process ended" in report.to_markdown()


def test_the_report_comes_back_from_its_json(tmp_path: Path) -> None:
    report = Report(
        "stock", {"agentspan": "1.2"}, (table(line(Figure((1.0, 2.0)), Figure((), ("no",)), Figure(), RATE)),)
    )
    path = tmp_path / "stock.json"
    path.write_text(report.to_json(), encoding="utf-8")

    assert read_report(path) == report
    assert read_report(tmp_path / "none.json") is None


def test_a_new_table_takes_the_place_of_the_old_one_and_leaves_the_others() -> None:
    order = ["steps", "idle", "long"]
    old = Report("embedded", {}, (table(name="steps"), table(name="long")))
    again = table(line(Figure((1.0,)), Figure(), Figure(), STEP), name="steps")

    report = old.with_table(again, order).with_table(table(name="idle"), order)

    assert [entry.name for entry in report.tables] == order
    assert report.tables[0] == again


def test_each_table_says_how_quiet_the_machine_was() -> None:
    shown = Report("embedded", {"Python": "3.11"}, (table(),)).to_markdown()

    assert "load 0.10 → 0.40; calibration loop 31 → 33 ms" in shown
    assert "Python 3.11." in shown
