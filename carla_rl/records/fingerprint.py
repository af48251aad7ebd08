"""The protocol fingerprint of a result: everything that has to be the same for two numbers to mean the same thing.

Score version, time step, tick cap, completion threshold and the rest of the protocol, simulator and its parameters, suite by content,
skipped scenarios, and the code that drives and measures, by content: a commit that changes a page of the documentation does not part two
results, an edit that was never committed does. What drives (the policy) is meant to differ and is left out.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import carla_rl
from carla_rl.metrics.result import EpisodeResult

DRIVES_AND_MEASURES = (
    "types.py",
    "geometry.py",
    "compiled.py",
    "loop.py",
    "evaluate.py",
    "controller",
    "metrics/episode.py",
    "metrics/motion.py",
    "metrics/comfort.py",
    "metrics/collision_time.py",
    "policies/expert.py",
    "policies/expert_forecast.py",
    "policies/expert_motion.py",
    "policies/expert_numbers.py",
    "policies/expert_passing.py",
    "policies/expert_path.py",
    "reward",
    "roads",
    "scenario",
    "world",
)
"""Files and folders of carla_rl that change the numbers of an episode. Scores are computed from raw facts and are not among them."""
SIMULATORS = {"toy": ("toy_env",), "carla": ("carla_rl.carla_sim",), "toy-server": ("carla_rl.carla_sim", "toy_env")}
"""The packages of each kind of simulator."""
NOT_RECORDED = "not recorded"


@cache
def code_version(kind: str) -> str:
    """`<version> <12 hex digits>`: the program's version, and the SHA-256 of what drives and measures on this kind of simulator."""
    root = Path(carla_rl.__file__).parent
    places = [root / name for name in DRIVES_AND_MEASURES]
    specs = [find_spec(package) for package in SIMULATORS.get(kind, ())]
    places += [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin is not None]
    digest = hashlib.sha256()
    for place in places:
        for file in sorted(place.rglob("*.py")) if place.is_dir() else (place,):
            # line ends are those of the checkout, not of the code
            text = file.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{place.name}/{file.relative_to(place.parent).as_posix()} {len(text)}\n".encode() + text)
    return f"{carla_rl.__version__} {digest.hexdigest()[:12]}"


def conditions(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of a run by name, flat, from what environment.json or metrics.json says of it; without the skipped scenarios."""
    simulator, suite, protocol = (_object(facts, name) for name in ("simulator", "suite", "protocol"))
    return {
        "simulator": f"{simulator.get('name')} {simulator.get('version')}, {simulator.get('kind')}",
        **{f"simulator.{name}": value for name, value in _object(simulator, "parameters").items()},
        # the digest is of the content: a renamed suite is the same suite
        "suite": suite.get("sha256") or suite.get("name"),
        "suite.omitted": list(suite.get("omitted") or ()),
        **{f"protocol.{name}": value for name, value in protocol.items()},
        "code": facts.get("code", NOT_RECORDED),
    }


def fingerprint(facts: Mapping[str, Any], episodes: Iterable[EpisodeResult]) -> dict[str, Any]:
    """What metrics.json carries: the conditions, the scenarios skipped, and a digest of both, which equal fingerprints share."""
    skipped = {episode.episode_id: list(episode.skipped) for episode in episodes if episode.skipped}
    content = {**conditions(facts), "skipped_scenarios": skipped}
    text = json.dumps(content, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "conditions": content}


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What differs between two sets of conditions, a phrase each."""
    return [
        f"{name} differs ({a.get(name, NOT_RECORDED)} against {b.get(name, NOT_RECORDED)})"
        for name in dict.fromkeys((*a, *b))
        if a.get(name, NOT_RECORDED) != b.get(name, NOT_RECORDED)
    ]


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}
