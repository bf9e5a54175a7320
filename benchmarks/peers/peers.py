"""The peers, and what the environment of each is to hold."""

from dataclasses import dataclass
from importlib.metadata import version

STRAWBERRY_FIELDS = ("strawberryfields==0.23.0", "setuptools<81")


@dataclass(frozen=True)
class Peer:
    label: str
    script: str
    requirements: tuple[str, ...] = ()
    """If empty, it runs in the Python that runs `run.py`."""
    cuts_modes: bool = True
    """Whether it truncates as fockjax does, mode by mode."""


PEERS = {
    "fockjax": Peer("fockjax", "with_fockjax.py"),
    "piquasso": Peer(
        "Piquasso, JAX",
        "with_piquasso.py",
        ("piquasso==8.0.2", f"jax=={version('jax')}"),
        cuts_modes=False,
    ),
    "sf_tf": Peer(
        'Strawberry Fields "tf"',
        "with_sf_tf.py",
        (*STRAWBERRY_FIELDS, "tensorflow-cpu==2.21.0"),
    ),
    "sf_fock": Peer('Strawberry Fields "fock"', "with_sf_fock.py", STRAWBERRY_FIELDS),
}
