"""Go's text/template, as far as people use it in `--format`.

Owns: `compile_template` and `Template`. Leaves to others: what data there is (present, engine/inspect).

    text --lexer--> tokens --parser--> nodes --evaluate--> text

Data are what JSON knows (dict, list, str, int, float, bool, None) and, in lists, functions for fields that take an
argument. Loaded only when a format holds a template; why there is no library for it:
docs/decisions/0010-go-templates.md. Not here: define, template, block, complex numbers.
"""

from __future__ import annotations

from .errors import TemplateError, UnreadableTemplate
from .evaluate import Evaluation
from .parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .nodes import Node

__all__ = ["Template", "TemplateError", "UnreadableTemplate", "compile_for_one", "compile_template"]


class Template:
    """A template that was read once and is filled in for each thing of a list."""

    def __init__(self, body: tuple[Node, ...], text: str) -> None:
        self._body = body
        self._text = text

    def render(self, data: Any) -> str:
        """Fill the template in. Raises TemplateError for a field that isn't there or a function that can't take its
        arguments."""
        try:
            return Evaluation(self._text, data).run(self._body)
        except RecursionError as error:
            raise TemplateError("template: :1: exceeded maximum template depth") from error


def compile_for_one(text: str) -> Template:
    """Read a template of a command that shows one thing, `inspect` or `version`. Raises UnreadableTemplate."""
    try:
        return compile_template(text)
    except TemplateError as error:
        raise UnreadableTemplate(str(error).removeprefix("template parsing error: ")) from error


def compile_template(text: str) -> Template:
    """Read a template. Raises TemplateError with docker's words: `template parsing error: template: :1: unclosed
    action`."""
    try:
        return Template(Parser(text).parse(), text)
    except RecursionError as error:
        raise TemplateError("template: :1: parentheses nested too deeply") from error
