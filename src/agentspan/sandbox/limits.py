"""What a command of a model may use, and where it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentspan.declare.policy import check_count, whole_seconds
from agentspan.errors import DefinitionError

_IMAGE = re.compile(r"[A-Za-z0-9][\w.:/@-]*")


@dataclass(frozen=True, kw_only=True)
class ProcessLimits:
    """What one command, and all that it starts, may use.

    Attributes:
        time: Seconds; what is not done by then is stopped, and the model is told.
        memory: Megabytes of address space for each of its processes, of memory for a container; None sets no limit.
            Programs that reserve far more than they use (Java, Go, Node) want None, or a container.
        output: Bytes of stdout, and of stderr, that the model gets: their beginning and their end.
        file_size: Megabytes of one file that it writes; None sets no limit.
        network: Whether it has one. Where False cannot be kept, the command is not run.
    """

    time: float = 60
    memory: int | None = None
    output: int = 50_000
    file_size: int | None = 100
    network: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", whole_seconds(self.time, "ProcessLimits: time", least=1))
        check_count(self.output, "ProcessLimits: output", 100, 500_000)
        for name in ("memory", "file_size"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), f"ProcessLimits: {name}", 1, 1_000_000)
        if not isinstance(self.network, bool):
            raise DefinitionError(f"ProcessLimits: network is True or False, not {self.network!r}")


@dataclass(frozen=True, kw_only=True)
class Container:
    """Where commands run instead of beside the worker: a new container for each, that is removed when it ends.

    It has no rights of an administrator, and of the machine's files the call's own folder alone.

    Attributes:
        image: What it is made of, such as "python:3.13-slim"; it must have the programs.
        program: What makes it: "docker", or another program that takes the same arguments, such as "podman".
        processes: How many it may have at once.
        cpus: How many cores it may use; None sets no limit.
    """

    image: str
    program: str = "docker"
    processes: int = 256
    cpus: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.image, str) or not _IMAGE.fullmatch(self.image):
            raise DefinitionError(
                f"Container: image is the name of one, such as 'python:3.13-slim', not {self.image!r}"
            )
        if not isinstance(self.program, str) or not self.program:
            raise DefinitionError(f"Container: program is 'docker' or 'podman', not {self.program!r}")
        check_count(self.processes, "Container: processes", 1, 100_000)
        if self.cpus is not None:
            check_count(self.cpus, "Container: cpus", 1, 10_000)
