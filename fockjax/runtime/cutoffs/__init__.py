"""Planning a truncation before anything runs, and keeping to it: docs/cutoffs.md.

- `modes`, `totals`: the planners. A cutoff for each mode, or a bound on all photons together.
- `plan`: what they return.
- `samples`: which samples a planner looks at.
- `ladders`: the cutoffs that it chooses from.
- `gaussian`: the moments of Gaussian states through a circuit, exact and without a run.
- `moves`: what each Gaussian operation does to them.
- `statistics`: the photon statistics that they give.
- `pilot`: runs of a few samples, where the circuit is not Gaussian.
- `trial`: which pilot runs are made, at generous cutoffs first, then at those planned.
- `tally`: the probabilities beyond each cutoff, summed over the circuit, and the bound they give.
- `adaptive`: runs all samples; those that lose too much run again at larger cutoffs.
"""
