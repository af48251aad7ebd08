"""The process that a worker is: it does with CARLA's client what it is told, and leaves the world in order however it ends.

    python -m carla_rl.carla_sim.worker FD

FD is the number of a stream socket to the harness, see `carla_rl.carla_sim.wire`. When the harness is gone, so is this.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from carla_rl.carla_sim.remote import Refused, WorldLost
from carla_rl.carla_sim.session import Session
from carla_rl.carla_sim.wire import Channel, HungUp

WATCH_S = 0.5
GRACE_S = 10.0
"""After the harness is gone its worker has so long to leave the world in order; a call to a dead server would hold it for longer."""


def end_with(parent: int) -> None:
    """End this process some time after its parent, whatever it is doing."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    time.sleep(GRACE_S)
    os._exit(1)


def serve(channel: Channel, session: Session) -> None:
    """Answer calls until the harness hangs up."""
    calls: dict[str, Callable[..., Any]] = {
        "connect": session.connect,
        "load": session.load,
        "begin": session.begin,
        "tick": session.tick,
    }
    while True:
        try:
            name, arguments = channel.receive(None)
        except HungUp:
            return
        try:
            answer = ["done", calls[name](*arguments)]
        except Refused as refusal:
            answer = ["refused", str(refusal)]
        except WorldLost as loss:
            answer = ["server" if loss.server else "episode", str(loss)]
        except RuntimeError as error:
            # the client's one kind of error: time-outs, actors that are gone, a server that says no
            answer = ["server", f"the client says: {' '.join(str(error).split())}"]
        channel.send(answer)


def main(fd: int) -> None:
    """Serve the socket with this number."""

    def ends(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, ends)
    threading.Thread(target=end_with, args=(os.getppid(),), name="end with the harness", daemon=True).start()
    channel, session = Channel(socket.socket(fileno=fd)), Session()
    try:
        serve(channel, session)
    except HungUp:
        pass
    finally:
        session.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
