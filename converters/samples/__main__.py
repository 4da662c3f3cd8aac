"""The command ``python -m converters.samples DIR [--videos N] [--seed S]``.

It writes the files that ``write_people`` and ``write_samples`` list, ``nturgb+d_skeletons``, a folder of raw
``.skeleton`` files, and the folders of ``write_pose_tools`` and ``write_pose_clips``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from converters.samples.pickles import ntu_names, write_samples
from converters.samples.pose_clips import POSE_CLIPS, write_pose_clips
from converters.samples.pose_tools import POSE_TOOLS, write_pose_tools
from converters.samples.skeletons import write_skeletons
from converters.samples.staged import write_people


def main() -> None:
    """Write the requested sample data and print the paths."""
    parser = argparse.ArgumentParser(prog="python -m converters.samples", description="Write sample data.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--videos", type=int, default=100, metavar="N", help="videos per data set (100)")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    options = parser.parse_args()
    for path in write_people(options.folder, options.videos, options.seed):
        print(path)
    for path in write_samples(options.folder, options.videos, options.seed):
        print(path)
    skeletons_folder = options.folder / "nturgb+d_skeletons"
    write_skeletons(skeletons_folder, ntu_names(options.videos), options.seed)
    print(skeletons_folder)
    write_pose_tools(options.folder, options.videos, options.seed)
    write_pose_clips(options.folder, options.videos, options.seed)
    print(*(options.folder / name for name in (*POSE_TOOLS, *POSE_CLIPS)), sep="\n")


if __name__ == "__main__":
    main()
