"""Wrong input on purpose: one clear sentence, exit code 2, no traceback."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from carla_rl.checkpoint import SftState, save_sft
from carla_rl.cli.app import run
from carla_rl.policies import features
from carla_rl.policies.sft import new_model
from toy_env import towns

EVALUATE = ["evaluate", "--simulator", "toy", "--suite", "quick-eval", "--routes", "0"]


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *parts: str) -> None:
    """The command exits with 2 and says one sentence that holds all parts."""
    assert run(arguments) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    for part in parts:
        assert part in told, f"{part!r} is not in: {told}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An untrained route_objects model of 20 waypoints."""
    return write_model(tmp_path / "model.pt", horizon=20)


def write_model(path: Path, horizon: int) -> Path:
    net = new_model("route_objects", horizon, 16, 16, seed=0)
    state = SftState("route_objects", net.encoder.state_dict(), net.head.state_dict(), (), features.LAYOUT, 16, horizon)
    save_sft(path, state)
    return path


@pytest.fixture
def episode(tmp_path: Path) -> Path:
    """A recorded episode of two frames."""
    seen = {"route": [[2.0 * i, 0.0] for i in range(50)], "route_left": 90.0, "objects": [], "light": [100.0, 0.0]}
    frame = {
        "observations": {
            "cameras": {},
            "state": {"speed": 5.0, "yaw_rate": 0.0},
            "map": {**seen, "stop_sign": [100.0, 0.0], "speed_limit": 13.9},
        },
        "expert": {"waypoints": [[0.5 * i, 0.0] for i in range(1, 21)]},
    }
    data = {"episode_id": "e", "domain": "driving", "frames": [{"t": 0.0, **frame}, {"t": 0.1, **frame}]}
    path = tmp_path / "episode.json"
    path.write_text(json.dumps(data))
    return path


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "demo" in capsys.readouterr().out


def test_unknown_option(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["evaluate", "--fast"], "--fast")


def test_the_simulator_is_never_chosen_silently(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["evaluate", "--suite", "quick-eval", "--policy", "expert"], "--simulator")


def test_unknown_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["evaluate", "--simulator", "gta", "--suite", "quick-eval", "--policy", "expert"], "gta", "toy")


def test_unknown_suite(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["evaluate", "--simulator", "toy", "--suite", "nope", "--policy", "expert"], "nope", "quick-eval")


def test_unknown_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, [*EVALUATE[:-1], "9999", "--policy", "expert"], "9999")


def test_unknown_town(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "x.toml"
    text = '[suite]\nname = "x"\nsplit = "any"\n[[scenario]]\nid = "a"\ntown = "Atlantis"\npositions = [[0, 0], [9, 9]]\n'
    suite.write_text(text)
    refused(capsys, ["evaluate", "--simulator", "toy", "--suite", str(suite), "--policy", "expert"], "Atlantis", "--maps")


def test_neither_policy_nor_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, EVALUATE, "--policy", "--checkpoint")


def test_unknown_policy_and_controller(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, [*EVALUATE, "--policy", "wizard"], "wizard", "expert")
    refused(capsys, [*EVALUATE, "--policy", "json:JSONDecoder"], "JSONDecoder")
    refused(capsys, [*EVALUATE, "--policy", "expert", "--controller", "wizard"], "wizard", "transfuser")


def test_missing_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, [*EVALUATE, "--checkpoint", "absent.pt"], "absent.pt", "no such file")


def test_a_file_that_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.pt").write_text("hello")
    refused(capsys, [*EVALUATE, "--checkpoint", str(tmp_path / "text.pt")], "text.pt")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    refused(capsys, [*EVALUATE, "--checkpoint", str(tmp_path / "other.pt")], "other.pt", "encoder")


def test_a_checkpoint_of_another_horizon(tmp_path: Path, episode: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ten = write_model(tmp_path / "ten.pt", horizon=10)
    refused(capsys, ["offline", "--checkpoint", str(ten), "--episodes", str(episode)], "episode.json", "20", "10")


def test_plans_too_short_to_follow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said before anything runs: the controller reads farther ahead than the model plans."""
    five = str(write_model(tmp_path / "five.pt", horizon=5))
    refused(capsys, [*EVALUATE, "--checkpoint", five], "plans 5 waypoints, 0.50 s", "'default'", "needs 0.75 s")
    ten = str(write_model(tmp_path / "ten.pt", horizon=10))
    refused(capsys, [*EVALUATE, "--checkpoint", ten, "--controller", "tcp"], "plans 10 waypoints", "needs 2.00 s")
    train = ["train", "--sft", five, "--suite", "quick-train", "--simulator", "toy"]
    refused(capsys, train, "plans 5 waypoints", "needs 0.75 s")


def test_nan_in_an_episode(model: Path, episode: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(episode.read_text())
    data["frames"][1]["expert"]["waypoints"][2][0] = float("nan")
    episode.write_text(json.dumps(data))
    refused(capsys, ["offline", "--checkpoint", str(model), "--episodes", str(episode)], "episode.json", "frame 1", "NaN")


def test_a_camera_of_no_known_mount(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = ["record", "--suite", "quick-train", "--routes", "0", "--out", str(tmp_path / "o")]
    for name in ("periscope", "../../front", ""):
        refused(capsys, [*record, "--camera", name], "--camera", "side_left")
    refused(capsys, [*record, "--camera", "front", "--camera", "front"], "twice")
    assert not (tmp_path / "o").exists()


def test_numbers_out_of_range(tmp_path: Path, model: Path, episode: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "o")
    refused(capsys, ["record", "--suite", "quick-train", "--noise", "nan", "--out", out], "--noise")
    refused(capsys, ["sft", "--episodes", str(episode), "--lr", "nan", "--out", out], "lr")
    refused(capsys, ["sft", "--episodes", str(episode), "--seed", str(2**63), "--out", out], "--seed")
    refused(capsys, ["plan", "--checkpoint", str(model), "--image", "x.png", "--speed", "nan"], "tiny_multicam")
    refused(capsys, [*EVALUATE, "--policy", "expert", "--repetitions", "999999999"], "--repetitions")


def test_no_episodes(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = str(tmp_path / "none" / "*.json")
    refused(capsys, ["offline", "--checkpoint", str(model), "--episodes", nothing], nothing)
    refused(capsys, ["sft", "--episodes", nothing, "--out", str(tmp_path / "o")], nothing)


def test_an_out_directory_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    refused(capsys, [*EVALUATE, "--policy", "expert", "--out", str(tmp_path / "file" / "out")], "file", "cannot be written")


def test_a_run_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.json").write_text("{}")
    refused(capsys, [*EVALUATE, "--policy", "expert", "--out", str(tmp_path), "--run-id", "r"], "holds a run already")


def test_no_carla_wheel(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "carla", None)
    source = Path(towns.__file__).parent / "grid.xodr.gz"
    shutil.copy(source, tmp_path / "Mine.xodr.gz")
    refused(capsys, ["compile-map", str(tmp_path / "Mine.xodr.gz"), str(tmp_path / "Mine.npz")], "carla", ".npz")


def test_a_compiled_map_has_its_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["compile-map", "x.xodr", str(tmp_path / "Mine")], "Mine", "write Mine.npz")


def test_a_map_that_is_no_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("carla", reason="compiling maps needs the carla wheel")
    (tmp_path / "x.xodr").write_text("no XML")
    refused(capsys, ["compile-map", str(tmp_path / "x.xodr"), str(tmp_path / "x.npz")], "x.xodr")


def test_compare_of_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["compare", str(tmp_path / "a"), str(tmp_path / "b")], "no such run directory")


def test_plan_wants_a_camera_model_and_an_image(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["plan", "--checkpoint", str(model), "--image", "x.png"], "tiny_multicam")


def test_a_training_configuration_out_of_range(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "t.toml"
    train = ["train", "--sft", str(model), "--suite", "quick-train", "--simulator", "toy", "--config", str(config)]
    config.write_text("[ppo]\nclip = 2.0\n")
    refused(capsys, train, "t.toml", "ppo.clip")
    config.write_text("[ppo]\nclips = 0.2\n")
    refused(capsys, train, "ppo.clips", "not a known field")
    config.write_text("[delta]\nhidden = [0]\n")
    refused(capsys, train, "delta.hidden.0")
    config.write_text("[ppo\n")
    refused(capsys, train, "not TOML")
    refused(capsys, [*train[:-1], str(tmp_path / "absent.toml")], "absent.toml")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "--sft", str(model), "--suite", "quick-train", "--simulator", "toy", "--device"]
    refused(capsys, [*train, "cuda"], "--device cuda", "no CUDA device")
    refused(capsys, [*train, "tpu"], "device", "pattern")


def test_training_and_validation_must_not_overlap(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = ["--suite", "quick-eval", "--validation", "quick-eval"]
    refused(capsys, ["train", "--sft", str(model), *same, "--simulator", "toy"], "overlap")


def test_an_agent_file_and_options_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent = tmp_path / "a.toml"
    agent.write_text('policy = "expert"\n')
    for also in (["--policy", "expert"], ["--controller", "tcp"], ["--decision-ticks", "2"]):
        refused(capsys, [*EVALUATE, "--agent", str(agent), *also], "a.toml", "says what drives")
    agent.write_text('policy = "expert"\nsft = "model.pt"\n')
    refused(capsys, [*EVALUATE, "--agent", str(agent)], "a.toml", "sft is the model under a checkpoint's heads")
    agent.write_text('policy = "expert"\nspeed = 3\n')
    refused(capsys, [*EVALUATE, "--agent", str(agent)], "a.toml", "speed")
