"""The error if a framework is not installed; skelstore itself needs none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.contracts import write
from tests.support.processes import run_python

HIDE = "import sys; sys.modules[{name!r}] = None; "


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("module", "hidden", "advice"),
    [
        ("skelstore.torch", "torch", "pip install 'skelstore[torch]'"),
        ("skelstore.gcn", "torch", "pip install 'skelstore[torch]'"),
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


WITHOUT_TORCH = """if True:
    import sys, types
    data = types.ModuleType("torch.utils.data")
    data.Dataset = object
    sys.modules |= {"torch": types.ModuleType("torch"), "torch.utils": types.ModuleType("torch.utils")}
    sys.modules["torch.utils.data"] = data
    import skelstore
    from skelstore.torch import SkeletonDataset
    with skelstore.open(sys.argv[1]) as store:
        dataset = SkeletonDataset([store, store[:1]])
        print([dataset[i]["label"] for i in range(len(dataset))], dataset.labels.tolist())
"""


def test_a_data_set_has_each_video_once(tmp_path: Path) -> None:
    """Of the data set for PyTorch itself, with a stand-in for its base class: it is tested where torch is not, too."""
    videos = [{"frame_dir": f"v{label}", "label": label} for label in (3, 1)]
    done = run_python(WITHOUT_TORCH, str(write(tmp_path / "a.zarr", videos)), check=True)
    assert done.stdout == "[3, 1, 3] [3, 1, 3]\n"
