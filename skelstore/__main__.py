"""``python -m skelstore``: the command line.

It is part of ``converters``, which nothing else in ``skelstore`` knows of: here it is run by its name.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("converters.cli", run_name="__main__")
