"""Command lines of servers, worked out by hand from CARLA's documentation."""

import shlex
import sys

import pytest

from carla_rl.servers.launch import Kind, Launch, Quality, toy_options

PORTS = "-carla-rpc-port=2010 -carla-streaming-port=2011 -carla-primary-port=2012"


@pytest.mark.parametrize(
    ("launch", "gpu", "expected"),
    [
        (
            Launch(Kind.BINARY, "/opt/carla/CarlaUE4.sh"),
            None,
            f"/opt/carla/CarlaUE4.sh {PORTS} -nosound -RenderOffScreen -quality-level=Epic",
        ),
        (
            Launch(Kind.BINARY, "/opt/carla/CarlaUE4.sh", Quality.LOW),
            1,
            f"/opt/carla/CarlaUE4.sh {PORTS} -nosound -RenderOffScreen -quality-level=Low -graphicsadapter=1",
        ),
        (
            Launch(Kind.BINARY, "/opt/carla/CarlaUE4.sh", rendering=False, extra=("-RPCThreads=2",)),
            1,
            f"/opt/carla/CarlaUE4.sh {PORTS} -nosound -nullrhi -RPCThreads=2",
        ),
        (
            Launch(Kind.DOCKER, "carlasim/carla:0.9.16"),
            3,
            "docker run --rm --init --name c7 --label carla-rl.server=c7 --network host --gpus device=3 "
            "--env NVIDIA_DRIVER_CAPABILITIES=all carlasim/carla:0.9.16 "
            f"/bin/bash ./CarlaUE4.sh {PORTS} -nosound -RenderOffScreen -quality-level=Epic",
        ),
        (
            Launch(Kind.DOCKER, "carlasim/carla:0.9.15", rendering=False),
            None,
            "docker run --rm --init --name c7 --label carla-rl.server=c7 --network host "
            f"carlasim/carla:0.9.15 /bin/bash ./CarlaUE4.sh {PORTS} -nosound -nullrhi",
        ),
        (
            Launch(Kind.APPTAINER, "/data/carla.sif", program="singularity"),
            0,
            f"singularity exec --nv --pwd /home/carla /data/carla.sif /bin/bash ./CarlaUE4.sh {PORTS} -nosound -RenderOffScreen "
            "-quality-level=Epic -graphicsadapter=0",
        ),
        (
            Launch(Kind.TOY, extra=toy_options(["ring"], "scripted", ["crash@tick=5"], "0.9.15")),
            None,
            f"{sys.executable} -P -m carla_rl serve --port 2010 --map ring --suite scripted --fault crash@tick=5 --client 0.9.15",
        ),
    ],
)
def test_command(launch: Launch, gpu: int | None, expected: str) -> None:
    assert launch.command(2010, gpu, "c7") == shlex.split(expected)


def test_docker_without_a_gpu_number_shows_all() -> None:
    assert "--gpus all" in shlex.join(Launch(Kind.DOCKER, "image").command(2000, None, "c"))


def test_only_a_container_is_stopped_by_a_command_and_that_by_its_name() -> None:
    assert Launch(Kind.DOCKER, "image").stop_command("c7") == shlex.split("docker stop -t 10 c7")
    assert Launch(Kind.BINARY, "x").stop_command("c7") == []
    assert Launch(Kind.TOY).stop_command("c7") == []
