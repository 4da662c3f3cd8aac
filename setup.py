"""The compiled part of skelstore, which is optional: without a compiler, skelstore is installed without it."""

import numpy
from setuptools import Extension, setup

core = Extension(
    "skelstore.read.core",
    ["skelstore/read/core.c", "skelstore/read/chunks.c"],
    depends=["skelstore/read/chunks.h"],
    include_dirs=[numpy.get_include()],
    py_limited_api=True,
    optional=True,
)
# One wheel for Python 3.11 and later.
setup(ext_modules=[core], options={"bdist_wheel": {"py_limited_api": "cp311"}})
