"""Test figures of a model: accuracy and AUC, or RMSE and R^2, and the leakage."""

import dataclasses

import numpy as np

from fockjax.training.data import Scaler, Task

FIGURES: dict[Task, tuple[str, str]] = {
    "classification": ("accuracy", "auc"),
    "regression": ("rmse", "r2"),
}
TITLES = {"accuracy": "accuracy", "auc": "AUC", "rmse": "RMSE", "r2": "R²"}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model on the test rows.

    Attributes:
        truth: class index, or value in the user's units (rows,).
        prediction: likewise (rows,).
        score: probability of the second class; the prediction for regression (rows,).
        leakage: probability lost by the cutoff in each row (rows,); 0 where there is no circuit.
    """

    truth: np.ndarray
    prediction: np.ndarray
    score: np.ndarray
    leakage: np.ndarray


def from_output(
    task: Task, scaler: Scaler, output: np.ndarray, truth: np.ndarray, leakage: np.ndarray
) -> Evaluation:
    """Evaluation of what a hybrid model returns: a logit, or a standardised value."""
    if task == "classification":
        probability = sigmoid(output)
        return Evaluation(truth, (probability > 0.5).astype(np.float64), probability, leakage)
    value = output.astype(np.float64) * scaler.target_scale + scaler.target_mean
    return Evaluation(truth, value, value, leakage)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logit)) in float64, without overflow."""
    logit = logit.astype(np.float64)
    positive = np.exp(-np.abs(logit))
    return np.where(logit >= 0, 1.0, positive) / (1 + positive)


def figures(task: Task, evaluation: Evaluation) -> dict[str, float]:
    """The two figures of a task, as in FIGURES."""
    from sklearn import metrics

    truth = evaluation.truth
    if task == "classification":
        return {
            "accuracy": float(metrics.accuracy_score(truth, evaluation.prediction)),
            "auc": float(metrics.roc_auc_score(truth, evaluation.score)),
        }
    return {
        "rmse": float(metrics.root_mean_squared_error(truth, evaluation.prediction)),
        "r2": float(metrics.r2_score(truth, evaluation.prediction)),
    }
