"""How the state of one entangled group of modes is stored, known here and nowhere else.

A `Layout` says which Fock states are kept, and where the amplitude of each stands in the array of a
ket. A `Box` keeps the photon numbers below a cutoff for each mode, with an axis for each mode; a
`Simplex` keeps those below a bound in all modes together, along one axis. A `Square` stores density
matrices: the axes of a layout for the rows, then the same for the columns. What factors and
readouts ask of the array of a state has the same names in both. Operators see a state only as a
view, an array some of whose axes are the modes they act on.
"""

from fockjax.layout.box import Box as Box
from fockjax.layout.layout import Frame as Frame
from fockjax.layout.layout import Layout as Layout
from fockjax.layout.simplex import Simplex as Simplex
from fockjax.layout.simplex import TotalPhotons as TotalPhotons
from fockjax.layout.simplex import Totals as Totals
from fockjax.layout.square import Square as Square
from fockjax.layout.tables import lowered as lowered
