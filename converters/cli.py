"""The command line ``skelstore``.

Exit status 0: success; 1: the data or the store is at fault; 2: the command was used wrongly.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

import skelstore
from converters import ntu
from converters.comparison import compare
from converters.conversion import available_cores, convert_source
from converters.derivation import DERIVED, RawStore
from converters.dialects import DIALECTS, open_source
from converters.exporting import FORMATS, export
from converters.information import as_lines, information
from converters.ntu_names import TASKS
from converters.ntu_recipes import RECIPES
from converters.progress import progress, say
from skelstore.codecs import PROFILES
from skelstore.errors import SkelstoreError
from skelstore.verification import verify

_PATH = click.Path(path_type=Path)
_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skelstore")
def cli() -> None:
    """Skeleton annotations as Zarr stores: convert, look at, verify, export."""


@cli.command("convert")
@click.argument("source", type=_PATH)
@click.argument("destination", type=_PATH)
@click.option("--from", "dialect", type=click.Choice(list(DIALECTS)), help="Dialect of SOURCE (default: recognised).")
@click.option("--kpfiles", type=_PATH, help="Folder of the kpfiles that belong to a Kinetics table of contents.")
@click.option("--skip-missing", is_flag=True, help="Leave out videos whose skeletons are missing, and record them.")
@click.option("--recipe", type=click.Choice(RECIPES), help="What to make of NTU RGB+D .skeleton files (default: raw).")
@click.option("--task", type=click.Choice(TASKS), help="Splits of NTU RGB+D (default: by its actions).")
@click.option("--ignore", type=_PATH, help="File that names samples of NTU RGB+D to be left out.")
@click.option("--skip-broken", is_flag=True, help="Leave out .skeleton files that cannot be read, and record them.")
@click.option("--profile", type=click.Choice(PROFILES), default="default", help="How chunks are coded.")
@click.option("--workers", type=click.IntRange(min=1), default=available_cores, help="Processes (default: the cores).")
@click.option("--force", is_flag=True, help="Replace the store at DESTINATION, once the new one is complete.")
def convert_command(source: Path, destination: Path, dialect: str | None, kpfiles: Path | None, **options: Any) -> None:
    """Convert SOURCE, a pickle or a folder of pickles or of .skeleton files, into a store at DESTINATION."""
    of_source = {name: options.pop(name) for name in ("skip_missing", "recipe", "task", "ignore", "skip_broken")}
    of_source["ignore"] = of_source["ignore"] or ()
    opened = open_source(source, dialect, kpfiles=kpfiles, **of_source)
    with progress("converting", len(opened), " videos") as advance:
        convert_source(opened, destination, advance=advance, **options)
    _tell(destination, opened.dialect)


def _tell(destination: Path, dialect: str) -> None:
    """Say what was written."""
    with skelstore.open(destination) as store:
        found = information(store)
    if dialect not in ("kinetics", "ntu") and found["videos"] and not found["joints"]:
        say("note: no video has a keypoint; if this is a Kinetics table of contents, give its --kpfiles too")
    if found["left_out"]:
        say(f"left out {found['left_out']} videos; `skelstore info --json` names them, each with the reason")
    ratio = f", {found['ratio_to_source']:.2f} of the source" if found["ratio_to_source"] else ""
    click.echo(f"{destination}: {found['videos']:,} videos, {found['stored_bytes']:,} bytes{ratio}")


@cli.command("derive")
@click.argument("store", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--recipe", type=click.Choice(DERIVED), required=True, help="Whose annotations to make.")
@click.option("--task", type=click.Choice(TASKS), help="Splits of NTU RGB+D (default: by its actions).")
@click.option("--skip-broken", is_flag=True, help="Leave out videos on which the recipe fails, and record them.")
@click.option("--profile", type=click.Choice(PROFILES), default="default", help="How chunks are coded.")
@click.option("--workers", type=click.IntRange(min=1), default=available_cores, help="Processes (default: the cores).")
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def derive_command(store: Path, out: Path, recipe: Any, task: Any, skip_broken: bool, **options: Any) -> None:
    """Make a store at OUT of STORE, which keeps NTU RGB+D raw, as a recipe would of the .skeleton files."""
    opened = RawStore(store, recipe=recipe, task=task, skip_broken=skip_broken)
    with progress("deriving", len(opened), " videos") as advance:
        convert_source(opened, out, advance=advance, **options)
    _tell(out, opened.dialect)


@cli.command("export")
@click.argument("store", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Dialect to write (default: the original one).")
@click.option("--kpfiles", type=_PATH, help="Folder for the kpfiles (default: kpfiles, beside OUT).")
@click.option("--kpfile-videos", type=click.IntRange(min=1), help="Videos of a kpfile (default: as it was, or 1000).")
@click.option("--force", is_flag=True, help="Replace what stands at OUT.")
def export_command(store: Path, out: Path, format_: Any, **options: Any) -> None:
    """Export STORE as the pickles it came from, or those of another dialect, to OUT."""
    with skelstore.open(store) as opened, progress("exporting", len(opened), " videos") as advance:
        export(opened, out, format=format_, advance=advance, **options)
    click.echo(f"{out}: {len(opened):,} videos")


@cli.command("info")
@click.argument("store", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info_command(store: Path, as_json: bool) -> None:
    """Show what is in STORE."""
    with skelstore.open(store) as opened:
        found = information(opened)
        if as_json:
            found["left_out"] = opened.source.get("left_out", [])
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(as_lines(found)))


@cli.command("verify")
@click.argument("store", type=_PATH)
@click.option("--data", is_flag=True, help="Read and decode every chunk, too.")
@click.option("--against", type=_PATH, help="Compare value by value with this source, too.")
@click.option("--kpfiles", type=_PATH, help="Folder of the source's kpfiles.")
def verify_command(store: Path, data: bool, against: Path | None, kpfiles: Path | None) -> None:
    """Check STORE: its structure and the sizes of its files."""
    with skelstore.open(store) as opened, progress("verifying", sum(opened.files().values()), "B") as advance:
        problems = verify(store, data=data, advance=advance)
    if against is not None and not problems:
        with skelstore.open(store) as opened:
            dialect = opened.source.get("dialect")
            left_out = bool(opened.source.get("left_out"))
            of_ntu = ntu.options_of(opened.source, skip_broken=left_out) if dialect == ntu.NAME else {}
            source = open_source(
                against, dialect if dialect in DIALECTS else None, kpfiles=kpfiles, skip_missing=left_out, **of_ntu
            )
            with progress("comparing", len(opened), " videos") as advance:
                problems = compare(opened, source, advance)
            source.close()
    if problems:
        raise SkelstoreError("\n".join(problems))
    what = ["structure and sizes"] + ["every chunk"] * data + [f"every value against {against}"] * (against is not None)
    click.echo(f"{store}: {', '.join(what)}: no problem")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Whatever goes wrong ends in a sentence and an exit status."""
    try:
        cli.main(arguments, prog_name="skelstore", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        sys.exit(_INTERRUPTED)
    except SkelstoreError as error:
        say(f"skelstore: {error}")
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe has left; so do we, quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"skelstore: {where}{error.strerror or error}")
        sys.exit(1)
    except MemoryError:
        say("skelstore: out of memory: convert with fewer --workers, or on a machine with more memory")
        sys.exit(1)
    except Exception as error:  # a fault of ours, but a person deserves a sentence all the same
        frame = traceback.extract_tb(error.__traceback__)[-1]
        say(
            f"skelstore: a fault in skelstore itself ({type(error).__name__}: {error}, {Path(frame.filename).name}, "
            f"line {frame.lineno}): please report it with the command"
        )
        sys.exit(1)
