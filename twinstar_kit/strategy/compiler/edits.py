"""Changes single expressions of a source on their own lines, so that line n of the copy is line n of the original."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

Position = tuple[int, int]
"""Line (from 1) and column (in UTF-8 bytes, from 0), as `ast` counts them."""

_CLOSE, _OPEN, _REPLACE = 0, 1, 2


@dataclass
class Edits:
    """Edits of one file, collected in any order and applied at once; wraps may nest.

    >>> edits = Edits(["x = a * b\\n"])
    >>> product = ast.parse("x = a * b").body[0].value
    >>> edits.wrap(product, "mul(", ")", depth=1)
    >>> edits.operator(product, ",")
    >>> edits.text(1, 1)
    'x = mul(a , b)\\n'
    """

    lines: Sequence[str]
    found: list[tuple[Position, int, int, Position, str]] = field(default_factory=list)

    def replace(self, start: Position, end: Position, text: str) -> None:
        """Put `text` in the place of what stands between two positions."""
        self.found.append((start, _REPLACE, 0, end, text))

    def node(self, node: ast.expr, text: str) -> None:
        """Put `text` in the place of an expression."""
        self.replace(start_of(node), end_of(node), text)

    def wrap(self, node: ast.expr, before: str, after: str, depth: int) -> None:
        """Put `before` and `after` around an expression; `depth` is how deep it stands in its statement."""
        self.around(start_of(node), end_of(node), before, after, depth)

    def around(self, start: Position, end: Position, before: str, after: str, depth: int) -> None:
        """Put `before` and `after` at two positions."""
        self.found.append((start, _OPEN, depth, start, before))
        self.found.append((end, _CLOSE, -depth, end, after))

    def operator(self, node: ast.BinOp, text: str) -> None:
        """Put `text` in the place of the operator sign between two operands."""
        at = self.skip(end_of(node.left))
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}[type(node.op)]
        self.replace(at, (at[0], at[1] + len(sign)), text)

    def skip(self, at: Position) -> Position:
        """The next position that is no white space, closing bracket, comment or line end."""
        line, column = at
        while True:
            rest = self.lines[line - 1].encode()[column:]
            stripped = rest.lstrip(b" \t\f)")
            if stripped and stripped[:1] not in b"#\\\r\n":
                return line, column + len(rest) - len(stripped)
            line, column = line + 1, 0

    def text(self, first: int, last: int) -> str:
        """Lines `first` to `last` with all edits applied."""
        out = []
        at: Position = (first, 0)
        for start, _, _, end, text in sorted(self.found, key=lambda e: e[:3]):
            out += [self._between(at, start), text]
            at = end
        out.append(self._between(at, (last, len(self.lines[last - 1].encode()))))
        return "".join(out)

    def _between(self, start: Position, end: Position) -> str:
        if start[0] == end[0]:
            return self.lines[start[0] - 1].encode()[start[1] : end[1]].decode()
        parts = [self.lines[start[0] - 1].encode()[start[1] :].decode(), *self.lines[start[0] : end[0] - 1]]
        return "".join([*parts, self.lines[end[0] - 1].encode()[: end[1]].decode()])


def start_of(node: ast.expr | ast.stmt) -> Position:
    """Where a node begins."""
    return node.lineno, node.col_offset


def end_of(node: ast.expr | ast.stmt) -> Position:
    """Where a node ends."""
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
