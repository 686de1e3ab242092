"""How a selection is written: terms, `or`, `not` or `-`, and parentheses. What stands side by side must all be true."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, v_args

from Src.Shared.errors import FactoryError

MOST_LETTERS = 10_000
_MOST_DEPTH = 100  # of parentheses

_GRAMMAR = r"""
?start: either
either: both (_OR both)*
both: _one (_AND? _one)*
_one: negated | _inner
negated: (MINUS | NOT) (negated | _inner)
_inner: "(" either ")" | term
term: FIELD (QUOTED | WORD) | QUOTED | WORD

_OR.3: /or(?![^\s()])/i
_AND.3: /and(?![^\s()])/i
NOT.3: /not(?![^\s()])/i
MINUS.3: /-(?=[^\s])/
FIELD.2: /[a-z_]+(?::|[<>]=?|=)/i
QUOTED.2: /"(?:\\.|[^"\\])*"/s
WORD: /[^\s()"]+/
%ignore /\s+/
"""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def quoted(text: str) -> str:
    """A value as a selection writes it, where it is meant letter by letter."""
    return text if re.fullmatch(r"[\w.-]+", text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


class SelectionError(FactoryError):
    """A selection that means nothing. `position`: the letter from which on, from 0."""

    about = "selection"

    def __init__(self, reason: str, text: str, position: int) -> None:
        self.reason, self.position = reason, position
        line = text[:position].count("\n")
        shown, before = text.split("\n")[line], position - (text.rfind("\n", 0, position) + 1)
        start = max(0, before - 60)
        super().__init__(f"{reason}\n  {shown[start : start + 76]}\n  {' ' * (before - start)}^")


@dataclass(frozen=True)
class Value:
    """What a term compares with."""

    text: str
    position: int  # of its first letter
    quoted: bool = False  # its wildcards are letters like any others


@dataclass(frozen=True)
class Term:
    """`field:value`, or a value alone (`field` is empty)."""

    field: str
    comparison: str  # one of : = < <= > >=
    value: Value
    position: int


@dataclass(frozen=True)
class Not:
    """What the inner one does not mean."""

    inner: Node


@dataclass(frozen=True)
class All:
    """What every part means."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Any:
    """What one part or more mean."""

    parts: tuple[Node, ...]


Node: TypeAlias = Term | Not | All | Any


def parse(text: str) -> Node:
    """What was written. Raises SelectionError."""
    if not text.strip():
        raise SelectionError("it is empty; * means all originals", text, 0)
    if len(text) > MOST_LETTERS:
        raise SelectionError(f"it is longer than {MOST_LETTERS:,} letters", text, MOST_LETTERS)
    _check_depth(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedCharacters as error:
        position = cast(int, error.pos_in_stream)
        reason = "this quotation mark is never closed" if text[position] == '"' else "this has no meaning here"
        raise SelectionError(reason, text, position) from None
    except UnexpectedToken as error:
        raise SelectionError(*_unexpected(error.token, text)) from None
    except UnexpectedEOF:
        raise SelectionError("something is missing at the end", text, len(text)) from None
    return _Builder().transform(tree)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr")


def _unexpected(token: Token, text: str) -> tuple[str, str, int]:
    if token.type == "$END":
        end = len(text.rstrip())
        field = re.search(r"[a-z_]+(?::|[<>]=?|=)\Z", text[:end], re.IGNORECASE)
        if field is not None:
            return f"a value is missing after {field[0]}", text, end
        return (
            ("a closing parenthesis is missing" if text.count("(") > text.count(")") else "something is missing"),
            text,
            end,
        )
    field = re.search(r"[a-z_]+(?::|[<>]=?|=)\s*\Z", text[: token.start_pos or 0], re.IGNORECASE)
    if field is not None:
        return f"a value is missing after {field[0].rstrip()}", text, token.start_pos or 0
    return f"{str(token)!r} has no meaning here", text, token.start_pos or 0


def _check_depth(text: str) -> None:
    """What is far deeper than anybody writes must not cost the parser its stack."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth > _MOST_DEPTH:
            raise SelectionError("its parentheses are too deep", text, position)
    if (chain := re.search(r"(?:-|\bnot\s+){100}", text, re.IGNORECASE)) is not None:
        raise SelectionError("too many negations in a row", text, chain.start())


@v_args(inline=True)
class _Builder(Transformer[Token, Node]):
    def either(self, *parts: Node) -> Node:
        return parts[0] if len(parts) == 1 else Any(parts)

    def both(self, *parts: Node) -> Node:
        return parts[0] if len(parts) == 1 else All(parts)

    def negated(self, _sign: Token, inner: Node) -> Node:
        return Not(inner)

    def term(self, *tokens: Token) -> Node:
        value = _value(tokens[-1])
        if len(tokens) == 1:
            return Term("", ":", value, value.position)
        name = re.match("[a-z_]+", tokens[0], re.IGNORECASE)
        assert name is not None
        return Term(name[0].lower(), tokens[0][name.end() :], value, tokens[0].start_pos or 0)


def _value(token: Token) -> Value:
    position = token.start_pos or 0
    if token.type == "QUOTED":
        return Value(_ESCAPED.sub(r"\1", token[1:-1]), position, quoted=True)
    return Value(str(token), position)
