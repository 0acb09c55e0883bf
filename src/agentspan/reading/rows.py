"""What a run has used, as far as its row in the server's index tells, which is read for a list anyway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from agentspan.engine.records import RunSummary
from agentspan.reading.index import Owned, started
from agentspan.reading.prices import priced_sum
from agentspan.stored.status import ENDED
from agentspan.stored.usage import Usage

# The server writes a run's output as Java does (`{usage={prompt_tokens=1, …}, steps=2}`), or as JSON where it was told
# to. A model's text stands in it, too, and may look like this.
_NUMBER = r"[-+.\dE]+"
_PAIRS = rf"\"?[a-z_]+\"?[=:] ?{_NUMBER}"
_USAGE = re.compile(rf"[{{ ,]\"?usage\"?[=:] ?(null|\{{{_PAIRS}(?:, ?{_PAIRS})*\}})")
_STEPS = re.compile(r"[{ ,]\"?steps\"?[=:] ?(\d+)[,}]")
_PAIR = re.compile(rf"([a-z_]+)\"?[=:] ?({_NUMBER})")


class Rows:
    """Reads rows of the index.

    Args:
        owned: The agents, each version of which is looked up once.
    """

    def __init__(self, owned: Owned) -> None:
        self._owned = owned

    def used(self, run: RunSummary) -> Usage | None:
        """What a run has used; None where its row does not tell, as of one that is not over."""
        found = _told(run)
        if found is None:
            return None
        usage, steps = found
        definition = self._owned.definition(run.workflow_type, run.version)
        return priced_sum(usage, definition, steps, int(started(run).timestamp() * 1000))


def _told(run: RunSummary) -> tuple[Usage, int] | None:
    if run.status not in ENDED:
        return None
    usages, steps = _USAGE.findall(run.output), _STEPS.findall(run.output)
    if len(usages) != 1 or len(steps) != 1 or usages[0] == "null":  # two of them: one is a model's text
        return None
    return Usage.of(dict(_numbers(usages[0]))), int(steps[0])


def _numbers(text: str) -> Iterator[tuple[str, float]]:
    for name, value in _PAIR.findall(text):
        yield name, json.loads(value)
