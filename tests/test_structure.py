"""Imports run downwards only, in the order in which docs/architecture.md lists the tree."""

import ast
import re
from pathlib import Path

import fockjax

PACKAGE = Path(fockjax.__file__).parent
TREE = (PACKAGE.parent / "docs" / "architecture.md").read_text().split("## The tree")[1]
ORDER = re.findall(r"^      (\w+)(?:\.py|/) ", TREE, re.MULTILINE)


def part(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "fockjax":
            yield from (f"fockjax.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fockjax."):
            yield node.module


def test_every_file_is_in_the_tree():
    parts = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}
    assert {name.removesuffix(".py") for name in parts} - {"__init__"} == set(ORDER)


def test_imports_run_downwards():
    upwards = []
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for module in imports(path):
            if ORDER.index(part(module)) > ORDER.index(own):
                upwards.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not upwards
