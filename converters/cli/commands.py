"""All commands of the command line: their arguments, options and examples. Other modules do their work."""

from __future__ import annotations

import click

from converters.choices import FORMATS, MODELS, NORMALIZATIONS
from converters.cli import options
from converters.cli.command import Command, CommandGroup, Sections, Words
from converters.cli.paths import FILE, PATH, SOURCE, STORE
from skelstore.choices import CACHE_ACTIONS, CONFLICTS, LEVELS


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skelstore")
def cli() -> None:
    """Skeleton annotations as Zarr stores: convert, show, verify, merge, subset, export."""


def store_argument() -> click.Argument:
    """The store that a command reads: a folder or a URL."""
    return click.Argument(["store"], type=STORE)


def argument(name: str, *, required: bool = True) -> click.Argument:
    return click.Argument([name], type=PATH, required=required)


# ------------------------------------------------------------------------------------ between source and store


def _convert_options() -> Sections:
    return {
        **options.source_sections([options.dialect(), options.SHA256], flags=True),
        "Persons": [
            click.Option(["--track"], is_flag=True, help="Track the persons, as `skelstore track` does."),
            options.max_persons(required=False),
            options.MAX_GAP,
            options.INTERPOLATE,
        ],
        "Output": [
            options.joints(),
            options.LABELS,
            options.PROFILE,
            options.SHARED,
            options.FORCE,
        ],
        "Running": [
            options.WORKERS,
            click.Option(
                ["--dask"], metavar="ADDRESS", help="Convert on the workers of the Dask cluster at tcp://HOST:PORT."
            ),
        ],
    }


cli.add_command(
    Command(
        "convert",
        "source_commands",
        """Convert SOURCE into a store at DESTINATION.

        SOURCE is a file, a folder or a zip file of one of the dialects below, the URL of such a file, or the name of a
        published one (`skelstore datasets`). To resume an interrupted conversion, run the same command again.
        """,
        [click.Argument(["source"], type=SOURCE), argument("destination")],
        _convert_options,
        (
            "skelstore convert ntu60_hrnet.pkl ntu60.zarr --joints coco-17",
            "skelstore convert k400/k400_hrnet.pkl k400.zarr --kpfiles k400/kpfiles --workers 2",
            "skelstore convert nturgb+d_skeletons ntu_raw.zarr --skip-broken",
        ),
    )
)

cli.add_command(
    Command(
        "derive",
        "source_commands",
        """Make annotations from STORE, which holds raw NTU RGB+D.

        They are written to a store at OUT, the same as if the .skeleton files were converted with the recipe.
        """,
        [store_argument(), argument("out")],
        lambda: {
            "NTU RGB+D": options.derive_options(),
            "Output": [options.PROFILE, options.SHARED, options.FORCE],
            "Running": [options.WORKERS],
        },
        (
            "skelstore derive ntu_raw.zarr ntu_pyskl.zarr --recipe pyskl",
            "skelstore derive ntu_raw.zarr ntu60_3d.zarr --recipe mmaction2 --task ntu60 --profile small",
            "skelstore derive ntu_raw.zarr ntu60_ctrgcn.zarr --recipe ctrgcn --task ntu60 --skip-broken",
        ),
    )
)

cli.add_command(
    Command(
        "track",
        "source_commands",
        """Make persons from the detections in STORE, each in one row.

        STORE holds what a pose tool found in each frame. The store at OUT is dense, as trainings need it: row m of
        keypoint [M, T, V, 2] is one person in all frames. Persons are those of the tool's ids; without ids, they are
        followed from frame to frame.
        """,
        [argument("store")],
        lambda: {
            "Persons": [options.max_persons(required=True), options.MAX_GAP, options.INTERPOLATE],
            "Output": [options.OUT, options.PROFILE, options.SHARED, options.FORCE],
            "Running": [options.WORKERS],
        },
        (
            "skelstore track k400.zarr -o k400_dense.zarr --max-persons 2 --interpolate",
            "skelstore track k400.zarr -o k400_long.zarr --max-persons 2 --max-gap 30",
        ),
    )
)

cli.add_command(
    Command(
        "export",
        "source_commands",
        """Export STORE to OUT as the files it came from.

        Any store can also be exported as another dialect.
        """,
        [store_argument(), argument("out")],
        lambda: {
            "Output": [
                click.Option(
                    ["--format", "format_"],
                    type=Words(FORMATS),
                    help="Dialect to write (default: the original one).",
                ),
                options.FORCE,
            ],
            "Kinetics": [
                click.Option(["--kpfiles"], type=PATH, help="Folder for the kpfiles (default: kpfiles, beside OUT)."),
                click.Option(
                    ["--kpfile-videos"],
                    type=click.IntRange(min=1),
                    help="Videos per kpfile (default: as in the source, or 1000).",
                ),
            ],
            "GCN arrays": [
                click.Option(["--split-train"], help="Split for the training part, in the order of its list."),
                click.Option(["--split-test"], help="Split for the part for tests, in the order of its list."),
                click.Option(
                    ["--frames"], type=click.IntRange(min=1), help="Frames of every clip (default: of the longest)."
                ),
                click.Option(
                    ["--normalize"], type=Words(NORMALIZATIONS), help="Normalise the clips of stgcn as 2s-AGCN does."
                ),
            ],
        },
        (
            "skelstore export ntu60.zarr ntu60_again.pkl",
            "skelstore export ntu60.zarr arrays --format stgcn --split-train xsub_train --split-test xsub_val",
            "skelstore export k400.zarr k400_again.pkl --kpfiles k400_again --kpfile-videos 50",
        ),
    )
)

cli.add_command(
    Command(
        "check",
        "source_commands",
        """Find errors in SOURCE that would make a training fail or go wrong.

        SOURCE is a store, or a source that `skelstore convert` accepts. The exit status is 1 if an error is found.
        """,
        [click.Argument(["source"], type=SOURCE)],
        lambda: {
            **options.source_sections([options.dialect()], flags=False),
            "Checks": [
                click.Option(
                    ["--for", "model"], type=Words(MODELS), help="Also check what this model's pipeline needs."
                )
            ],
            "Output": [options.JSON],
        },
        (
            "skelstore check ntu60.zarr --for posec3d",
            "skelstore check k400/k400_hrnet.pkl --kpfiles k400/kpfiles --json",
            "skelstore check nturgb+d_skeletons --recipe pyskl",
        ),
    )
)


def _subset(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int]:
    n, _, m = ("1/1" if value is None else value).partition("/")
    if not (n.isdecimal() and m.isdecimal() and len(n + m) < 20 and 1 <= int(n) <= int(m)):
        raise click.BadParameter(f"{value!r}; expected N/M with N from 1 to M, such as 2/5")
    return int(n), int(m)


cli.add_command(
    Command(
        "verify",
        "source_commands",
        """Check that STORE is complete and undamaged.

        \b
        structure  the tables, and the sizes and names of all files
        checksums  also every byte
        decode     also every chunk and video

        With --against, the values are compared with a source. It is opened with the options that the store records,
        unless options say otherwise.
        """,
        [store_argument()],
        lambda: {
            "Checks": [
                click.Option(
                    ["--level"],
                    type=Words(LEVELS),
                    default="structure",
                    show_default=True,
                    help="How thoroughly to check.",
                ),
                click.Option(
                    ["--subset"], metavar="N/M", callback=_subset, help="Check only share N of M equal shares."
                ),
            ],
            **options.source_sections(
                [click.Option(["--against"], type=SOURCE, help="Also compare every value with this source.")],
                flags=False,
            ),
        },
        (
            "skelstore verify ntu60.zarr --level checksums --subset 1/4",
            "skelstore verify ntu60.zarr --level decode --against ntu60_hrnet.pkl",
            "skelstore verify k400.zarr --against k400/k400_hrnet.pkl --kpfiles k400/kpfiles",
        ),
    )
)


# ---------------------------------------------------------------------------------------------------- of stores


cli.add_command(
    Command(
        "info",
        "store_commands",
        """Show what is in STORE.""",
        [store_argument()],
        lambda: {"Output": [options.JSON]},
        ("skelstore info ntu60.zarr", "skelstore info k400.zarr --json"),
    )
)

cli.add_command(
    Command(
        "show",
        "store_commands",
        """Show one video of STORE: its splits and values.

        KEY is the name of the video, or its position (default: the first). In JSON, numbers that are not finite are
        strings.
        """,
        [store_argument(), click.Argument(["key"], required=False)],
        lambda: {"Output": [options.JSON]},
        (
            "skelstore show ntu60.zarr",
            "skelstore show ntu60.zarr S001C001P001R001A001",
            "skelstore show ntu60.zarr -1 --json",
        ),
        context_settings={"ignore_unknown_options": True},
    )
)

cli.add_command(
    Command(
        "subset",
        "store_commands",
        """Write some videos of STORE to a new store at OUT.

        If several conditions are given, a video must meet all of them.
        """,
        [store_argument(), argument("out")],
        lambda: {
            "Videos": [
                click.Option(["--split"], help="Only the videos of this split."),
                click.Option(["--labels"], help="Only the videos with one of these labels, such as 1,2,5-9."),
                click.Option(
                    ["--ids"],
                    type=FILE,
                    help="Only the videos named in this file, one per line (.json: a list), in its order.",
                ),
                click.Option(["--where", "expression"], help="Only the videos for which this expression is true."),
            ],
            "Output": [options.FORCE],
        },
        (
            "skelstore subset ntu60.zarr train.zarr --split xsub_train",
            "skelstore subset ntu60.zarr val.zarr --split xsub_val",
            'skelstore subset ntu60.zarr short.zarr --where "persons == 2 and total_frames >= 30"',
        ),
    )
)

cli.add_command(
    Command(
        "merge",
        "store_commands",
        """Merge STORES, in order, into a new store.

        Files are linked, not decoded.
        """,
        [click.Argument(["stores"], type=PATH, nargs=-1, required=True)],
        lambda: {
            "Conflicts": [
                click.Option(
                    ["--allow"],
                    multiple=True,
                    type=Words(CONFLICTS),
                    help="Merge despite conflicts of this kind.",
                ),
                click.Option(["--cast"], is_flag=True, help="Write float16 as float32 if other stores have float32."),
            ],
            "Output": [
                options.OUT,
                click.Option(
                    ["--as-split", "as_splits"],
                    multiple=True,
                    help="Name of a split for the videos of a store; once per store.",
                ),
                click.Option(["--copy"], is_flag=True, help="Copy files instead of linking them."),
                options.FORCE,
            ],
        },
        (
            "skelstore merge train.zarr val.zarr -o both.zarr",
            "skelstore merge train.zarr val.zarr -o named.zarr --as-split train --as-split val",
        ),
    )
)

cli.add_command(
    Command(
        "split",
        "store_commands",
        """Assign the videos of STORE to new splits, by class or by groups.""",
        [argument("store")],
        lambda: {
            "Splits": [
                click.Option(["--parts"], help="Splits and their shares (default: train=0.8,val=0.2)."),
                click.Option(
                    ["--folds"],
                    type=click.IntRange(min=2),
                    metavar="K",
                    help="Make K folds instead, with splits such as fold1_train and fold1_val.",
                ),
                click.Option(
                    ["--group"],
                    help="Column whose values are groups to keep together; for NTU RGB+D also subject, camera, setup.",
                ),
                click.Option(
                    ["--pattern"], help="Regular expression with one group, which names the group, such as 'P(\\d{3})'."
                ),
                click.Option(["--seed"], type=int, default=0, show_default=True, help="Seed of the random assignment."),
                click.Option(["--keep"], is_flag=True, help="Also keep the splits of STORE."),
            ],
            "Output": [options.OUT, options.FORCE],
        },
        (
            "skelstore split ntu60.zarr -o parts.zarr --parts train=0.7,val=0.2,test=0.1",
            "skelstore split ntu60.zarr -o by_subject.zarr --folds 3 --group subject",
            "skelstore split ntu60.zarr -o by_name.zarr --pattern 'P(\\d{3})' --seed 1",
        ),
    )
)

cli.add_command(
    Command(
        "relabel",
        "store_commands",
        """Change the labels, class names or joint layout of STORE.""",
        [argument("store")],
        lambda: {
            "Changes": [
                click.Option(["--map", "mapping"], type=FILE, help="CSV or JSON file of old and new labels."),
                click.Option(["--compact"], is_flag=True, help="Renumber the labels that occur, from 0."),
                options.LABELS,
                options.joints(),
            ],
            "Output": [options.OUT, options.FORCE],
        },
        (
            "skelstore relabel ntu60.zarr -o compact.zarr --compact",
            "skelstore relabel ntu60.zarr -o coarse.zarr --map coarse.csv --labels coarse_names.txt",
        ),
    )
)

cli.add_command(
    Command(
        "datasets",
        "datasets_command",
        """List the data sets that PYSKL and MMAction2 publish.

        `skelstore convert pyskl:ntu60_hrnet ntu60.zarr` downloads the one with this name and converts it.
        """,
        [],
        lambda: {"Output": [options.JSON]},
        ("skelstore datasets", "skelstore datasets --json"),
    )
)

cli.add_command(
    Command(
        "cache",
        "cache_command",
        """Show or empty the cache of stores and sources at URLs.

        It is in the folder that SKELSTORE_CACHE names, and takes at most SKELSTORE_CACHE_SIZE, such as 200G. ACTION is
        info or clear. What a running process has open stays readable for it.
        """,
        [click.Argument(["action"], type=Words(CACHE_ACTIONS))],
        lambda: {"Output": [options.JSON]},
        ("skelstore cache info", "skelstore cache clear"),
    )
)

cli.add_command(
    Command(
        "bench",
        "bench_command",
        """Measure how fast videos of STORE are read.

        Other ways to store the same videos are measured, too. Those that are not installed are left out and listed: pip
        install 'skelstore[bench]', and memcached from the system's packages.
        """,
        [argument("store")],
        lambda: {
            "Running": [
                click.Option(
                    ["--videos"],
                    type=click.IntRange(min=1),
                    default=2000,
                    show_default=True,
                    help="Number of videos in the sample.",
                )
            ],
            "Output": [
                click.Option(["--json", "json_file"], type=PATH, help="Write all figures to this file."),
                click.Option(
                    ["--plot"], type=PATH, help="Draw reading, opening and workers in this file (needs matplotlib)."
                ),
            ],
        },
        ("skelstore bench ntu60.zarr", "skelstore bench ntu60.zarr --videos 20 --json figures.json"),
    )
)
