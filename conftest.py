"""Every Python block of README.md and docs/ runs as a test; pytest itself runs the docstrings'."""

from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

from sybil import Sybil
from sybil.evaluators.doctest import NUMBER
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE | NUMBER),
        SkipParser(),
    ],
    patterns=["README.md", "docs/*.md"],
).pytest()
