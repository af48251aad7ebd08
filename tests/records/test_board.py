"""The event files are those that TensorBoard reads."""

import errno
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from carla_rl.errors import UsageError
from carla_rl.records.board import Board


def shown(folder: Path, name: str) -> list[tuple[int, float]]:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars(name)]


def test_scalars_are_there_at_once(tmp_path: Path) -> None:
    with Board(tmp_path / "board") as board:
        board.add(10, {"ppo/kl": 0.5, "speed": 3.0})
        assert shown(tmp_path / "board", "ppo/kl") == [(10, 0.5)]
        board.add(20, {"ppo/kl": 0.25})
    assert shown(tmp_path / "board", "ppo/kl") == [(10, 0.5), (20, 0.25)]
    assert shown(tmp_path / "board", "speed") == [(10, 3.0)]


def test_what_a_killed_run_told_after_its_checkpoint_is_hidden(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        for step in (10, 20, 30):
            board.add(step, {"kl": float(step)})
    with Board(tmp_path, hide_after=20) as board:
        board.add(30, {"kl": -1.0})
    assert shown(tmp_path, "kl") == [(10, 10.0), (20, 20.0), (30, -1.0)]


def test_a_full_disk_is_told_where_it_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Board(tmp_path) as board:
        monkeypatch.setattr("carla_rl.records.board.RecordWriter.write", full)
        with pytest.raises(UsageError, match=r"events\..*cannot be written \(No space left on device\)"):
            board.add(1, {"kl": 0.0})
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Board(tmp_path / "file" / "board")
