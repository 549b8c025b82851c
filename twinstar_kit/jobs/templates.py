"""Job notebooks and their parameters: which exist, what they accept, and the refusal of everything else."""

from __future__ import annotations

import ast
import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinstar_kit.kernel.errors import UsageError

TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
SECRET = re.compile(
    r"(^|_)(secret|password|passwd|pwd|passphrase|token|mnemonic|credentials?|auth|"
    r"api_?key|private_?key|secret_?key|access_?key)s?(_|$)"
)


class JobError(UsageError):
    """A job, a parameter or a template that breaks a rule."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a job: its name, the type it is annotated with, its default and the comment beside it."""

    name: str
    type: str
    default: Any
    help: str = ""
    optional: bool = False
    choices: tuple[Any, ...] = ()

    def parse(self, value: Any) -> Any:
        """`value` in the annotated type, from text as a command line has it; JobError when it is not of that type.

        >>> Parameter("days", "int", 1).parse("7")
        7
        """
        if self.optional and (value is None or str(value).lower() in {"none", ""}):
            return None
        parsed = _read(value, TYPES[self.type])
        if parsed is None:
            raise JobError(f"parameter {self.name} is {self.written}; {value!r} is not")
        if self.choices and parsed not in self.choices:
            raise JobError(
                f"parameter {self.name} must be one of {', '.join(map(str, self.choices))}; not {value!r}"
            )
        return parsed

    @property
    def written(self) -> str:
        """The type in words: `int`, or `str or none`."""
        return self.type + (" or none" if self.optional else "")


@dataclass(frozen=True, slots=True)
class Template:
    """A job notebook: its name, its file, what it says of itself, and what it accepts."""

    name: str
    path: Path
    summary: str
    parameters: tuple[Parameter, ...]

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter with its value: the given ones checked and typed, the rest at their defaults.

        JobError for a name that the template does not have, a value of another type, or a name that promises a
        secret: what a notebook is given stands in its output for everyone to read.
        """
        known = {p.name: p for p in self.parameters}
        for name in given:
            _refuse_secret(name)
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}"
                raise JobError(f"job {self.name} has no parameter {name}; {hint}")
        return {p.name: p.parse(given[p.name]) if p.name in given else p.default for p in self.parameters}

    def to_dict(self) -> dict[str, Any]:
        """For `jobs list --json`."""
        return {
            "name": self.name,
            "summary": self.summary,
            "path": str(self.path),
            "parameters": {p.name: p.default for p in self.parameters},
            "types": {p.name: p.written for p in self.parameters},
            "help": {p.name: p.help for p in self.parameters},
        }


def template_folders(templates: Path | None = None, home: Path | None = None) -> list[Path]:
    """Where job notebooks are looked for, the first that has a name wins: here, the user's own, the repository's.

    A folder that is given stands alone.
    """
    if templates is not None:
        if not templates.is_dir():
            raise JobError(f"there is no folder {templates}; give one that holds job notebooks")
        return [templates]
    places = (
        Path.cwd() / "templates",
        home_of(home) / "templates",
        Path(__file__).resolve().parents[2] / "templates",
    )
    return [p for p in dict.fromkeys(places) if p.is_dir()]


def list_jobs(templates: Path | None = None, *, home: Path | None = None) -> list[Template]:
    """Every job notebook there is, by name; a broken one is an error and not a silence."""
    found = _by_name(template_folders(templates, home))
    return [read_template(found[name]) for name in sorted(found)]


def find_template(name: str, templates: Path | None = None, *, home: Path | None = None) -> Template:
    """The job notebook called `name`; JobError with the nearest name when there is none."""
    found = _by_name(template_folders(templates, home))
    if name in found:
        return read_template(found[name])
    near = difflib.get_close_matches(name, found, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(found)) or 'none'}"
    raise JobError(f"there is no job {name!r}; {hint}")


def _by_name(folders: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.ipynb")):
            found.setdefault(path.stem, path)
    return found


def read_template(path: Path) -> Template:
    """Read a job notebook and its cell tagged `parameters`, which holds annotated literals and nothing else."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
        tagged = [
            c for c in cells if c["cell_type"] == "code" and "parameters" in c["metadata"].get("tags", [])
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path} is not a notebook: {error}") from None
    if len(tagged) > 1:
        raise JobError(f"{path}: {len(tagged)} cells are tagged `parameters`; one is allowed")
    source = "".join(tagged[0]["source"]) if tagged else ""
    prose = next(("".join(c["source"]) for c in cells if c["cell_type"] == "markdown"), "")
    lines = [line.lstrip("# ").strip() for line in prose.splitlines() if line.strip()]
    summary = lines[1] if len(lines) > 1 else "".join(lines)
    return Template(path.stem, path, summary, tuple(read_parameters(source, str(path))))


def read_parameters(source: str, where: str = "parameters") -> list[Parameter]:
    """The parameters that a cell declares, as `name: type = literal  # what it is`.

    Types are str, int, float and bool, each optionally `| None`, and `Literal[...]` of one of them.

    >>> [p.default for p in read_parameters("days: int = 7  # how many")]
    [7]
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise JobError(
            f"{where}: the parameters cell is not Python: {error.msg}, line {error.lineno}"
        ) from None
    lines = source.splitlines()
    out = []
    for node in tree.body:
        rule = f"{where}: line {node.lineno} of the parameters cell must read `name: type = literal`"
        if isinstance(node, ast.ImportFrom | ast.Expr) and _harmless(node):
            continue
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
            raise JobError(rule)
        name = node.target.id
        _refuse_secret(name)
        try:
            default = ast.literal_eval(node.value)
            kind, optional, choices = _annotation(node.annotation)
        except ValueError:
            raise JobError(
                f"{rule}, of type str, int, float, bool, one of them `| None`, or Literal[...]"
            ) from None
        comment = lines[node.end_lineno - 1 if node.end_lineno else 0].partition("#")[2].strip()
        made = Parameter(name, kind, default, comment, optional, choices)
        typed = made.parse(default)
        if (
            default is not None
            and type(default) is not TYPES[kind]
            and not (kind == "float" and type(default) is int)
        ):
            raise JobError(f"{where}: the default of {name} is {default!r}, which is not {made.written}")
        out.append(Parameter(name, kind, typed, comment, optional, choices))
    return out


def _annotation(node: ast.expr) -> tuple[str, bool, tuple[Any, ...]]:
    """(type, may be None, choices) of an annotation; ValueError for one that is not allowed."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and ast.unparse(node.right) == "None":
        kind, _, choices = _annotation(node.left)
        return kind, True, choices
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in {"Literal", "typing.Literal"}:
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        choices = tuple(ast.literal_eval(e) for e in inner)
        kinds = {type(c).__name__ for c in choices}
        if len(kinds) != 1 or not kinds <= set(TYPES):
            raise ValueError("mixed choices")
        return kinds.pop(), False, choices
    if isinstance(node, ast.Name) and node.id in TYPES:
        return node.id, False, ()
    raise ValueError("no such annotation")


def _harmless(node: ast.ImportFrom | ast.Expr) -> bool:
    """A docstring, or the import that Literal needs."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return node.module in {"typing", "__future__"}


def _read(value: Any, kind: type) -> Any:
    """`value` as `kind`, or None."""
    if kind is bool:
        return value if isinstance(value, bool) else WORDS.get(str(value).lower())
    if isinstance(value, bool):
        return None
    if kind is str:
        return value if isinstance(value, str) else None
    try:
        number = kind(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    return None if kind is int and isinstance(value, float) and number != value else number


def _refuse_secret(name: str) -> None:
    if SECRET.search(name.lower()):
        raise JobError(
            f"{name} looks like a secret, and parameters are stored in every output; keep it in the vault instead"
        )


def home_of(home: Path | None) -> Path:
    """The folder of a user's things: the one given, else that of the settings."""
    if home is not None:
        return home
    from twinstar_kit.settings import load_settings

    return load_settings().home
