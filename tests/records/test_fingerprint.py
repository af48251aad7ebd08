from pathlib import Path

import pytest
from test_compare import results, run_of

import carla_rl.records.fingerprint as module
from carla_rl.errors import UsageError
from carla_rl.metrics.result import EpisodeResult
from carla_rl.records.fingerprint import code_version, conditions, differing, fingerprint
from carla_rl.records.reading import read_object, read_run

FACTS = {
    "simulator": {"name": "toy", "version": "1", "kind": "toy", "parameters": {"tick_s": 0.05}},
    "suite": {"name": "lines", "sha256": "0" * 64, "omitted": []},
    "protocol": {"score": "leaderboard_2.0", "tick_s": 0.05, "tick_cap": None, "completion_share": 0.99},
    "code": "0.1.0 abc",
}


def skipped(names: tuple[str, ...]) -> list[EpisodeResult]:
    return [results(1)[0].model_copy(update={"skipped": names})]


def test_it_holds_everything_that_changes_what_a_number_means() -> None:
    found = conditions(FACTS)
    assert set(found) == {
        "simulator", "simulator.tick_s", "suite", "suite.omitted", "code",
        "protocol.score", "protocol.tick_s", "protocol.tick_cap", "protocol.completion_share",
    }  # fmt: skip
    base = fingerprint(FACTS, [])["sha256"]
    assert fingerprint({**FACTS, "policy": {"name": "other"}}, [])["sha256"] == base
    for name, value in (
        ("simulator", {**FACTS["simulator"], "kind": "carla"}),
        ("suite", {**FACTS["suite"], "sha256": "1" * 64}),
        ("protocol", {**FACTS["protocol"], "completion_share": 0.9}),
        ("protocol", {**FACTS["protocol"], "tick_cap": 4000}),
        ("protocol", {**FACTS["protocol"], "score": "leaderboard_2.1"}),
        ("code", "0.1.0 abd"),
    ):
        assert fingerprint({**FACTS, name: value}, [])["sha256"] != base, name
    assert fingerprint(FACTS, skipped(("Accident",)))["sha256"] != fingerprint(FACTS, skipped(()))["sha256"]
    # a suite of the same content under another name is the same
    assert fingerprint({**FACTS, "suite": {**FACTS["suite"], "name": "x"}}, [])["sha256"] == base


def test_what_differs_is_said_and_what_was_not_recorded() -> None:
    other = {**FACTS, "code": "0.2.0 x"}
    assert differing(conditions(FACTS), conditions(other)) == ["code differs (0.1.0 abc against 0.2.0 x)"]
    del other["code"]
    assert differing(conditions(FACTS), conditions(other)) == ["code differs (0.1.0 abc against not recorded)"]


def test_the_code_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in module.DRIVES_AND_MEASURES:
        place = tmp_path / name
        if place.suffix:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("a = 1\n")
        else:
            place.mkdir(parents=True)
            (place / "part.py").write_text("b = 1\n")
    (tmp_path / "__init__.py").touch()
    monkeypatch.setattr(module.carla_rl, "__file__", str(tmp_path / "__init__.py"))
    version = code_version.__wrapped__
    before = version("none")
    (tmp_path / "loop.py").write_bytes(b"a = 1\r\n")
    assert version("none") == before
    (tmp_path / "unrelated.py").write_text("c = 1\n")
    assert version("none") == before
    (tmp_path / "roads" / "part.py").write_text("b = 2\n")
    assert version("none") != before
    assert version("toy") != version("none")


def test_a_result_carries_it_and_an_edited_one_is_refused(tmp_path: Path) -> None:
    run = run_of(results(2), tmp_path, "a")
    path = run.path / "metrics.json"
    metrics = read_object(path)
    assert metrics["fingerprint"]["conditions"]["code"] == code_version("toy")
    assert metrics["fingerprint"]["sha256"] == fingerprint(run.environment, run.episodes)["sha256"]
    environment = run.path / "environment.json"
    environment.write_text(environment.read_text().replace('"tick_s": 0.05', '"tick_s": 0.1'))
    with pytest.raises(UsageError, match="fingerprint is not that of"):
        read_run(run.path)
