"""What is wrong with a template, said as docker says it."""

from __future__ import annotations

from ...errors import InvalidInput

EX_USAGE = 64  # sysexits.h


class TemplateError(InvalidInput):
    """A template that can't be read or filled in; the message begins as docker's does."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(f"template parsing error: {message}")


class UnreadableTemplate(TemplateError):
    """A template that can't be read, of a command that shows one thing and not a list: docker tells these apart."""

    exit_code = EX_USAGE


def at(text: str, position: int) -> str:
    """Give a place in a template as Go names it: line from 1, column from 0."""
    line = text.count("\n", 0, position) + 1
    return f"{line}:{position - (text.rfind(chr(10), 0, position) + 1)}"


def line_of(text: str, position: int) -> int:
    """Give the line of a place, from 1."""
    return text.count("\n", 0, position) + 1
