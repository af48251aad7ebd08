"""Frozen SFT models: the two architectures, rebuilt from state dicts, and each as a policy of its own.

`tiny_multicam` sees cameras, `route_objects` the feature vector of `features`; an encoder gives z (out_dim), a head gives H waypoints.
Sizes are read from the tensors. Knows nothing of corrections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from carla_rl.checkpoint import TINY_MULTICAM, SftState, fingerprint
from carla_rl.errors import UsageError
from carla_rl.policies import features
from carla_rl.policies.images import IMAGE_SIZE, stack_images, to_input
from carla_rl.policies.networks import by_rows, load_checked, mlp, mlp_sizes
from carla_rl.types import Bools, CameraSpec, Needs, Observation, Plan

ROUTE_OBJECTS = "route_objects"
ARCHITECTURES = (ROUTE_OBJECTS, TINY_MULTICAM)
CAMERA_YAWS_DEG = {"front": 0.0, "front_left": 45.0, "front_right": -45.0, "side_left": 90.0, "side_right": -90.0}
"""Cameras that a checkpoint may name (Waymo's five) and where they look, counter-clockwise."""

_CONVOLUTIONS = (0, 2, 4)
_LINEAR = 8


class PerCamera(nn.Module):
    """One image (B, 3, height, width) -> (B, out_dim): three strided convolutions, average pool, linear."""

    def __init__(self, channels: Sequence[int], kernels: Sequence[int], out_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, kernel in zip((3, *channels), channels, kernels, strict=False):
            # in place: a tenth of the time of one image went into memory for what is only passed on
            layers += [nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2), nn.ReLU(inplace=True)]
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], out_dim))

    def forward(self, image: Tensor) -> Tensor:
        """Embedding (B, out_dim) of images (B, 3, height, width) in [0, 1]."""
        return cast(Tensor, self.net(image))


class MulticamEncoder(nn.Module):
    """Images of C cameras through one shared network, averaged over the cameras that are valid."""

    def __init__(self, channels: Sequence[int] = (32, 64, 128), kernels: Sequence[int] = (5, 3, 3), out_dim: int = 128) -> None:
        super().__init__()
        self.per_cam = PerCamera(channels, kernels, out_dim)

    def forward(self, images: Tensor, valid: Tensor) -> Tensor:
        """z (B, out_dim) of images (B, C, 3, height, width) in [0, 1] and valid (B, C); zeros where no camera is valid."""
        each = self.per_cam(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        kept = torch.where(valid[..., None], each, 0.0)
        return kept.sum(1) / valid.sum(1, keepdim=True).clamp(min=1)


class TinyMulticam(nn.Module):
    """The SFT stage's image model: `encoder.per_cam.net.*` and `head.*`."""

    def __init__(self, encoder: MulticamEncoder, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor, valid: Tensor) -> Tensor:
        """Waypoints (B, H, 2) of images (B, C, 3, height, width) and valid (B, C)."""
        return cast(Tensor, self.head(self.encoder(images, valid)).unflatten(-1, (-1, 2)))


class RouteObjects(nn.Module):
    """The model for routes and objects: an MLP encoder on the feature vector, and the same kind of head."""

    def __init__(self, encoder: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Tensor) -> Tensor:
        """Waypoints (B, H, 2) of features (B, `features.SIZE`)."""
        return cast(Tensor, self.head(self.encoder(inputs)).unflatten(-1, (-1, 2)))


def new_model(architecture: str, horizon: int, out_dim: int, hidden: int, seed: int) -> TinyMulticam | RouteObjects:
    """A model to be trained, initialised from `seed` without touching torch's own generator.

    Raises:
        UsageError: unknown architecture.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = mlp((out_dim, hidden, 2 * horizon), nn.ReLU)
        if architecture == ROUTE_OBJECTS:
            return RouteObjects(mlp((features.SIZE, hidden, out_dim), nn.ReLU), head)
        if architecture == TINY_MULTICAM:
            return TinyMulticam(MulticamEncoder(out_dim=out_dim), head)
    raise UsageError(f"architecture {architecture!r}: unknown; write one of {', '.join(ARCHITECTURES)}")


def camera_spec(name: str, source: str) -> CameraSpec:
    """The camera of that name: where it is mounted and looks, at the size that the image model sees.

    Raises:
        UsageError: a camera whose mount is not known.
    """
    if name not in CAMERA_YAWS_DEG:
        raise UsageError(f"{source}: camera {name!r} has no known mount; this version has {', '.join(CAMERA_YAWS_DEG)}")
    return CameraSpec(name=name, width=IMAGE_SIZE, height=IMAGE_SIZE, yaw=float(np.deg2rad(CAMERA_YAWS_DEG[name])))


def needs_of(architecture: str, cameras: Sequence[str] = ("front",), source: str = "architecture") -> Needs:
    """What a model of the architecture sees.

    Raises:
        UsageError: unknown architecture, or a camera whose mount is not known.
    """
    if architecture == ROUTE_OBJECTS:
        return features.NEEDS
    if architecture == TINY_MULTICAM:
        return Needs(cameras=tuple(camera_spec(name, source) for name in cameras))
    raise UsageError(f"{source}: architecture {architecture!r} is unknown; write one of {', '.join(ARCHITECTURES)}")


def build_model(state: SftState) -> TinyMulticam | RouteObjects:
    """The model of a checkpoint.

    Raises:
        UsageError: unknown architecture, a tensor missing or of a wrong shape, or a declared size that the tensors contradict.
    """
    source = state.source
    head = mlp(mlp_sizes(state.head, "head", source), nn.ReLU)
    if state.architecture == TINY_MULTICAM:
        model: TinyMulticam | RouteObjects = TinyMulticam(_multicam_encoder(state), head)
    elif state.architecture == ROUTE_OBJECTS:
        if state.features != features.LAYOUT:
            raise UsageError(f"{source}: made for features {state.features!r}, this version computes {features.LAYOUT!r}; train it again")
        model = RouteObjects(mlp(mlp_sizes(state.encoder, "encoder", source), nn.ReLU), head)
    else:
        raise UsageError(f"{source}: architecture {state.architecture!r} is unknown; this version has {', '.join(ARCHITECTURES)}")
    load_checked(model.encoder, state.encoder, "encoder", source)
    load_checked(model.head, state.head, "head", source)
    _check_sizes(model, state)
    return model


@dataclass(frozen=True, slots=True)
class Seen:
    """What a frozen model makes of N observations, float32."""

    z: NDArray[np.float32]
    """(N, out_dim): the encoder's embedding."""
    waypoints: NDArray[np.float32]
    """(N, H, 2) m, ego frame."""
    context: NDArray[np.float32]
    """(N, context_size): what the architecture declares for heads besides z; (N, 0) unless asked for."""


class FrozenSft:
    """An SFT model that cannot change: evaluation mode, no gradients, rows independent of each other to the bit."""

    def __init__(self, state: SftState) -> None:
        """Build from a checkpoint's state.

        Raises:
            UsageError: as `build_model`; or a camera whose mount is not known.
        """
        self.state = state
        # pictures come with their channels last: convolutions whose weights lie alike need not turn them round for every image
        self.model = build_model(state).eval().requires_grad_(False)
        nn.utils.convert_conv2d_weight_memory_format(self.model, torch.channels_last)
        self.horizon = _outputs(self.model.head) // 2
        self.out_dim = _outputs(self.model.encoder)
        self.needs = needs_of(state.architecture, state.cameras, state.source)
        self.context_needs, self.context_size = Needs(), features.SIZE
        """What `Seen.context` takes beyond `needs`, and how many numbers it holds."""
        if isinstance(self.model, TinyMulticam):
            self.context_needs, self.context_size = Needs(route=True), features.CONTEXT_SIZE
        self._last: _Embedded | None = None

    def fingerprint(self) -> str:
        """SHA-256 of all tensors: proof that nothing changed."""
        return fingerprint(self.model)

    def see(self, observation: Observation, *, context: bool = False) -> Seen:
        """z and waypoints of N observations, and the context for heads where asked for."""
        if isinstance(self.model, TinyMulticam):
            images, valid = stack_images(observation, self.state.cameras)
            z = self._embedded(self.model.encoder, images, valid)
            extra = features.drive_context(observation) if context else None
        else:
            extra = features.route_objects(observation)
            z = by_rows(self.model.encoder, extra)
        waypoints = by_rows(self.model.head, z).reshape(len(observation), self.horizon, 2)
        return Seen(z, waypoints, extra if context and extra is not None else np.zeros((len(observation), 0), np.float32))

    def _embedded(self, encoder: MulticamEncoder, images: NDArray[np.uint8], valid: Bools) -> NDArray[np.float32]:
        """(N, out_dim): z of images (N, C, height, width, 3). A row whose images are those of its last time keeps its z.

        That is what the encoder would give again; of many worlds of which few still drive it saves nearly all of the work.
        """
        last, n = self._last, len(images)
        known = min(n, len(last.images)) if last else 0
        new = [i for i in range(n) if i >= known or last is None or not last.holds(i, images[i], valid[i])]
        z = np.empty((n, self.out_dim), np.float32)
        if last is not None:
            z[:known] = last.z[:known]
        z[new] = _embed(encoder, images[new], valid[new])
        self._last = _Embedded(images, valid, z)
        return z.copy()


@dataclass(frozen=True, slots=True)
class _Embedded:
    """What an encoder last saw of N envs, and what it made of it."""

    images: NDArray[np.uint8]
    """(N, C, height, width, 3)"""
    valid: Bools
    """(N, C)"""
    z: NDArray[np.float32]
    """(N, out_dim)"""

    def holds(self, row: int, images: NDArray[np.uint8], valid: Bools) -> bool:
        """Whether the row is the same as then."""
        return np.array_equal(self.images[row], images) and np.array_equal(self.valid[row], valid)


class SftPolicy:
    """A frozen SFT model that drives as it is."""

    def __init__(self, sft: FrozenSft) -> None:
        self.sft = sft
        self.name = f"sft-{sft.state.architecture}"
        self.needs = sft.needs
        self.horizon = sft.horizon

    def reset(self, envs: Bools) -> None:
        """Nothing to forget: the model has no memory."""

    def plan(self, observation: Observation) -> Plan:
        """The model's waypoints for N envs."""
        return Plan(self.sft.see(observation).waypoints)


def _embed(encoder: MulticamEncoder, images: NDArray[np.uint8], valid: Bools) -> NDArray[np.float32]:
    """One sample at a time: the convolutions then have the same shape whatever the number of envs."""
    with torch.inference_mode():
        rows = [encoder(to_input(images[i : i + 1]), torch.from_numpy(valid[i : i + 1])) for i in range(len(images))]
        return torch.cat(rows).numpy() if rows else np.zeros((0, _outputs(encoder)), np.float32)


def _multicam_encoder(state: SftState) -> MulticamEncoder:
    channels, kernels = [], []
    for index in _CONVOLUTIONS:
        weight = _tensor(state, f"per_cam.net.{index}.weight", 4)
        channels.append(weight.shape[0])
        kernels.append(weight.shape[2])
    return MulticamEncoder(channels, kernels, _tensor(state, f"per_cam.net.{_LINEAR}.weight", 2).shape[0])


def _tensor(state: SftState, name: str, dimensions: int) -> Tensor:
    if name not in state.encoder:
        raise UsageError(f"{state.source}: tensor encoder.{name} is missing; a {state.architecture} checkpoint holds it")
    tensor = state.encoder[name]
    if tensor.ndim != dimensions:
        raise UsageError(f"{state.source}: tensor encoder.{name} has shape {tuple(tensor.shape)}, expected {dimensions} dimensions")
    return tensor


def _check_sizes(model: TinyMulticam | RouteObjects, state: SftState) -> None:
    """Encoder, head, features and what the file declares must agree."""
    out_dim, outputs = _outputs(model.encoder), _outputs(model.head)
    inputs = cast(nn.Linear, model.head[0]).in_features
    checks = [
        ("head takes z of size", inputs, "the encoder gives", out_dim),
        ("out_dim declared is", state.out_dim or out_dim, "the encoder's tensors give", out_dim),
        ("horizon_steps declared is", state.horizon or outputs // 2, "the head's tensors give", outputs // 2),
    ]
    if isinstance(model, RouteObjects):
        wanted = cast(nn.Linear, model.encoder[0]).in_features
        checks.append(("the encoder takes features of size", wanted, "this version computes", features.SIZE))
    if outputs % 2:
        raise UsageError(f"{state.source}: the head gives {outputs} numbers, which are no (x, y) pairs; expected 2 * horizon_steps")
    for what, found, against, expected in checks:
        if found != expected:
            raise UsageError(f"{state.source}: {what} {found}, but {against} {expected}; give a checkpoint whose parts belong together")


def _outputs(module: nn.Module) -> int:
    """Outputs of the last linear layer."""
    return [layer.out_features for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
