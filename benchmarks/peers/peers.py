"""The peers, and what the environment of each is to hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

STRAWBERRY_FIELDS = ("strawberryfields==0.23.0", "setuptools<81")


@dataclass(frozen=True)
class Peer:
    label: str
    script: str
    requirements: tuple[str, ...] = ()
    """If empty, it runs in the Python that runs `run.py`."""
    cuts_modes: bool = True
    """Whether it truncates as fockjax does, mode by mode."""
    cutoffs: Mapping[str, int] = field(default_factory=dict)
    """If not empty, the only workloads that it runs, each with a cutoff in place of its own."""
    double: bool = False
    """Whether it runs in complex128."""

    @property
    def environment(self) -> str:
        return Path(self.script).stem.removeprefix("with_")


PIQUASSO = Peer(
    "Piquasso, JAX",
    "with_piquasso.py",
    ("piquasso==8.0.2", f"jax=={version('jax')}"),
    cuts_modes=False,
)

TOTAL = Peer("fockjax, total photons", "with_fockjax_total.py", cuts_modes=False)
DOUBLE = {"cutoffs": {"reference": 6}, "double": True}

PEERS = {
    "fockjax": Peer("fockjax", "with_fockjax.py"),
    "fockjax_total": TOTAL,
    "piquasso": PIQUASSO,
    "fockjax_total128": replace(TOTAL, label=f"{TOTAL.label}, complex128", **DOUBLE),
    "piquasso128": replace(PIQUASSO, label=f"{PIQUASSO.label}, complex128", **DOUBLE),
    # At cutoff 7 it loses about as much of the reference circuit as the others do at 6.
    "piquasso7": replace(PIQUASSO, label="Piquasso, JAX, cutoff 7", cutoffs={"reference": 7}),
    "sf_tf": Peer(
        'Strawberry Fields "tf"',
        "with_sf_tf.py",
        (*STRAWBERRY_FIELDS, "tensorflow-cpu==2.21.0"),
    ),
    "sf_fock": Peer('Strawberry Fields "fock"', "with_sf_fock.py", STRAWBERRY_FIELDS),
}
