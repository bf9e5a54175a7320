"""Strawberry Fields' TensorFlow engine, "tf", one batched run; complex64.

It runs eagerly: its gradients call NumPy, so that `tf.function` cannot compile it.
"""

import tensorflow as tf
import worker
from circuits import Workload
from strawberry import arguments, program_of, sf


def quadratures(ket: tf.Tensor) -> tf.Tensor:
    """From kets (batch, cutoff, ...): SF's own readout goes through density matrices."""
    cutoff, modes = ket.shape[1], len(ket.shape) - 1
    root = tf.sqrt(tf.range(1, cutoff, dtype=tf.float32))
    means = []
    for mode in range(modes):
        order = [0, 1 + mode, *(1 + m for m in range(modes) if m != mode)]
        rows = tf.reshape(tf.transpose(ket, order), [ket.shape[0], cutoff, -1])
        products = tf.reduce_sum(tf.math.conj(rows[:, :-1]) * rows[:, 1:], -1)
        means.append(tf.reduce_sum(tf.cast(root, ket.dtype) * products, -1))
    means = tf.stack(means, -1)
    return 2 * tf.concat([tf.math.real(means), tf.math.imag(means)], -1)


class SFTensorFlow:
    packages = ("strawberryfields", "thewalrus", "tensorflow-cpu")
    samples = None
    operations = ("forward", "gradient")
    array = staticmethod(tf.Variable)

    def __init__(self, workload: Workload):
        self.workload, self.program = workload, program_of(workload)
        self.options = {"cutoff_dim": workload.cutoff, "batch_size": workload.batch}

    def forward(self, weights, inputs):
        engine = sf.Engine("tf", backend_options=self.options)
        values = arguments(self.workload, weights, tf.transpose(inputs))
        return quadratures(engine.run(self.program, args=values).state.ket())

    def gradient(self, weights, inputs, targets):
        with tf.GradientTape() as tape:
            distance = (self.forward(weights, inputs) - targets) ** 2
            loss = tf.reduce_mean(tf.reduce_sum(distance, -1))
        return loss, tape.gradient(loss, weights)


if __name__ == "__main__":
    worker.main(SFTensorFlow)
