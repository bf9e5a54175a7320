"""Makes the pictures of docs/looking.md by running its code, the lines that tests skip included.

python docs/images/make.py
"""

import doctest
import os
import re
from pathlib import Path


def main() -> None:
    from PIL import Image

    page = Path(__file__).parents[1] / "looking.md"
    os.chdir(page.parent / "images")
    names: dict = {}
    for example in doctest.DocTestParser().get_examples(page.read_text().replace("```", "")):
        exec(compile(example.source, page.name, "single"), names)
    for picture in re.findall(r'savefig\("(.+?)"\)', page.read_text()):
        # 256 colours, a third of the size
        image = Image.open(picture).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE)
        image.save(picture, optimize=True)


if __name__ == "__main__":
    main()
