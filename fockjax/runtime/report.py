"""Records of runs shown as text, or as one HTML file with plots."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fockjax._figures import BLUE, COLOURS, ORANGE, decorate
from fockjax.runtime.memory import show_size
from fockjax.runtime.run_record import RunRecord

PARTS = ("trace", "compile", "transfer", "compute")
SHOWN_RUNS, DRAWN_RUNS = 50, 500


class Table(NamedTuple):
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(records: Sequence[RunRecord]) -> list[Table]:
    """Tables about all runs, in the order of the file, and about the last one."""
    last = records[-1]
    found = [Table("All runs", ("", ""), _summary(records))]
    found.append(Table("Runs", RUN_HEADER, [_run(record) for record in records[-SHOWN_RUNS:]]))
    if len(last.levels) > 1:
        rows = [(level, f"{count:,}") for level, count in last.levels.items() if count]
        found.append(Table("Cutoffs of the last run", ("cutoffs", "rows"), rows))
    if last.outputs:
        header = ("result", "mean", "std", "min", "max")
        rows = [
            (name, *(f"{found[key]:.6g}" if key in found else "" for key in header[1:]))
            for name, found in last.outputs.items()
        ]
        found.append(Table("Results of the last run", header, rows))
    if last.recoveries:
        rows = [(recovery,) for recovery in last.recoveries]
        found.append(Table("Recoveries of the last run", ("what helped",), rows))
    if last.error:
        rows = [(name, str(value)) for name, value in last.error.items()]
        found.append(Table("Error of the last run", ("", ""), rows))
    return found


def _summary(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    good = [record for record in records if record.error is None]
    errors = Counter(record.error["type"] for record in records if record.error)
    seconds = {part: sum(r.seconds.get(part, 0.0) for r in records) for part in ("total", *PARTS)}
    rows = sum(record.rows for record in good)
    time = sum(record.seconds["total"] for record in good)
    return [
        ("runs", f"{len(records)}, {len(good) / len(records):.1%} of them completed"),
        ("rows", f"{rows:,} in {time:.1f} s" + (f", {rows / time:,.0f} a second" if time else "")),
        (
            "seconds",
            "running {total:.2f} (transfer {transfer:.2f}, compute {compute:.2f}), "
            "tracing {trace:.2f}, compiling {compile:.2f}".format_map(seconds),
        ),
        ("recoveries", str(sum(len(record.recoveries) for record in records))),
        ("errors", ", ".join(f"{name} {count}" for name, count in errors.items()) or "none"),
    ]


RUN_HEADER = (
    "UTC",
    "rows",
    "rerun",
    "not finite",
    "seconds",
    "memory",
    "leakage",
    "failures",
    "error",
)


def _run(record: RunRecord) -> list[str]:
    """A row under `RUN_HEADER`. Rows were "rerun" at a larger cutoff."""
    return [
        record.started[:19].replace("T", " "),
        f"{record.rows:,}",
        f"{sum([*record.levels.values()][1:]):,}",
        f"{record.not_finite:,}",
        f"{record.seconds['total']:.2f}",
        f"+{show_size(memory['peak'] - memory['before'])}" if (memory := record.memory) else "",
        f"{max(record.leakage['most'], 0):.0e}" if record.leakage else "",
        str(len(record.recoveries) + (record.error is not None)),
        record.error["type"] if record.error else "",
    ]


def print_report(records: Sequence[RunRecord], console: Console) -> None:
    """Print the tables, and what ran last."""
    for table in tables(records):
        shown = RichTable(
            title=table.title,
            title_justify="left",
            min_width=len(table.title),
            show_header=any(table.header),
            box=box.SIMPLE,
            padding=0,
            pad_edge=False,
        )
        for name in table.header:
            shown.add_column(name, overflow="fold")
        for row in table.rows:
            shown.add_row(*map(Text, row))
        console.print(shown)
    last = records[-1]
    console.print(_place(last), soft_wrap=True, highlight=False, markup=False)
    console.print(last.about, soft_wrap=True, highlight=False, markup=False)


def html_report(records: Sequence[RunRecord]) -> str:
    """The same as one HTML page with plots, which refers to nothing outside itself."""
    last = records[-1]
    body = ["<h1>Runs</h1>", f"<p>{escape(_place(last))}</p>", _plots(records)]
    for table in tables(records):
        body.append(f"<h2>{escape(table.title)}</h2>\n<table>")
        if any(table.header):
            body.append(_html_row(table.header, "th"))
        body += [_html_row(row, "td") for row in table.rows]
        body.append("</table>")
    if last.about:
        body.append(f"<h2>What ran last</h2>\n<pre>{escape(last.about)}</pre>")
    return PAGE.format(body="\n".join(body))


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Runs of fockjax</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto }}
table {{ border-collapse: collapse; font-size: 14px }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e6ea }}
img {{ max-width: 100% }} pre {{ background: #f5f6f8; padding: 1rem; overflow-x: auto }}
</style>
{body}
</html>
"""


def _place(record: RunRecord) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return f"The last run, of {record.rows:,} rows, was on {record.device} with {versions}."


def _html_row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _plots(every: Sequence[RunRecord]) -> str:
    """Where the time went, memory and leakage, run by run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    time, memory, leakage = figure.subplots(1, 3)
    records = every[-DRAWN_RUNS:]  # a bar is slow to draw
    runs = range(1 + len(every) - len(records), 1 + len(every))
    below = [0.0] * len(records)
    for part, colour in zip(PARTS, COLOURS, strict=False):
        seconds = [record.seconds.get(part, 0.0) for record in records]
        time.bar(runs, seconds, bottom=below, color=colour, label=part, width=0.8)
        below = [low + more for low, more in zip(below, seconds, strict=True)]
    watched = [(run, r.memory) for run, r in zip(runs, records, strict=True) if r.memory]
    for when, colour in (("peak", ORANGE), ("before", BLUE)):
        sizes = [values[when] / 1e9 for _, values in watched]
        memory.plot([run for run, _ in watched], sizes, ".-", color=colour, label=when)
    known = [(run, r.leakage) for run, r in zip(runs, records, strict=True) if r.leakage]
    for what, colour in (("most", ORANGE), ("mean", BLUE)):
        lost = [max(values[what], 1e-9) for _, values in known]
        leakage.plot([run for run, _ in known], lost, ".-", color=colour, label=what)
    if known:
        leakage.set_yscale("log")
    memory.set_ylim(0, 1.3 * max((values["peak"] for _, values in watched), default=1e9) / 1e9)
    for axis, label in ((time, "seconds"), (memory, "memory [GB]"), (leakage, "leakage")):
        decorate(axis, "run", label)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
        axis.legend(frameon=False, fontsize=9, **above)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    data = base64.b64encode(image.getvalue()).decode()
    which = "each run" if len(every) == len(records) else f"the last {len(records)} runs"
    return f'<img alt="seconds, memory and leakage of {which}" src="data:image/png;base64,{data}">'
