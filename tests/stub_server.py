"""A stand-in for CarlaUE4.sh that starts in no time: it takes CARLA's flags, answers `version`, and goes wrong as it is told.

It is started as CARLA is: a shell script that runs another program in the same process group.
"""

import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path

import msgpack

from carla_rl.servers.launch import Kind, Launch

FLAG = "-carla-rpc-port="


def first_port(base: int) -> int:
    """Where a test file looks for ports from on: files and the workers of pytest that run side by side do not meet."""
    return base + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def stub_script(folder: Path, *, fail: int = 0, hang: bool = False, version: str = "0.9.16", code: int = 1) -> Path:
    """A script like CarlaUE4.sh in a folder.

    Args:
        fail: so many starts end at once with this exit code.
        hang: it never listens.
        version: what it answers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "told.json"
    told.write_text(json.dumps({"fail": fail, "hang": hang, "version": version, "code": code}))
    script = folder / "CarlaUE4.sh"
    # not exec: CARLA's script stays, too
    script.write_text(f'#!/bin/bash\n"{sys.executable}" "{__file__}" "{told}" "$@"\nexit $?\n')
    script.chmod(0o755)
    return script


def stub_launch(folder: Path, **options: object) -> Launch:
    """How to start one."""
    return Launch(Kind.BINARY, str(stub_script(folder, **options)))  # type: ignore[arg-type]


def stub_docker(folder: Path) -> Launch:
    """How to start one by a stand-in for docker: the "container" is no child of the docker command, and only `docker stop NAME` ends it."""
    script = stub_script(folder)
    docker = folder / "docker"
    docker.write_text(
        f"""#!/bin/bash
cd "{folder}" || exit 125
if [ "$1" = run ]; then
    while [ "$1" != --name ]; do shift; done
    name=$2
    while [ "$1" != ./CarlaUE4.sh ]; do shift; done
    setsid "{script}" "${{@:2}}" & echo $! > "$name"
    wait
else
    name="${{@: -1}}"
    [ -e "$name" ] || {{ echo "Error response from daemon: No such container: $name" >&2; exit 1; }}
    kill -KILL -- "-$(cat "$name")"
    rm "$name"
fi
"""
    )
    docker.chmod(0o755)
    return Launch(Kind.DOCKER, "carlasim/carla:0.9.16", program=str(docker))


def stub_pids(folder: Path) -> list[int]:
    """The processes that were started so far, the one that listens, not the shell."""
    with contextlib.suppress(FileNotFoundError):
        return [int(line) for line in (folder / "pids").read_text().split()]
    return []


def _main(told: Path, flags: list[str]) -> None:
    options = json.loads(told.read_text())
    with (told.parent / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    print("a word on standard output", flush=True)
    print("a word on standard error", file=sys.stderr, flush=True)
    if len(stub_pids(told.parent)) <= options["fail"]:
        print("Signal 11 caught. Malloc Size=65538", file=sys.stderr, flush=True)
        sys.exit(options["code"])
    while options["hang"]:
        time.sleep(1.0)
    port = next(int(flag.removeprefix(FLAG)) for flag in flags if flag.startswith(FLAG))
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection:
                if connection.recv(1000):
                    connection.sendall(msgpack.packb([1, 1, None, [[1, options["version"]]]]))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])
