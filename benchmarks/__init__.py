"""Timing and memory, side by side in one run, as ratios."""
