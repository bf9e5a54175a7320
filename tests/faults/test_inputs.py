"""Files that cannot be used, by the command line: one line says why, and nothing is written."""

import functools
import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fockjax import cli, inference, prediction, training
from fockjax.journal import Journal

pytestmark = [pytest.mark.slow, pytest.mark.loose_promotion]

ROWS, VALUE = 40, "0.125"  # the value stands once, in row 3 of column b
FEATURES = np.random.default_rng(0).normal(size=(ROWS, 3)).round(3)
FEATURES[2, 1] = float(VALUE)
KINDS = ["rose" if row.sum() > 0 else "iris" for row in FEATURES]


def text(names="abc"):
    lines = [",".join([*names, "kind"])]
    lines += [
        ",".join([*map(repr, row), kind])
        for row, kind in zip(FEATURES.tolist(), KINDS, strict=True)
    ]
    return "\n".join(lines) + "\n"


def table(path):
    columns = dict(zip("abc", FEATURES.T, strict=True))
    parquet.write_table(pa.table({**columns, "kind": KINDS}), path, compression="none")
    return path


def matrix(path):
    np.save(path, FEATURES)
    return path


def zipped(path):
    with open(path, "wb") as file:  # by the name np.savez would change the name
        np.savez(file, FEATURES)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model without a circuit, which compiles fast, and loaded once."""

    def build(features, config, *, photonic=True, outputs=1):
        return training.model.build_model(features, config, photonic=False, outputs=outputs)

    folder = tmp_path_factory.mktemp("model")
    (folder / "data.csv").write_text(text())
    with pytest.MonkeyPatch.context() as patch:
        for module in (training.run, inference):
            patch.setattr(module, "build_model", build)
        once = functools.cache(inference.load_model)
        patch.setattr(prediction, "load_model", lambda path, warn: once(path))
        arguments = ["--data", str(folder / "data.csv"), "--target", "kind", "--epochs", "2"]
        assert cli.main(["train", *arguments, "--out", str(folder / "model")]) == 0
        yield folder / "model"


def value(new):
    """A CSV file in which the value is another."""
    return lambda path: path.write_text(text().replace(VALUE, new))


def changed(write, change):
    """A file whose bytes are changed after it was written."""

    def make(path):
        write(path)
        path.write_bytes(change(path.read_bytes()))

    return make


def plain(path):
    path.write_text(text())


def overwritten(start, count=30):
    return lambda content: content[:start] + b"\xff" * count + content[start + count :]


HERE = r"row 3 \(line 4\), column 'b': "
BOTH = {  # what `train` and `predict` refuse
    "nan.csv": (value("nan"), HERE + "the value is missing"),
    "nothing.csv": (value(""), HERE + "the value is missing"),
    "infinite.csv": (value("-inf"), HERE + "'-inf' is not a finite number"),
    "overflow.csv": (value("1e400"), HERE + "'1e400' is not a finite number"),
    "huge.csv": (value("1e300"), "too large"),
    "digits.csv": (value("9" * 5000), HERE + r"'9{60}\.\.' is not a finite number"),
    "null.csv": (value("1\0"), HERE + r"'1\\x00' is not a finite number"),
    "word.csv": (value("much"), HERE + "'much' is not a finite number"),
    "fields.csv": (value("1,5"), r"row 3 \(line 4\).* the row has 5 fields, the header 4"),
    "quote.csv": (value('"1'), "is not valid CSV"),
    "long.csv": (value("1" * 200_000), "line 4 is not valid CSV: field larger"),
    "empty.csv": (lambda path: path.write_text(""), "is empty: a header line"),
    "header.csv": (lambda path: path.write_text("a,b,c,kind\n"), "has (no|0) rows"),
    "twice.csv": (lambda path: path.write_text(text("aac")), "names column 'a' 2 times"),
    "utf16.csv": (lambda path: path.write_text(text(), encoding="utf-16"), "is not UTF-8 text"),
    "latin.csv": (changed(plain, lambda content: content + b"\xe9"), "is not UTF-8 text"),
    "zipped.csv": (lambda path: path.write_bytes(b"\x1f\x8b\x08\0junk"), "is not UTF-8 text"),
    "folder.csv": (lambda path: path.mkdir(), "must be in a file, .*folder.csv is none"),
    "absent.csv": (lambda path: None, "does not exist"),
    "empty.parquet": (lambda path: path.write_bytes(b""), "is no Parquet file that can be read"),
    "cut.parquet": (changed(table, lambda content: content[:-1]), "is no Parquet file"),
    "half.parquet": (changed(table, lambda content: content[: len(content) // 2]), "no Parquet"),
    "page.parquet": (changed(table, overwritten(4)), "cannot be read"),
    "footer.parquet": (changed(table, lambda c: c[:-40] + b"\xff" * 30 + c[-10:]), "no Parquet"),
}
PREDICT = {  # what only `predict` can be given, or has to refuse
    "names.csv": (lambda path: path.write_text(text("axc")), "lacks 1 of the .* columns: 'b'"),
    "order.npy": (changed(matrix, lambda content: content[:10]), "cannot be read"),
    "header.npy": (changed(matrix, overwritten(10)), "cannot be read"),
    "half.npy": (changed(matrix, lambda content: content[: len(content) // 2]), "cannot be read"),
    "shape.npy": (changed(matrix, lambda c: c.replace(b"(40, 3)", b"(99, 3)")), "cannot be read"),
    "wide.npy": (lambda path: np.save(path, FEATURES.T), r"of shape \(rows, 3\)"),
    "complex.npy": (lambda path: np.save(path, FEATURES * 1j), "must hold real numbers"),
    "archive.npy": (zipped, "cannot be read: it is an archive of several arrays"),
    "objects.npy": (lambda path: np.save(path, np.array([{}] * 3)), "cannot be read"),
}


def refusal(capsys, *arguments):
    """What the tool says on its one line of error."""
    capsys.readouterr()
    assert cli.main(list(map(str, arguments))) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and len(told) < 600, told
    return told


@pytest.mark.parametrize("name", [*BOTH, *PREDICT])
def test_predict_refuses_and_leaves_what_was_there(model, tmp_path, capsys, name):
    make, message = (BOTH | PREDICT)[name]
    make(tmp_path / name)
    out = tmp_path / "out.csv"
    out.write_text("of an earlier run")
    before = sorted(tmp_path.iterdir())
    options = [model, tmp_path / name, "-o", out, "--overwrite"]
    assert re.search(message, refusal(capsys, "predict", *options))
    assert out.read_text() == "of an earlier run" and sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", BOTH)
def test_train_refuses_before_it_makes_a_folder(tmp_path, capsys, name):
    make, message = BOTH[name]
    make(tmp_path / name)
    before = sorted(tmp_path.iterdir())
    options = ["--data", tmp_path / name, "--target", "kind", "--out", tmp_path / "new"]
    assert re.search(message, refusal(capsys, "train", *options))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["data.csv", "data.parquet", "data.npy"])
def test_a_file_that_shrinks_while_it_is_read_gives_no_output(
    model, tmp_path, capsys, monkeypatch, name
):
    """After the first chunk half of the file is gone."""
    data, many = tmp_path / name, np.tile(FEATURES, (30, 1))
    if name.endswith(".npy"):
        np.save(data, many)
    elif name.endswith(".csv"):
        np.savetxt(data, many, delimiter=",", header="a,b,c", comments="")
    else:
        columns = dict(zip("abc", many.T, strict=True))
        parquet.write_table(pa.table(columns), data, row_group_size=100, compression="none")
    append = Journal.append

    def shrinking(self, *arguments):
        append(self, *arguments)
        with open(data, "r+b") as file:
            file.truncate(data.stat().st_size // 2)

    monkeypatch.setattr(Journal, "append", shrinking)
    told = refusal(capsys, "predict", model, data, "-o", tmp_path / "out.csv", "--batch-size", 8)
    assert re.search("cannot be read|was changed while it was read|fields, the header", told)
    assert not (tmp_path / "out.csv").exists()
