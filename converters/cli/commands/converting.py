"""Commands between sources and stores."""

from __future__ import annotations

import click

from converters.choices import FORMATS, MOST_SEED, NORMALIZATIONS
from converters.cli import options
from converters.cli.command import Command, Sections, Words
from converters.cli.paths import PATH, SOURCE, STORE, argument, store_argument


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
            click.Option(
                ["--shuffle"],
                type=click.IntRange(0, MOST_SEED),
                metavar="SEED",
                help="Write the videos in a random order; an export restores that of SOURCE.",
            ),
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


COMMANDS = (
    Command(
        "convert",
        "source_commands",
        """Convert SOURCE into a store at DESTINATION.

        SOURCE is a file, a folder or a zip file of one of the dialects below, the URL of such a file, or the name of a
        published one (`skelstore datasets`). DESTINATION is a path, or a URL that begins with s3://, gs:// or az://, to
        which every worker sends its parts. To resume an interrupted conversion, run the same command again.
        """,
        [click.Argument(["source"], type=SOURCE), click.Argument(["destination"], type=STORE)],
        _convert_options,
        (
            "skelstore convert ntu60_hrnet.pkl ntu60.zarr --joints coco-17",
            "skelstore convert k400/k400_hrnet.pkl k400.zarr --kpfiles k400/kpfiles --shuffle 1",
            "skelstore convert nturgb+d_skeletons ntu_raw.zarr --skip-broken",
        ),
    ),
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
    ),
    Command(
        "track",
        "source_commands",
        """Make persons from the detections in STORE, each in one row.

        STORE holds what a pose tool found in each frame. The store at OUT is dense, as trainings need it: row m of
        keypoint [M, T, V, 2] is one person in all frames. Persons are those of the tool's ids; without ids, they are
        followed from frame to frame.
        """,
        [store_argument()],
        lambda: {
            "Persons": [options.max_persons(required=True), options.MAX_GAP, options.INTERPOLATE],
            "Output": [options.OUT, options.PROFILE, options.SHARED, options.FORCE],
            "Running": [options.WORKERS],
        },
        (
            "skelstore track k400.zarr -o k400_dense.zarr --max-persons 2 --interpolate",
            "skelstore track k400.zarr -o k400_long.zarr --max-persons 2 --max-gap 30",
        ),
    ),
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
    ),
)
