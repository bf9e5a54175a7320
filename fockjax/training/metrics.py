"""How good a model is on test rows: accuracy and AUC, or RMSE and R^2."""

import dataclasses

import numpy as np
from scipy.special import expit, softmax

from fockjax.training.data import Task
from fockjax.training.scaling import Scaler

FIGURES: dict[Task, tuple[str, str]] = {
    "classification": ("accuracy", "auc"),
    "regression": ("rmse", "r2"),
}
TITLES = {"accuracy": "accuracy", "auc": "AUC", "rmse": "RMSE", "r2": "R²"}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model returns for the test rows, and the truth.

    Attributes:
        truth: class index, or value in the user's units (rows,).
        prediction: the same, as predicted (rows,).
        answer: probability of the second of two classes (rows,), or of each class (rows, classes);
            the prediction for regression (rows,).
        leakage: probability lost by the cutoff in each row (rows,); 0 where there is no circuit.
    """

    truth: np.ndarray
    prediction: np.ndarray
    answer: np.ndarray
    leakage: np.ndarray


def from_output(
    task: Task, scaler: Scaler, output: np.ndarray, truth: np.ndarray, leakage: np.ndarray
) -> Evaluation:
    """The evaluation of the output of a hybrid model: logits, or a standardised value."""
    if task == "classification":
        index, probability = decide(output)
        return Evaluation(truth, index.astype(np.float64), probability, leakage)
    value = scaler.target_in_units(output)
    return Evaluation(truth, value, value, leakage)


def decide(output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index and probability of the class, from a logit (rows,) or one per class (rows, classes).

    The probability is that of the second class (rows,), or of each class (rows, classes).
    """
    if output.ndim == 1:
        probability = expit(output.astype(np.float64))
        return (probability > 0.5).astype(int), probability
    probability = softmax(output.astype(np.float64), axis=1)
    return probability.argmax(axis=1), probability


def figures(task: Task, evaluation: Evaluation) -> dict[str, float]:
    """The two figures of a task that FIGURES names."""
    from sklearn import metrics

    truth = evaluation.truth
    if task == "classification":
        areas = [metrics.roc_auc_score(*each) for each in one_against_rest(evaluation)]
        return {
            "accuracy": float(metrics.accuracy_score(truth, evaluation.prediction)),
            "auc": float(np.mean(areas)),
        }
    return {
        "rmse": float(metrics.root_mean_squared_error(truth, evaluation.prediction)),
        "r2": float(metrics.r2_score(truth, evaluation.prediction)),
    }


def one_against_rest(evaluation: Evaluation) -> list[tuple[np.ndarray, np.ndarray]]:
    """(truth, answer) of two classes; of more classes, of each one against all others."""
    truth, answer = evaluation.truth, evaluation.answer
    if answer.ndim == 1:
        return [(truth, answer)]
    return [(truth == index, answer[:, index]) for index in range(answer.shape[1])]
