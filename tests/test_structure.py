"""Imports run downwards only, in the order in which docs/architecture.md lists the tree."""

import ast
import re
from pathlib import Path

import pytest

import fockjax

PACKAGE = Path(fockjax.__file__).parent
TREE = (PACKAGE.parent / "docs" / "architecture.md").read_text().split("## The tree")[1]
ORDER = re.findall(r"^      (\w+)(?:\.py|/) ", TREE, re.MULTILINE)


def part(module: str) -> str:
    return module.split(".")[1]


def imports(text: str):
    """The modules of the package that a file imports; relative imports are refused."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in line {node.lineno}"
            whole = [f"fockjax.{alias.name}" for alias in node.names]
            names = whole if node.module == "fockjax" else [node.module or ""]
        else:
            continue
        yield from (name for name in names if name.startswith("fockjax."))


def test_imports_of_every_form_are_seen():
    forms = "import numpy, fockjax.states as s\nfrom fockjax import nn\nfrom fockjax.gates import x"
    assert list(imports(forms)) == ["fockjax.states", "fockjax.nn", "fockjax.gates"]
    with pytest.raises(AssertionError, match="relative import in line 1"):
        list(imports("from . import nn"))


def test_every_file_is_in_the_tree():
    parts = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}
    assert {name.removesuffix(".py") for name in parts} - {"__init__"} == set(ORDER)


def test_imports_run_downwards():
    upwards = []
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for module in imports(path.read_text()):
            if ORDER.index(part(module)) > ORDER.index(own):
                upwards.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not upwards
