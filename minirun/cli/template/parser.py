"""From tokens to nodes.

Owns: the grammar: actions, branches and their ends, pipelines, operands, and which names are known.
Leaves to others: what functions do (functions), values (evaluate).
"""

from __future__ import annotations

from .errors import TemplateError, line_of
from .functions import FUNCTIONS
from .lexer import Token, tokens
from .nodes import Action, Branch, Command, Dot, Field, Function, Jump, Literal, Node, Pipeline, Text, Variable

_LITERALS = {"true": True, "false": False, "nil": None}
_BRANCHES = ("if", "with", "range")
_KEYWORDS = (*_BRANCHES, "else", "end", "break", "continue", "define", "template", "block")


class Parser:
    """Reads one template; a variable is known from its declaration to the end of the branch that it stands in."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.place = 0
        self.variables = ["$"]
        self.loops = 0

    def parse(self) -> tuple[Node, ...]:
        """Read the whole template. Raises TemplateError."""
        body, ended_by = self._body()
        if ended_by != "end of text":
            raise self._fail(f"unexpected {{{{{ended_by}}}}}")
        return body

    # ---- tokens

    def _next(self) -> Token:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def _peek(self) -> Token:
        return self.tokens[self.place]

    def _is_mark(self, mark: str) -> bool:
        token = self._peek()
        return token.kind == "mark" and token.value == mark

    def _fail(self, message: str, token: Token | None = None) -> TemplateError:
        position = (token or self.tokens[max(0, self.place - 1)]).position
        return TemplateError(f"template: :{line_of(self.text, position)}: {message}")

    # ---- text, actions, branches

    def _body(self) -> tuple[tuple[Node, ...], str]:
        """Read up to `end`, `else` or the end of the text; gives the nodes and which of them it was."""
        nodes: list[Node] = []
        while True:
            token = self._next()
            if token.kind == "end":
                return tuple(nodes), "end of text"
            if token.kind == "text":
                nodes.append(Text(text=token.value, position=token.position))
                continue
            word = self._peek()
            if word.kind == "word" and word.value in ("end", "else"):
                self._next()
                if word.value == "end":
                    self._close("end")
                return tuple(nodes), word.value
            nodes.append(self._action(word))

    def _action(self, word: Token) -> Node:
        if word.kind != "word" or word.value not in _KEYWORDS:
            pipeline = self._pipeline("command")
            self._close("command")
            return Action(pipeline=pipeline, position=pipeline.position)
        self._next()
        if word.value in _BRANCHES:
            return self._branch(word)
        if word.value in ("break", "continue"):
            if not self.loops:
                raise self._fail(f"{{{{{word.value}}}}} outside {{{{range}}}}")
            self._close(word.value)
            return Jump(kind=word.value, position=word.position)
        raise self._fail(f"{{{{{word.value}}}}} is not supported in --format")

    def _branch(self, word: Token) -> Branch:
        kind = str(word.value)
        known = len(self.variables)
        pipeline = self._pipeline(kind, in_range=kind == "range")
        self._close(kind)
        self.loops += kind == "range"
        body, ended_by = self._body()
        self.loops -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        if ended_by == "else":
            otherwise = self._else(kind)
        elif ended_by == "end of text":
            raise self._fail("unexpected EOF")
        del self.variables[known:]
        return Branch(kind=kind, pipeline=pipeline, body=body, otherwise=otherwise, position=word.position)

    def _else(self, kind: str) -> tuple[Node, ...]:
        """Read what follows `else`: a body up to `end`, or, for `else if`, a branch that shares its `end`."""
        word = self._peek()
        if word.kind == "word" and word.value == kind and kind != "range":
            self._next()
            return (self._branch(word),)
        self._close("else")
        body, ended_by = self._body()
        if ended_by == "else":
            raise self._fail("expected end; found {{else}}")
        if ended_by == "end of text":
            raise self._fail("unexpected EOF")
        return body

    def _close(self, where: str) -> None:
        token = self._next()
        if token.kind != "close":
            raise self._fail(f"unexpected {_shown(token)} in {where}", token)

    # ---- pipelines

    def _pipeline(self, where: str, *, in_range: bool = False) -> Pipeline:
        start = self._peek()
        variables, declares = self._declaration(in_range)
        commands = [self._command(where)]
        while self._is_mark("|"):
            self._next()
            commands.append(self._command(where))
        for command in commands[1:]:
            if not isinstance(command.operands[0], (Function, Field)):
                raise self._fail("non executable command in pipeline")
        if declares:
            self.variables += variables
        return Pipeline(commands=tuple(commands), variables=variables, declares=declares, position=start.position)

    def _declaration(self, in_range: bool) -> tuple[tuple[str, ...], bool]:
        """Read `$x :=`, `$x =`, or in a range `$k, $v :=`; when there is none, nothing was read."""
        before = self.place
        names: list[str] = []
        while self._peek().kind == "variable":
            names.append(str(self._next().value))
            if self._is_mark(",") and in_range and len(names) == 1:
                self._next()
                continue
            if self._is_mark(":=") or self._is_mark("="):
                declares = self._next().value == ":="
                if not declares:
                    for name in names:
                        self._known(name)
                return tuple(names), declares
            break
        self.place = before
        return (), False

    def _command(self, where: str) -> Command:
        start = self._peek()
        operands: list[Node] = []
        while True:
            token = self._peek()
            if token.kind == "close" or (token.kind == "mark" and token.value in ("|", ")")):
                break
            if operands and not token.spaced:
                raise self._fail(f"unexpected {_shown(token)} in operand", token)
            operands.append(self._operand(where))
        if not operands:
            raise self._fail(f"missing value for {where}", start)
        first = operands[0]
        if isinstance(first, (Literal, Dot)) and len(operands) > 1:
            raise self._fail(f"can't give argument to non-function {_source(first)}")
        return Command(operands=tuple(operands), position=start.position)

    def _operand(self, where: str) -> Node:
        token = self._next()
        node: Node
        if token.kind == "field":
            node = Field(
                base=Dot(position=token.position), name=token.value, source=f".{token.value}", position=token.position
            )
        elif token.kind == "dot":
            node = Dot(position=token.position)
        elif token.kind == "variable":
            self._known(token.value)
            node = Variable(name=token.value, position=token.position)
        elif token.kind == "value":
            return Literal(value=token.value, position=token.position)
        elif token.kind == "word":
            return self._word(token)
        elif token.kind == "mark" and token.value == "(":
            node = self._pipeline("parenthesized pipeline")
            closing = self._next()
            if closing.kind != "mark" or closing.value != ")":
                raise self._fail("unclosed left paren", closing)
        else:
            raise self._fail(f"unexpected {_shown(token)} in {where}", token)
        return self._chain(node)

    def _chain(self, node: Node) -> Node:
        while self._peek().kind == "field" and not self._peek().spaced:
            token = self._next()
            source = f"{_source(node)}.{token.value}" if not isinstance(node, Dot) else f".{token.value}"
            node = Field(base=node, name=token.value, source=source, position=token.position)
        return node

    def _word(self, token: Token) -> Node:
        if token.value in _LITERALS:
            return Literal(value=_LITERALS[token.value], position=token.position)
        if token.value not in FUNCTIONS:
            if token.value in _KEYWORDS:
                raise self._fail(f"unexpected <{token.value}> in command", token)
            raise self._fail(f'function "{token.value}" not defined', token)
        return Function(name=token.value, position=token.position)

    def _known(self, name: str) -> None:
        if name not in self.variables:
            raise self._fail(f'undefined variable "{name}"')


def _source(node: Node) -> str:
    """Give a node as it was written, nearly: for messages."""
    if isinstance(node, Field):
        return node.source
    if isinstance(node, Variable):
        return node.name
    if isinstance(node, Literal):
        return "nil" if node.value is None else str(node.value)
    return "." if isinstance(node, Dot) else ""


def _shown(token: Token) -> str:
    if token.kind == "end":
        return "EOF"
    prefix = "." if token.kind in ("field", "dot") else ""
    return f'"{prefix}{token.value}"' if token.kind != "word" else f"<{token.value}>"
