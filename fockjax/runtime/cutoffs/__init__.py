"""Planning a truncation before anything runs, and keeping to it: docs/cutoffs.md."""
