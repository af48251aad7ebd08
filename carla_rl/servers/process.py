"""One start of a server: its process group, its log, how it ended, and ending it. Never looks for a process by its name.

Everything that a server prints, standard error too, goes to one file.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from carla_rl.errors import RunFailure, UsageError

TERM_S = 10.0
"""A group has so long to end by itself before it is killed."""
KILL_S = 10.0
"""What is killed is gone after this, unless the system itself hangs."""
STOP_COMMAND_S = 60.0
"""What ends a container is waited for as long as this."""
LOOK_S = 0.05
TAIL_LINES = 15
LONGEST_TAIL = 64 * 1024
"""Bytes at the end of a log that are read for its last lines."""
OF_SHELLS = 128
"""Shells tell the end by signal N as exit code 128 + N."""
NO_CONTAINER = "no such container"
"""What docker and podman say of a container that is gone."""
PROC = Path("/proc")


class ServerProcess:
    """A server that was started here.

    Args:
        command: what starts it.
        stop: what ends its container; empty where there is none.
        log: where its output goes; kept if it is there, this start's output comes after it.
        title: the first line of this start's output.
        guarded: it is ended when this process is gone. Otherwise it goes on, and keeps `kept` open.
        kept: file descriptors, the locks of its ports.

    Raises:
        UsageError: the program cannot be started, or the log cannot be written.
    """

    def __init__(
        self, command: Sequence[str], stop: Sequence[str], log: Path, *, title: str = "", guarded: bool = True, kept: Sequence[int] = ()
    ) -> None:
        self.log, self._stop = log, list(stop)
        words = list(command)
        if guarded:
            told = {"command": words, "stop": self._stop, "parent": os.getpid()}
            words = [sys.executable, "-P", "-m", "carla_rl.servers.guard", json.dumps(told)]
        try:
            with log.open("ab") as out:
                out.write(f"{title}\n".encode() if title else b"")
                out.flush()
                self._begin = out.tell()
                self._process = subprocess.Popen(
                    words,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=() if guarded else tuple(kept),
                )
        except OSError as error:
            raise UsageError(f"{error.filename or words[0]}: the server cannot be started ({error.strerror or error})") from error

    @property
    def pid(self) -> int:
        """Of the first process, which is the number of the group too."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative: the number of a signal; None while it runs."""
        if self._process.returncode is not None:
            return self._process.returncode
        # seen, not collected: until `end` its number cannot become that of another group
        seen = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if seen is None:
            return None
        return seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status

    def memory_gb(self) -> float:
        """What all of its group hold in memory, GB (10^9 bytes); a container's processes are not of the group."""
        pages = 0
        for pid in members(self.pid):
            # one that ends meanwhile holds nothing
            with contextlib.suppress(OSError):
                pages += int((PROC / str(pid) / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e9

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines that it has printed."""
        return tail(self.log, lines, self._begin)

    def ended(self) -> str:
        """How it ended, as the end of the sentence "the server ..."; empty while it runs."""
        code = self.exit_code
        return "" if code is None else exit_words(code)

    def note(self, text: str) -> None:
        """Add a line of ours to the log, where there is room for it."""
        with contextlib.suppress(OSError), self.log.open("a") as log:
            log.write(f"--- {text}\n")

    def end(self) -> None:
        """End it with everything that it has started; a second call does nothing.

        Raises:
            RunFailure: see `end_group`.
        """
        if self._process.returncode is None:
            end_group(self.pid, self._stop)
            self._process.wait()

    def let_go(self) -> None:
        """It goes on without this process, which does not ask how it ends."""
        self._process.returncode = 0


def end_group(group: int, stop: Sequence[str] = ()) -> None:
    """End a process group: TERM, and KILL for what is left after `TERM_S`.

    Args:
        stop: what ends its container, which is no process of the group.

    Raises:
        RunFailure: something is left that cannot be ended from here; says what.
    """
    _signal(group, signal.SIGTERM)
    # one that was stopped would not see it
    _signal(group, signal.SIGCONT)
    left = run_stop(stop) if stop else ""
    if not _gone_within(group, TERM_S):
        _signal(group, signal.SIGKILL)
        if not _gone_within(group, KILL_S):
            left = left or f"processes {', '.join(map(str, members(group)))} do not end, not even when killed"
    if left:
        raise RunFailure(f"a server could not be ended: {left}")


def run_stop(stop: Sequence[str]) -> str:
    """Run what ends a container; what went wrong, or nothing. One that has ended already is fine."""
    try:
        done = subprocess.run(stop, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=STOP_COMMAND_S, check=False)
    except (subprocess.TimeoutExpired, OSError) as error:
        return f"{shlex.join(stop)}: {error}"
    # it may have ended at the signal, or never have begun
    if done.returncode == 0 or NO_CONTAINER in done.stderr.lower():
        return ""
    return f"{shlex.join(stop)}: {done.stderr.strip()}"


def members(group: int) -> list[int]:
    """The processes of a group that live; those that only wait to be collected do not count."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            fields = _status(int(entry.name))
            if fields and fields[0] not in "ZX" and int(fields[2]) == group:
                found.append(int(entry.name))
    return found


def identity(pid: int) -> str:
    """What tells a process from a later one of the same number: the start of the machine and its own. Empty: it is gone."""
    fields = _status(pid)
    if not fields or fields[0] in "ZX":
        return ""
    return f"{(PROC / 'sys/kernel/random/boot_id').read_text().strip()}:{fields[19]}"


def exit_words(code: int) -> str:
    """An exit code as the end of the sentence "the server ..."."""
    if code < 0:
        return f"was ended by signal {-code} ({_signal_name(-code)})"
    if code > OF_SHELLS and _signal_name(code - OF_SHELLS):
        return f"was ended by signal {code - OF_SHELLS} ({_signal_name(code - OF_SHELLS)})"
    if code == 0:
        return "ended by itself with exit code 0"
    return f"ended with exit code {code}"


def tail(log: Path, lines: int, begin: int = 0) -> str:
    """The last lines of a log from a place on; empty where there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(begin, size - LONGEST_TAIL))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _gone_within(group: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while members(group):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (see proc(5)); empty where there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    # the name before them may hold anything
    return text.rpartition(")")[2].split()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
