"""A checkpoint file as a policy, whatever kind of checkpoint it is."""

from pathlib import Path

import numpy as np

from carla_rl.checkpoint import LegacyState, RlState, load_rl, load_sft, read_checkpoint, sft_fingerprint
from carla_rl.errors import UsageError
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.legacy import LegacyDelta
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import FrozenSft, SftPolicy


def load_policy(path: str | Path, *, sft: str | Path | None = None) -> SftPolicy | ResidualPolicy | LegacyDelta:
    """The deterministic policy in `path`; `sft` is the model under a checkpoint of the earlier delta trainer, and is for those only.

    Raises:
        UsageError: as `carla_rl.checkpoint.read_checkpoint`; tensors that do not fit; `sft` missing where needed or given where not.
    """
    state = read_checkpoint(path)
    if isinstance(state, LegacyState):
        if sft is None:
            raise UsageError(f"{path}: holds only the heads of the earlier delta trainer; pass the SFT model under them with --sft")
        return LegacyDelta(FrozenSft(load_sft(sft)), state)
    if sft is not None:
        raise UsageError(f"{path}: brings its own SFT model; leave --sft out")
    return ResidualPolicy.from_state(state) if isinstance(state, RlState) else SftPolicy(FrozenSft(state))


def load_heads(path: str | Path, sft: FrozenSft, config: DeltaConfig) -> ResidualPolicy:
    """The refined policy in `path`, to be trained further on the same SFT model with heads of the same form.

    Heads that learned without a normaliser of the features keep theirs as they are: the policy counts as normalised.

    Raises:
        UsageError: as `carla_rl.checkpoint.load_rl`; heads of another SFT model, or of another configuration; the field is named.
    """
    state = load_rl(path)
    if sft_fingerprint(state.sft) != sft_fingerprint(sft.state):
        raise UsageError(f"{path}: its heads were trained on another SFT model than {sft.state.source}; give the one that they belong to")
    policy = ResidualPolicy.from_state(state)
    for name, found in policy.config:
        if found != (wanted := getattr(config, name)):
            raise UsageError(
                f"{path}: its heads have {name} {found!r}, the settings {wanted!r}; write delta.{name} in --config as they have it"
            )
    if policy.corrects and not policy.normalised:
        # heads that learned on bare features have to go on with them: the identity is their normaliser
        policy.normalise(np.zeros(policy.feature_size, np.float32), np.ones(policy.feature_size, np.float32))
    return policy
