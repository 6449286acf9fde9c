"""The layers in order: over tables, and over single cells."""
