"""Every performance figure of skelstore, against what people use instead, in one run.

``python -m benchmarks --help``. Benchmarks are data plus reasons: each module says what is measured and why so.
"""
