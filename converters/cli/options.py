"""Options that several commands have, each defined once. Those for sources come from the dialects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from converters.cli.command import Sections, Words
from converters.cli.paths import FILE, PATH, SOURCE_FILE
from skelstore.choices import PROFILES

if TYPE_CHECKING:
    from converters.dialects.dialect import Option

OUT = click.Option(["-o", "--output", "out"], metavar="OUT", type=PATH, required=True, help="The store to write.")
REPORT = click.Option(
    ["-o", "--output", "out"], metavar="FILE", type=PATH, required=True, help="The HTML file to write."
)
FORCE = click.Option(["--force"], is_flag=True, help="Replace the destination, once the new one is complete.")
PROFILE = click.Option(
    ["--profile"], type=Words(PROFILES), default="default", show_default=True, help="How chunks are encoded."
)
SHARED = click.Option(
    ["--shared"], is_flag=True, help="Let the group of the destination's folder resume an interrupted run."
)
WORKERS = click.Option(
    ["--workers"], type=click.IntRange(min=1), help="Number of processes (default: number of cores)."
)
LABELS = click.Option(
    ["--labels", "label_file"], type=FILE, help="File with the names of the classes, one per line or JSON."
)
JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print JSON.")


MAX_GAP = click.Option(
    ["--max-gap"],
    type=click.IntRange(0, 100_000),
    default=30,
    show_default=True,
    help="Most frames without a detection after which a person goes on.",
)
INTERPOLATE = click.Option(["--interpolate"], is_flag=True, help="Fill these frames, and mark them.")


def max_persons(*, required: bool) -> click.Option:
    """``--max-persons``."""
    return click.Option(
        ["--max-persons"],
        type=click.IntRange(1, 100),
        metavar="M",
        required=required,
        help="Most persons to keep: the longest and surest tracks.",
    )


def joints() -> click.Option:
    """``--joints``. Imports the joint layouts."""
    from skelstore.joints import LAYOUTS

    return click.Option(
        ["--joints"],
        type=Words(list(LAYOUTS)),
        metavar="LAYOUT",
        help=f"State the layout of the joints: {', '.join(LAYOUTS)}.",
    )


def dialect() -> click.Option:
    """``--from``. Imports the dialects."""
    from converters.dialects.registry import DIALECTS

    return click.Option(
        ["--from", "dialect"],
        type=Words(list(DIALECTS)),
        metavar="DIALECT",
        help=f"Dialect of SOURCE (default: recognised): {', '.join(DIALECTS)}.",
    )


def source_sections(first: Sequence[click.Option], *, flags: bool) -> Sections:
    """The options for opening a source, per heading; ``first`` are the first ones.

    Without ``flags``, the flags are left out: they say what a conversion skips.
    """
    sections: dict[str, list[click.Option]] = {"Source": list(first)}
    for option in _declared():
        if flags or option.kind != "flag":
            sections.setdefault(option.heading, []).append(_as_click(option))
    return {**sections}


def take_source_options(options: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of ``source_sections`` from the options of a command; return those that are set."""
    values = {option.name: options.pop(option.name, None) for option in _declared()}
    return {name: value for name, value in values.items() if value is not None and value is not False}


SHA256 = click.Option(
    ["--sha256"], metavar="DIGEST", help="The SHA-256 that a source at a URL must have (default: not checked)."
)


def derive_options() -> list[click.Option]:
    """The options of NTU RGB+D for ``derive``."""
    from converters.dialects import ntu

    declared = {option.name: option for option in ntu.DIALECT.options}
    recipes = tuple(recipe for recipe in declared["recipe"].kind if recipe != "raw")
    recipe = _as_click(replace(declared["recipe"], kind=recipes, help="Recipe whose annotations to make."))
    recipe.required = True
    skip_broken = replace(declared["skip_broken"], help="Leave out videos on which the recipe fails, and record them.")
    return [recipe, _as_click(declared["task"]), _as_click(skip_broken)]


def _declared() -> Iterable[Option]:
    """The options of all dialects, without repetitions."""
    from converters.dialects.registry import DIALECTS

    return {option.name: option for dialect in DIALECTS.values() for option in dialect.options}.values()


def _as_click(option: Option) -> click.Option:
    if option.kind == "flag":
        return click.Option([option.flag], is_flag=True, help=option.help)
    kind = Words(option.kind) if isinstance(option.kind, tuple) else _TYPES[option.kind]
    return click.Option([option.flag], type=kind, metavar=option.metavar, help=option.help)


_TYPES: dict[str, click.ParamType[Any]] = {"path": PATH, "folder": PATH, "file": SOURCE_FILE, "text": click.STRING}
"""Kind of a dialect's option, other than flags and words -> its type for click."""
