from dataclasses import replace

import numpy as np
import pytest
import torch
from policy_parts import frozen, observations, sft_state, upstream_latest, upstream_model
from torch import nn

from carla_rl.checkpoint import load_sft
from carla_rl.errors import UsageError
from carla_rl.policies.sft import FrozenSft, MulticamEncoder, SftPolicy, TinyMulticam, new_model
from carla_rl.types import CameraSpec, Needs


def reference(encoder: dict[str, torch.Tensor], head: dict[str, torch.Tensor], image: np.ndarray) -> np.ndarray:
    """The table of the file contract, layer by layer."""
    x = torch.from_numpy(image.astype(np.float32) / 255.0).permute(2, 0, 1)[None]
    for index, padding in ((0, 2), (2, 1), (4, 1)):
        weight, bias = encoder[f"per_cam.net.{index}.weight"], encoder[f"per_cam.net.{index}.bias"]
        x = nn.functional.relu(nn.functional.conv2d(x, weight, bias, stride=2, padding=padding))
    z = x.mean((2, 3)) @ encoder["per_cam.net.8.weight"].T + encoder["per_cam.net.8.bias"]
    hidden = nn.functional.relu(z @ head["0.weight"].T + head["0.bias"])
    return (hidden @ head["2.weight"].T + head["2.bias"]).reshape(-1, 2).numpy()


@pytest.mark.parametrize(("out_dim", "horizon"), [(128, 20), (64, 10)])
def test_tiny_multicam_is_what_the_contract_says(tmp_path, out_dim, horizon):
    state = load_sft(upstream_model(tmp_path / "model.pt", out_dim=out_dim, horizon=horizon))
    policy = SftPolicy(FrozenSft(state))
    assert policy.needs == Needs(cameras=(CameraSpec("front"),))
    assert (policy.horizon, policy.sft.out_dim) == (horizon, out_dim)
    seen = observations(2, camera="front")
    plan = policy.plan(seen.restrict(policy.needs))
    assert plan.waypoints.shape == (2, horizon, 2)
    for i in range(2):
        np.testing.assert_allclose(plan.waypoints[i], reference(state.encoder, state.head, seen.images["front"][i]), atol=1e-5)


def test_latest_checkpoint_with_paths(tmp_path):
    policy = SftPolicy(FrozenSft(load_sft(upstream_latest(tmp_path / "latest.pt"))))
    model = SftPolicy(FrozenSft(load_sft(upstream_model(tmp_path / "model.pt"))))
    seen = observations(1, camera="front")
    assert np.array_equal(policy.plan(seen).waypoints, model.plan(seen).waypoints)


def test_cameras_are_averaged_over_the_valid_ones():
    torch.manual_seed(0)
    encoder = MulticamEncoder((4, 6, 8), (5, 3, 3), 5)
    images = torch.rand(3, 2, 3, 32, 32)
    valid = torch.tensor([[True, True], [False, True], [False, False]])
    z = encoder(images, valid)
    each = [encoder(images[:, c : c + 1], torch.ones(3, 1, dtype=torch.bool)) for c in range(2)]
    torch.testing.assert_close(z[0], (each[0][0] + each[1][0]) / 2)
    torch.testing.assert_close(z[1], each[1][1])
    assert torch.equal(z[2], torch.zeros(5))
    assert TinyMulticam(encoder, nn.Sequential(nn.Linear(5, 8)))(images, valid).shape == (3, 4, 2)


def test_a_missing_camera_is_not_valid():
    sft = frozen("tiny_multicam")
    z = sft.see(observations(2)).z
    assert not z.any()


def test_a_row_whose_image_has_not_changed_is_not_encoded_again(monkeypatch):
    sft = frozen("tiny_multicam")
    encoded = []
    forward = type(sft.model.encoder).forward
    monkeypatch.setattr(
        type(sft.model.encoder), "forward", lambda self, images, valid: encoded.append(len(images)) or forward(self, images, valid)
    )
    before = observations(4, camera="front")
    after = replace(before, images={"front": before.images["front"].copy()})
    after.images["front"][2, 0, 0, 0] ^= 255
    for seen, wanted in ((before, 4), (before, 0), (after, 1), (after.take(np.array([0, 1])), 0), (before, 2), (observations(4), 4)):
        encoded.clear()
        z = sft.see(seen).z
        assert sum(encoded) == wanted
        z[:] = 7.0  # what is handed out is the caller's
        np.testing.assert_array_equal(sft.see(seen).z, frozen("tiny_multicam").see(seen).z)


def test_image_rows_have_the_same_bits_in_any_batch():
    sft = frozen("tiny_multicam")
    seen = observations(6, camera="front")
    whole = sft.see(seen, context=True)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for rows in ([3], [5, 0], [4, 1, 2]):
                part = sft.see(seen.take(np.array(rows)), context=True)
                for name in ("z", "waypoints", "context"):
                    assert np.array_equal(getattr(part, name), getattr(whole, name)[rows])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("n", [1, 2, 7, 64, 100])
def test_object_rows_have_the_same_bits_in_any_batch(n):
    policy = SftPolicy(frozen(hidden=256))
    seen = observations(1024)
    whole = policy.plan(seen.restrict(policy.needs)).waypoints
    rows = np.random.default_rng(n).permutation(1024)[:n]
    assert np.array_equal(policy.plan(seen.take(rows)).waypoints, whole[rows])


def test_nothing_of_it_learns():
    sft = frozen()
    assert not any(parameter.requires_grad for parameter in sft.model.parameters())
    assert not any(module.training for module in sft.model.modules())


def test_initialisation_depends_on_its_seed_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = new_model("route_objects", 20, 128, 64, 3).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(9)
    second = new_model("route_objects", 20, 128, 64, 3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet"}, "architecture 'resnet' is unknown"),
        ({"horizon": 10}, "horizon_steps declared is 10, but the head's tensors give 20"),
        ({"out_dim": 64}, "out_dim declared is 64"),
        ({"features": "route_objects/0"}, "made for features 'route_objects/0'"),
        (
            {"head": {"0.weight": torch.zeros(8, 64), "0.bias": torch.zeros(8), "2.weight": torch.zeros(40, 8), "2.bias": torch.zeros(40)}},
            "z of size 64",
        ),
        ({"head": {"0.weight": torch.zeros(3, 128), "0.bias": torch.zeros(3)}}, "no .* pairs"),
        ({"encoder": {"0.weight": torch.zeros(128, 9), "0.bias": torch.zeros(128)}}, "features of size 9"),
    ],
)
def test_models_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        FrozenSft(replace(sft_state(), **changes))


def test_convolutions_that_do_not_fit_are_named():
    state = sft_state("tiny_multicam")
    wrong = state.encoder | {"per_cam.net.4.weight": torch.zeros(128, 32, 3, 3)}
    with pytest.raises(UsageError, match=r"encoder\.per_cam\.net\.4\.weight has shape \(128, 32, 3, 3\), expected \(128, 64, 3, 3\)"):
        FrozenSft(replace(state, encoder=wrong))
    with pytest.raises(UsageError, match=r"encoder\.per_cam\.net\.2\.weight is missing"):
        FrozenSft(replace(state, encoder={k: v for k, v in state.encoder.items() if k != "per_cam.net.2.weight"}))
    with pytest.raises(UsageError, match="expected 4 dimensions"):
        FrozenSft(replace(state, encoder=state.encoder | {"per_cam.net.0.weight": torch.zeros(3)}))
    with pytest.raises(UsageError, match="camera 'roof' has no known mount"):
        FrozenSft(replace(state, cameras=("roof",)))
