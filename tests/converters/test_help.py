"""What users see before a command runs: help, examples, suggestions of close names, completion in a shell."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest

from converters.cli import entry
from converters.cli.command import Command
from converters.cli.commands import cli
from converters.dialects.registry import DIALECTS
from converters.samples.pickles import ntu_names, write_samples
from converters.samples.skeletons import write_skeletons
from tests.support.processes import COMMAND
from tests.support.repository import REPOSITORY

COMMANDS: dict[str, Command] = cli.commands  # type: ignore[assignment]
EXAMPLES = [example for command in COMMANDS.values() for example in command.examples]
OF_DIALECTS = [
    heading
    for heading in dict.fromkeys(option.heading for dialect in DIALECTS.values() for option in dialect.options)
    if heading != "Source"
]
"""The headings of the options that dialects declare, each once."""
LOADED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([*sys.modules]), file=sys.stderr))
from converters.cli import main
main()
"""
"""Run the command line and print the modules that are loaded then."""
HEAVY = {"pyarrow", "numcodecs", "tqdm", "matplotlib", "converters.bench"}


def run(*arguments: str, columns: int = 80, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": str(columns), **environment},
    )


def context_of(name: str) -> click.Context:
    """The context of a command below that of ``skelstore``: a command keeps the help option of its first context."""
    return click.Context(COMMANDS[name], click.Context(cli, **cli.context_settings), info_name=name)


def help_of(name: str) -> str:
    return COMMANDS[name].get_help(context_of(name))


# ------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("columns", [80, 100])
def test_no_summary_is_cut_off(columns: int) -> None:
    shown = run("--help", columns=columns).stdout
    assert "..." not in shown.replace("[ARGS]...", "")
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= columns
    for name, command in COMMANDS.items():
        assert f"  {name:8}  {command.get_short_help_str()}\n" in shown, "on one line"


def test_commands_are_listed_in_the_order_of_work() -> None:
    assert [*COMMANDS][:2] == ["convert", "derive"]
    shown = run("--help").stdout.split("Commands:\n")[1]
    assert [line.split()[0] for line in shown.splitlines()] == [*COMMANDS]


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        ("convert", ["Source", *OF_DIALECTS, "Persons", "Output", "Running"]),
        ("track", ["Persons", "Output", "Running"]),
        ("derive", ["NTU RGB+D", "Output", "Running"]),
        ("export", ["Output", "Kinetics", "GCN arrays"]),
        ("check", ["Source", *OF_DIALECTS, "Checks", "Output"]),
        ("merge", ["Conflicts", "Output"]),
    ],
)
def test_options_are_below_headings(name: str, headings: list[str]) -> None:
    lines = help_of(name).splitlines()
    shown = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert shown == [*headings, "Help", "Examples"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help(name: str) -> None:
    shown = help_of(name)
    for parameter in COMMANDS[name].get_params(context_of(name)):
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help.endswith(".")
            assert parameter.opts[0] in shown


def test_options_of_a_source_are_those_that_its_dialects_declare() -> None:
    declared = {option.flag: option for dialect in DIALECTS.values() for option in dialect.options}
    for name in ("convert", "check", "verify"):
        options = {option.opts[0]: option for section in COMMANDS[name].sections.values() for option in section}
        expected = {flag for flag, option in declared.items() if name == "convert" or option.kind != "flag"}
        assert declared.keys() & options.keys() == expected
        assert all(options[flag].help == declared[flag].help for flag in expected)


OTHERS = {"--json": ["bench"], "--labels": ["subset"], "--kpfiles": ["export"], "--recipe": ["derive"]}
"""Options that have only the name in common: a file of figures, labels of videos, folders that are written, ..."""
OTHERS |= {"--skip-broken": ["derive"], "--subset": [], "--split": [], "--force": ["push"], "--videos": ["view"]}
OTHERS |= {"--frames": ["draw"], "-o": ["draw", "report"]}


def test_an_option_of_several_commands_is_the_same_in_all() -> None:
    uses: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for name, command in COMMANDS.items():
        for option in (option for section in command.sections.values() for option in section):
            if name not in OTHERS.get(option.opts[0], []):
                kind = option.type.to_info_dict()
                uses[option.opts[0]].add((option.help, option.is_flag, option.default, repr(kind)))
    assert {flag: found for flag, found in uses.items() if len(found) > 1} == {}


# --------------------------------------------------------------------------------------------------- examples


def test_every_command_has_examples_that_fit_a_terminal() -> None:
    for name, command in COMMANDS.items():
        assert 2 <= len(command.examples) <= 3
        assert all(f"{example} ".startswith(f"skelstore {name} ") for example in command.examples)
        assert all(f"  {example}\n" in help_of(name) + "\n" for example in command.examples)
        assert all(len(example) <= 100 - 2 for example in command.examples)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """They run in order, on sample data. Those that take a minute, serve a page or need a server are only parsed."""
    write_samples(tmp_path, 40)
    write_skeletons(tmp_path / "nturgb+d_skeletons", ntu_names(6))
    (tmp_path / "coarse.csv").write_text("".join(f"{label},{label // 10}\n" for label in range(60)))
    (tmp_path / "coarse_names.txt").write_text("".join(f"class {label}\n" for label in range(6)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    for example in EXAMPLES:
        words = shlex.split(example)[1:]
        if words[0] in ("bench", "view", "push", "pull"):
            COMMANDS[words[0]].make_context(words[0], words[1:])
            continue
        entry.main(words)  # exits if anything is wrong
        said = capsys.readouterr()
        assert "Error" not in said.err, (example, said.err)
        assert said.out


# ----------------------------------------------------------------------------------------- close names


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("convrt", "No such command 'convrt'; did you mean 'convert'?"),
        ("Merge", "No such command 'Merge'; did you mean 'merge'?"),
        ("xyzzy", "No such command 'xyzzy'."),
    ],
)
def test_a_command_that_is_close_is_named(wrong: str, hint: str) -> None:
    done = run(wrong, "a", "b")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {hint}"


def test_an_option_that_is_close_is_named() -> None:
    done = run("convert", "a.pkl", "a.zarr", "--porfile", "fast")
    assert done.returncode == 2
    assert "--profile" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["convert", "a", "b", "--from", "pysk"], "'; did you mean 'pyskl'?"),
        (["convert", "a", "b", "--joints", "COCO17"], "'mediapipe-face-478'; did you mean 'coco-17'?"),
        (["convert", "a", "b", "--profile", "smal"], "'fast', 'default', 'small'; did you mean 'small'?"),
        (["export", "a", "b", "--format", "kinetic"], "'kinetics', 'ctrgcn', 'stgcn'; did you mean 'kinetics'?"),
        (["convert", "a", "b", "--split-by", "veiw"], "'veiw' is not 'view'; did you mean 'view'?"),
        (["check", "a", "--for", "?"], "'?' is not one of 'posec3d', 'stgcn'."),
    ],
)
def test_a_value_that_is_close_is_named(arguments: list[str], hint: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith(hint)


def test_without_a_command_the_help_is_shown() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == run("--help").stdout


# ------------------------------------------------------------------------------------------------- completion


def completion(shell: str, *words: str) -> dict[str, str]:
    """The variables that the script of a shell sets to complete the last word."""
    at = words[-1] if shell == "fish" else str(len(words) - 1)
    return {"_SKELSTORE_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": at}


def completed(shell: str, *words: str) -> list[str]:
    """The values that a shell would offer for the last word, as its script reads them."""
    done = run(**completion(shell, *words))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if shell == "zsh":  # three lines each: type, value, help
        return lines[1::3]
    return [line.split(",")[1].split("\t")[0] for line in lines]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_options_are_completed(shell: str) -> None:
    assert completed(shell, "skelstore", "") == [*COMMANDS]
    assert completed(shell, "skelstore", "s") == ["show", "subset", "split"]
    assert completed(shell, "skelstore", "convert", "--kp") == ["--kpfiles"]
    assert completed(shell, "skelstore", "merge", "a.zarr", "--") == [
        *("--allow", "--cast", "--output", "--as-split", "--copy", "--force", "--help")
    ]
    assert completed(shell, "skelstore", "convert", "--profile", "") == ["fast", "default", "small"]
    assert completed(shell, "skelstore", "convert", "--joints", "c") == ["coco-17"]
    assert completed(shell, "skelstore", "convert", "--from", "py") == ["pyskl"]
    assert completed(shell, "skelstore", "export", "--format", "") == ["pyskl", "list", "kinetics", "ctrgcn", "stgcn"]
    assert completed(shell, "skelstore", "check", "--task", "") == ["ntu60", "ntu120"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_script_is_output(shell: str) -> None:
    """The lines of docs/converting.md, whose output a shell reads."""
    assert f"_SKELSTORE_COMPLETE={shell}_source skelstore" in (REPOSITORY / "docs/converting.md").read_text()
    done = run(_SKELSTORE_COMPLETE=f"{shell}_source")
    assert done.returncode == 0
    assert f"_SKELSTORE_COMPLETE={shell}_complete" in done.stdout


def loaded(*arguments: str, **environment: str) -> set[str]:
    """The modules that are loaded at the end of a call of the command line."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["convrt"], []])
def test_help_loads_nothing_but_click(arguments: list[str]) -> None:
    assert not loaded(*arguments) & {*HEAVY, "numpy", "converters.dialects"}


@pytest.mark.parametrize(
    ("shell", "command"),
    [*((shell, name) for shell in ("zsh", "fish") for name in ("", "convert")), *(("bash", name) for name in COMMANDS)],
)
def test_completion_loads_little(shell: str, command: str) -> None:
    modules = loaded(**completion(shell, "skelstore", *([command, "--"] if command else [""])))
    assert not modules & HEAVY
    if command in ("", "export", "info", "show", "subset", "merge", "split", "bench"):  # these need no dialect
        assert "numpy" not in modules


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_little(name: str) -> None:
    assert not loaded(name, "--help") & HEAVY
