"""The options of a training run: one flat dataclass for `fockjax train` and `config.json`."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from fockjax._advice import UserError
from fockjax._options import optional, require
from fockjax.layout import TotalPhotons

LARGEST_SEED = 2**32 - 1  # that scikit-learn takes
Imputation = Literal["mean", "median", "most-frequent"]

# These decide how a run is executed, not what it computes, so they may change when it is resumed.
EXECUTION_FIELDS = ("data", "out", "resume", "overwrite", "checkpoint_seconds", "quiet")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Options of one training run; the defaults train on scikit-learn's breast-cancer data.

    Example:
        >>> TrainConfig(modes=3, cutoff=6).layers
        2
    """

    data: Annotated[Path | None, optional("FILE")] = None
    """CSV file with a header, or Parquet file; without it, the bundled breast-cancer data."""
    target: Annotated[str | None, optional("COLUMN")] = None
    """Column of --data to predict; all the others are features."""
    drop: Annotated[tuple[str, ...], optional("COLUMN...")] = ()
    """Columns of --data to leave out (an identifier, say)."""
    categorical: Annotated[tuple[str, ...], optional("COLUMN...")] = ()
    """Columns of numbers that are categories; columns of text always are."""
    impute: Annotated[Imputation | None, optional("{mean,median,most-frequent}")] = None
    """Fill missing features with this of the training rows; without it they are an error."""
    task: Literal["auto", "classification", "regression"] = "auto"
    """auto: classification when the target is text or has two distinct values, else regression."""

    modes: int = 2
    """Modes of the circuit."""
    cutoff: int = 8
    """Fock states kept in each mode."""
    total_photons: bool = False
    """Keep the states with fewer than --cutoff photons in all modes together instead."""
    layers: int = 2
    """Layers of the circuit after the data have been displaced into it."""
    alpha_max: float = 1.0
    """Largest displacement amplitude of the encoder, which bounds the leakage."""

    epochs: int = 150
    """Most epochs; early stopping usually ends the run sooner."""
    patience: int = 30
    """Stop after this many epochs without a better validation loss."""
    batch_size: int = 32
    """Samples per optimiser step."""
    learning_rate: float = 1e-2
    """Peak learning rate of Adam: linear warm-up over 5% of the steps, then a cosine to zero."""
    weight_decay: float = 1e-2
    """Decoupled weight decay of the classical weights (not of the circuit's)."""
    clip_norm: float = 1.0
    """Largest norm of a gradient; longer ones are scaled down to it."""
    leakage_penalty: float = 1.0
    """Weight in the loss of the mean leakage 1 - norm^2, which keeps states below the cutoff."""

    test_fraction: float = 0.2
    """Share of the rows held out for the final figures (with --folds, one fold)."""
    validation_fraction: float = 0.2
    """Share of the other rows held out for early stopping."""
    folds: int = 1
    """Cross-validate over this many (stratified) folds instead of one split."""
    seed: int = 0
    """Seed of splits, initial weights and shuffling; 0 to 4294967295."""

    out: Annotated[Path | None, optional("FOLDER")] = None
    """Model folder; default runs/NAME, after the data."""
    resume: bool = False
    """Continue an interrupted run in the same folder, exactly from its last checkpoint."""
    overwrite: bool = False
    """Discard the run that the folder holds, and start afresh."""
    checkpoint_seconds: float = 5.0
    """Seconds between checkpoints, which are taken at the end of an epoch; 0 means every epoch."""
    quiet: bool = False
    """No progress display."""

    @property
    def truncation(self) -> int | TotalPhotons:
        """The truncation of the circuit: a cutoff for each mode, or a bound on all photons."""
        return TotalPhotons(self.cutoff) if self.total_photons else self.cutoff

    @property
    def how_smaller(self) -> str:
        """Advice for states that do not fit: the options that make them smaller."""
        bound = "" if self.total_photons else ", or bound all photons together (--total-photons)"
        return f"Lower --modes or --cutoff{bound}."

    def beyond_memory(self, fact: str) -> UserError:
        """The error of a training that does not fit in memory."""
        return UserError(
            f"training takes more memory than there is: {fact} Lower --batch-size. "
            f"{self.how_smaller}"
        )

    def check(self) -> None:
        """Raise UserError for a value that cannot work, naming its option."""
        counts = ("modes", "cutoff", "layers", "epochs", "patience", "batch_size", "folds")
        positive = ("alpha_max", "learning_rate", "clip_norm")
        not_negative = ("weight_decay", "leakage_penalty")
        fractions = ("test_fraction", "validation_fraction")
        inf, seeds = float("inf"), range(LARGEST_SEED + 1)
        require(self, (*counts, "seed"), lambda n: isinstance(n, int), "be an integer")
        require(self, counts, lambda n: n >= 1, "be at least 1")
        require(self, positive, lambda x: 0 < x < inf, "be positive and finite")
        require(self, not_negative, lambda x: 0 <= x < inf, "be finite and not negative")
        # Infinitely many: only at the end.
        require(self, ("checkpoint_seconds",), lambda x: x >= 0, "not be negative")
        require(self, ("seed",), lambda n: n in seeds, f"lie between 0 and {LARGEST_SEED}")
        require(self, fractions, lambda x: 0 < x < 1, "lie between 0 and 1")
        if self.resume and self.overwrite:
            raise UserError("--resume continues a run and --overwrite discards it: give only one")
        if self.data is None and (self.target is not None or self.drop or self.categorical):
            raise UserError("--target, --drop and --categorical need --data FILE")
        if self.data is not None and self.target is None:
            raise UserError("--data needs --target COLUMN, the column to predict")

    def identity(self) -> dict[str, object]:
        """The fields that decide the results of a run, as they come back from JSON."""
        fields = dataclasses.asdict(self)
        for name in EXECUTION_FIELDS:
            del fields[name]
        return json.loads(json.dumps(fields))


def identity_hash(identity: dict[str, object]) -> str:
    """Short SHA-256 of what decides the results of a run, stored in every checkpoint."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
