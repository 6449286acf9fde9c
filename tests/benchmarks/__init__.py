"""The benchmarks' own harness: whether it measures what it says, not how fast anything is."""
