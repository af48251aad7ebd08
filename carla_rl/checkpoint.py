"""Checkpoint files as validated dictionaries of tensors: read safely, written atomically. Four layouts are known:

* `model.pt` of the SFT stage: {"encoder", "head", "out_dim", "cam", "horizon_steps"}, ours adds "architecture" and "features";
* `checkpoints/latest.pt` of the SFT stage: {"step", "cfg", "model": {"encoder", "head"}, "optim"};
* the earlier delta trainer's: {"delta_head", "value_head", "train_stats"};
* ours after RL: one self-contained file with the SFT tensors, the heads and everything that drives them (`RlState`).

Nothing is ever unpickled beyond tensors, plain values and pathlib's paths.
Knows no architecture: shapes are checked by whoever builds the modules.
"""

import hashlib
import io
import pathlib
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from carla_rl.errors import UsageError
from carla_rl.records.atomic import make_folder, write_bytes

Tensors = dict[str, Tensor]

RL_FORMAT = "carla-rl/1"
RESUME_FORMATS = "carla-rl/resume/"
"""How the formats of `carla_rl.resume` begin."""
TINY_MULTICAM = "tiny_multicam"
"""The architecture of files that name none."""

_PATHS = (pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath)


@dataclass(frozen=True, slots=True)
class SftState:
    """The tensors of an SFT model and what its file says about them."""

    architecture: str
    encoder: Tensors
    head: Tensors
    cameras: tuple[str, ...] = ()
    features: str | None = None
    """Name of the layout of the feature vector that the encoder reads; None where it reads images."""
    out_dim: int | None = None
    """As declared; the tensors decide."""
    horizon: int | None = None
    """As declared; the tensors decide."""
    source: str = "memory"
    """The file, for messages."""


@dataclass(frozen=True, slots=True)
class LegacyState:
    """The two heads of the earlier delta trainer."""

    delta_head: Tensors
    value_head: Tensors
    train_stats: dict[str, Any]
    source: str = "memory"


@dataclass(frozen=True, slots=True)
class RlState:
    """Everything that a refined policy needs to drive, and on demand to go on training."""

    sft: SftState
    delta_head: Tensors
    value_head: Tensors
    log_std: Tensor
    """(K,)"""
    delta_config: dict[str, Any]
    residual_ratio: float = 1.0
    """Share of the correction that is driven, 0..1."""
    normaliser: Tensors | None = None
    """`mean` (D,) and `scale` (D,) of the heads' features."""
    train_stats: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    """What a later training takes up beside the heads: tensors and plain values; None where nothing was kept."""
    source: str = "memory"


def fingerprint(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bits of all tensors: equal if and only if no bit changed."""
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def sft_fingerprint(sft: SftState) -> str:
    """The fingerprint of an SFT model's encoder and head together."""
    return fingerprint(_joined(sft))


def read_checkpoint(path: str | Path) -> SftState | LegacyState | RlState:
    """What the file holds, by its keys.

    Raises:
        UsageError: missing or unreadable file, no torch archive, a class that is neither tensor nor path, missing keys,
            a weight that is not finite, SFT tensors other than the ones that an RL file was trained on.
    """
    content = read_archive(path)
    source = str(path)
    if "format" in content:
        return _rl_state(content, source)
    if "delta_head" in content:
        return LegacyState(
            _tensors(content, "delta_head", source), _tensors(content, "value_head", source), _table(content, "train_stats", source), source
        )
    if "encoder" in content or "model" in content:
        return _sft_state(content, source)
    found = ", ".join(sorted(str(key) for key in content)[:8]) or "nothing"
    raise UsageError(f"{path}: not a checkpoint of ours: it needs encoder and head, model, or delta_head and value_head (found {found})")


def load_sft(path: str | Path) -> SftState:
    """The SFT model of a `model.pt` or `checkpoints/latest.pt`.

    Raises:
        UsageError: as `read_checkpoint`, or the file is of another kind.
    """
    state = read_checkpoint(path)
    if not isinstance(state, SftState):
        raise UsageError(f"{path}: holds a delta head, where a bare SFT model is asked for; give the SFT stage's model.pt")
    return state


def load_rl(path: str | Path) -> RlState:
    """A refined policy written by `save_rl`.

    Raises:
        UsageError: as `read_checkpoint`, or the file is of another kind.
    """
    state = read_checkpoint(path)
    if not isinstance(state, RlState):
        raise UsageError(f"{path}: not a checkpoint of our RL training; give the one that `carla-rl train` wrote")
    return state


def save_sft(path: str | Path, sft: SftState) -> None:
    """Write an SFT model as a `model.pt`, atomically."""
    write_archive(path, _sft_content(sft))


def save_rl(path: str | Path, state: RlState) -> None:
    """Write a refined policy as one self-contained file, atomically."""
    content = {
        "format": RL_FORMAT,
        "sft": _sft_content(state.sft),
        "sft_fingerprint": sft_fingerprint(state.sft),
        "delta_head": _detached(state.delta_head),
        "value_head": _detached(state.value_head),
        "log_std": state.log_std.detach().clone(),
        "delta_config": state.delta_config,
        "residual_ratio": state.residual_ratio,
        "normaliser": None if state.normaliser is None else _detached(state.normaliser),
        "train_stats": state.train_stats,
        "training": state.training,
    }
    write_archive(path, content)


def write_archive(path: str | Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values so that the file is either the old one or the whole new one, whatever happens.

    Raises:
        UsageError: the place cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    make_folder(Path(path).parent)
    write_bytes(Path(path), buffer.getvalue())


def read_archive(path: str | Path) -> dict[str, Any]:
    """The dictionary in a torch archive, without running anything that the file brings along.

    Raises:
        UsageError: missing or unreadable file, no torch archive, a class that is neither tensor nor path, no dictionary.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file; give a checkpoint (.pt)")
    try:
        with torch.serialization.safe_globals(list(_PATHS)), warnings.catch_warnings():
            # a bare pickle of another protocol: what comes of reading it is said below
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise UsageError(f"{path}: may not be read; check its permissions") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        # the safe unpickler names what it refuses; everything else that a damaged file makes it say means one thing to the user
        refused = re.search(r"(?:GLOBAL|class|function)\s+`?([A-Za-z_][\w.]*\.\w+)`?", str(error))
        if isinstance(error, pickle.UnpicklingError) and refused:
            raise UsageError(
                f"{path}: refused, it holds {refused.group(1)}, and only tensors, plain values and paths are read; save state dicts instead"
            ) from None
        raise UsageError(f"{path}: not a torch archive, or damaged; give a file written by torch.save") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: holds a {type(content).__name__}, where a dictionary with state dicts is needed")
    return content


def _sft_state(content: dict[str, Any], source: str) -> SftState:
    """From the layout of `model.pt` or of `checkpoints/latest.pt`."""
    about, weights = content, content
    if "model" in content:
        about, weights = content.get("cfg") or {}, content["model"]
        if not isinstance(weights, dict) or not isinstance(about, dict):
            raise UsageError(f"{source}: model and cfg must be dictionaries (found {type(weights).__name__} and {type(about).__name__})")
    cameras, features = about.get("cam", "front"), about.get("features")
    cameras = (cameras,) if isinstance(cameras, str) else cameras
    if not isinstance(cameras, list | tuple) or not all(isinstance(name, str) for name in cameras):
        raise UsageError(f"{source}: cam must be the name of a camera or a list of names (found {cameras!r})")
    return SftState(
        architecture=str(about.get("architecture", TINY_MULTICAM)),
        encoder=_tensors(weights, "encoder", source),
        head=_tensors(weights, "head", source),
        cameras=() if features else tuple(cameras),
        features=features,
        out_dim=_whole(about, "out_dim", source),
        horizon=_whole(about, "horizon_steps", source),
        source=source,
    )


def _rl_state(content: dict[str, Any], source: str) -> RlState:
    if str(content["format"]).startswith(RESUME_FORMATS):
        raise UsageError(f"{source}: is what a training needs to go on, not what drives; give last.pt or best.pt beside it")
    if content["format"] != RL_FORMAT:
        raise UsageError(f"{source}: its format is {content['format']!r}, this version reads {RL_FORMAT!r}; use the version that wrote it")
    missing = [key for key in ("sft", "sft_fingerprint", "log_std", "delta_config") if key not in content]
    if missing:
        raise UsageError(f"{source}: {missing[0]} is missing; the file is damaged, give another checkpoint")
    sft = _sft_state(_table(content, "sft", source), source)
    if sft_fingerprint(sft) != content["sft_fingerprint"]:
        raise UsageError(f"{source}: its SFT tensors are not the ones that its heads were trained on; give the untouched checkpoint")
    log_std = _tensors({"heads": {"log_std": content["log_std"]}}, "heads", source)["log_std"]
    return RlState(
        sft=sft,
        delta_head=_tensors(content, "delta_head", source),
        value_head=_tensors(content, "value_head", source),
        log_std=log_std,
        delta_config=_table(content, "delta_config", source),
        residual_ratio=_ratio(content, source),
        normaliser=None if content.get("normaliser") is None else _tensors(content, "normaliser", source),
        train_stats=_table(content, "train_stats", source),
        training=_table(content, "training", source) or None,
        source=source,
    )


def _sft_content(sft: SftState) -> dict[str, Any]:
    content: dict[str, Any] = {
        "architecture": sft.architecture,
        "encoder": _detached(sft.encoder),
        "head": _detached(sft.head),
        "out_dim": sft.out_dim,
        "horizon_steps": sft.horizon,
    }
    if sft.cameras:
        content["cam"] = sft.cameras[0] if len(sft.cameras) == 1 else list(sft.cameras)
    if sft.features is not None:
        content["features"] = sft.features
    return content


def _table(content: Mapping[str, Any], key: str, source: str) -> dict[str, Any]:
    """A dictionary of plain values; empty where there is none."""
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise UsageError(f"{source}: {key} must be a dictionary (found {type(value).__name__}); give another checkpoint")
    return dict(value)


def _tensors(content: Mapping[str, Any], key: str, source: str) -> Tensors:
    """A state dict of finite tensors."""
    if key not in content:
        raise UsageError(f"{source}: {key} is missing; give a checkpoint with the state dict of the {key}")
    state = content[key]
    if not isinstance(state, Mapping) or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise UsageError(f"{source}: {key} must be a state dict, names to tensors (found {type(state).__name__})")
    _finite(state, f"{key}.", source)
    return dict(state)


def _finite(tensors: Mapping[str, Tensor], prefix: str, source: str) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UsageError(f"{source}: tensor {prefix}{name} holds NaN or infinity; give a checkpoint from before the training diverged")


def _whole(about: Mapping[str, Any], key: str, source: str) -> int | None:
    value = about.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{source}: {key} must be a whole number above 0 (found {value!r})")
    return value


def _ratio(content: Mapping[str, Any], source: str) -> float:
    value = content.get("residual_ratio", 1.0)
    if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise UsageError(f"{source}: residual_ratio must be a number between 0 and 1 (found {value!r}); give another checkpoint")
    return float(value)


def _joined(sft: SftState) -> Tensors:
    return {f"encoder.{name}": tensor for name, tensor in sft.encoder.items()} | {
        f"head.{name}": tensor for name, tensor in sft.head.items()
    }


def _detached(tensors: Mapping[str, Tensor]) -> Tensors:
    """Copies of their own, so that the file holds no more than these numbers (a view would drag its whole storage along)."""
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
