"""Planning a truncation before anything runs, and keeping to it: docs/cutoffs.md.

- `modes`, `totals`: the planners. A cutoff for each mode, or a bound on all photons together.
- `samples`: which samples a planner looks at.
- `ladders`: the cutoffs that it chooses from.
- `gaussian`: photon statistics of Gaussian circuits, exact and without a run.
- `pilot`: runs of a few samples, where the circuit is not Gaussian.
- `trial`: which pilot runs are made, at generous cutoffs first, then at those planned.
- `tally`: the probabilities beyond each cutoff, summed over the circuit, and the bound they give.
- `adaptive`: runs all samples; those that lose too much run again at larger cutoffs.
"""
