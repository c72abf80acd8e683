"""The benchmarks: this library beside others, on the same machine in the same run. ``make bench`` runs them all."""
