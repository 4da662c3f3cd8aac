"""Run main.py of a checkout of CTR-GCN on a CPU, unchanged, with stand-ins for what it needs of a GPU and of packages.

``python -m tests.gcn.train CHECKOUT CONFIG RESULTS`` trains as CONFIG says, and writes what main.py reports to
tensorboard as JSON: ``train/loss``, ``val/acc`` and so on, a list each.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections import defaultdict
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml

from tests.gcn.checkouts import OlderNumpy

reported: dict[str, list[float]] = defaultdict(list)


class SummaryWriter:
    """That of tensorboardX, for main.py."""

    def __init__(self, folder: str, name: str) -> None:
        self._name = name

    def add_scalar(self, tag: str, value: Any, step: float) -> None:
        reported[f"{self._name}/{tag}"].append(float(value))


def confusion_matrix(labels: Any, predictions: Any) -> Any:
    """That of sklearn.metrics, for main.py."""
    classes, positions = np.unique([labels, predictions], return_inverse=True)
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, tuple(positions.reshape(2, -1)), 1)
    return matrix


def stand_in(name: str, **contents: Any) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)  # torch asks which of them are installed
    vars(module).update(contents)
    sys.modules[name] = module


def main() -> None:
    checkout, config, results = (os.path.abspath(path) for path in sys.argv[1:])
    stand_in("tensorboardX", SummaryWriter=SummaryWriter)
    stand_in("sklearn")
    stand_in("sklearn.metrics", confusion_matrix=confusion_matrix)
    stand_in("torchlight", DictAction="store")
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda = lambda self, *_, **__: self  # type: ignore[attr-defined]
    yaml.load = partial(yaml.load, Loader=yaml.SafeLoader)
    sys.path[:0] = [os.getcwd(), checkout]  # skelstore is imported from here, as main.py changes the folder
    import skelstore.gcn  # noqa: F401

    tools: Any = __import__("feeders.tools", fromlist=["tools"])
    tools.np = OlderNumpy()
    os.chdir(checkout)
    sys.argv = ["main.py", "--config", config]
    runpy.run_path("main.py", run_name="__main__")
    Path(results).write_text(json.dumps(reported))


if __name__ == "__main__":
    main()
