"""What a model has said of an answer that it still gives: lines in the log of its call's task, for readers elsewhere.

They are provisional: the answer itself is the task's output, and they mean nothing once there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass


def readers_queue(model_task: str) -> str:
    """The queue, of which nothing is ever taken, whose pollers read what a model is about to say.

    Args:
        model_task: The task definition of the agent's model calls. No tool's name has a dot, so this is none.
    """
    return f"{model_task}.tokens"


@dataclass(frozen=True)
class Piece:
    """Some of an answer's text, as it came.

    Attributes:
        attempt: Which try of the call it is of: grows with each, and with each model that is asked in one.
        start: Characters of the answer before it.
        text: The text.
    """

    attempt: int
    start: int
    text: str

    @property
    def line(self) -> str:
        """The piece as a line of a log."""
        return json.dumps([self.attempt, self.start, self.text])


def pieces_of(lines: Iterable[str]) -> list[Piece]:
    """The pieces among the lines of a log; others may have written there, too."""
    found: list[Piece] = []
    for line in lines:
        try:
            attempt, start, text = json.loads(line)
            found.append(Piece(int(attempt), int(start), str(text)))
        except (ValueError, TypeError):
            continue
    return found


def text_of(pieces: Iterable[Piece]) -> tuple[int, str]:
    """The newest try, and its text as far as there is no gap; 0 without a try."""
    attempt, text = 0, ""
    for piece in sorted(pieces, key=lambda piece: (piece.attempt, piece.start)):
        if piece.attempt > attempt:
            attempt, text = piece.attempt, ""
        if piece.start == len(text):
            text += piece.text
    return attempt, text
