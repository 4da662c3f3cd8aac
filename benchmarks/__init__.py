"""Measure every performance figure of skelstore against the alternatives, in one run.

``python -m benchmarks --help``. Each module says what it measures, on which data and why.
"""
