"""Films of a camera: a frame a decision, none of a drive that is void or was not finished."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from carla_rl.errors import RunFailure, UsageError
from carla_rl.records.camera_films import CameraFilms, KeptFilm, film_path
from carla_rl.records.encoder import Encoder
from carla_rl.types import CameraSpec

SPEC = CameraSpec(name="front", width=64, height=48)
GREYS = [20, 90, 160, 230]


def decision(envs: Mapping[int, tuple[str, int]], n: int = 2, *, size: tuple[int, int] = (48, 64), **marked: Any) -> Any:
    """By env: its episode and how grey its picture is; `marked` names the envs that are started, lost, ended."""
    images = np.zeros((n, *size, 3), np.uint8)
    episodes: list[Any] = [None] * n
    for env, (name, grey) in envs.items():
        images[env], episodes[env] = grey, SimpleNamespace(episode_id=name)
    lost = np.isin(range(n), marked.get("lost", ()))
    return SimpleNamespace(
        observation=SimpleNamespace(images={"front": images}),
        episodes=tuple(episodes),
        active=np.array([episode is not None for episode in episodes]) & ~lost,
        started=np.isin(range(n), marked.get("started", ())),
        ended=np.isin(range(n), marked.get("ended", ())),
        lost=lost,
    )


def films(run: Path, spec: CameraSpec = SPEC) -> CameraFilms:
    return CameraFilms(run, spec, 2, "toy simulator")


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "camera").iterdir())


def test_each_episode_has_a_frame_a_decision(tmp_path: Path) -> None:
    with films(tmp_path) as kept:
        kept.update(decision({0: ("a#0", GREYS[0]), 1: ("b#0", GREYS[3])}, started=(0, 1)))
        kept.update(decision({0: ("a#0", GREYS[1]), 1: ("b#0", GREYS[2])}, ended=(0,)))
        assert [name for name in names(tmp_path) if not name.startswith(".")] == ["a-r0.mp4"]
        kept.update(decision({0: ("c#0", 0), 1: ("b#0", GREYS[1])}, started=(0,), ended=(0, 1)))
    assert names(tmp_path) == ["a-r0.mp4", "b-r0.mp4", "c-r0.mp4"]
    for name, greys in {"a#0": GREYS[:2], "b#0": GREYS[3:0:-1], "c#0": [0]}.items():
        film = KeptFilm(film_path(tmp_path, name), len(greys))
        for number, grey in enumerate(greys):
            picture = film.at(number)
            assert (picture.shape, picture.dtype) == ((48, 64, 3), np.uint8)
            assert np.abs(picture.astype(int) - grey).max() <= 4, (name, number)
    with av.open(str(film_path(tmp_path, "b#0"))) as container:
        # two ticks a decision
        assert container.streams.video[0].average_rate == 10
        assert container.metadata["title"] == "b#0, camera front"
        assert "toy simulator" in container.metadata["comment"]


def test_colours_are_kept(tmp_path: Path) -> None:
    red = decision({0: ("a#0", 0)}, 1, started=(0,), ended=(0,))
    red.observation.images["front"][..., 0] = 200
    with films(tmp_path) as kept:
        kept.update(red)
    blue, green, seen = KeptFilm(film_path(tmp_path, "a#0"), 1).at(0).reshape(-1, 3).mean(axis=0)
    assert seen == pytest.approx(200, abs=8)
    assert max(blue, green) < 10


def test_a_void_attempt_leaves_nothing_and_the_next_one_its_own(tmp_path: Path) -> None:
    with films(tmp_path) as kept:
        kept.update(decision({0: ("a#0", GREYS[0])}, started=(0,)))
        kept.update(decision({0: ("a#0", GREYS[0])}, lost=(0,)))
        assert names(tmp_path) == []
        kept.update(decision({1: ("a#0", GREYS[2])}, started=(1,), ended=(1,)))
    assert KeptFilm(film_path(tmp_path, "a#0"), 1).at(0).mean() == pytest.approx(GREYS[2], abs=4)


def test_what_was_not_finished_is_removed(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), films(tmp_path) as kept:
        kept.update(decision({0: ("a#0", 1), 1: ("b#0", 1)}, started=(0, 1), ended=(1,)))
        raise KeyboardInterrupt
    assert names(tmp_path) == ["b-r0.mp4"]


def test_a_disk_that_is_full_is_one_sentence_and_leaves_no_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Encoder, picture: object) -> None:
        raise av.FFmpegError(28, "No space left on device")

    monkeypatch.setattr(Encoder, "add", full)
    with pytest.raises(RunFailure, match=r"a-r0.mp4: the film cannot be written \(.*No space left"), films(tmp_path) as kept:
        kept.update(decision({0: ("a#0", 1)}, started=(0,)))
    assert names(tmp_path) == []


def test_an_odd_row_and_column_are_cut_off(tmp_path: Path) -> None:
    with films(tmp_path, CameraSpec(name="front", width=33, height=21)) as kept:
        kept.update(decision({0: ("a#0", 100)}, 1, size=(21, 33), started=(0,), ended=(0,)))
    assert KeptFilm(film_path(tmp_path, "a#0"), 1).at(0).shape == (20, 32, 3)


def test_films_of_other_drives_and_damaged_ones_are_told(tmp_path: Path) -> None:
    with films(tmp_path) as kept:
        for k in range(30):
            kept.update(decision({0: ("a#0", 8 * k)}, 1, started=(0,) if k == 0 else (), ended=(0,) if k == 29 else ()))
    path = film_path(tmp_path, "a#0")
    with pytest.raises(UsageError, match="holds 30 pictures, the drive has 29 decisions"):
        KeptFilm(path, 29)
    film = KeptFilm(path, 30)
    assert film.at(20).mean() == pytest.approx(160, abs=4)
    with pytest.raises(ValueError, match="read forwards"):
        film.at(19)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"a-r0.mp4: (no film|damaged)"):
        KeptFilm(path, 30).at(29)
    path.write_text("no film")
    with pytest.raises(UsageError, match="no film"):
        KeptFilm(path, 30)
