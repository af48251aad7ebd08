import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from report_parts import HIT, line_log, make_run
from small_roads import crossing, straight

from carla_rl.build import Networks
from carla_rl.cli.app import run
from carla_rl.errors import RunFailure
from carla_rl.records import encoder
from carla_rl.report.camera import LoggedCamera
from carla_rl.report.film import Drive, write_film, write_strip
from carla_rl.report.frames import BACK, PANEL, SIZE, Caption
from carla_rl.report.ground import make_ground
from carla_rl.report.instants import Instants
from carla_rl.report.paint import AHEAD, EGO, METRES_PER_PX, BirdPainter
from carla_rl.report.painted import GRASS, colour_table

CAPTION = Caption("policy", "line/0#0", "toy simulator")


def test_between_decisions_everything_moves_evenly() -> None:
    instants = Instants(line_log())
    now = instants.at(1.1)
    assert (now.decision, now.row) == (5, pytest.approx(5.5))
    assert now.x == pytest.approx(2.2)
    # an actor that stands still in the log stands still here
    np.testing.assert_allclose(now.actors[0, 2:4], (20.0, 1.0))
    assert instants.at(instants.end).x == pytest.approx(10.0)
    assert instants.at(99.0).x == pytest.approx(10.0)


def test_the_view_has_the_ego_where_it_belongs() -> None:
    log = line_log()
    ground = make_ground(straight(), log.ego[:, :2])
    picture = BirdPainter(log, ground, 400).draw(Instants(log).at(0.0))
    assert picture.shape == (400, 400, 3)
    # behind the middle of the ego, where neither wedge nor plan is
    u, v = 200, round(400 * AHEAD + 1.5 / METRES_PER_PX)
    assert tuple(picture[v, u].tolist()) == EGO
    # east is up: 25 m to the left is grass, 20 m ahead is lane, and 4 m to the left is the other one
    grass, ahead = colour_table()[GRASS, 0].tolist(), round(400 * AHEAD - 20 / METRES_PER_PX)
    assert picture[ahead, 5].tolist() == grass
    assert picture[ahead, u].tolist() != grass
    assert picture[ahead, u - round(4 / METRES_PER_PX)].tolist() != grass
    assert picture[ahead, u + round(4 / METRES_PER_PX)].tolist() == grass


def test_a_film_is_as_long_as_the_drive(tmp_path: Path) -> None:
    drive = Drive(line_log([(40, HIT, 1.5)]), None, CAPTION)
    told = []
    frames = write_film(drive, tmp_path / "a.mp4", fps=10, done=lambda count, total: told.append((count, total)))
    # 5 s at 10 frames a second, the last moment, and a second of it
    assert frames == 61
    assert told[-1] == (51, 51)
    film = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert (film.get(cv2.CAP_PROP_FRAME_COUNT), film.get(cv2.CAP_PROP_FPS)) == (61, 10)
    good, picture = film.read()
    film.release()
    assert good
    assert picture.shape == (SIZE, SIZE + PANEL, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_film_is_one_that_browsers_and_phones_play(tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    write_film(Drive(line_log(), None, CAPTION), out, fps=10)
    with av.open(str(out)) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 10)
        assert (stream.width, stream.height, stream.frames) == (SIZE + PANEL, SIZE, 61)
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(6.1)
        assert (film.metadata["title"], "toy simulator" in film.metadata["comment"]) == ("policy, line/0#0", True)
        picture = next(film.decode(stream)).to_ndarray(format="bgr24")
    # what is drawn is what is seen, up to what the encoding loses: the panel's ground in a corner where there is no writing
    np.testing.assert_allclose(picture[SIZE - 4 :, -4:].reshape(-1, 3).mean(axis=0), BACK, atol=4)
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_film_that_cannot_be_encoded_is_a_sentence_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoder.OPTIONS, "preset", "no-such-preset")
    with pytest.raises(RunFailure, match="the film cannot be made"):
        write_film(Drive(line_log(), None, CAPTION), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_film_leaves_nothing(tmp_path: Path) -> None:
    def stop(count: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(Drive(line_log(), None, CAPTION), tmp_path / "a.mp4", done=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_strip_has_the_key_moments(tmp_path: Path) -> None:
    # start, before and at the collision, end
    assert write_strip(Drive(line_log([(40, HIT, 1.5)]), crossing(), CAPTION), tmp_path / "a.png") == 4
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture is not None
    assert picture.shape[1] == 4 * 320


def test_a_clean_drive_shows_its_hardest_braking(tmp_path: Path) -> None:
    assert write_strip(Drive(line_log(), straight(), CAPTION), tmp_path / "a.png") == 3


def test_the_camera_of_the_toy_is_drawn_again() -> None:
    log = line_log()
    picture = LoggedCamera(log, Networks()("roundabout"))(Instants(log).at(1.0))
    assert picture.shape == (110, 176, 3)
    # sky above, ground below
    assert picture[5].mean(axis=0)[0] > picture[-5].mean(axis=0)[0]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_run(tmp_path, "a", count=2, town="ring")
    assert run(["render", str(made), "--episode", "line/1", "--out", str(tmp_path / "x.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["simulator"] == "toy"
    assert run(["render", str(made), "--episode", "line/1#0", "--out", str(tmp_path / "x.mp4"), "--fps", "5"]) == 0
    assert "times as fast" in capsys.readouterr().out
    cases = {
        "no finished episode 'line/7'": ["--episode", "line/7", "--out", str(tmp_path / "x.mp4")],
        "ends in .mp4": ["--episode", "line/1", "--out", str(tmp_path / "x.gif")],
        "--camera is for films": ["--episode", "line/1", "--out", str(tmp_path / "y.png"), "--camera"],
    }
    for sentence, arguments in cases.items():
        assert run(["render", str(made), *arguments]) == 2
        assert sentence in capsys.readouterr().err.replace("\n", " ")
    bare = make_run(tmp_path, "bare", count=1, steps=False)
    assert run(["render", str(bare), "--episode", "line/0", "--out", str(tmp_path / "z.mp4")]) == 2
    assert "no such step log" in capsys.readouterr().err.replace("\n", " ")


def test_without_a_map_the_route_is_drawn_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_run(tmp_path, "a", count=1)
    assert run(["render", str(made), "--episode", "line/0", "--out", str(tmp_path / "x.png")]) == 0
    assert "only the route is drawn" in capsys.readouterr().err
