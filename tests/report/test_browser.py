"""The page in a real browser, as a user opens it: from the disk, without a network."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_parts import HIT, OUT, RED, line_log, make_run, make_training

from carla_rl.build import Networks
from carla_rl.report import page as report_page
from carla_rl.report.facts import read_sources
from carla_rl.report.film import Drive, write_film
from carla_rl.report.frames import PANEL, SIZE, Caption
from carla_rl.report.page import write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COLOURS = """(() => {
  const canvas = document.querySelector("#p-views canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
  for (let i = 0; i < data.length; i += 4) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return seen.size;
})()"""
"""How many colours the first view shows."""
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install 'carla-rl[dev]')")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)} (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    here = tmp_path_factory.mktemp("runs")
    a = make_run(here, "a", script={"line/0": [(5, HIT, 1.0)]}, town="ring")
    b = make_run(here, "b", script={"line/1": [(9, RED, 0), (12, OUT, 0.1)]}, offset=0.5, town="ring")
    c = make_run(here, "c", town="ring", steps=False)
    return [a, b, c, make_training(here)]


@pytest.fixture(scope="module")
def report(runs: list[Path]) -> Path:
    return write_report(read_sources(runs), runs[0].parent / "report.html", Networks()).path


def opened(browser: Any, path: Path, size: dict[str, int] = DESKTOP, scheme: str = "light", address: str = "") -> tuple[Any, list[str]]:
    """A page and what went wrong on it; nothing but the disk can be reached."""
    context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
    # a busy machine may take its time
    context.set_default_timeout(120_000)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else errors.append(request.url))
    page.goto(path.as_uri() + address)
    page.wait_for_selector("#route-table tbody tr")
    return page, errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_opens_and_says_who_drives_better(browser: Any, report: Path, size: dict[str, int], scheme: str) -> None:
    page, errors = opened(browser, report, size, scheme)
    assert page.locator(".verdict h2").first.inner_text() == "b cannot be told from a"
    assert "toy" in page.locator("#simulator").inner_text()
    for section in ("runs", "reasons", "differences", "tables", "ade", "routes", "places", "curves"):
        assert page.locator(f"#{section}").is_visible(), section
    # nothing sticks out sideways
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light == "rgb(247, 248, 250)") == (scheme == "light")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert errors == []


def test_the_table_sorts_and_filters(browser: Any, report: Path) -> None:
    page, errors = opened(browser, report)

    def shown() -> list[str]:
        return page.eval_on_selector_all("#route-table tbody tr", "rows => rows.map((row) => row.dataset.id)")

    # the worst change first: line/1 lost 37 points, line/0 won 40
    assert shown() == ["line/1#0", "line/2#0", "line/3#0", "line/0#0"]
    page.click("#route-table th:has-text('change') >> nth=0")
    page.click("text=score A")
    assert shown()[0] == "line/0#0"
    page.fill("#search", "red light")
    assert shown() == ["line/1#0"]
    assert page.locator("#route-count").inner_text() == "1 of 4"
    page.fill("#search", "")
    page.select_option("#kind-filter", "better")
    assert shown() == ["line/0#0"]
    page.select_option("#candidate", "2")
    assert page.locator(".verdict h2").first.inner_text() == "c cannot be told from a"
    assert errors == []


def test_the_player_plays_both_drives(browser: Any, report: Path, tmp_path: Path) -> None:
    page, errors = opened(browser, report)
    page.click("#route-table tbody tr[data-id='line/1#0'] button")
    page.wait_for_selector("#p-views canvas >> nth=1")
    assert page.locator(".moment").count() == 2
    page.keyboard.press("n")
    # 9 ticks; both drives go evenly along the same line, so the same place is the same time
    assert page.locator("#p-time").inner_text().startswith("0.45 /")
    assert page.locator(".hud .alarm").first.inner_text() == "red light"
    page.keyboard.press("n")
    assert page.locator("#p-time").inner_text().startswith("0.60 /")
    page.keyboard.press("p")
    page.keyboard.press("ArrowRight")
    assert page.locator("#p-time").inner_text().startswith("0.65 /")
    page.keyboard.press("End")
    assert "Completed" in page.locator(".hud >> nth=1").inner_text()
    page.keyboard.press("Home")
    page.select_option("#p-speed", "8")
    page.locator("#p-play").click()
    page.wait_for_function("document.getElementById('p-play').textContent === '▶' && player.t > 1")
    # the picture is not of one colour: ground, plans and ego are there
    colours = page.evaluate(COLOURS)
    assert colours > 20
    page.keyboard.press("j")
    page.wait_for_function("document.getElementById('p-name').textContent === 'line/2#0'")
    page.keyboard.press("Escape")
    assert not page.locator("#player").is_visible()
    assert errors == []


def test_a_moment_can_be_passed_on(browser: Any, report: Path) -> None:
    page, errors = opened(browser, report, PHONE, address="#play=line%2F1%230&vs=1&t=0.45")
    page.wait_for_selector("#p-views canvas")
    assert page.locator("#p-name").inner_text() == "line/1#0"
    assert page.locator("#p-time").inner_text().startswith("0.45 /")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.click("#p-close")
    page.wait_for_function("location.hash === ''")
    assert errors == []


def test_what_was_not_kept_is_said_in_the_player(browser: Any, runs: list[Path], tmp_path: Path) -> None:
    bare = write_report(read_sources([runs[2]]), tmp_path / "bare.html", Networks()).path
    page, errors = opened(browser, bare)
    assert "cannot be played" in page.locator("#warnings").inner_text()
    page.click("#route-table tbody tr button")
    page.wait_for_selector("#p-views .note")
    assert "No step log" in page.locator("#p-views").inner_text()
    assert errors == []


def test_drives_beside_the_page_are_loaded_from_the_disk(
    browser: Any, runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "INSIDE_BYTES", 10)
    written = write_report(read_sources(runs[:2]), tmp_path / "big #1.html", Networks())
    page, errors = opened(browser, written.path)
    page.click("#route-table tbody tr button")
    page.wait_for_selector("#p-views canvas")
    assert page.locator("#p-views canvas").count() == 2
    assert errors == []
    assert written.beside is not None
    for path in written.beside.iterdir():
        path.unlink()
    page, errors = opened(browser, written.path)
    page.click("#route-table tbody tr button")
    page.wait_for_selector("#p-views .note")
    assert "is missing: keep that folder beside the page" in page.locator("#p-views").inner_text()


def test_a_training_alone_is_curves(browser: Any, runs: list[Path], tmp_path: Path) -> None:
    path = write_report(read_sources([runs[3]]), tmp_path / "training.html", Networks()).path
    context = browser.new_context(viewport=DESKTOP, offline=True)
    # a busy machine may take its time
    context.set_default_timeout(120_000)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("#curves svg")
    assert not page.locator("#routes").is_visible()
    assert not page.locator("#runs").is_visible()
    assert errors == []


def test_a_film_plays(browser: Any, tmp_path: Path) -> None:
    write_film(Drive(line_log([(40, HIT, 1.5)]), None, Caption("policy", "line/0#0", "toy simulator")), tmp_path / "a.mp4", fps=10)
    (tmp_path / "film.html").write_text('<video id="film" muted preload="auto" src="a.mp4"></video>')
    page = browser.new_page()
    page.goto((tmp_path / "film.html").as_uri())
    page.wait_for_function("(film => film.readyState >= 2 || film.error)(document.getElementById('film'))", timeout=120_000)
    told = page.evaluate("(film => [film.error && film.error.message, film.duration, film.videoWidth, film.videoHeight])(film)")
    assert told == [None, pytest.approx(6.1), SIZE + PANEL, SIZE]
    page.close()
