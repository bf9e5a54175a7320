"""Models to compare with: linear ones on all features and on a few components, and a small MLP.

They are fitted on the training and validation rows together, since they need no early stopping. The
hybrid model uses the validation rows only to choose its epoch. That favours the baselines.
"""

import warnings
from collections.abc import Iterator

import numpy as np

from fockjax.layout import TotalPhotons
from fockjax.training.data import Task
from fockjax.training.metrics import Evaluation
from fockjax.training.scaling import Scaler

HIDDEN_UNITS = 16


def evaluate_baselines(
    task: Task,
    modes: int,
    seed: int,
    scaler: Scaler,
    fit: tuple[np.ndarray, ...],
    test: tuple[np.ndarray, ...],
) -> Iterator[tuple[str, Evaluation]]:
    """Yield (key, evaluation) of "linear", "linear_pca" and "mlp".

    Args:
        task: classification or regression.
        modes: number of modes of the circuit, and so of PCA components.
        seed: for the MLP.
        scaler: standardises the target of a regression, which scikit-learn could not take if it
            were beyond single precision.
        fit: standardised features (rows, columns) and the target (rows,) to fit on.
        test: the same, to evaluate on.
    """
    from sklearn.exceptions import ConvergenceWarning

    x, y = fit
    for key, estimator in _estimators(task, min(modes, *x.shape), seed).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(x, y if task == "classification" else scaler.target(y))
        prediction = estimator.predict(test[0])
        if task == "classification":
            answer = estimator.predict_proba(test[0])
            answer = answer[:, 1] if answer.shape[1] == 2 else answer
        else:
            prediction = answer = scaler.target_in_units(prediction)
        yield key, Evaluation(test[1], prediction, answer, np.zeros(len(prediction)))


def _estimators(task: Task, components: int, seed: int) -> dict:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    mlp = {
        "hidden_layer_sizes": (HIDDEN_UNITS,),
        "alpha": 1.0,
        "max_iter": 1000,
        "random_state": seed,
    }
    pca = PCA(components, random_state=seed)
    if task == "classification":
        return {
            "linear": LogisticRegression(max_iter=5000),
            "linear_pca": make_pipeline(pca, LogisticRegression(max_iter=5000)),
            "mlp": MLPClassifier(**mlp),
        }
    return {
        "linear": LinearRegression(),
        "linear_pca": make_pipeline(pca, LinearRegression()),
        "mlp": TransformedTargetRegressor(MLPRegressor(**mlp), transformer=StandardScaler()),
    }


def titles(task: Task, features: int, modes: int, truncation: int | TotalPhotons) -> dict[str, str]:
    """Row titles of the comparison table, in its order."""
    linear = "logistic regression" if task == "classification" else "linear regression"
    kept = f"cutoff {truncation}"
    if isinstance(truncation, TotalPhotons):
        kept = f"fewer than {truncation.below} photons"
    return {
        "photonic": f"photonic circuit ({modes} mode{'s' * (modes > 1)}, {kept})",
        "identity": "same model, identity as circuit",
        "linear": f"{linear}, all {features} features",
        "linear_pca": f"{linear}, PCA to {min(modes, features)}",
        "mlp": f"MLP, {HIDDEN_UNITS} hidden units",
    }
