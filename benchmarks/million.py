"""A million rows from a Parquet file through `fockjax predict --memory 8GB`.

    python benchmarks/million.py [--rows 1000000] [--memory 8GB]

Three runs: undisturbed; with reading, running and storing one after the other; killed in the middle
and resumed. The model has the reference circuit between its linear layers.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from _served_model import COLUMNS, use_reference_circuit
from pyarrow import parquet
from rich.console import Console

from fockjax import cli, prediction
from fockjax.runtime import runner
from fockjax.runtime.memory import show_size
from fockjax.runtime.run_record import read_records
from fockjax.training import Dataset, TrainConfig, train

ROW = 8 + 8 + 1  # bytes in the journal: prediction, leakage, usable


def prepare(folder: Path, rows: int) -> None:
    """A model that has hardly been trained, and the rows."""
    use_reference_circuit()
    features = np.random.default_rng(0).normal(size=(rows, len(COLUMNS)))
    few = features[:1000]
    dataset = Dataset("made", few, np.sin(few[:, 0]), COLUMNS, "y", None)
    config = TrainConfig(
        modes=4, cutoff=6, layers=2, alpha_max=0.5, epochs=1, out=folder / "model", quiet=True
    )
    train(config, dataset, Console(quiet=True))
    table = pa.table(dict(zip(COLUMNS, features.T, strict=True)))
    parquet.write_table(table, folder / "rows.parquet")


def run(folder: Path, name: str, given, how: str = "ahead", kill_at: float | None = None) -> dict:
    """One process, and what is seen of it from outside."""
    out, log = folder / f"{name}.parquet", folder / f"{name}.jsonl"
    journal = folder / f"{name}.parquet.journal"

    def share() -> float:
        return journal.stat().st_size / ROW / given.rows if journal.exists() else 0.0

    began, begun = time.perf_counter(), share()
    files = [str(folder / "model"), str(folder / "rows.parquet"), "-o", str(out)]
    process = subprocess.Popen(
        [
            sys.executable,
            __file__,
            how,
            "predict",
            *files,
            "--memory",
            given.memory,
            "--log",
            str(log),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    watched, used = psutil.Process(process.pid), []
    while process.poll() is None:
        done = share()
        if done > max(begun, 0.1):
            used.append(watched.memory_info().rss)
        if kill_at is not None and done > kill_at:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.05)
    said, _ = process.communicate()
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL), said
    resumed = re.search("resuming after row ([0-9,]+)", said)
    return {
        "seconds": time.perf_counter() - began,
        "kept": int(resumed[1].replace(",", "")) if resumed else 0,
        "used": [size for size in used if size],
        "record": read_records(log)[-1] if log.exists() else None,
        "out": out,
    }


def show(name: str, seen: dict, rows: int) -> None:
    record, computed = seen["record"], rows - seen["kept"]
    print(
        f"{name:18}{computed:10,}{seen['seconds']:9.1f}{computed / seen['seconds']:9,.0f}"
        f"{record.seconds['trace']:8.1f}{record.seconds['compile']:9.1f}"
        f"{record.seconds['total']:7.1f}{show_size(record.memory['peak']):>9}"
        f"{show_size(record.memory['peak'] - record.memory['before']):>9}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory", default="8GB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), given.rows
        prepare(folder, rows)
        whole = run(folder, "whole", given)
        in_turn = run(folder, "in_turn", given, "in turn")
        killed = run(folder, "again", given, kill_at=0.5)
        resumed = run(folder, "again", given)
        assert 0 < resumed["kept"] < rows and not list(folder.glob("*.journal"))
        for other in (in_turn, resumed):
            assert other["out"].read_bytes() == whole["out"].read_bytes()
    print(
        "                        rows  seconds   rows/s   trace  compile    run     peak  increase"
    )
    show("undisturbed", whole, rows)
    show("all in turn", in_turn, rows)
    show("killed, resumed", resumed, rows)
    print(
        f"in use after a tenth of the rows {show_size(whole['used'][0])}, at the end "
        f"{show_size(whole['used'][-1])}\nkilled after {killed['seconds']:.1f} s, resumed after "
        f"row {resumed['kept']:,}; all outputs are the same byte by byte"
    )


if __name__ == "__main__":
    if sys.argv[1:2] in (["ahead"], ["in turn"]):
        use_reference_circuit()
        if sys.argv[1] == "in turn":
            prediction.ahead = runner.ahead = iter
        sys.exit(cli.main(sys.argv[2:]))
    main()
