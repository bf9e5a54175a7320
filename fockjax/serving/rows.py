"""Rows as clients send them, read and checked in the same way as by `fockjax predict`."""

from typing import Any

import numpy as np

from fockjax._advice import SHOWN, first_few
from fockjax.inference import Predictor, result_columns
from fockjax.serving.batcher import Answer
from fockjax.serving.errors import Refused, bad_request
from fockjax.training.tables import Field, Raw, describe_bad, plain


def refuse_too_many(rows: int, most: int) -> None:
    """Raise `Refused` if a request has more rows than a request may have."""
    if rows > most:
        raise Refused(413, f"{rows} rows; at most {most} in a request")


def inputs_from_rows(rows: Any, predictor: Predictor, most: int) -> np.ndarray:
    """Inputs of the model (rows, inputs) from at most `most` JSON rows.

    Each row is an object by column names, whose other entries are ignored, or a list of values in
    the order of the training.

    Raises:
        Refused: with the numbers of the first rows that cannot be used, and why.
    """
    names = [column.name for column in predictor.columns]
    if not isinstance(rows, list) or not rows:
        raise bad_request('"rows" must be a list of rows, at least one')
    refuse_too_many(len(rows), most)
    lists = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            lacking = [name for name in names if name not in row]
            if lacking:
                raise bad_request(f"row {number} lacks columns: {', '.join(map(repr, lacking))}")
            lists.append([row[name] for name in names])
        elif isinstance(row, list):
            if len(row) != len(names):
                raise bad_request(
                    f"row {number} has {len(row)} values, but the columns are {len(names)}: "
                    + ", ".join(names)
                )
            lists.append(row)
        else:
            raise bad_request(f"row {number} must be an object of columns, or a list of values")
    columns = zip(*lists, strict=True)
    fields = {name: field(list(column), name) for name, column in zip(names, columns, strict=True)}
    return inputs_from_fields(fields, len(rows), predictor)


def field(values: list[Any], name: str) -> Field:
    """A column as a file would give it: numbers where null is a missing one, or text if there is
    text, a truth value, or an integer that float64 may not hold.
    """
    kinds = set(map(type, values))
    if strange := kinds - {int, float, bool, str, type(None)}:
        row = next(i for i, value in enumerate(values, 1) if type(value) in strange)
        raise bad_request(f"row {row}, column {name!r}: neither a number nor text nor null")
    if kinds <= {int, float, type(None)}:
        numbers = np.array(values, np.float64)
        if int not in kinds or not (np.abs(numbers) >= 2**53).any():
            return numbers
    return [_text(value) for value in values]


def inputs_from_fields(fields: dict[str, Field], count: int, predictor: Predictor) -> np.ndarray:
    """Inputs of the model (rows, inputs) from columns of `count` rows, all of them usable.

    Raises:
        Refused: with the numbers, from 1, of the first rows that cannot be used, and why.
    """
    chunk, inputs, good = predictor.inputs(Raw(0, count, fields), described=SHOWN)
    if not good.all():
        reasons = describe_bad(chunk, 0, good, good, SHOWN)
        raise bad_request(first_few(reasons, int((~good).sum()), "; "))
    return inputs


def refuse_not_finite(answer: Answer) -> None:
    """Raise `Refused` with the numbers of rows that have no finite answer."""
    finite = [np.isfinite(part) for part in answer.values() if part.dtype.kind == "f"]
    if not all(part.all() for part in finite):
        good = np.all([part.reshape(len(part), -1).all(axis=1) for part in finite], axis=0)
        bad = np.flatnonzero(~good) + 1
        reasons = [f"row {row}: the result is not finite" for row in bad[:SHOWN]]
        raise bad_request(first_few(reasons, len(bad), "; "))


def as_objects(answer: Answer, predictor: Predictor) -> list[dict[str, Any]]:
    """An object for each row, with the columns that `fockjax predict` writes."""
    names = result_columns(predictor.classes).names or ()
    rows = len(answer["leakage"])
    probability = answer.get("probability", np.empty((rows, 0))).reshape(rows, -1)
    columns = [answer["prediction"], *probability.T, answer["leakage"]]
    lists = (column.tolist() for column in columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]


def _text(value: str | float | None) -> str:
    if value is None:
        return ""
    return repr(plain(value)) if isinstance(value, float) else str(value)
