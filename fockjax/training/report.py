"""The comparison table, on the console and in report.md."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fockjax._files import atomic_writer
from fockjax.training.metrics import TITLES


def table_rows(results: dict) -> list[list[str]]:
    """Cells of the comparison: title, the two figures, mean test leakage.

    Figures are "mean ± standard deviation" if `results` is of several folds.
    """
    rows = []
    for key, title in results["titles"].items():
        figures = results["figures"][key]
        cells = [title]
        for name in results["figure_names"]:
            mean, spread = figures[name], figures.get(f"{name}_std")
            cells.append(_figure(name, mean, spread))
        cells.append(f"{max(results['leakage']['mean'], 0):.3%}" if key == "photonic" else "")
        rows.append(cells)
    return rows


def contribution(results: dict) -> str:
    """A sentence that compares the circuit with the identity."""
    photonic, identity = results["figures"]["photonic"], results["figures"]["identity"]
    name = results["figure_names"][0]
    difference = photonic[name] - identity[name]
    if name == "accuracy":
        return f"The circuit changes accuracy by {100 * difference:+.2f} points over the identity."
    return f"The circuit changes the {TITLES[name]} by {difference:+.4g} over the identity."


def print_table(console: Console, results: dict) -> None:
    """Print the comparison and the notes. Names of users are `Text`, which has no markup."""
    title = Text(f"Test rows of {results['data']}", style="table.title")
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for name in results["figure_names"]:
        table.add_column(TITLES[name], justify="right", no_wrap=True)
    table.add_column("leakage", justify="right", no_wrap=True)
    for index, cells in enumerate(table_rows(results)):
        table.add_row(*map(Text, cells), style="bold" if index == 0 else None)
    console.print(table)
    for line in (contribution(results), *results["notes"]):
        console.print(Text(line), soft_wrap=True)


def write_report(path: Path, results: dict, plots: list[str]) -> None:
    """Write report.md: the comparison, the notes and the plots."""
    header = ["model", *(TITLES[name] for name in results["figure_names"]), "leakage"]
    lines = [f"# {results['data']}: {results['task']}", ""]
    for cells in (header, ["---"] * len(header), *table_rows(results)):
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", contribution(results), "", *(f"- {line}" for line in results["notes"]), ""]
    lines += [f"![{name}]({name})\n" for name in plots]
    with atomic_writer(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip() + "\n")


def combine(folds: list[dict]) -> dict:
    """Results over all folds: means, and standard deviations as NAME_std."""
    first = folds[0]
    figures = {}
    for key in first["figures"]:
        figures[key] = {}
        for name in first["figure_names"]:
            values = [fold["figures"][key][name] for fold in folds]
            figures[key][name] = float(np.mean(values))
            figures[key][f"{name}_std"] = float(np.std(values))
    leakage = {
        "mean": float(np.mean([fold["leakage"]["mean"] for fold in folds])),
        "max": max(fold["leakage"]["max"] for fold in folds),
    }
    seconds = sum(fold["seconds"] for fold in folds)
    notes = [
        f"mean ± standard deviation over {len(folds)} folds",
        f"largest leakage of a test row {leakage['max']:.2%}",
        f"{seconds:.0f} s in all",
    ]
    kept = ("task", "data", "titles", "figure_names")
    return {
        **{key: first[key] for key in kept},
        "figures": figures,
        "leakage": leakage,
        "skipped_steps": sum(fold["skipped_steps"] for fold in folds),
        "seconds": seconds,
        "notes": notes,
    }


def _figure(name: str, value: float, spread: float | None) -> str:
    if name == "accuracy":
        text = f"{100 * value:.1f}%"
        return text if spread is None else f"{text} ± {100 * spread:.1f}"
    digits = "#.4g" if name == "rmse" else ".3f"
    text = f"{value:{digits}}"
    return text if spread is None else f"{text} ± {spread:{digits}}"
