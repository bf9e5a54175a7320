"""A model folder made ready to answer: compiled for every size of batch, and checked."""

import threading
from collections import deque
from pathlib import Path

import numpy as np

from fockjax._advice import UserError
from fockjax.inference import Predictions, Predictor, load_model
from fockjax.runtime.run_record import RunRecord
from fockjax.serving import rows
from fockjax.serving.batcher import Answer
from fockjax.serving.errors import Refused
from fockjax.serving.metrics import Metrics
from fockjax.serving.protocol import Interface
from fockjax.training.probe import read_probe

LARGEST = 128  # rows in a batch of the runner
THREADS = 2  # that may run batches at once


class Model:
    """One version of the model that answers requests.

    Args:
        path: the model folder.
        name: the name of the model in requests.
        metrics: counts batches and compilations.
        records: gets the `RunRecord` of each batch.
        warn: called with a message if something is odd about the folder.

    Attributes:
        runners: run its batches, one for each thread; they share their programs.
        interface: what it takes and gives, in the words of the protocol.
        version: the first digits of the predictor's fingerprint.
        probe: a row whose answer is known, as inputs of the model; (1, inputs).

    Raises:
        UserError: for a folder that cannot be used.
    """

    def __init__(self, path: Path, name: str, metrics: Metrics, records: deque[RunRecord], warn):
        self.name, self._metrics, self._records = name, metrics, records
        self.predictor: Predictor = load_model(path, warn)
        runner = self.predictor.runner(largest_batch=LARGEST, watch_memory=False)
        self.runners = [runner, *(runner.twin() for _ in range(THREADS - 1))]
        self._free = list(self.runners)
        self._counted, self._counting = 0, threading.Lock()
        self.interface = Interface.of(self.predictor)
        self.version = self.predictor.fingerprint[:12]
        self._probe = read_probe(path)
        try:
            self.probe = rows.inputs_from_rows(self._probe.rows, self.predictor, most=1)
        except Refused as error:
            raise UserError(f"the probe of {path} is not a row of its model: {error}") from None

    def warm_up(self) -> None:
        """Compile the programs for all sizes of batches."""
        for runner in self.runners:  # of which the first compiles
            runner.warm_up(self.probe)
        self._count_compiled()

    def run(self, inputs: np.ndarray) -> Answer:
        """The results of inputs (rows, inputs); only for the threads that own the device."""
        runner, found = self._free.pop(), None
        try:
            found = self.predictor.read(runner(inputs))
            return _named(found)
        finally:  # while it is this thread's: the next run has another record
            record = runner.record
            self._free.append(runner)
            self._count_compiled()
            if record is not None:  # else it was refused before it ran
                self._records.append(record)
                self._metrics.batch(len(inputs), record, found)

    def _count_compiled(self) -> None:
        with self._counting:
            compiled = self.runners[0].executables.compiled
            self._metrics.compiles.inc(compiled - self._counted)
            self._counted = compiled

    def is_right(self, answer: Answer) -> bool:
        """Whether this is the answer to `probe`."""
        found = answer.get("probability", answer["prediction"])
        scaler = self.predictor.scaler
        return self._probe.agrees(found, answer["leakage"], scaler.target_mean, scaler.target_scale)


def _named(found: Predictions) -> Answer:
    answer = {"prediction": found.prediction}
    if found.probability is not None:
        answer["probability"] = found.probability
    return answer | {"leakage": found.leakage}
