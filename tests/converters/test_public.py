"""The public API of ``converters``: what others may import, and how each dialect converts."""

from __future__ import annotations

import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import converters
from converters.conversion.convert import ConvertOptions
from converters.dialects import (
    array_folder,
    babel,
    bare_list,
    extraction,
    gym,
    kinetics,
    ntu,
    nwucla,
    pyskl,
    single,
)
from converters.dialects.gcn import ctrgcn, denoised, gcn_clips, raw_skes, stgcn
from converters.dialects.ntu import uav_human
from converters.dialects.poses import (
    alphapose,
    coco,
    kinetics_skeleton,
    mediapipe,
    mmpose,
    openpose,
    tools,
    videopose3d,
    yolo_pose,
)
from converters.dialects.registry import DIALECTS
from tests.support.repository import REPOSITORY


def test_the_names_of_the_package() -> None:
    assert converters.__all__ == ["convert", "export", "open_source", "track"]
    assert all(hasattr(converters, name) for name in converters.__all__)
    for package in (converters, converters.conversion, converters.dialects):
        assert set(package.__all__) < set(dir(package)), "which the console completes"


def test_the_dialects() -> None:
    assert {
        **{"pyskl": pyskl.DIALECT, "list": bare_list.DIALECT, "single": single.DIALECT},
        **{"folder": single.FOLDER_DIALECT, "kinetics": kinetics.DIALECT, "gym": gym.DIALECT},
        **{"extraction": extraction.DIALECT, "arrays": array_folder.DIALECT, "babel": babel.DIALECT},
        **{"ntu": ntu.DIALECT, "nwucla": nwucla.DIALECT},
        **{"ctrgcn": ctrgcn.DIALECT, "stgcn": stgcn.DIALECT, "gcn-clips": gcn_clips.DIALECT},
        **{"raw-skes": raw_skes.DIALECT, "denoised": denoised.DIALECT},
        **{"alphapose": alphapose.DIALECT, "kinetics-skeleton": kinetics_skeleton.DIALECT},
        **{"openpose": openpose.DIALECT, "mmpose": mmpose.DIALECT, "coco": coco.DIALECT},
        **{"mediapipe": mediapipe.DIALECT, "yolo-pose": yolo_pose.DIALECT, "videopose3d": videopose3d.DIALECT},
        **{"uav-human": uav_human.DIALECT, "tools": tools.DIALECT},
    } == DIALECTS


def test_an_option_is_declared_once_and_means_one_thing() -> None:
    declared = {option.name: option for dialect in DIALECTS.values() for option in dialect.options}
    keywords = inspect.signature(converters.open_source).parameters.keys() - {"path", "dialect", "sha256", "declared"}
    assert keywords <= declared.keys()
    for dialect in DIALECTS.values():
        for option in dialect.options:
            assert option is declared[option.name]
            assert option.flag == "--" + option.name.replace("_", "-")
            assert option.help.endswith(".")


def test_the_declarations_load_neither_arrow_nor_codecs() -> None:
    code = "import sys, converters.dialects.registry; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert not {"pyarrow", "numcodecs", "click", "multiprocessing"} & set(done.stdout.split())


@pytest.mark.parametrize("module", [pyskl, bare_list, single])
def test_convert_of_a_dialect(module: ModuleType) -> None:
    parameters = inspect.signature(module.convert).parameters
    assert list(parameters) == ["source", "destination", "options"]
    assert parameters["options"].kind is inspect.Parameter.VAR_KEYWORD


def test_convert_of_kinetics() -> None:
    parameters = inspect.signature(kinetics.convert).parameters
    assert list(parameters) == ["source", "destination", "kpfiles", "skip_missing", "options"]
    assert parameters["kpfiles"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["skip_missing"].default is False


@pytest.mark.parametrize(
    ("module", "beside"),
    [
        (gym, ["boxes"]),
        (babel, ["table"]),
        (extraction, ["table", "label_by", "skip_missing"]),
        (array_folder, ["table", "label_by", "skip_missing"]),
    ],
)
def test_convert_of_a_dialect_with_something_beside_it(module: ModuleType, beside: list[str]) -> None:
    parameters = inspect.signature(module.convert).parameters
    assert list(parameters) == ["source", "destination", *beside, "options"]
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in beside)
    assert all(not parameters[name].default for name in beside if name != "boxes")


def test_convert_of_ntu() -> None:
    parameters = inspect.signature(ntu.convert).parameters
    expected = ["source", "destination", "recipe", "task", "ignore", "skip_broken", "options"]
    assert list(parameters) == expected
    assert parameters["recipe"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["recipe"].default == "raw"
    assert parameters["skip_broken"].default is False


def test_the_options_of_all() -> None:
    assert list(ConvertOptions.__annotations__) == [
        *("profile", "force", "shared", "workers", "dask", "advance", "joints", "class_names", "shuffle")
    ]


def test_the_signatures_of_the_package() -> None:
    assert list(inspect.signature(converters.open_source).parameters) == [
        *("path", "dialect", "sha256", "kpfiles", "skip_missing", "boxes", "table", "label_by"),
        *("recipe", "task", "ignore", "skip_broken", "declared"),
    ]
    assert list(inspect.signature(converters.convert).parameters) == ["source", "destination", "dialect", "options"]
    assert list(inspect.signature(converters.track).parameters) == [
        *("store", "out", "max_persons", "max_gap", "interpolate", "options")
    ]
    assert list(inspect.signature(converters.export).parameters) == [
        *("store", "out", "format", "kpfiles", "kpfile_videos"),
        *("split_train", "split_test", "frames", "normalize", "force", "advance"),
    ]
