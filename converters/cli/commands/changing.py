"""Commands that make stores from stores."""

from __future__ import annotations

import click

from converters.cli import options
from converters.cli.command import Command, Words
from converters.cli.paths import FILE, PATH, argument, store_argument
from skelstore.choices import CONFLICTS

COMMANDS = (
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
    ),
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
    ),
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
    ),
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
    ),
)
