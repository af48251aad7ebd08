"""Small fully connected networks: built from sizes or from a state dict, checked tensor by tensor, evaluated row by row.

Knows nothing of what the numbers mean.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from carla_rl.errors import UsageError

ROWS = 64
"""Rows of a micro-batch. A matrix product's rounding depends on its shape, so all products have the same one."""
_ALIGNED, _NARROW = 16, 8
"""Inputs that fill 64 bytes, and the most outputs of a product that some processors compute row by row (seen: AMD EPYC, MKL 2024.2)."""


_IN_PLACE: Mapping[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.SiLU: partial(nn.functional.silu, inplace=True),
    nn.ReLU: torch.relu_,
    nn.Tanh: torch.tanh_,
}


def mlp(sizes: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers of the given sizes with `activation` between them: layer i is at index 2i, nothing after the last.

    `activation` is SiLU, ReLU or Tanh.
    """
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers += [activation()] * (i > 0) + [nn.Linear(inputs, outputs)]
    return nn.Sequential(*layers)


def mlp_sizes(state: Mapping[str, Tensor], part: str, source: str, prefix: str = "") -> list[int]:
    """The sizes that a state dict of `mlp` was made with; `prefix` stands before each layer's index, as in "net.".

    Raises:
        UsageError: no layer, or a weight that is not a matrix. Whether layers fit each other is for `load_checked` to say.
    """
    sizes: list[int] = []
    while (name := f"{prefix}{2 * max(len(sizes) - 1, 0)}.weight") in state:
        weight = state[name]
        if weight.ndim != 2:
            raise UsageError(f"{source}: tensor {part}.{name} must be a matrix (found shape {tuple(weight.shape)})")
        sizes = sizes or [weight.shape[1]]
        sizes.append(weight.shape[0])
    if not sizes:
        raise UsageError(f"{source}: tensor {part}.{prefix}0.weight is missing; give a checkpoint with the whole {part}")
    return sizes


def load_checked(module: nn.Module, state: Mapping[str, Tensor], part: str, source: str) -> None:
    """Copy `state` into `module`.

    Raises:
        UsageError: a tensor is missing, unknown, or of another shape; it is named.
    """
    expected = module.state_dict()
    for name, tensor in expected.items():
        if name not in state:
            raise UsageError(f"{source}: tensor {part}.{name} is missing; expected shape {tuple(tensor.shape)}")
        if state[name].shape != tensor.shape:
            raise UsageError(f"{source}: tensor {part}.{name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}")
    unknown = sorted(set(state) - set(expected))
    if unknown:
        raise UsageError(
            f"{source}: tensor {part}.{unknown[0]} does not belong to this architecture; give the file its architecture's name"
        )
    module.load_state_dict(dict(state))


def by_rows(layers: nn.Sequential, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The network `layers`, as `mlp` makes them, applied to `inputs` (N, inputs): (N, outputs).

    Rows go through it in micro-batches of exactly ROWS, the last one filled up with zeros, all of them in one batched product a layer:
    the result of a row has the same bits whatever the other rows hold and however many they are.
    """
    n = len(inputs)
    blocks = max(-(-n // ROWS), 1)
    padded = inputs
    if n != blocks * ROWS:
        padded = np.zeros((blocks * ROWS, inputs.shape[1]), np.float32)
        padded[:n] = inputs
    with torch.inference_mode():
        rows = torch.from_numpy(padded).view(blocks, ROWS, -1)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                rows = _product(layer, rows)
                continue
            # block by block: torch parts a large tensor among its threads, and rounds differently where a part ends
            for block in rows.unbind():
                _IN_PLACE[type(layer)](block)
        return cast(NDArray[np.float32], rows.flatten(0, 1)[:n].numpy())


def _product(layer: nn.Linear, rows: Tensor) -> Tensor:
    """The layer applied to (blocks, ROWS, inputs), each block in a product of the same shape, whatever their number."""
    weight: Tensor = layer.weight
    bias: Tensor = layer.bias
    short = -layer.in_features % _ALIGNED
    if short and layer.out_features <= _NARROW:
        # every row then begins alike in memory, which is where such products begin their sums on some processors
        rows, weight = nn.functional.pad(rows, (0, short)), nn.functional.pad(weight, (0, short))
    if layer.out_features == 1:
        # a single column would be a product with a vector, which is rounded otherwise for one block than for several
        weight, bias = weight.expand(2, -1), bias.expand(2)
    return torch.baddbmm(bias, rows, weight.t().expand(len(rows), -1, -1))[..., : layer.out_features]
