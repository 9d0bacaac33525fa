from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flows import report
from flows.critical_path import read
from flows.paths import ROOT
from flows.svg import road_picture

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br", "link", "img"}


@pytest.fixture
def page(fake_road: Callable, tmp_path: Path) -> str:
    road = fake_road()
    report.step(road.design, road.board, road.results).action(tmp_path)
    return (tmp_path / "report.html").read_text()


class Outline(HTMLParser):
    """Which tags are open, which ids and attributes there are, and the text."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.mismatched: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.text += " " if tag in ("td", "th", "text") else ""
        if not self.open or self.open.pop() != tag:
            self.mismatched.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, known, value in self.attributes if known == name]


def test_report_step_writes_metrics_and_page(fake_road: Callable, tmp_path: Path) -> None:
    road = fake_road()
    step = report.step(road.design, road.board, road.results)
    assert step.action(tmp_path) == {"schema": 1, "gops": 2.4}
    assert json.loads((tmp_path / "metrics.json").read_text())["metrics"]["derived__gops"] == 2.4
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (step.name, step.owner) == ("report-ulx3s_85f", "dot_int8x16")


def test_report_key_follows_results_and_not_times(fake_road: Callable) -> None:
    road = fake_road()
    key = report.step(road.design, road.board, road.results).key
    lint = "dot_int8x16/lint"
    slower = road.results | {lint: dataclasses.replace(road.results[lint], seconds=99.0, cached=False)}
    assert report.step(road.design, road.board, slower).key == key
    other = road.results | {lint: dataclasses.replace(road.results[lint], outputs={"lint.log": "changed"})}
    assert report.step(road.design, road.board, other).key != key


def test_report_page_is_balanced_and_its_ids_are_unique(page: str) -> None:
    outline = Outline(page)
    assert (outline.open, outline.mismatched) == ([], [])
    identifiers = outline.values("id")
    assert len(identifiers) == len(set(identifiers)) > 20


def test_report_page_asks_for_nothing_from_outside(page: str) -> None:
    outline = Outline(page)
    assert not {tag for tag, _, _ in outline.attributes} & {"script", "link", "img", "iframe", "object"}
    assert outline.values("src") == []
    targets = outline.values("href")
    assert targets
    assert all(target.startswith("#") and target[1:] in outline.values("id") for target in targets)
    assert not re.search(r"@import|url\(", page)


def test_report_page_names_no_place_of_this_machine(page: str, tmp_path: Path) -> None:
    assert str(tmp_path) not in page
    assert str(ROOT) not in page


def test_report_pictures_say_what_they_show(page: str) -> None:
    pictures = [ElementTree.fromstring(text) for text in re.findall(r"<svg .*?</svg>", page, re.DOTALL)]
    assert len(pictures) >= 5
    for picture in pictures:
        title, description = picture[:2]
        assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
        assert title.text
        assert description.text
        assert picture.get("role") == "img"
        assert picture.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_report_escapes_what_tools_and_files_say(page: str) -> None:
    assert "sum&lt;0&gt;.F" in page
    assert "net &amp; co" in page
    assert "sum<0>" not in page
    assert "ASCII &#34;DOT8&#34;" in page


@pytest.mark.parametrize(
    "said",
    [
        "2.40 GOPS",
        "30.00 operations/cycle × 80.0 MHz",
        "80.0 MHz",
        "+220 % on the 25 MHz asked for",
        "7 cycles",
        "280 ns at 25 MHz",
        "10,000",
        "2,091 of 83,640",
        "16 of 156 10.3 %",
        "The longest path, 6.50 ns",
        "logic 4.00 ns",
        "routing 2.00 ns",
        "s_axis_a_tdata input 128",
        "lanes 16 a whole number in 2..64",
        "0x08 status",
        "1 length_mismatch rw w1c 0x0",
        "irq is high while an enabled bit of status is set.",
        "lint lint 0.2 known",
        "simulate bench 3.0 done",
        "bench.log",
        "verilator 1.0-verilator",
    ],
)
def test_report_page_shows(page: str, said: str) -> None:
    assert said in " ".join(Outline(page).text.split())


def test_report_page_leaves_out_what_is_not_there(fake_road: Callable, tmp_path: Path) -> None:
    road = fake_road("dot_int8x4", "icebreaker", pnr={"ff": None, "ff_available": None}, netlist={"dsp": 0})
    routed = "dot_int8x4/icebreaker/pnr"
    (road.results[routed].path / "report.json").write_text('{"critical_paths": [], "utilization": {}}')
    report.step(road.design, road.board, road.results).action(tmp_path)
    text = " ".join(Outline((tmp_path / "report.html").read_text()).text.split())
    assert "Look-up tables" in text
    assert "Flip-flops" not in text
    assert "longest path" not in text
    assert "GOPS each" not in text


@pytest.mark.parametrize(("fmax_mhz", "clock_mhz"), [(80.0, 25.0), (24.0, 25.0)])
def test_report_clock_bar_and_mark_have_one_scale(
    fake_road: Callable, tmp_path: Path, fmax_mhz: float, clock_mhz: float
) -> None:
    road = fake_road(pnr={"fmax_mhz": fmax_mhz, "clock_mhz": clock_mhz})
    report.step(road.design, road.board, road.results).action(tmp_path)
    (clock,) = re.findall(r'<div class="clock".*?</div>', (tmp_path / "report.html").read_text(), re.DOTALL)
    bar, mark = (float(percent) for percent in re.findall(r"(?:width|left):([\d.]+)%", clock))
    assert bar / mark == pytest.approx(fmax_mhz / clock_mhz, rel=1e-3)
    assert 50 < max(bar, mark) < 100


def test_critical_path_is_the_longest_between_flip_flops(fake_road: Callable) -> None:
    path = read(fake_road().results["dot_int8x16/ulx3s_85f/pnr"]["report.json"])
    assert path is not None
    assert (path.clock, path.end, path.logic_levels) == ("$glbnet$clk", "ff_b", 1)
    assert path.delay_ns == 6.5
    assert [path.share(kind) for kind in ("clocked", "logic", "routing")] == [0.5, 4.0, 2.0]


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "soft", "accent"])
@pytest.mark.parametrize("ground", ["page", "panel", "fill"])
def test_report_text_is_readable_in_both_themes(theme: str, text: str, ground: str) -> None:
    css = (report.TEMPLATES / "report.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", light if theme == "light" else dark))
    assert contrast(colours[text], colours[ground]) >= 4.5


def test_road_picture_in_docs_is_fresh() -> None:
    stale = "docs/road.svg is stale: .venv/bin/python -m flows.svg > docs/road.svg"
    assert (ROOT / "docs" / "road.svg").read_text() == road_picture(), stale
