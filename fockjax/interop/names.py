"""The names in Strawberry Fields of operations that are the same here."""

# Classes of `strawberryfields.ops` and the same operations here, with the same parameters in order.
GATES = {
    "BSgate": "beamsplitter",
    "CKgate": "cross_kerr",
    "CXgate": "controlled_x",
    "CZgate": "controlled_z",
    "Dgate": "displacement",
    "Kgate": "kerr",
    "MZgate": "mach_zehnder",
    "Pgate": "quadratic_phase",
    "Rgate": "rotation",
    "S2gate": "two_mode_squeezing",
    "Sgate": "squeezing",
    "Vgate": "cubic_phase",
    "Xgate": "x_displacement",
    "Zgate": "p_displacement",
    "sMZgate": "symmetric_mach_zehnder",
}
KETS = {
    "Catstate": "cat",
    "Coherent": "coherent",
    "DisplacedSqueezed": "displaced_squeezed",
    "Squeezed": "squeezed",
    "Vacuum": "vacuum",
}
MIXED = {"Thermal": "thermal"}
CHANNELS = {"LossChannel": "loss", "ThermalLossChannel": "thermal_loss"}
DETECTORS = {
    "MeasureFock": "photons",
    "MeasureHeterodyne": "heterodyne",
    "MeasureHomodyne": "homodyne",
    "MeasureThreshold": "threshold",
}
# The other way round: the class of each gate, channel and preparation above.
CLASSES = {
    ours: theirs for table in (GATES, KETS, MIXED, CHANNELS) for theirs, ours in table.items()
}
# SF's meshes with the same beamsplitters as ours, which lose the same at a cutoff. What SF has as
# rotations between them, our meshes have at the end.
MESHES = {
    "rectangular": "rectangular",
    "rectangular_phase_end": "rectangular",
    "triangular": "triangular",
}
