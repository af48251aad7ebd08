import json
import os
from pathlib import Path

import pytest

from carla_rl.errors import UsageError
from carla_rl.records.atomic import append_lines, make_folder, write_bytes, write_json


def test_a_failure_before_the_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"episodes": 1})

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"episodes": 2})
    assert json.loads(path.read_text()) == {"episodes": 1}
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_a_failed_rename_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match=r"metrics\.json: cannot be written \(No space left on device\)"):
        write_bytes(tmp_path / "metrics.json", b"x")
    assert os.listdir(tmp_path) == []


def test_numbers_that_json_does_not_have_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert os.listdir(tmp_path) == []


def test_lines_are_appended_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    append_lines(path, "{}")
    append_lines(path, "ä")
    assert path.read_text(encoding="utf-8") == "{}\nä\n"
    with pytest.raises(ValueError, match="must not hold"):
        append_lines(path, "a\nb")


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for action in (
        lambda: make_folder(tmp_path / "file" / "out"),
        lambda: write_bytes(tmp_path / "absent" / "a", b""),
        lambda: append_lines(tmp_path / "absent" / "a", ""),
    ):
        with pytest.raises(UsageError, match="cannot be written"):
            action()


def test_lines_on_a_full_disk_leave_no_half_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "episodes.jsonl"
    append_lines(path, "{}")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match=r"episodes\.jsonl: cannot be written \(No space left on device\)"):
            append_lines(path, "{}", "{}")
    assert path.read_text() == "{}\n"
    append_lines(path, "[]")
    assert path.read_text() == "{}\n[]\n"
