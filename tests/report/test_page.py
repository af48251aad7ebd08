import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_parts import HIT, RED, line_log, make_run, make_training

from carla_rl.build import Networks
from carla_rl.cli.app import run
from carla_rl.errors import UsageError
from carla_rl.records.steps import write_steps
from carla_rl.report import page
from carla_rl.report.drives import pack_drive
from carla_rl.report.facts import read_sources
from carla_rl.report.pack import unpack
from carla_rl.report.page import write_report


def content(path: Path) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', path.read_text(), re.S)
    return json.loads(text)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    a = make_run(tmp_path, "a", script={"line/0": [(5, HIT, 1.0)]}, town="ring")
    b = make_run(tmp_path, "b", script={"line/1": [(9, RED, 0)]}, offset=0.5, town="ring")
    return [a, b]


def test_a_page_holds_everything_and_loads_nothing(runs: list[Path], tmp_path: Path) -> None:
    written = write_report(read_sources([*runs, make_training(tmp_path)]), tmp_path / "report.html", Networks())
    text = written.path.read_text()
    assert written.drives == 8
    assert written.beside is None
    assert not written.missing
    # neither style nor program nor picture comes from elsewhere
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|@import|url\(|https?://(?!www\.w3\.org/2000/svg)""", text)
    assert not re.findall("@(STYLE|SCRIPT|FACTS)@", text)
    told = content(written.path)
    assert list(told["towns"]) == ["ring"]
    assert [curve["title"] for curve in told["curves"][0]["curves"]][:2] == ["driving score on validation", "ADE on validation"]
    (infraction,) = told["episodes"][0][0]["infractions"]
    assert (infraction["kind"], infraction["t"], infraction["speed"]) == ("collision_vehicle", 0.25, 2.0)
    assert told["episodes"][1][1]["infractions"][0]["forward_m"] == pytest.approx(0.5)
    assert "toy" in told["simulators"][0]


def test_a_drive_survives_its_packing() -> None:
    log = line_log([(10, RED, 0.0)])
    drive = unpack(pack_drive(log, "leaderboard_2.0"))
    np.testing.assert_allclose(drive["tick"] * 0.05, log.t, atol=1e-6)
    np.testing.assert_allclose(drive["place"], log.ego[:, :2], atol=0.0101)
    np.testing.assert_allclose(drive["plan_x"], log.waypoints[:, 1::2, 0], atol=0.026)
    assert drive["track"].tolist() == [[9.0, 1.0, 25.0]]
    assert drive["lights"].shape == (25, 2)
    assert {"sft_x", "expert_y", "correction", "plan_error"} <= set(drive)
    bare = unpack(pack_drive(line_log(sft=False, expert=False), "leaderboard_2.0"))
    assert not {"sft_x", "expert_x", "correction", "plan_error", "reward"} & set(bare)


def test_a_large_report_keeps_its_drives_beside_it(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "INSIDE_BYTES", 100)
    written = write_report(read_sources(runs), tmp_path / "out" / "big.html", Networks())
    assert written.beside == tmp_path / "out" / "big-drives"
    told = content(written.path)
    assert told["drives"] == []
    for i, names in enumerate(told["beside"]["names"]):
        for name in names:
            assert (written.beside / name).read_text().startswith(f'carlaRlDrive("{i}/{name}", "')


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    a, b = make_run(tmp_path, "a", steps=False), make_run(tmp_path, "b", town="Line")
    written = write_report(read_sources([a, b], force=True), tmp_path / "report.html", Networks())
    assert written.drives == 4
    assert written.missing[0] == "a: 4 of 4 episodes have no step log, so they cannot be played"
    assert written.missing[1].startswith("the roads of Line are not drawn: town 'Line'")
    (b / "steps" / "line_1-r0.npz").write_bytes(b"half") if (b / "steps" / "line_1-r0.npz").exists() else None
    broken = next((b / "steps").iterdir())
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(UsageError, match="not a readable step log"):
        write_report(read_sources([a, b], force=True), tmp_path / "report.html", Networks())


def test_a_drive_of_an_older_log_is_shown(runs: list[Path], tmp_path: Path) -> None:
    path = next((runs[0] / "steps").iterdir())
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name not in ("expert_waypoints", "outside_share")}
    meta = json.loads(str(arrays["meta"]))
    del meta["weather"]
    np.savez_compressed(path, **(arrays | {"meta": np.array(json.dumps(meta))}))
    written = write_report(read_sources(runs), tmp_path / "report.html", Networks())
    assert written.drives == 8


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, "a", count=1)
    lines = (run_dir / "episodes.jsonl").read_text().replace("line/0", "</script><b>")
    (run_dir / "episodes.jsonl").write_text(lines)
    (run_dir / "metrics.json").unlink()
    (run_dir / "steps").rename(tmp_path / "away")
    written = write_report(read_sources([run_dir]), tmp_path / "report.html", Networks())
    assert content(written.path)["episodes"][0][0]["id"] == "</script><b>#0"


def test_the_command(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert run(["report", *map(str, runs), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(out)
    assert told["bytes"] == out.stat().st_size
    assert run(["report", *map(str, runs), "--out", str(out)]) == 0
    assert "cannot be told from" in capsys.readouterr().out
    for arguments, sentence in (
        ([str(tmp_path / "none")], "no such run directory"),
        ([*map(str, runs), "--out", str(tmp_path / "report.pdf")], "ends in .html"),
        ([str(runs[0]), str(runs[0])], "given twice"),
    ):
        assert run(["report", *arguments]) == 2
        said = capsys.readouterr().err
        assert sentence in said.replace("\n", " ")
        assert "Traceback" not in said


def test_write_steps_keeps_what_was_added(tmp_path: Path) -> None:
    log = line_log()
    write_steps(tmp_path / "a.npz", log)
    with np.load(tmp_path / "a.npz") as file:
        assert {"expert_waypoints", "outside_share"} <= set(file.files)
