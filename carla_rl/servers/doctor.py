"""What there is on this machine for driving on CARLA, and what to do about what is not. Changes nothing.

A finding is `ok`, a `note` (some ways of working are not there) or `missing` (what was asked for cannot work).
"""

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from carla_rl.servers.choose import installed_client, read_address
from carla_rl.servers.ports import BLOCK, FIRST, FIRST_TRAFFIC_MANAGER, taken
from carla_rl.servers.probe import ask_version, mismatch
from carla_rl.servers.supervise import HOST

OK, NOTE, MISSING = "ok", "note", "missing"
PYTHONS = ((3, 11), (3, 12))
TESTED_CLIENT = "0.9.16"
PROGRAM_S = 20.0
"""Other programs answer within this, or count as absent."""
ASK_S = 40.0
"""A server tells its maps within this."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    state: str
    """`OK`, `NOTE` or `MISSING`."""
    text: str
    remedy: str = ""


def examine(addresses: Sequence[str], known: Iterable[str] = ()) -> Iterator[Finding]:
    """All findings, one after the other.

    Args:
        addresses: HOST:PORT of servers that have to answer; without any it is looked at CARLA's own port, and nothing has to.
        known: HOST:PORT of servers that were started here.

    Raises:
        UsageError: an address that is none.
    """
    asked = [read_address(text) for text in addresses]
    others = [read_address(text) for text in known] + ([] if asked else [(HOST, FIRST)])
    yield from _python()
    yield from _packages()
    yield from _client()
    yield from _graphics()
    yield from _containers()
    for host, port in asked:
        yield from _server(host, port, needed=True)
    for host, port in dict.fromkeys(others):
        if (host, port) not in asked:
            yield from _server(host, port, needed=False)
    yield _ports()


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    fits = sys.version_info[:2] in PYTHONS
    remedy = "" if fits else "make a virtual environment with Python 3.11 or 3.12 (the client has no wheels for later ones)"
    yield Finding("Python", OK if fits else MISSING, f"{version} on {platform.system()} {platform.machine()}", remedy)


def _packages() -> Iterator[Finding]:
    """What the package itself asks for."""
    try:
        wanted = metadata.requires("carla-rl") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", NOTE, "carla-rl itself is not installed, so its needs are not known", "pip install -e . in its folder")
        return
    found, absent = [], []
    for requirement in wanted:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    yield Finding("packages", OK, ", ".join(found))
    if absent:
        yield Finding("packages", MISSING, f"not installed: {', '.join(absent)}", f"pip install {' '.join(absent)}")


def _client() -> Iterator[Finding]:
    """The carla wheel, tried in a process of its own: one for another system can end the process that imports it."""
    version = installed_client()
    remedy = f"pip install carla=={TESTED_CLIENT} (CPython 3.10 to 3.12, Linux x86-64 or Windows)"
    if version is None:
        yield Finding("client", MISSING, "the carla wheel is not installed", remedy)
        return
    code, told = _run([sys.executable, "-P", "-c", "import carla; carla.Client"])
    if code != 0:
        last = told.splitlines()[-1] if told else f"exit code {code}"
        yield Finding("client", MISSING, f"carla {version} is installed and cannot be imported: {last}", remedy)
    elif version != TESTED_CLIENT:
        yield Finding("client", NOTE, f"carla {version}; tested was {TESTED_CLIENT}", remedy)
    else:
        yield Finding("client", OK, f"carla {version}; servers have to be CARLA {version}")


def _graphics() -> Iterator[Finding]:
    """GPUs as the driver tells them, and whether Vulkan sees one."""
    code, told = _run(["nvidia-smi", "--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader"])
    if code == 0 and told:
        yield Finding("GPU", OK, "; ".join(line.strip() for line in told.splitlines()))
    else:
        yield Finding(
            "GPU",
            NOTE,
            "no NVIDIA GPU is seen (nvidia-smi); a CARLA server started here has no cameras",
            "start servers with --no-rendering, on a machine with a GPU, or use the project's own server (--toy)",
        )
        return
    code, told = _run(["vulkaninfo", "--summary"])
    devices = re.findall(r"deviceName\s*=\s*(.+)", told)
    if code == 0 and any("llvmpipe" not in device for device in devices):
        yield Finding("Vulkan", OK, ", ".join(devices))
    elif shutil.which("vulkaninfo") is None:
        yield Finding(
            "Vulkan", NOTE, "not looked at: vulkaninfo is not installed", "apt install vulkan-tools, if servers end without a word"
        )
    else:
        yield Finding(
            "Vulkan",
            NOTE,
            f"sees no GPU ({', '.join(devices) or 'no device'}): a CARLA server ends at its start without a word",
            "install the driver's Vulkan part (libnvidia-gl); in containers set NVIDIA_DRIVER_CAPABILITIES=all",
        )


def _containers() -> Iterator[Finding]:
    if shutil.which("docker") is None:
        yield Finding("docker", NOTE, "not installed", "only --docker needs it: install docker and NVIDIA's container toolkit")
    else:
        code, told = _run(["docker", "info", "--format", "{{.ServerVersion}} {{range $name, $_ := .Runtimes}}{{$name}} {{end}}"])
        version, *runtimes = told.split() if code == 0 and told.split() else [""]
        if not version or not version[0].isdigit():
            last = told.splitlines()[-1] if told else f"exit code {code}"
            yield Finding("docker", NOTE, f"does not work: {last}", "start its daemon, or join the group docker; only --docker needs it")
        elif "nvidia" not in runtimes:
            yield Finding(
                "docker", NOTE, f"{version}, without NVIDIA's runtime", "install NVIDIA's container toolkit for CARLA with cameras"
            )
        else:
            yield Finding("docker", OK, f"{version}, with NVIDIA's runtime")
    for name in ("apptainer", "singularity"):
        if shutil.which(name):
            yield Finding("apptainer", OK, _run([name, "--version"])[1])
            return
    yield Finding("apptainer", NOTE, "not installed", "only --apptainer needs it")


def _server(host: str, port: int, *, needed: bool) -> Iterator[Finding]:
    """One that answers is asked for its maps; one that does not is only then missing when it was asked for."""
    name = f"{host}:{port}"
    answer = ask_version(host, port)
    bad = MISSING if needed else NOTE
    if not answer.version:
        yield Finding("server", bad, f"{name} {answer.problem}", "carla-rl server start --docker IMAGE | --binary FILE | --toy")
        return
    client = installed_client()
    wrong = mismatch(answer.version, client)
    if wrong:
        what, _, remedy = wrong.partition("; ")
        yield Finding("server", bad, f"{name}: {what}", remedy)
    elif client is None:
        yield Finding("server", OK, f"{name} answers as CARLA {answer.version}")
    else:
        yield _told(name, host, port, answer.version, bad)


def _told(name: str, host: str, port: int, version: str, bad: str) -> Finding:
    """What a server tells the client."""
    code, told = _run([sys.executable, "-P", "-m", "carla_rl.carla_sim.ask", host, str(port)], ASK_S)
    if code != 0:
        last = told.splitlines()[-1] if told else f"exit code {code}"
        text = f"{name} answers as CARLA {version} and then does not tell its world: {last}"
        return Finding("server", bad, text, "it hangs or another client holds it; end that client, or start the server anew")
    facts: dict[str, Any] = json.loads(told.splitlines()[-1])
    text = f"{name} answers as CARLA {version}, on {facts['map']}, with {', '.join(facts['maps'])}"
    if facts["synchronous"]:
        remedy = "a run of carla-rl takes it over; a server that others drive is not for two"
        return Finding("server", NOTE, f"{text}; in synchronous mode: a client drives it, or died while it did", remedy)
    return Finding("server", OK, text)


def _ports() -> Finding:
    """CARLA's own ports."""
    held = taken([*(FIRST + offset for offset in BLOCK), FIRST_TRAFFIC_MANAGER])
    if not held:
        return Finding("ports", OK, f"{FIRST} to {FIRST + max(BLOCK)} and {FIRST_TRAFFIC_MANAGER} are free")
    text = f"in use: {', '.join(map(str, held))}; servers and Traffic Managers that are started here take the next free ones"
    return Finding("ports", OK, text)


def _run(command: list[str], timeout_s: float = PROGRAM_S) -> tuple[int, str]:
    """Exit code and output of a program; 127 where there is none, 124 where it does not end in time, as shells tell it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        return 127, ""
    except subprocess.TimeoutExpired:
        return 124, f"no answer within {timeout_s:g} s"
    except OSError as error:
        return 126, str(error)
    return done.returncode, (done.stdout.strip() or done.stderr.strip()) if done.returncode == 0 else (done.stderr + done.stdout).strip()
