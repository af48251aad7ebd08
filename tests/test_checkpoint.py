import os
import pickle
from pathlib import Path

import pytest
import torch
from policy_parts import frozen, legacy_heads, sft_state, upstream_latest, upstream_model

from carla_rl.checkpoint import (
    LegacyState,
    RlState,
    SftState,
    fingerprint,
    load_rl,
    load_sft,
    read_checkpoint,
    save_rl,
    save_sft,
    write_archive,
)
from carla_rl.errors import UsageError
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.residual import ResidualPolicy


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_files_of_the_contract(tmp_path):
    model = load_sft(upstream_model(tmp_path / "model.pt"))
    assert (model.architecture, model.cameras, model.out_dim, model.horizon) == ("tiny_multicam", ("front",), 128, 20)
    latest = load_sft(upstream_latest(tmp_path / "latest.pt"))
    assert (latest.architecture, latest.cameras, latest.out_dim, latest.horizon) == ("tiny_multicam", ("front",), None, 20)
    assert all(torch.equal(latest.encoder[name], tensor) for name, tensor in model.encoder.items())
    heads = read_checkpoint(legacy_heads(tmp_path / "delta.pt"))
    assert isinstance(heads, LegacyState)
    assert heads.train_stats == {"episodes": 3}


def test_latest_without_its_optimiser(tmp_path):
    content = {
        "step": 1,
        "cfg": {"cam": "front", "horizon_steps": 20},
        "model": {"encoder": sft_state("tiny_multicam").encoder, "head": {}},
    }
    torch.save(content, tmp_path / "latest.pt")
    assert load_sft(tmp_path / "latest.pt").horizon == 20


@pytest.mark.parametrize("architecture", ["route_objects", "tiny_multicam"])
def test_what_is_saved_is_loaded(tmp_path, architecture):
    state = sft_state(architecture)
    save_sft(tmp_path / "new" / "model.pt", state)
    again = load_sft(tmp_path / "new" / "model.pt")
    assert (again.architecture, again.cameras, again.features, again.out_dim, again.horizon) == (
        state.architecture,
        state.cameras,
        state.features,
        128,
        20,
    )
    assert fingerprint(again.encoder) == fingerprint(state.encoder)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.pt"]


def test_fingerprint_sees_every_bit_name_and_shape():
    state = sft_state().encoder
    changed = {name: tensor.clone() for name, tensor in state.items()}
    assert fingerprint(changed) == fingerprint(state)
    changed["0.bias"].view(torch.int32)[0] ^= 1
    assert fingerprint(changed) != fingerprint(state)
    assert fingerprint({"a": torch.zeros(4)}) != fingerprint({"b": torch.zeros(4)})
    assert fingerprint({"a": torch.zeros(4)}) != fingerprint({"a": torch.zeros(2, 2)})
    assert fingerprint({"a": torch.tensor(1.0)}) != fingerprint({"a": torch.tensor(1)})


def test_an_rl_file_proves_its_sft(tmp_path):
    path = tmp_path / "rl.pt"
    save_rl(path, ResidualPolicy(frozen(), DeltaConfig()).state())
    assert isinstance(read_checkpoint(path), RlState)
    content = torch.load(path, weights_only=True)
    content["sft"]["head"]["0.bias"][0] += 1e-3
    torch.save(content, path)
    with pytest.raises(UsageError, match="not the ones that its heads were trained on"):
        load_rl(path)


def test_a_foreign_class_is_refused_and_named(tmp_path):
    state = sft_state("tiny_multicam")
    target = tmp_path / "made_by_the_pickle"
    torch.save({"encoder": state.encoder, "head": state.head, "extra": Bomb(target)}, tmp_path / "archive.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps({"encoder": Bomb(target)}, protocol=2))
    for name in ("archive.pt", "bare.pt"):
        with pytest.raises(UsageError, match=r"refused, it holds \w+\.mkdir"):
            read_checkpoint(tmp_path / name)
    assert not target.exists()


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", b"PK\x03\x04 cut short", bytes(range(256)) * 40])
def test_no_torch_archive(tmp_path, data):
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(UsageError, match=r"model\.pt: not a torch archive, or damaged"):
        read_checkpoint(tmp_path / "model.pt")


def test_a_truncated_archive(tmp_path):
    path = upstream_model(tmp_path / "model.pt")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UsageError, match="not a torch archive, or damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({"weights": 1}, r"not a checkpoint of ours.*found weights"),
        ({"encoder": {}}, "head is missing"),
        ({"delta_head": {}}, "value_head is missing"),
        ({"encoder": {"w": 3}, "head": {}}, "encoder must be a state dict"),
        ({"encoder": {}, "head": {"0.weight": torch.tensor([1.0, float("nan")])}}, r"tensor head\.0\.weight holds NaN"),
        ({"encoder": {"w": torch.tensor(float("inf"))}, "head": {}}, r"tensor encoder\.w holds NaN or infinity"),
        ({"encoder": {}, "head": {}, "horizon_steps": "20"}, "horizon_steps must be a whole number above 0"),
        ({"model": 3, "cfg": {}}, "model and cfg must be dictionaries"),
        ({"model": {"head": {}}, "cfg": {}}, "encoder is missing"),
        ({"encoder": {}, "head": {}, "cam": 3}, "cam must be the name of a camera"),
        ({"encoder": {}, "head": {}, "cam": None}, "cam must be the name of a camera"),
        ({"delta_head": {}, "value_head": {}, "train_stats": [1]}, "train_stats must be a dictionary"),
        ({"format": "carla-rl/1", "sft": 3, "sft_fingerprint": "", "log_std": [1], "delta_config": {}}, "sft must be a dictionary"),
        ({"format": "carla-rl/9"}, "this version reads 'carla-rl/1'"),
        ({"format": "carla-rl/1", "sft": {}}, "sft_fingerprint is missing"),
    ],
)
def test_wrong_contents(tmp_path, content, message):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(UsageError, match=message):
        read_checkpoint(tmp_path / "model.pt")


def test_wrong_kinds(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_checkpoint(tmp_path / "nothing.pt")
    with pytest.raises(UsageError, match="no such file"):
        read_checkpoint(tmp_path)
    with pytest.raises(UsageError, match="not a checkpoint of our RL training"):
        load_rl(upstream_model(tmp_path / "model.pt"))
    with pytest.raises(UsageError, match="holds a delta head"):
        load_sft(legacy_heads(tmp_path / "delta.pt"))


def test_writing_replaces_the_whole_file_or_nothing(tmp_path):
    path = tmp_path / "model.pt"
    save_sft(path, sft_state())
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        write_archive(path, {"encoder": lambda: None})
    assert path.read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_archive(tmp_path / "file" / "model.pt", {})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "model.pt"]


def test_a_view_does_not_drag_its_storage_along(tmp_path):
    big = torch.zeros(1_000_000)
    save_sft(tmp_path / "model.pt", SftState("route_objects", {"0.weight": big[:4]}, {}))
    assert (tmp_path / "model.pt").stat().st_size < 10_000


def test_what_a_training_goes_on_from_does_not_drive(tmp_path: Path) -> None:
    write_archive(tmp_path / "resume.pt", {"format": "carla-rl/resume/1"})
    with pytest.raises(UsageError, match=r"resume\.pt: is what a training needs to go on, not what drives; give last\.pt or best\.pt"):
        read_checkpoint(tmp_path / "resume.pt")
