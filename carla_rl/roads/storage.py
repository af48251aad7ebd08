"""The file form of a road network: one `.npz` without pickles. The spatial index is not stored but built again on loading."""

import itertools
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork, Roads
from carla_rl.roads.spatial import SpatialIndex, build_index

VERSION = 1
"""Of the file form; a file of another version is refused."""

_INDEX = frozenset(SpatialIndex._fields)
_LANES = (
    *("road", "section", "lane_id", "kind", "junction", "length", "speed_limit", "left", "right", "opposite"),
    *("left_marking", "right_marking", "entry", "signal"),
)
_SAMPLES = ("x", "y", "z", "yaw", "s", "half_width", "sample_lane")
_SIGNALS = ("signal_id", "signal_junction", "signal_phase", "signal_phases", "signal_x", "signal_y")


def save_network(network: RoadNetwork, path: Path) -> None:
    """Write `network` to `path`, or nothing. The same network gives the same bytes; raises UsageError where the file cannot be written."""
    points = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in network.crosswalks]
    arrays: dict[str, Any] = {name: array for name, array in network.roads._asdict().items() if name not in _INDEX}
    arrays["crosswalk_start"] = np.cumsum([0] + [len(polygon) for polygon in points], dtype=np.int32)
    arrays["crosswalk_points"] = np.concatenate([np.zeros((0, 2)), *points])
    arrays["version"] = np.int32(VERSION)
    arrays["town"] = np.str_(network.town)
    arrays["source_sha256"] = np.str_(network.source_sha256)
    half = path.with_name(f".{path.name}.part")
    try:
        with half.open("wb") as file:
            np.savez_compressed(file, **arrays)
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot write the road network ({error.strerror}); give a path that can be written") from error


def load_network(path: Path) -> RoadNetwork:
    """Read what `save_network` wrote. Raises UsageError for a file that is missing, damaged, of another version or not a road network."""
    again = "compile the map again with `carla-rl compile-map`"
    try:
        # opened here, since np.load leaves the file open where it is damaged
        with path.open("rb") as raw:
            loaded = np.load(raw, allow_pickle=False)
            if not isinstance(loaded, NpzFile):
                raise ValueError("a single array")
            arrays = {name: loaded[name] for name in loaded.files}
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such road network file; {again}") from error
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path}: not a readable road network file ({error}); {again}") from error
    version = arrays.get("version")
    if version is None or version.shape != () or int(version) != VERSION:
        raise UsageError(f"{path}: road network of version {version}, this program reads version {VERSION}; {again}")
    try:
        return _assemble(arrays)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UsageError(f"{path}: the road network is incomplete or inconsistent ({error}); {again}") from error


def _assemble(arrays: dict[str, Any]) -> RoadNetwork:
    """The network of the arrays of a file; raises KeyError, ValueError or IndexError where they do not fit together."""
    fields = {name: arrays[name] for name in Roads._fields if name not in _INDEX}
    for names, rows in ((_LANES, "road"), (_SAMPLES, "x"), (_SIGNALS, "signal_id")):
        for name in names:
            if fields[name].shape != (len(fields[rows]),):
                raise ValueError(f"{name} has shape {fields[name].shape}, expected ({len(fields[rows])},)")
    for start, items in (("start", "x"), ("succ_start", "succ"), ("conflict_start", "conflict")):
        ends = fields[start]
        if ends.shape != (len(fields["road"]) + 1,) or ends[0] != 0 or ends[-1] != len(fields[items]) or (np.diff(ends) < 0).any():
            raise ValueError(f"{start} does not index {items}")
    lanes = len(fields["road"])
    for name in ("left", "right", "opposite", "succ", "conflict", "sample_lane"):
        if len(fields[name]) and not -1 <= fields[name].min() <= fields[name].max() < lanes:
            raise ValueError(f"{name} points beyond the {lanes} lanes")
    index = build_index(fields["kind"], fields["sample_lane"], fields["x"], fields["y"])
    cuts = arrays["crosswalk_start"]
    crosswalks = tuple(arrays["crosswalk_points"][a:b] for a, b in itertools.pairwise(cuts))
    return RoadNetwork(str(arrays["town"]), Roads(**fields, **index._asdict()), crosswalks, str(arrays["source_sha256"]))
