import json

import cv2
import numpy as np
import pytest
import torch
from policy_parts import frozen, legacy_heads, sft_state, upstream_model

from carla_rl.checkpoint import save_rl, save_sft
from carla_rl.errors import UsageError
from carla_rl.planning import plan_image
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.loading import load_policy
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.types import Observation


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    path = tmp_path / "front.png"
    cv2.imwrite(str(path), pixels[:, :, ::-1])
    return path, pixels


def test_sft_only(tmp_path, image):
    path, pixels = image
    checkpoint = upstream_model(tmp_path / "model.pt")
    report = plan_image(checkpoint, path)
    assert json.loads(json.dumps(report)) == report
    assert report["delta"] is None
    assert report["policy"] == "sft-tiny_multicam"
    assert report["waypoints"] == report["sft_waypoints"]
    assert np.shape(report["waypoints"]) == (20, 2)
    seen = Observation(speed=np.zeros(1, np.float32), yaw_rate=np.zeros(1, np.float32), images={"front": pixels[None]})
    np.testing.assert_array_equal(report["waypoints"], load_policy(checkpoint).plan(seen).waypoints[0])


def test_with_a_delta_head(tmp_path, image):
    policy = ResidualPolicy(frozen("tiny_multicam", horizon=10), DeltaConfig())
    with torch.no_grad():
        torch.nn.init.normal_(policy.delta_head.net[-1].weight)
    save_rl(tmp_path / "rl.pt", policy.state())
    slow, fast = (plan_image(tmp_path / "rl.pt", image[0], speed=speed) for speed in (0.0, 15.0))
    assert np.shape(slow["delta"]) == (10, 2)
    np.testing.assert_allclose(slow["waypoints"], np.array(slow["sft_waypoints"]) + slow["delta"], rtol=1e-5, atol=1e-5)
    assert slow["sft_waypoints"] == fast["sft_waypoints"]
    assert slow["delta"] != fast["delta"]


def test_with_legacy_heads(tmp_path, image):
    report = plan_image(legacy_heads(tmp_path / "delta.pt"), image[0], sft=upstream_model(tmp_path / "model.pt"))
    assert np.shape(report["delta"]) == (20, 2)


def test_bad_input(tmp_path, image):
    checkpoint = upstream_model(tmp_path / "model.pt")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, message in (("text.png", "not an image"), ("empty.png", "not an image"), ("gone.png", "no such file")):
        with pytest.raises(UsageError, match=message):
            plan_image(checkpoint, tmp_path / name)
    with pytest.raises(UsageError, match="no speed of a car"):
        plan_image(checkpoint, image[0], speed=-1.0)
    save_sft(tmp_path / "objects.pt", sft_state())
    with pytest.raises(UsageError, match="a route_objects model takes no image"):
        plan_image(tmp_path / "objects.pt", image[0])
