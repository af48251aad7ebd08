"""The story at its smallest, by the commands that a user types, and what each leaves behind."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator

from carla_rl.build import make_policy
from carla_rl.checkpoint import load_rl, load_sft, sft_fingerprint
from carla_rl.cli import commands_data, commands_evaluate, commands_train
from carla_rl.cli.app import run
from carla_rl.evaluate import drive
from carla_rl.loop import Decision
from carla_rl.metrics.result import EpisodeResult
from carla_rl.records.camera_films import KeptFilm
from carla_rl.records.dataset import load_samples
from carla_rl.records.reading import read_run
from carla_rl.records.steps import read_steps
from carla_rl.reward import RewardTerms
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.schemas import load_schema
from carla_rl.train import Training

CONFIG = """
validate_every = 1
[ppo]
decisions = 256
num_envs = 8
rollout = 16
minibatch = 64
epochs = 2
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything was run once."""
    here = tmp_path_factory.mktemp("story")
    (here / "train.toml").write_text(CONFIG)
    data, model = here / "data", here / "sft" / "model.pt"
    episodes = str(data / "*" / "episode.json")
    drive = ["--suite", "quick-eval", "--routes", "0-1", "--simulator", "toy", "--out", str(here)]
    training = ["--suite", "quick-train", "--routes", "0-2", "--simulator", "toy", "--out", str(here), "--run-id", "ppo"]
    steps = [
        ["record", "--suite", "quick-train", "--routes", "0-2", "--episodes", "4", "--noise", "0.25", "--out", str(data)],
        ["sft", "--episodes", episodes, "--epochs", "2", "--out", str(here / "sft")],
        ["evaluate", "--checkpoint", str(model), *drive, "--run-id", "a"],
        ["evaluate", "--checkpoint", str(model), *drive, "--run-id", "again", "--num-envs", "1", "--camera", "front"],
        ["train", "--sft", str(model), "--config", str(here / "train.toml"), *training],
        ["evaluate", "--checkpoint", str(here / "ppo" / "checkpoints" / "last.pt"), *drive, "--run-id", "b"],
    ]
    for arguments in steps:
        assert run(arguments) == 0, arguments
    return here


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def out(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run a command with --json and give what it printed."""
    assert run(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def test_recorded_episodes_keep_the_contract(story: Path) -> None:
    paths = sorted((story / "data").glob("*/episode.json"))
    assert len(paths) == 4  # three scenarios, the first of them twice
    validator = Draft202012Validator(load_schema("episode"))
    for path in paths:
        validator.validate(load(path))
    about = load(story / "data" / "recording.json")
    assert about["simulator"]["name"] == "toy"
    assert about["frames"] == sum(len(load(path)["frames"]) for path in paths)
    assert about["noise"]["share"] == 0.25


def test_where_a_policy_gets_to_the_experts_plan_is_recorded(story: Path, tmp_path: Path) -> None:
    model = str(story / "sft" / "model.pt")
    told = ["--suite", "quick-train", "--routes", "0", "--first", "3", "--out", str(tmp_path / "own")]
    assert run(["record", "--checkpoint", model, *told]) == 0
    (path,) = (tmp_path / "own").glob("*/episode.json")
    frames = load(path)["frames"]
    assert load(path)["episode_id"].endswith("#3")
    about = load(tmp_path / "own" / "recording.json")
    assert (about["policy"], about["teacher"]) == ("sft-route_objects", "expert")
    # the states are those of its own drive, the plans another one's: a hardly trained model plans otherwise
    policy = make_policy(None, story / "sft" / "model.pt", None)
    samples = load_samples(str(path), policy.needs, policy.horizon)
    assert len(samples) == len(frames)
    own = policy.plan(samples.batch(np.arange(len(samples)))).waypoints
    assert np.abs(own - samples.waypoints).mean() > 0.05


def test_the_clone_is_a_model_of_the_contract(story: Path) -> None:
    content = torch.load(story / "sft" / "model.pt", weights_only=True)
    assert {"encoder", "head", "out_dim", "horizon_steps"} <= set(content)
    metrics = load(story / "sft" / "train_metrics.json")
    Draft202012Validator(load_schema("train_metrics")).validate(metrics)
    assert metrics["ade"] > 0
    assert metrics["episodes"] == {"train": 3, "held_out": 1}
    assert metrics["datasets"] == ["carla-rl-toy"]


def test_offline_tells_of_both_plans(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    episodes = str(story / "data" / "*" / "episode.json")
    sft = out(capsys, "offline", "--checkpoint", str(story / "sft" / "model.pt"), "--episodes", episodes, "--json")
    rl = out(capsys, "offline", "--checkpoint", str(story / "ppo" / "checkpoints" / "last.pt"), "--episodes", episodes, "--json")
    assert sft["sft"] is None
    assert sft["datasets"] == ["carla-rl-toy"]
    assert rl["sft"]["ade"] == sft["ade"]
    assert len(sft["by_horizon"]) == 20


def test_an_evaluation_explains_itself(story: Path) -> None:
    run_dir = story / "a"
    metrics = load(run_dir / "metrics.json")
    Draft202012Validator(load_schema("metrics")).validate(metrics)
    assert metrics["complete"] is True
    assert metrics["simulator"]["name"] == "toy"
    assert metrics["summary"]["num_episodes"] == 2
    assert metrics["policy"]["checkpoint"].endswith("model.pt")
    lines = [json.loads(line) for line in (run_dir / "episodes.jsonl").read_text().splitlines()]
    assert sorted(line["scenario_id"] for line in lines) == sorted(item["scenario_id"] for item in metrics["scenarios"])
    config = load(run_dir / "config.json")["config"]
    assert config["seeds"].keys() == {line["episode_id"] for line in lines}
    environment = load(run_dir / "environment.json")
    assert environment["protocol"]["controller"] == "default"
    refined = load(story / "b" / "environment.json")["policy"]
    assert refined["sft"] == environment["policy"]["sft"] == load(story / "ppo" / "train_metrics.json")["sft_fingerprint"]["after"]
    assert refined["sha256"] != environment["policy"]["sha256"]


def test_a_step_log_redraws_the_drive(story: Path) -> None:
    for path in sorted((story / "b" / "steps").glob("*.npz")):
        log = read_steps(path)
        assert len(log.ego) == len(log.waypoints) + 1
        assert np.isfinite(log.waypoints).all()
        assert log.delta is not None
        assert len(log.actors) > 0
        assert log.route.shape[1] == 4


def test_the_same_drive_bit_for_bit_whatever_the_number_of_envs(story: Path) -> None:
    one, many = load(story / "again" / "metrics.json"), load(story / "a" / "metrics.json")
    assert one["scenarios"] == many["scenarios"]
    assert one["summary"] == many["summary"]
    for path in (story / "a" / "steps").glob("*.npz"):
        a, b = read_steps(path), read_steps(story / "again" / "steps" / path.name)
        np.testing.assert_array_equal(a.ego, b.ego)
        np.testing.assert_array_equal(a.actors, b.actors)


def test_what_the_camera_saw_is_kept_and_shown(story: Path, tmp_path: Path) -> None:
    run_dir = story / "again"
    assert not (story / "a" / "camera").exists()
    films = {path.stem: path for path in (run_dir / "camera").iterdir()}
    assert films.keys() == {path.stem for path in (run_dir / "steps").iterdir()}
    name = next(iter(films))
    log = read_steps(run_dir / "steps" / f"{name}.npz")
    first = KeptFilm(films[name], len(log.control)).at(0)
    assert first.shape == (200, 320, 3)
    # sky above, road below
    assert first[:40, :, 0].mean() > first[160:, :, 0].mean() + 40
    corner = {}
    for option in ("--camera", "--no-camera"):
        out = tmp_path / f"{option}.mp4"
        assert run(["render", str(run_dir), "--episode", log.episode_id, option, "--fps", "1", "--out", str(out)]) == 0
        with av.open(str(out)) as film:
            corner[option] = next(film.decode(video=0)).to_ndarray(format="bgr24")[10:110, 240:400].astype(int)
    shown = cv2.resize(first, (176, 110), interpolation=cv2.INTER_AREA)[4:104, 6:166].astype(int)
    assert np.abs(corner["--camera"] - shown).mean() < 10
    assert np.abs(corner["--no-camera"] - shown).mean() > 40


def test_training_leaves_what_the_mission_asks_for_and_sft_untouched(story: Path) -> None:
    run_dir = story / "ppo"
    metrics = load(run_dir / "metrics.json")
    Draft202012Validator(load_schema("training_metrics")).validate(metrics)
    names = {"run_id", "total_episodes", "avg_reward", "std_reward", "avg_ade", "avg_fde", "best_reward"}
    assert names <= set(metrics)
    assert metrics["simulator"]["name"] == "toy"
    trained = load(run_dir / "train_metrics.json")
    assert trained["complete"] is True
    assert trained["simulator"] == "toy"
    assert load_rl(run_dir / "checkpoints" / "last.pt").train_stats["simulator"] == "toy"
    assert load(run_dir / "config.json")["config"]["routes"] == "0-2"
    assert [row["update"] for row in trained["updates"]] == [1, 2]
    assert {"ppo/approx_kl", "ppo/clip_fraction", "ppo/explained_variance"} <= set(trained["updates"][0])
    before = sft_fingerprint(load_sft(story / "sft" / "model.pt"))
    assert sft_fingerprint(load_rl(run_dir / "checkpoints" / "last.pt").sft) == before
    assert list((run_dir / "tensorboard").glob("events.*"))


def test_compare_pairs_the_drives(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = out(capsys, "compare", str(story / "a"), str(story / "b"), "--json")
    assert found["pairs"] == 2
    assert {"driving_score", "route_completion", "success_rate", "ade", "fde"} <= {row["name"] for row in found["measures"]}
    same = out(capsys, "compare", str(story / "a"), str(story / "again"), "--json")
    assert all(row["difference"] == 0 for row in same["measures"])
    assert run(["compare", str(story / "a"), str(story / "ppo")]) == 2
    assert "ppo: a training run" in capsys.readouterr().err
    assert run(["compare", str(story / "a"), str(story / "b")]) == 0
    assert "driving score" in capsys.readouterr().out


def test_tables_say_which_simulator_made_them(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--suite", "quick-eval", "--routes", "0", "--simulator", "toy", "--out", str(story), "--no-steps"]
    assert run(["evaluate", "--policy", "expert", *arguments]) == 0
    assert "simulator: toy" in capsys.readouterr().out


def test_suites_can_be_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = out(capsys, "suites", "quick-eval", "--json")
    assert shown[0]["split"] == "evaluation"
    assert len(shown[0]["scenarios"]) == 24
    assert run(["suites", "quick-eval", "--routes", "0-3"]) == 0
    assert "-eval-000" in capsys.readouterr().out


def test_an_interrupt_keeps_what_was_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Iterator[EpisodeResult]:
        yield next(drive(*arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(commands_evaluate, "drive", interrupted)
    suite = ["--suite", "quick-eval", "--routes", "0-1", "--simulator", "toy"]
    assert run(["evaluate", "--policy", "expert", *suite, "--out", str(tmp_path), "--run-id", "cut", "--num-envs", "1"]) == 1
    assert "1 of 2 episodes were finished and are kept" in capsys.readouterr().err
    assert load(tmp_path / "cut" / "metrics.json")["complete"] is False
    assert len((tmp_path / "cut" / "episodes.jsonl").read_text().splitlines()) == 1
    assert len(read_run(tmp_path / "cut").episodes) == 1


def test_an_interrupted_training_keeps_every_episode_that_ended(
    story: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of the rollout that was cut short: the lines and the headline tell of the same episodes."""
    measure = Training._measure

    def interrupted(self: Training, decision: Decision, earned: RewardTerms) -> None:
        measure(self, decision, earned)
        if self._log.returns:
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_measure", interrupted)
    settings = story / "long.toml"
    settings.write_text("[ppo]\nnum_envs = 8\nrollout = 1000\ndecisions = 8000\n")
    training = ["train", "--sft", str(story / "sft" / "model.pt"), "--suite", "quick-train", "--routes", "0-2", "--simulator", "toy"]
    assert run([*training, "--config", str(settings), "--out", str(story), "--run-id", "cut"]) == 1
    assert "interrupted after 0 of 1 updates" in capsys.readouterr().err
    lines = (story / "cut" / "episodes.jsonl").read_text().splitlines()
    assert len(lines) == load(story / "cut" / "metrics.json")["total_episodes"] > 0
    assert load(story / "cut" / "metrics.json")["complete"] is False


def test_options_come_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("seed = 3\n[ppo]\nnum_envs = 64\ndecisions = 8192\n")
    config = commands_train.read_train_config(tmp_path / "t.toml", {"seed": 7}, {"decisions": None, "num_envs": 128})
    assert (config.seed, config.ppo.num_envs, config.ppo.decisions) == (7, 128, 8192)
    assert commands_train.read_train_config(tmp_path / "t.toml", {"seed": None}, {}).seed == 3
    assert commands_train.read_train_config(None, {"seed": None}, {}).seed == 0


def test_a_recorded_camera_looks_where_its_name_says(tmp_path: Path) -> None:
    recording = ["record", "--suite", "quick-train", "--routes", "0", "--episodes", "1", "--decision-ticks", "20"]
    assert run([*recording, "--camera", "front", "--camera", "side_left", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*/episode.json")
    cameras = load(path)["frames"][0]["observations"]["cameras"]
    front, left = (np.array(cameras[name]["extrinsics"]).reshape(4, 4) for name in ("front", "side_left"))
    np.testing.assert_allclose(front[:3, :3], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(left[:3, 0], (0.0, 1.0, 0.0), atol=1e-6)
    pictures = [(path.parent / cameras[name]["image_path"]).read_bytes() for name in cameras]
    assert pictures[0] != pictures[1]


def test_fewer_episodes_are_spread_over_the_suite_and_more_drive_it_again() -> None:
    line = Scenario(scenario_id="s", town="none", positions=((0.0, 0.0, 0.0), (9.0, 0.0, 0.0)))
    bank = tuple(Episode(line.model_copy(update={"scenario_id": str(i)}), cast(Any, None)) for i in range(6))
    assert [episode.episode_id for episode in commands_data._spread(bank, 3)] == ["0#0", "2#0", "4#0"]
    assert [episode.episode_id for episode in commands_data._spread(bank[:2], 5)] == ["0#0", "1#0", "0#1", "1#1", "0#2"]
    assert [episode.episode_id for episode in commands_data._spread(bank[:2], 3, 4)] == ["0#4", "1#4", "0#5"]
