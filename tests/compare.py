"""How results are compared."""

import jax
import numpy as np


def close(actual, expected, tolerance=1e-12, name=""):
    """Equal within a tolerance, relative to what is expected where that is above 1."""
    scale = np.fmax(1, np.abs(expected))
    actual, expected = np.asarray(actual) / scale, np.asarray(expected) / scale
    np.testing.assert_allclose(actual, expected, atol=tolerance, rtol=0, err_msg=name)


def close_to_13_digits(actual, expected, tolerance=1e-13):
    close(actual, expected, tolerance)


def close_by_name(actual, expected, tolerance=1e-12):
    """Trees under the same names, equal in shape and values."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        for a, b in zip(jax.tree.leaves(actual[name]), jax.tree.leaves(value), strict=True):
            assert a.shape == np.shape(b), name
            close(a, b, tolerance, name)


def close_in_scale(actual, expected, tolerance=1e-12):
    """Equal within a tolerance relative to the largest number expected, if that is above 1."""
    scale = max(1.0, float(np.max(np.abs(expected))))
    np.testing.assert_allclose(actual, expected, atol=tolerance * scale, rtol=0)
