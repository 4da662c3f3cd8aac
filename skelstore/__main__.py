"""``python -m skelstore``: the command line.

The command line is part of ``converters``, which no other module of ``skelstore`` refers to; here it is run by name.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("converters.cli", run_name="__main__")
