"""The sections of a report that tell what is in the videos: classes, lengths, persons, tracks, image sizes."""

from __future__ import annotations

import numpy as np

from converters.report.charts import Bar, bars, columns, figure, number, percent
from converters.report.classes import MOST_SPLITS, Classes
from converters.report.counts import Integers
from converters.report.markup import Markup, details, joined, table, tag
from converters.report.statistics import Statistics
from skelstore.wording import counted

__all__ = ["binned", "classes_section", "images_section", "lengths_section", "persons_section", "tracks_section"]

_BARS = 24
"""Number of classes up to which each has a bar with its name."""
_COLUMNS = 400
"""Number of classes up to which each has a column."""
_MOST_CLASSES = 1000
_SHOWN_SPLITS = 8
"""Number of splits that the table of classes has columns for."""
_BINS = 24
_MOST_PERSONS = 12
_SHOWN_SIZES = 12
_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def classes_section(classes: Classes, videos: int) -> Markup:
    """The number of videos of each class, in all and in each split."""
    parts = []
    if len(classes.counts):
        order = np.argsort(-classes.counts, kind="stable")
        most, fewest = int(order[0]), int(order[-1])
        title = (
            f"Videos of each class: most {classes.counts[most]:,} of {classes.title(most)}, "
            f"fewest {classes.counts[fewest]:,} of {classes.title(fewest)}"
        )
        entries = [Bar(classes.title(i), int(classes.counts[i])) for i in order.tolist()]
        if len(entries) <= _BARS:
            chart = bars(title, entries)
        else:
            shown = entries[:_COLUMNS]
            chart = columns(title, shown, "classes, the largest first" + _cut(len(shown), len(entries)), labels="ends")
        parts.append(
            tag(
                "div",
                figure(f"Videos of each of {counted(len(entries), 'class', 'classes')}", chart),
                tag("div", _imbalance(classes, videos)),
                class_="charts",
            )
        )
        parts.append(_class_table(classes))
    else:
        parts.append(tag("p", "No video has a label that is a number."))
    if classes.splits:
        rows = [
            [
                split.title,
                f"{split.ids:,}",
                f"{split.videos:,}",
                percent(split.videos, videos),
                f"{int((split.counts > 0).sum()):,}",
                f"{int(split.counts.min()):,} to {int(split.counts.max()):,}" if len(split.counts) else "",
            ]
            for split in classes.splits
        ]
        headings = ["split", "#ids", "#videos", "#of all", "#classes", "#videos per class"]
        parts.append(table(headings, rows, caption="Splits"))
        if classes.more_splits:
            parts.append(tag("p", f"{classes.more_splits:,} more splits are not shown: the first {MOST_SPLITS} are."))
    else:
        parts.append(tag("p", "There are no splits."))
    return joined(parts)


def _imbalance(classes: Classes, videos: int) -> Markup:
    counts = classes.counts
    shares = counts / counts.sum()
    effective = float(np.exp(-(shares * np.log(shares)).sum()))
    ratio = number(round(float(counts.max() / counts.min()), 1))
    rows = [
        ["classes that occur", f"{len(counts):,}"],
        ["labels", f"0 to {int(classes.labels[-1]):,}" if int(classes.labels[0]) == 0 else _span(classes)],
        ["videos with a label", f"{len(counts) and int(counts.sum()):,} of {videos:,}"],
        ["largest class", f"{counts.max():,}"],
        ["median class", f"{number(float(np.median(counts)))}"],
        ["smallest class", f"{counts.min():,}"],
        ["largest to smallest", f"{ratio} : 1"],
        ["as balanced as", f"{effective:.1f} equal classes"],
    ]
    return table(["", "#"], rows, caption="Balance")


def _span(classes: Classes) -> str:
    return f"{int(classes.labels[0]):,} to {int(classes.labels[-1]):,}"


def _class_table(classes: Classes) -> Markup:
    splits = classes.splits[:_SHOWN_SPLITS]
    shown = min(len(classes.labels), _MOST_CLASSES)
    rows = []
    for i in range(shown):
        label = int(classes.labels[i])
        name = classes.names[label] if label < len(classes.names) else ""
        rows.append([f"{label}", name, f"{classes.counts[i]:,}", *(f"{split.counts[i]:,}" for split in splits)])
    headings = ["#label", "class", "#videos", *(f"#{split.title}" for split in splits)]
    return details(
        f"Numbers of all classes{_cut(shown, len(classes.labels))}", table(headings, rows, caption="Videos per class")
    )


def lengths_section(statistics: Statistics) -> Markup:
    """The numbers of frames."""
    frames = statistics.frames
    if not frames.total:
        return tag("p", "No video tells its number of frames.")
    low, high = frames.range()
    title = f"Histogram of the lengths of videos: {low:,} to {high:,} frames, median {frames.quantile(0.5):,}"
    quantiles = [[f"{100 * share:.0f} %", f"{frames.quantile(share):,}"] for share in _SHARES]
    rows = [["shortest", f"{low:,}"], *quantiles, ["longest", f"{high:,}"], ["all together", f"{frames.sum:,}"]]
    chart, numbers = _histogram("Lengths of videos in frames", title, frames, "videos")
    quantile_table = tag("div", table(["share of videos up to", "#frames"], rows, caption="Lengths"))
    return joined([tag("div", chart, quantile_table, class_="charts"), numbers])


def persons_section(statistics: Statistics) -> Markup:
    """How many persons a frame and a video have."""
    if not statistics.persons.total:
        return tag("p", "There are no frames with skeletons.")
    per_frame = "Skeletons in each frame with one" if statistics.forms["compressed"] else "Persons in each frame"
    charts, numbers = [], []
    for heading, integers, unit in (
        (per_frame, statistics.persons, "frames"),
        ("Largest number of persons in a frame of each video", statistics.most_persons, "videos"),
    ):
        entries = _up_to(integers)
        title = f"{heading}: median {integers.quantile(0.5):,}, at most {integers.range()[1]:,}"
        charts.append(figure(heading, bars(title, _with_shares(entries), top=integers.total)))
        numbers.append(_numbers(heading, "persons", unit, entries))
    return joined([tag("div", *charts, class_="charts"), *numbers])


def _with_shares(entries: list[Bar]) -> list[Bar]:
    total = sum(entry.value for entry in entries)
    return [Bar(entry.label, entry.value, percent(entry.value, total)) for entry in entries]


def _up_to(integers: Integers) -> list[Bar]:
    """One bar for each number of persons, and one for all that are larger."""
    last = min(integers.range()[1], _MOST_PERSONS)
    entries = [Bar(str(i), integers.counts[i]) for i in range(min(integers.range()[0], last), last + 1)]
    more = sum(count for value, count in integers.counts.items() if value > last)
    return [*entries, Bar(f"{last + 1} or more", more)] if more else entries


def tracks_section(statistics: Statistics) -> Markup:
    """Persons who are missing for some frames, and persons who change rows."""
    if not statistics.tracks:
        return tag("p", "There are no rows of persons: gaps and swaps are not known for detections.")
    rows = [
        ["rows of persons", f"{statistics.tracks:,}"],
        ["rows with gaps", f"{statistics.gap_tracks:,} ({percent(statistics.gap_tracks, statistics.tracks)})"],
        ["videos with gaps", f"{statistics.gap_videos:,} ({percent(statistics.gap_videos, statistics.videos)})"],
        ["gaps", f"{statistics.gaps.total:,}"],
        ["frames in gaps", f"{statistics.gaps.sum:,}"],
        ["videos in which persons change rows", _of_checked(statistics.swap_videos, statistics)],
        ["changes of rows", _of_checked(statistics.swaps, statistics)],
    ]
    summary = tag("div", table(["", "#"], rows, caption="Rows of persons"))
    gaps = statistics.gaps
    if not gaps.total:
        return summary
    title = f"Histogram of the lengths of gaps: median {gaps.quantile(0.5):,}, longest {gaps.range()[1]:,} frames"
    chart, numbers = _histogram("Lengths of gaps in frames", title, gaps, "gaps")
    return joined([tag("div", chart, summary, class_="charts"), numbers])


def _of_checked(count: int, statistics: Statistics) -> str:
    """A number of swaps; they are looked for in annotations with rows of persons, not in raw NTU RGB+D."""
    if not statistics.swap_checked:
        return "not checked"
    unchecked = statistics.forms["raw"]
    return f"{count:,} ({counted(unchecked, 'video')} not checked)" if unchecked else f"{count:,}"


def images_section(statistics: Statistics) -> Markup:
    """The sizes of the images that the coordinates belong to."""
    sizes = statistics.sizes.ordered()
    known = [(size, count) for size, count in sizes if size is not None]
    if not known:
        return tag("p", "No video tells the size of its image (img_shape).")
    entries = [Bar(f"{width} x {height}", count) for (height, width), count in known[:_SHOWN_SIZES]]
    rest = sum(count for _, count in known[_SHOWN_SIZES:]) + statistics.sizes.others
    if rest:
        entries.append(Bar("other sizes", rest))
    if without := statistics.sizes.counts[None]:
        entries.append(Bar("not known", without))
    wide, high = (width for (_, width), _ in known), (height for (height, _), _ in known)
    title = f"Videos of each image size, width x height; the widest {max(wide):,}, the highest {max(high):,} pixels"
    rows = [[entry.label, f"{entry.value:,}", percent(entry.value, statistics.videos)] for entry in entries]
    return joined(
        [
            tag(
                "div",
                figure("Image sizes, width x height", bars(title, entries, top=statistics.videos)),
                class_="charts",
            ),
            details(
                "Numbers: image sizes", table(["width x height", "#videos", "#share"], rows, caption="Image sizes")
            ),
        ]
    )


def _histogram(heading: str, title: str, frames: Integers, unit: str) -> tuple[Markup, Markup]:
    """A histogram of numbers of frames, and its numbers."""
    bins = binned(frames)
    axis = "frames" if bins[0].label == bins[0].tick else "frames, from"
    return figure(heading, columns(title, bins, axis)), _numbers(heading, "frames", unit, bins)


def _numbers(what: str, unit: str, axis: str, entries: list[Bar]) -> Markup:
    """The values of a chart as a table."""
    rows = [[entry.label, f"{entry.value:,}"] for entry in entries]
    return details(f"Numbers: {what[0].lower()}{what[1:]}", table([axis, f"#{unit}"], rows, caption=what))


def binned(integers: Integers, most: int = _BINS) -> list[Bar]:
    """A histogram with at most ``most`` bins of a round width; the last has what is far beyond the others."""
    low, high = integers.range()
    end = integers.quantile(0.99)
    top = high if high <= 1.5 * end + 1 else end
    raw = max((top + 1 - low) / (most - 1), 1)
    power = 10 ** (len(str(int(raw))) - 1)
    width = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = low // width
    counts = [0] * (top // width - first + 1)
    beyond = 0
    for value, count in integers.counts.items():
        if value // width - first < len(counts):
            counts[value // width - first] += count
        else:
            beyond += count
    entries = [
        Bar(_bin_label((first + i) * width, width), count, tick=f"{(first + i) * width:,}")
        for i, count in enumerate(counts)
    ]
    end = (first + len(counts)) * width
    return [*entries, Bar(f"{end:,} or more", beyond, tick=f"{end:,}+")] if beyond else entries


def _bin_label(start: int, width: int) -> str:
    return f"{start:,}" if width == 1 else f"{start:,} to {start + width - 1:,}"


def _cut(shown: int, count: int) -> str:
    return "" if shown == count else f" (the first {shown:,} of {count:,})"
