"""A training run from data to report, as `fockjax train` does it."""

import dataclasses
import importlib.metadata
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.text import Text

from fockjax._advice import UserError
from fockjax._files import write_sealed
from fockjax._progress import Steps
from fockjax.runtime.recovery import Remedy, remedy
from fockjax.training import baselines, checkpoint, folder, loop, plots, report
from fockjax.training.config import TrainConfig, identity_hash
from fockjax.training.data import Dataset, Split, extent, make_splits
from fockjax.training.history import MetricsLog
from fockjax.training.metrics import FIGURES, TITLES, Evaluation, figures, from_output
from fockjax.training.model import build_model
from fockjax.training.probe import Probe
from fockjax.training.progress import TrainingProgress
from fockjax.training.reading import load_dataset
from fockjax.training.scaling import Scaler, check_scaled


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind.

    Attributes:
        folder: the model folder.
        results: the content of its results.json: "figures" by model and name, "leakage", ...
    """

    folder: Path
    results: dict[str, Any]


def train(
    config: TrainConfig, dataset: Dataset | None = None, console: Console | None = None
) -> TrainResult:
    """Train a hybrid photonic model, compare it with baselines, and write a model folder.

    Args:
        config: the options; the defaults train on the bundled breast-cancer data.
        dataset: data to use instead of what `config.data` names.
        console: where to report; by default the standard output.

    Returns:
        The folder and the figures in it.

    Raises:
        UserError: for data, options or a folder that cannot be used, or if memory does not suffice.

    Example:
        >>> from fockjax.training import TrainConfig, train
        >>> result = train(TrainConfig(epochs=5, out="runs/short"))  # doctest: +SKIP
        >>> result.results["figures"]["photonic"]["accuracy"]        # doctest: +SKIP
        0.956140350877193
    """
    config.check()
    console = console or Console()
    with _shown(config, console).status("reading the data"):
        dataset = dataset or load_dataset(config)
    splits = make_splits(dataset, config)
    run = _Run(config, dataset, splits, console)
    out = Path(config.out) if config.out is not None else Path("runs") / dataset.name
    try:
        if config.folds == 1:
            results = run.train_split(0, out, "training")
        else:
            results = run.train_folds(out)
    except jax.errors.JaxRuntimeError as error:
        if remedy(error) is not Remedy.SMALLER_BATCH:
            raise
        raise config.beyond_memory(str(error).splitlines()[0]) from error
    report.print_table(console, results)
    console.print(Text(f"model folder: {out}"), soft_wrap=True)
    return TrainResult(out, results)


def _shown(config: TrainConfig, console: Console) -> Console:
    """Where progress is shown."""
    return Console(quiet=True) if config.quiet else console


class _Run:
    """What the folds of a run share: options, data, compiled programs and the console."""

    def __init__(
        self, config: TrainConfig, dataset: Dataset, splits: list[Split], console: Console
    ):
        self.config, self.dataset, self.splits, self.console = config, dataset, splits, console
        self.shown = _shown(config, console)
        self.scalers = [Scaler.fit(dataset, split.train, config.impute) for split in splits]
        for scaler in self.scalers:
            check_scaled(dataset, scaler)
        rows = min(len(split.train) for split in splits)
        self.inputs = self.scalers[0].inputs

        def program(photonic: bool) -> loop.Program:
            model = build_model(self.inputs, config, photonic=photonic, outputs=dataset.outputs)
            return loop.make_program(model, dataset.task, config, rows)

        self.photonic, self.identity = program(True), program(False)

    def train_folds(self, out: Path) -> dict[str, Any]:
        """Train all folds, each in its own model folder inside `out`, and return the results."""
        description = self.describe() | {"folds": len(self.splits)}
        with folder.claimed(out, description, self.config):
            if finished := folder.read_results(out):
                return finished
            folds = [
                self.train_split(number, out / f"fold_{number}", f"fold {number + 1}")
                for number in range(len(self.splits))
            ]
            results = report.combine(folds)
            report.write_report(out / folder.REPORT, results, [])
            write_sealed(out / folder.RESULTS, results)
            return results

    def train_split(self, number: int, out: Path, title: str) -> dict[str, Any]:
        """Train on one split, write its model folder and return the results."""
        split, fold = self.splits[number], len(self.splits) > 1
        description = self.describe(number if fold else None) | {
            "scaler": self.scalers[number].to_json(),
            "split": {part: len(rows) for part, rows in dataclasses.asdict(split).items()},
        }
        with folder.claimed(out, description, self.config, fold=fold):
            finished = folder.read_results(out)
            return finished or self._train(number, out, title, description["identity"])

    def _train(
        self, number: int, out: Path, title: str, identity: dict[str, Any]
    ) -> dict[str, Any]:
        began = time.perf_counter()
        split, scaler = self.splits[number], self.scalers[number]
        config, dataset = self.config, self.dataset

        def standardised(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            x, y = dataset.features[rows], dataset.target[rows]
            return scaler.features(x), scaler.target(y).astype(np.float32)

        train, validation = (
            loop.Samples(*jax.device_put(standardised(rows)))
            for rows in (split.train, split.validation)
        )
        test, truth = scaler.features(dataset.features[split.test]), dataset.target[split.test]

        def evaluate(program: loop.Program, carry: loop.Carry) -> Evaluation:
            program.runner.params = carry.best_params
            results = program.runner(test)
            assert results.leakage is not None
            return from_output(dataset.task, scaler, results.values, truth, results.leakage)

        carry, history = self.fit_photonic(train, validation, out, identity_hash(identity), title)
        evaluations = {"photonic": evaluate(self.photonic, carry)}
        evaluations["identity"] = evaluate(
            self.identity, self.fit_identity(train, validation, title)
        )
        both = np.concatenate([split.train, split.validation])
        with self.shown.status(f"{title}: linear models and MLP"):
            evaluations |= baselines.evaluate_baselines(
                dataset.task,
                config.modes,
                config.seed,
                scaler,
                (scaler.features(dataset.features[both]), dataset.target[both]),
                (test, truth),
            )
        best, seconds = int(carry.best_epoch), time.perf_counter() - began
        results = self.summarise(split, evaluations, history, best, seconds)
        probe = Probe.of(dataset, split.test[0], evaluations["photonic"])
        write_sealed(out / folder.PROBE, probe.to_json())
        names, failures = _draw(out, dataset, evaluations, history, best, results["titles"])
        results["notes"] += failures
        report.write_report(out / folder.REPORT, results, names)
        write_sealed(out / folder.RESULTS, results)
        return results

    def describe(self, fold: int | None = None) -> dict[str, Any]:
        """config.json, without the parts that belong to one split."""
        dataset = self.dataset
        identity = self.config.identity() | {"data_sha256": dataset.fingerprint(), "fold": fold}
        return {
            "format": folder.FORMAT,
            "fockjax": importlib.metadata.version("fockjax"),
            "identity": identity,
            "data": {
                "name": dataset.name,
                "rows": len(dataset.target),
                "columns": list(dataset.columns),
                "target": dataset.target_name,
                "task": dataset.task,
                "classes": None if dataset.classes is None else list(dataset.classes),
                "categories": {name: list(each) for name, each in dataset.categories.items()},
            },
        }

    def fit_photonic(
        self, train: loop.Samples, validation: loop.Samples, out: Path, identity: str, title: str
    ) -> tuple[loop.Carry, list[dict]]:
        """Fit with checkpoints, log and progress, from the last checkpoint if there is one."""
        config, console, carry = self.config, self.console, self.photonic.start()
        checkpoints = out / folder.CHECKPOINTS
        done = 0

        def warn(text: str) -> None:
            console.print("[yellow]warning:[/]", Text(text), soft_wrap=True)

        stored = checkpoint.latest(checkpoints, warn)
        if stored is not None:
            if stored[0] != identity:
                raise UserError(
                    f"the checkpoints in {checkpoints} belong to another run than {out}"
                )
            carry = loop.copy(jax.device_put(checkpoint.restore(carry, stored[1])))
            done = int(stored[1][".epoch"])
            console.print(f"{title}: resuming after epoch {done}")

        steps = loop.Steps.of(len(train.x), config.batch_size)
        progress = TrainingProgress(
            self.shown,
            title,
            self.dataset.task,
            config.epochs,
            steps.count * steps.size,
            done,
        )
        last_saved = time.monotonic()

        def due() -> bool:
            return time.monotonic() - last_saved >= config.checkpoint_seconds

        names = loop.EpochMetrics._fields
        with MetricsLog(out / folder.METRICS, done, names, warn) as log:

            def record(epoch: int, metrics: loop.EpochMetrics) -> None:
                rate = progress.epoch(epoch, metrics)
                log.append({"epoch": epoch, **metrics._asdict(), "samples_per_second": rate})

            def save(carry: loop.Carry) -> None:
                nonlocal last_saved
                state = loop.fetch(carry)
                log.sync()
                checkpoint.save(checkpoints, int(state.epoch), identity, state)
                last_saved = time.monotonic()

            with progress:
                carry = loop.fit(
                    self.photonic.epoch,
                    carry,
                    train,
                    validation,
                    config,
                    record=record,
                    save=save,
                    due=due,
                )
            save(carry)
        return carry, log.history

    def fit_identity(self, train: loop.Samples, validation: loop.Samples, title: str) -> loop.Carry:
        """Fit the model without its circuit by the same loop, without checkpoints."""
        epochs = self.config.epochs
        with Steps(self.shown, f"{title}, identity as circuit", "epochs", epochs) as steps:
            return loop.fit(
                self.identity.epoch,
                self.identity.start(),
                train,
                validation,
                self.config,
                record=lambda epoch, metrics: steps.show(epoch),
                save=lambda carry: None,
                due=lambda: False,
            )

    def summarise(
        self,
        split: Split,
        evaluations: dict[str, Evaluation],
        history: list[dict],
        best: int,
        seconds: float,
    ) -> dict[str, Any]:
        """results.json of one split."""
        dataset, config = self.dataset, self.config
        leakage = evaluations["photonic"].leakage
        skipped = int(sum(line["skipped"] or 0 for line in history))
        sizes = " / ".join(str(len(rows)) for rows in dataclasses.astuple(split))
        notes = [
            f"{sizes} rows to train / validate / test",
            f"best epoch: {best} of {len(history)}",
            f"largest leakage of a test row {max(leakage.max(), 0):.2%}",
            f"{seconds:.0f} s since it was started or resumed",
        ]
        if skipped:
            notes.append(f"{skipped} steps skipped, as their loss or gradient was not finite")
        if dataset.categories:
            names = ", ".join(f"{name} ({len(each)})" for name, each in dataset.categories.items())
            notes.append(f"columns of categories: {names}")
        if (missing := np.isnan(dataset.features)).any():
            names = ", ".join(dataset.columns[i] for i in np.flatnonzero(missing.any(axis=0)))
            notes.append(f"{missing.sum()} missing values imputed ({config.impute}) in: {names}")
        constant = extent(dataset.features[split.train]) == 0
        if constant.any():
            names = ", ".join(dataset.columns[index] for index in np.flatnonzero(constant))
            notes.append(f"constant in training, so without effect: {names}")
        titles = baselines.titles(dataset.task, self.inputs, config.modes, config.truncation)
        return {
            "task": dataset.task,
            "data": dataset.name,
            "figure_names": list(FIGURES[dataset.task]),
            "titles": titles,
            "figures": {key: figures(dataset.task, each) for key, each in evaluations.items()},
            "leakage": {"mean": float(leakage.mean()), "max": float(leakage.max())},
            "epochs": len(history),
            "best_epoch": best,
            "skipped_steps": skipped,
            "seconds": round(seconds, 2),
            "notes": notes,
        }


def _draw(
    out: Path,
    dataset: Dataset,
    evaluations: dict[str, Evaluation],
    history: list[dict],
    best: int,
    titles: dict[str, str],
) -> tuple[list[str], list[str]]:
    """Draw the plots of a split; returns the names of their files, and a note for each failure.

    A training that has come this far is not lost because a plot of it fails, say for its fonts.
    """
    curve, matrix, roc, scatter = folder.PLOTS
    photonic, classes = evaluations["photonic"], dataset.classes
    score = "accuracy" if dataset.task == "classification" else TITLES["r2"]
    wanted = {curve: lambda path: plots.learning_curve(path, history, best, score)}
    if classes is None:
        name = dataset.target_name
        wanted[scatter] = lambda path: plots.predicted_against_true(path, photonic, name)
    else:
        wanted[matrix] = lambda path: plots.confusion_matrix(path, photonic, classes)
        if dataset.outputs == 1:
            models = {titles[key]: each for key, each in evaluations.items()}
            wanted[roc] = lambda path: plots.roc_of_models(path, models)
        else:
            wanted[roc] = lambda path: plots.roc_of_classes(path, photonic, classes)
    drawn, failures = [], []
    for name, draw in wanted.items():
        try:
            draw(out / name)
            drawn.append(name)
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk: nothing else could be written, either
            reason = " ".join(str(error).split())
            failures.append(f"{name} could not be drawn: {type(error).__name__}: {reason}")
    return drawn, failures
