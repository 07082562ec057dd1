"""The page in a real browser, as wide as a laptop, a large screen and a phone: what is clicked does what it says."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest

from hwsim.report import write_report
from hwsim.report.page import put

WIDTHS = (1280, 1920, 390)


def _tool():
    """`browser.py` beside this file; tests are no package."""
    spec = importlib.util.spec_from_file_location("report_browser", Path(__file__).with_name("browser.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    tool = _tool()
    if tool.find() is None:
        pytest.skip("a Chromium is needed: apt install chromium")
    found = tool.Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(params=WIDTHS)
def page(request, browser, study, tmp_path):
    browser.open(write_report(study, tmp_path), request.param)
    return browser


def _rows(page):
    return page.run("[...document.querySelectorAll('#table tbody tr')].map(r => r.cells[0].textContent)")


def _numbers(page):
    return [int(row.split()[0][1:]) for row in _rows(page)]


def test_it_opens_silently_asks_no_network_and_cuts_nothing_off(page):
    assert page.complaints == []
    assert [url.partition(":")[0] for url in page.requests] == ["file"]
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    outside = """[...document.querySelectorAll('section, section > *, .card, .bar > *, .split > *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))"""
    assert page.run(outside) == []


def test_a_brush_keeps_the_designs_in_it_and_reset_frees_them(page):
    assert _numbers(page) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    page.run("document.getElementById('plot').scrollIntoView({block: 'center'})")
    box = page.run(
        """(() => { const place = n => { const r =
        document.querySelector(`#plot [data-n="${n}"]`).getBoundingClientRect();
        return [r.x + r.width / 2, r.y + r.height / 2]; }; return [place(6), place(4), place(5)]; })()"""
    )
    (x6, y6), (x4, y4), _ = box
    aside = [(x6 - x4) / 4, (y6 - y4) / 4]  # half a design's distance beyond both ends
    page.drag((x6 + aside[0], y6 + aside[1]), (x4 - aside[0], y4 - aside[1]))
    assert _numbers(page) == [6, 5, 4]
    assert page.run("[...document.querySelectorAll('#limits input')].filter(i => i.value).length") == 4
    assert page.run("document.getElementById('best').textContent").startswith("of 3 designs: #6 ")
    page.run("document.getElementById('reset').click()")
    assert _numbers(page) == [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_units_limits_and_words_filter(page):
    page.run(
        "[...document.querySelectorAll('#units label')]"
        ".find(l => l.textContent === 'int8').querySelector('input').click()"
    )
    assert _numbers(page) == [8, 6, 4, 2, 0]
    page.run(
        "(i => { i.value = '26'; i.dispatchEvent(new Event('change')); })"
        "(document.querySelector('[aria-label=\"energy, µJ per pass, to\"]'))"
    )
    assert _numbers(page) == [8, 6, 4]
    page.run("(i => { i.value = '#6'; i.dispatchEvent(new Event('input')); })(document.getElementById('find'))")
    assert _numbers(page) == [6]


def test_two_pinned_designs_are_compared_knob_by_knob(page):
    page.run("document.querySelector('#plot [data-n=\"8\"]').dispatchEvent(new MouseEvent('click'))")
    page.run("document.querySelector('#plot [data-n=\"7\"]').focus()")
    page.key("Enter")
    cells = page.run(
        "[...document.querySelectorAll('#compare tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    assert ["energy, µJ per pass", "22", "23", "×1.05", "100 %"] in cells
    assert ["unit", "nvfp4", "int8", "", ""] in cells
    assert ["rows", "32", "16", "", ""] in cells
    assert ["vector unit", "0.22", "0.23", "×1.05", ""] in cells
    assert not [row for row in cells if row[0].startswith("latency")]  # equal
    page.run("document.getElementById('differing').click()")
    assert page.run("document.getElementById('compare').textContent.includes('latency')")
    assert page.run("[...document.querySelectorAll('tr.pinned')].map(r => r.cells[0].textContent.split(' ')[0])") == [
        "#8",
        "#7",
    ]


def test_arrow_keys_walk_along_the_front(page):
    page.run("document.querySelector('#plot [tabindex=\"0\"]').focus()")
    walked = []
    for _ in range(3):
        walked.append(page.run("document.activeElement.dataset.n"))
        page.key("ArrowRight")
    assert walked == ["8", "7", "6"]
    assert "energy, µJ per pass 25" in page.run("document.activeElement.getAttribute('aria-label')")


def test_heads_sort_and_csv_is_what_is_shown(page):
    head = "[...document.querySelectorAll('#table th button')].find(b => b.textContent === 'area, mm²')"
    page.run(f"{head}.click()")
    assert _numbers(page) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    page.run(f"{head}.click()")
    assert _numbers(page) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert page.run(f"{head}.parentElement.getAttribute('aria-sort')") == "descending"
    text = page.run(
        """(async () => { let held; const real = URL.createObjectURL;
        URL.createObjectURL = blob => { held = blob; return 'data:,'; };
        HTMLAnchorElement.prototype.click = function () {}; document.getElementById('csv').click();
        URL.createObjectURL = real; return await held.text(); })()"""
    )
    lines = text.splitlines()
    assert lines[0].startswith("number,design,bits_per_byte,energy_uj,area_mm2,latency_ms,power_mw,")
    assert lines[1].startswith("8,#8 nvfp4.te · 8×8 ws,1.48,22,9,5,2,")
    assert len(lines) == 10


def test_breakdowns_flow_and_steps_are_drawn(page):
    assert page.run("document.querySelectorAll('#parts rect').length") == 27  # nine designs of three parts
    assert page.run("document.querySelectorAll('#flow path').length") == 3  # what is not moved has no band
    assert page.run("[...document.querySelectorAll('#levels tbody th')].map(c => c.textContent)") == ["array", "dram"]
    assert page.run("document.querySelectorAll('#steps rect').length") == 7  # two waits, one array, two, two
    assert page.run("document.querySelectorAll('#lines path').length") == 9


def test_sources_fold(page):
    opened = "document.querySelectorAll('#assumed details[open]').length"
    assert page.run(opened) == 0
    page.run("document.getElementById('unfold').click()")
    assert page.run(opened) == page.run("document.querySelectorAll('#assumed details').length") == 3
    page.run("document.getElementById('unfold').click()")
    assert page.run(opened) == 0


def test_themes_change_the_paper_and_print_leaves_the_controls_out(page):
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.run(paper) == "rgb(244, 246, 248)"
    for theme, colour in (
        ("light", "rgb(244, 246, 248)"),
        ("dark", "rgb(15, 23, 32)"),
        ("system", "rgb(244, 246, 248)"),
    ):
        page.run("document.getElementById('theme').click()")
        assert page.run("document.getElementById('theme').textContent") == f"Theme: {theme}"
        assert page.run(paper) == colour
    page.run("document.getElementById('theme').click(); document.getElementById('theme').click()")  # dark
    page.send("Emulation.setEmulatedMedia", media="print")
    assert page.run(paper) == "rgb(255, 255, 255)"
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.run("[...document.querySelectorAll('.controls')].every(e => getComputedStyle(e).display === 'none')")
    page.send("Emulation.setEmulatedMedia", media="")
    assert page.send("Page.printToPDF")["data"].startswith("JVBERi0")  # %PDF-


def test_nothing_stands_in_the_way_of_a_screen_reader_or_a_keyboard(page, axe):
    page.run(axe + "\n;0")
    for theme in ("light", "dark"):
        page.run(f"document.documentElement.dataset.theme = '{theme}'")
        page.run("document.querySelector('#plot [data-n=\"8\"]').dispatchEvent(new MouseEvent('click'))")
        found = page.run(
            "axe.run(document).then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html).slice(0, 4)]))"
        )
        assert found == [], json.dumps(found, indent=1)


def _patiently(browser, script):
    """The value of a script in a page that may just be reading itself again."""
    end = time.monotonic() + 60
    while True:
        try:
            return browser.run(script)
        except AssertionError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_page_that_follows_a_study_reads_itself_again_until_it_is_worked_on(browser, study, tmp_path):
    path = put(study, tmp_path, 1.0)
    browser.open(path, 1280)
    _patiently(browser, "window.mark = 1")
    end = time.monotonic() + 60
    while _patiently(browser, "window.mark ?? 0"):  # until the page is another one
        assert time.monotonic() < end
        time.sleep(0.1)
    said = "document.getElementById('follow').textContent"
    press = "dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))"
    worked = f"(() => {{ document.getElementById('table').{press}; window.mark = 2; return {said}; }})()"
    assert _patiently(browser, worked) == "Paused: follow the study"
    time.sleep(2.5)
    assert browser.run("window.mark") == 2
    assert browser.complaints == []
    assert {url.partition(":")[0] for url in browser.requests} == {"file"}
    on = f"(() => {{ document.getElementById('follow').click(); return {said}; }})()"
    assert browser.run(on) == "Following the study: pause"
    while _patiently(browser, "window.mark ?? 0"):
        assert time.monotonic() < end + 60
        time.sleep(0.1)


def test_a_page_that_follows_is_as_open_to_everybody(browser, study, tmp_path, axe):
    browser.open(put(study, tmp_path, 600.0), 390)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    browser.run(axe + "\n;0")
    found = browser.run("axe.run(document).then(r => r.violations.map(v => v.id))")
    assert found == []
