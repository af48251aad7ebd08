"""A small process between a command and its server: when the command is gone, killed included, the server is ended too.

Run as `python -m carla_rl.servers.guard JSON`, as the leader of a process group of its own that the server joins. The JSON object
holds `command`, `stop` (a command that ends a container, or empty) and `parent` (the process whose end is waited for). It exits as
the server did, with 128 + N after signal N. Imports nothing that takes time to load.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

LOOK_S = 1.0
"""How often it is looked whether the parent still lives; the server's own end is seen at once."""
TERM_S = 10.0
"""A server has so long to end by itself."""


def main(text: str) -> int:
    """Start the server and wait for its end or the parent's."""
    told = json.loads(text)
    if os.getppid() != told["parent"]:
        return 0
    try:
        # blocked only after the start: a server would inherit that
        server = subprocess.Popen(told["command"], stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"cannot start {told['command'][0]}: {error.strerror or error}", flush=True)
        return 127
    wanted = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    # a signal to the group reaches the server itself; the guard waits for its end
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    while server.poll() is None:
        if os.getppid() != told["parent"]:
            print("the process that started this server is gone: the server is ended", flush=True)
            _end(server, told["stop"])
        signal.sigtimedwait(wanted, LOOK_S)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _end(server: "subprocess.Popen[bytes]", stop: list[str]) -> None:
    """End the container, then the group: TERM, then KILL, of which this process is a part and so the last that it does."""
    os.killpg(0, signal.SIGTERM)
    if stop:
        subprocess.run(stop, stdin=subprocess.DEVNULL, check=False)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(TERM_S)
        # what the server itself has started gets a moment
        time.sleep(LOOK_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
