"""What the adapter for CARLA knows of a server: where it is, that it answers, and whom to tell that it does not. Nothing of processes."""

from typing import Protocol


class CarlaServer(Protocol):
    """One server for one client. `ready` before the first connection, and again after every `give_up`.

    Several are started at once by `begin` on each of them, then `ready` on each. Not for use by two threads at once.
    """

    @property
    def host(self) -> str:
        """Where it listens."""

    @property
    def port(self) -> int:
        """The RPC port; read it after `ready`: a server that was replaced may be on other ports."""

    @property
    def traffic_manager_port(self) -> int:
        """The port that this client's Traffic Manager shall bind, on the client's machine; nobody else here was given it."""

    @property
    def name(self) -> str:
        """What people call it, e.g. `127.0.0.1:2000`."""

    @property
    def restarts(self) -> int:
        """How often it was started anew; 0 for a server that is not ours."""

    @property
    def ended(self) -> bool:
        """Whether it is ours, was started, and its process has ended: nothing that it was asked will be answered. Costs next to nothing."""

    def memory_gb(self) -> float:
        """What it holds in memory, GB (10^9 bytes); 0 for one that is not ours or does not run."""

    def begin(self) -> None:
        """Start it, where it is ours and does not run, and do not wait for it.

        Raises:
            UsageError: there is nothing to start: no such program, no free ports, a folder for logs that cannot be written.
        """

    def ready(self) -> None:
        """Wait until it answers `version`; where it is ours and does not run, start it.

        Raises:
            RunFailure: it does not answer, or ended several times; with the reason and, where it is ours, the end of its log.
            UsageError: it answers with a version that the client does not speak, or as `begin` says; a new start would not help.
        """

    def give_up(self, reason: str) -> None:
        """The client found it dead, hanging or leaking. Ours is ended with all its processes; the next `ready` starts a fresh one.

        One that is not ours is left alone: the next `ready` waits for it.

        Args:
            reason: what the client saw, part of a sentence: `did not answer a tick for 20 s`.
        """

    def why(self) -> str:
        """What is known of its state, or of its end, in one sentence; for ours with the end of its log in the lines after it.

        After `give_up`, that which was found then; asking takes up to some seconds.
        """

    def close(self) -> None:
        """End it if it is ours, and give its ports back; a second call does nothing."""
