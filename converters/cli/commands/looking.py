"""Commands that look at a source or a store, and change nothing."""

from __future__ import annotations

import click

from converters.choices import MODELS
from converters.cli import options
from converters.cli.command import Command, Words
from converters.cli.paths import FILE, PATH, SOURCE, STORE, argument, store_argument
from skelstore.choices import CACHE_ACTIONS, HEATMAPS, LEVELS


def _subset(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int]:
    n, _, m = ("1/1" if value is None else value).partition("/")
    if not (n.isdecimal() and m.isdecimal() and len(n + m) < 20 and 1 <= int(n) <= int(m)):
        raise click.BadParameter(f"{value!r}; expected N/M with N from 1 to M, such as 2/5")
    return int(n), int(m)


COMMANDS = (
    Command(
        "info",
        "store_commands",
        """Show what is in STORE.""",
        [store_argument()],
        lambda: {"Output": [options.JSON]},
        ("skelstore info ntu60.zarr", "skelstore info k400.zarr --json"),
    ),
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
    ),
    Command(
        "draw",
        "draw_command",
        """Draw one video of STORE as a picture or an animation.

        KEY is the name of the video, or its position (default: the first). FILE ends in .png (a strip of eight frames),
        .gif or .mp4 (every frame), or .svg (one frame); - draws in the terminal.
        """,
        [store_argument(), click.Argument(["key"], required=False)],
        lambda: {
            "What": [
                click.Option(
                    ["--frames"],
                    metavar="N|A:B:STEP",
                    help="Only this frame or these frames, counted from 0, such as 12 or 10:90:2.",
                ),
                click.Option(["--persons"], metavar="N,…", help="Only these persons, counted from 0, such as 0,2."),
                click.Option(["--heatmap"], type=Words(HEATMAPS), help="Draw the heatmaps that PoseC3D is trained on."),
                click.Option(["--video"], type=FILE, help="Draw over the frames of this video."),
            ],
            "Output": [
                click.Option(
                    ["-o", "--output", "out"], metavar="FILE", type=PATH, required=True, help="The file to write, or -."
                ),
                click.Option(
                    ["--scale"],
                    type=click.FloatRange(min=0, min_open=True),
                    metavar="S",
                    help="Width of the drawing against the width of the image.",
                ),
                click.Option(
                    ["--fps", "rate"],
                    type=click.FloatRange(0.01, 1000),
                    help="Frames per second of a gif or an mp4 (default: of the video, or 30).",
                ),
                options.FORCE,
            ],
        },
        (
            "skelstore draw ntu60.zarr -1 -o last.gif",
            "skelstore draw ntu60.zarr 3 -o strip.png --frames 10:90",
            "skelstore draw ntu60.zarr -o heat.mp4 --heatmap limb --fps 15",
        ),
        context_settings={"ignore_unknown_options": True},
    ),
    Command(
        "view",
        "view_command",
        """Show the skeletons of STORES in a browser.

        A server on this machine answers the page; its address is printed. Only this machine can reach it, unless
        --host is given.
        """,
        [click.Argument(["stores"], type=STORE, nargs=-1, required=True)],
        lambda: {
            "Page": [
                click.Option(
                    ["--videos"], type=PATH, metavar="DIR", help="Folder of the video files, to play beneath."
                ),
                click.Option(["--no-browser"], is_flag=True, help="Do not open a browser."),
            ],
            "Server": [
                click.Option(
                    ["--port"],
                    type=click.IntRange(0, 65535),
                    default=0,
                    help="Port to listen on (default: a free one).",
                ),
                click.Option(
                    ["--host"],
                    metavar="H",
                    help="Host to listen on, such as 0.0.0.0 (default: 127.0.0.1); the address then has a token.",
                ),
            ],
        },
        (
            "skelstore view ntu60.zarr",
            "skelstore view train.zarr val.zarr --port 8765 --no-browser",
            "skelstore view ntu60.zarr --videos nturgb+d_rgb",
        ),
    ),
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
    ),
    Command(
        "report",
        "source_commands",
        """Write a report on SOURCE, an HTML file to read before training.

        SOURCE is a store, or a source that `skelstore convert` accepts. The report has counts per class and split,
        lengths, persons, joints, speeds, gaps, image sizes, drawings of outliers, and what `skelstore check` finds.
        """,
        [click.Argument(["source"], type=SOURCE)],
        lambda: {
            **options.source_sections([options.dialect()], flags=False),
            "Output": [options.REPORT, options.FORCE],
            "Running": [options.WORKERS],
        },
        (
            "skelstore report ntu60.zarr -o ntu60.html",
            "skelstore report ntu60_hrnet.pkl -o report.html --workers 2",
            "skelstore report k400/k400_hrnet.pkl --kpfiles k400/kpfiles -o k400.html",
        ),
    ),
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
    ),
    Command(
        "datasets",
        "datasets_command",
        """List the data sets that PYSKL and MMAction2 publish.

        `skelstore convert pyskl:ntu60_hrnet ntu60.zarr` downloads the one with this name and converts it.
        """,
        [],
        lambda: {"Output": [options.JSON]},
        ("skelstore datasets", "skelstore datasets --json"),
    ),
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
    ),
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
    ),
)
