"""A regression's model folder behind Mosec, as its guide has it: a worker process, dynamic batches.

/one is for requests of few rows, of which it runs up to 128 at a time; /many for those that are a
batch by themselves. A body is the number of rows as four bytes and then the rows as float32, or
JSON; so is the answer. The model runs as in fockjax's own server, by a warmed-up runner.
"""

import json
import os
import struct

import numpy as np
from _served_model import use_reference_circuit
from mosec import Runtime, Server, Worker

from fockjax.inference import load_model

LARGEST = 128
WAIT = 1  # milliseconds for which a batch is filled


class Many(Worker):
    """Answers one request at a time."""

    def __init__(self):
        super().__init__()
        if os.environ["CIRCUIT"] == "reference":
            use_reference_circuit()
        self.predictor = load_model(os.environ["MODEL"])
        scaler = self.predictor.scaler
        self.runner = self.predictor.runner(largest_batch=LARGEST)
        self.runner.warm_up(scaler.features(scaler.mean[None]))

    def deserialize(self, data):
        if data.startswith(b"{"):
            return True, np.asarray(json.loads(data)["rows"], np.float64)
        (rows,) = struct.unpack_from("<I", data)
        return False, np.frombuffer(data, "<f4", offset=4).reshape(rows, -1).astype(np.float64)

    def forward(self, data):
        return self.answer([data])[0]

    def answer(self, requests):
        texts, rows = zip(*requests, strict=True)
        found = self.predictor(np.concatenate(rows), self.runner)
        columns = np.stack([found.prediction, found.leakage], -1)
        parts = np.split(columns, np.cumsum([len(part) for part in rows])[:-1])
        return list(zip(texts, parts, strict=True))

    def serialize(self, data):
        text, columns = data
        if text:
            return json.dumps({"rows": columns.tolist()}).encode()
        return columns.astype("<f4").tobytes()


class One(Many):
    """Answers requests together."""

    def forward(self, data):
        return self.answer(data)


if __name__ == "__main__":
    server = Server()
    together = Runtime(One, max_batch_size=LARGEST, max_wait_time=WAIT)
    server.register_runtime({"/one": [together], "/many": [Runtime(Many)]})
    server.run()
