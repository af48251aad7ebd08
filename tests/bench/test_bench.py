"""The benchmarks' arithmetic, the keys of their JSON, and what they refuse. No figure is compared with another: nothing is timed here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carla_rl.bench import first_start, peers, toy
from carla_rl.bench.driving import Replay, Worlds, decide, episodes
from carla_rl.bench.repeat import rate, summary
from carla_rl.build import Networks
from carla_rl.cli.app import run
from carla_rl.cli.tables_bench import spread
from carla_rl.errors import UsageError
from carla_rl.types import Observation

TINY = toy.Sizes((1, 2), (1,), (0, 4, 8), part_envs=2, repetitions=2, seconds=0.01, first_start=False, settle_rounds=1)


def test_median_and_spread() -> None:
    found = summary([3.0, 1.0, 2.0, 9.0])
    assert found.to_json("x_per_s") == {"x_per_s": 2.5, "lowest": 1.0, "highest": 9.0, "repetitions": 4}
    assert spread({"lowest": 950.4, "highest": 1_234_567.0}) == "950 – 1.23 M"
    assert spread({"lowest": 999_900.0, "highest": 12_345.0}) == "1000 k – 12.3 k"


def test_a_rate_throws_the_first_round_away_and_repeats_the_rest() -> None:
    rounds: list[int] = []

    def work(count: int) -> int:
        rounds.append(count)
        return int(np.arange(200_000 * count).sum() > 0) * count

    found = rate(work, 3, 0.01)
    assert found.repetitions == 3
    assert 0.0 < found.lowest <= found.median <= found.highest
    assert rounds[:2] == [1, 1]
    assert len({*rounds[-3:]}) == 1


def test_the_worlds_are_as_defined() -> None:
    """Eight moving vehicles and nothing scripted, on roads with signals."""
    found = episodes(Networks())
    assert {episode.scenario.traffic.vehicles for episode in found} == {8}
    assert not any(episode.scenario.actors for episode in found)
    worlds = Worlds(3)
    assert len(worlds.simulator.network("grid").roads.signal_id) > 0
    assert worlds.simulator.memory_bytes > 3 * 1000


def test_they_drive_and_begin_anew() -> None:
    worlds = Worlds(8)
    assert worlds.run(600) == 600 * 2 * 8
    assert worlds.resets > 0
    step = worlds.simulator.step(decide(worlds.simulator.observe()))
    assert step.facts.driven.max() > 10.0


def test_a_replay_drives_the_same_again() -> None:
    replay = Replay(20)
    assert replay.run(2) == 2 * 20 * 2
    again = replay._worlds.simulator.observe()
    replay.run(1)
    assert np.array_equal(again.speed, replay._worlds.simulator.observe().speed)
    assert again.speed[0] > 0.0


def test_the_rule_at_the_wheel() -> None:
    """By hand: a bend of 1/32 a metre and 3 m/s too slow; a red light at the place to stop."""
    route = np.zeros((2, 50, 2), np.float32)
    route[:, 4, 1] = (1.0, 0.0)
    seen = Observation(
        speed=np.array([5.0, 5.0], np.float32),
        yaw_rate=np.zeros(2, np.float32),
        route=route,
        light=np.array([[100.0, 0.0], [5.0, 3.0]], np.float32),
        speed_limit=np.array([20.0, 20.0], np.float32),
    )
    control = decide(seen)
    assert control.steer.tolist() == [4.0 / 32.0, 0.0]
    assert control.throttle.tolist() == [0.75, 0.0]
    assert control.brake.tolist() == [0.0, 1.0]


def positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def check(found: dict[str, Any]) -> None:
    """Keys there, figures positive, all of it JSON."""
    json.dumps(found, allow_nan=False)
    for row in found["throughput"]:
        assert {"num_envs", "threads", "env_steps_per_s", "lowest", "highest", "repetitions"} <= row.keys()
        assert all(positive(row[key]) for key in ("num_envs", "threads", "env_steps_per_s", "lowest", "highest"))
    for row in found["vehicles"]["rows"]:
        assert all(positive(row[key]) for key in ("us_per_env_step", "env_steps_per_s", "bytes_per_env"))
    assert set(found["vehicles"]["line"]) == {"us_fixed", "us_per_vehicle", "r2"}
    for part in ("together", "alone"):
        assert positive(found["reset"][part]["us_per_env"])
        assert positive(found["reset"][part]["env_steps"])
    assert positive(found["memory"]["bytes_per_env"])
    assert positive(found["single_env"]["env_steps_per_s"])
    assert positive(found["camera"]["frames_per_s"])
    assert {"date", "versions", "machine"} <= found["machine"].keys()


def test_the_result_has_its_keys() -> None:
    told: list[str] = []
    found = toy.bench_toy(TINY, told.append)
    check(found)
    assert [(row["num_envs"], row["threads"]) for row in found["throughput"]] == [(1, 1), (2, 1)]
    assert [row["vehicles"] for row in found["vehicles"]["rows"]] == [0, 4, 8]
    assert found["first_start"] is None
    assert found["peers"] is None
    assert told[0] == "throughput"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--quick` at its very smallest."""
    monkeypatch.setattr("carla_rl.cli.commands_bench.quick", lambda threads: toy.Sizes((1,), threads, *_tiny_rest()))


def _tiny_rest() -> tuple[Any, ...]:
    return (0, 2, 4), 2, 2, 0.01, False, 1


@pytest.mark.usefixtures("tiny")
def test_the_command_prints_pure_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "toy", "--quick", "--num-envs", "3", "--threads", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    check(found)
    assert [row["num_envs"] for row in found["throughput"]] == [3]


@pytest.mark.usefixtures("tiny")
def test_the_command_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "toy", "--quick", "--threads", "1"]) == 0
    told = capsys.readouterr().out
    for part in ("throughput", "cost of vehicles", "memory", "front camera 224x224", "numba"):
        assert part in told


def test_a_fresh_process_tells_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, where everything may be compiled already."""
    import time

    first_start.child(time.perf_counter())
    parts = json.loads(capsys.readouterr().out)
    assert set(parts) == set(first_start.PARTS)
    assert all(positive(value) for value in parts.values())


def test_peers_that_are_not_there_are_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS", (peers.Peer("no-such-peer", "no_such_peer", ("x",)),))
    (row,) = peers.peers(1, 0.01, lambda _: None)
    assert row == {"peer": "no-such-peer", "env_steps_per_s": None, "note": "not installed (pip install no-such-peer)"}


def test_a_peer_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """typer is installed, and no configuration is called x."""
    monkeypatch.setattr(peers, "PEERS", (peers.Peer("typer", "typer", ("x",)),))
    (row,) = peers.peers(1, 0.01, lambda _: None)
    assert row["env_steps_per_s"] is None
    assert row["note"].startswith("installed, but failed: KeyError")
    assert row["version"]


def test_every_configuration_of_a_peer_is_described() -> None:
    assert {name for peer in peers.PEERS for name in peer.configurations} == set(peers._CONFIGURATIONS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--num-envs", "0"], "--num-envs 0: a simulator needs at least 1 env"),
        (["--threads", "100000"], "--threads 100000: this machine has"),
        (["--threads", "0"], "--threads 0: this machine has"),
        (["--num-envs", "many"], "--num-envs"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert run(["bench", "toy", *arguments]) == 2
    caught = capsys.readouterr()
    assert told in caught.err
    assert caught.out == ""


def test_sizes_check_themselves() -> None:
    with pytest.raises(UsageError, match="at least 1 env"):
        TINY.with_envs((4, 0))
    assert toy.all_threads()[0] == 1


def test_a_peers_process_needs_nothing_of_this_program() -> None:
    """Peers may live where numba and torch do not."""
    source = Path(peers.__file__).read_text()
    assert [line for line in source.splitlines() if line.startswith(("import carla_rl", "from carla_rl"))] == [
        "from carla_rl.bench.repeat import rate"
    ]
