"""The file of a recording: what it holds, written and read. A format of our own; CARLA's `.log` files are another.

The first line is `carla-rl recording 1`. MessagePack maps follow, one after the other: first `map` (name), then one a frame with `frame`,
`elapsed` (s) and `dt` (s) and, where there is something to tell, `new` ([id, blueprint, [[attribute, type, value]], parent id] of
actors that were not there in the frame before), `gone` (ids), `poses` ([id, x, y, z, pitch, yaw, roll, vx, vy, vz], CARLA's frame and
units, of all that are there but those attached to others), `lights` (a state a light, in the order of the map's signals) and `hits`
([id, other id]).
Knows no world.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from toy_env.server.errors import Refused

FIRST_LINE = b"carla-rl recording 1\n"
READ_BYTES = 1 << 20
DAMAGED = (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException)


class Writer:
    """Writes a recording. Raises Refused where the file cannot be written."""

    def __init__(self, path: Path, map_name: str) -> None:
        self._path = path
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise Refused(f"{path}: a recording cannot be written there ({error.strerror})") from error
        self._packer = msgpack.Packer(use_bin_type=True)
        self._file.write(FIRST_LINE)
        self.write({"map": map_name})

    def write(self, record: dict[str, Any]) -> None:
        """One more map. Raises Refused where the disk takes no more."""
        try:
            self._file.write(self._packer.pack(record))
        except OSError as error:
            raise Refused(f"{self._path}: the recording cannot go on ({error.strerror})") from error

    def close(self) -> None:
        """The file is whole afterwards."""
        self._file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The maps of a recording, the first with the name of the map. A file that ends in the middle of a frame ends before it.

    Raises:
        Refused: no such file, or none of this format.
    """
    try:
        with path.open("rb") as file:
            if file.readline(len(FIRST_LINE) + 1) != FIRST_LINE:
                raise Refused(f"{path}: no recording of this server (CARLA's own recordings have another format)")
            unpacker = msgpack.Unpacker(file, raw=False, read_size=READ_BYTES)
            for record in unpacker:
                if not isinstance(record, dict):
                    raise Refused(f"{path}: the recording is damaged")
                yield record
    except OSError as error:
        raise Refused(f"{path}: no such recording ({error.strerror})") from error
    except DAMAGED as error:
        raise Refused(f"{path}: the recording is damaged ({error})") from error


def describe(path: Path, everything: bool) -> str:
    """A recording for people: map, frames and duration, and all that happened; with `everything` also where everybody was.

    Raises:
        Refused: see `read`.
    """
    lines, frames, begin, end = [], 0, 0.0, 0.0
    try:
        for number, record in enumerate(read(path)):
            if number == 0:
                lines += ["Version: 1", f"Map: {record['map']}"]
                continue
            frames += 1
            begin, end = (record["elapsed"] if frames == 1 else begin), record["elapsed"]
            told = [f" Create {new[0]}: {new[1]} (parent {new[3]})" for new in record.get("new", ())]
            told += [f" Destroy {gone}" for gone in record.get("gone", ())]
            told += [f" Collision {one} with {other}" for one, other in record.get("hits", ())]
            if everything:
                told += [
                    f" Position {pose[0]}: ({pose[1]:.3f}, {pose[2]:.3f}, {pose[3]:.3f}) yaw {pose[5]:.2f}"
                    for pose in record.get("poses", ())
                ]
            if told:
                lines += [f"Frame {frames} at {record['elapsed'] - begin:.3f} seconds", *told]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise Refused(f"{path}: the recording is damaged ({error})") from error
    return "\n".join([*lines, "", f"Frames: {frames}", f"Duration: {end - begin:.3f} seconds", ""])
