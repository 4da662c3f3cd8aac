"""The error if a framework is not installed; skelstore itself needs none."""

from __future__ import annotations

import subprocess
import sys

import pytest

HIDE = "import sys; sys.modules[{name!r}] = None; "


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("module", "hidden", "advice"),
    [
        ("skelstore.torch", "torch", "pip install 'skelstore[torch]'"),
        ("skelstore.mmaction2", "torch", "pip install 'skelstore[torch]' mmaction2"),
        ("skelstore.mmaction2", "mmaction", "pip install 'skelstore[torch]' mmaction2"),
        ("skelstore.mmaction2", "mmengine", "pip install 'skelstore[torch]' mmaction2"),
        ("skelstore.pyskl", "pyskl", "put its checkout on the path and install its dependencies (mmcv 1.x)"),
    ],
)
def test_a_missing_framework_says_what_to_install(module: str, hidden: str, advice: str) -> None:
    code = HIDE.format(name=hidden) + (
        f"import skelstore\ntry:\n    import {module}\nexcept skelstore.MissingPackageError as error:\n"
        "    assert isinstance(error, ImportError)\n    print(error)"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{module} needs ")
    assert advice in done.stdout


def test_skelstore_imports_no_framework() -> None:
    done = run("import skelstore, skelstore.sampling, sys; print({'torch', 'mmaction', 'pyskl'} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr
