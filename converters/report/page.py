"""The page of a report: one HTML document without scripts and without references to anything outside of it."""

from __future__ import annotations

from collections.abc import Iterator

from converters.checks.problems import Example, Kind, Tally
from converters.report.charts import number, percent
from converters.report.classes import Classes, classes_of
from converters.report.gathering import Gathered
from converters.report.joints import joints_section, motion_section
from converters.report.markup import Markup, joined, table, tag
from converters.report.notices import Notice, notices
from converters.report.origin import Origin
from converters.report.outliers import outliers_section
from converters.report.sections import (
    classes_section,
    images_section,
    lengths_section,
    persons_section,
    tracks_section,
)
from converters.report.style import STYLE
from skelstore.wording import counted

__all__ = ["page"]

_SCALES = ((1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))


def page(gathered: Gathered, origin: Origin) -> str:
    """The report as an HTML document; the same for the same data."""
    classes = classes_of(gathered, gathered.videos.class_names or origin.class_names)
    statistics = gathered.statistics
    sections = [
        ("attention", "What needs attention", _attention(notices(gathered, origin, classes))),
        ("classes", "Classes and splits", classes_section(classes, len(gathered.videos))),
        ("lengths", "Lengths", lengths_section(statistics)),
        ("persons", "Persons", persons_section(statistics)),
        ("joints", "Joints and scores", joints_section(statistics, origin, classes)),
        ("motion", "Speeds", motion_section(statistics, origin)),
        ("tracks", "Gaps and swaps", tracks_section(statistics)),
        ("images", "Image sizes", images_section(statistics)),
        ("outliers", "Outliers", outliers_section(gathered, origin, classes)),
        ("findings", "Problems and remedies", _findings(gathered)),
        ("origin", "Origin and size", _origin(gathered, origin)),
        ("method", "How this was counted", _method()),
    ]
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", origin.title),
            tag("p", f"Report on a {origin.kind} of {counted(len(gathered.videos), 'video')}", class_="lead"),
            _tiles(gathered, origin, classes),
            tag("nav", joined(tag("a", title, href=f"#{name}") for name, title, _ in sections), aria_label="Sections"),
        ),
        tag("main", joined(tag("section", tag("h2", title), content, id=name) for name, title, content in sections)),
        tag("footer", tag("p", dict(origin.facts).get("Report made by", ""))),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{origin.title}: report"),
        tag("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _tiles(gathered: Gathered, origin: Origin, classes: Classes) -> Markup:
    return tag(
        "dl",
        joined(tag("div", tag("dt", what), tag("dd", *value)) for what, *value in _facts(gathered, origin, classes)),
        class_="tiles",
    )


def _facts(gathered: Gathered, origin: Origin, classes: Classes) -> Iterator[tuple[object, ...]]:
    statistics = gathered.statistics
    yield "Videos", f"{len(gathered.videos):,}", tag("small", _forms(gathered))
    if statistics.frames.total:
        yield (
            "Frames",
            number(statistics.frames.sum),
            tag("small", f"median {statistics.frames.quantile(0.5):,} per video"),
        )
    if len(classes.counts):
        yield (
            "Classes",
            f"{len(classes.counts):,}",
            tag("small", counted(len(classes.splits) + classes.more_splits, "split")),
        )
    if statistics.persons.total:
        low, high = statistics.most_persons.range()
        yield "Persons", f"{low:,} to {high:,}" if low < high else f"{high:,}", tag("small", "at most in a frame")
    if statistics.joints:
        shapes = sorted(statistics.joints, key=lambda shape: -statistics.joints[shape].videos)
        text = ", ".join(f"{joints} in {axes}D" for joints, axes in shapes[:2]) + " …" * (len(shapes) > 2)
        yield "Joints", text, tag("small", origin.layout_text.partition(" (")[0])
    if origin.bytes is not None:
        yield "Size", size_text(origin.bytes), tag("small", "on disk" if origin.kind == "store" else "of the source")


def _forms(gathered: Gathered) -> str:
    names = {"dense": "rows of persons", "compressed": "detections", "raw": "raw NTU RGB+D", "none": "no skeletons"}
    forms = gathered.statistics.forms
    if len(forms) == 1:
        return names[next(iter(forms))]
    return ", ".join(f"{forms[form]:,} {name}" for form, name in names.items() if forms[form])


def size_text(count: int) -> str:
    """A number of bytes as text: ``1.2 GB``."""
    for scale, unit in _SCALES:
        if count >= scale:
            return f"{number(count / scale)} {unit}"
    return counted(count, "byte")


def _attention(found: list[Notice]) -> Markup:
    if not found:
        return tag("p", "Nothing stands out: no problem was found.", class_="good")
    order = ("error", "warning", "note")
    rows = sorted(found, key=lambda notice: order.index(notice.severity))
    return tag(
        "ul",
        joined(
            tag(
                "li",
                tag("span", notice.severity, class_="badge"),
                tag("a", notice.text[:1].upper() + notice.text[1:], href=f"#{notice.section}"),
                class_=notice.severity,
            )
            for notice in rows
        ),
        class_="notices",
    )


def _findings(gathered: Gathered) -> Markup:
    report = gathered.problems
    summary = (
        f"{counted(report.errors, 'error')} and {counted(report.warnings, 'warning')}, as skelstore check finds them."
    )
    if gathered.videos.raw:
        summary += " Checks of skeletons do not apply to raw NTU RGB+D: check what skelstore derive makes of it."
    return joined([tag("p", summary), *(_finding(*entry) for entry in report.ordered())])


def _finding(kind: str, about: Kind, tally: Tally) -> Markup:
    examples = joined(tag("li", *_example(example)) for example in tally.examples)
    more = tag("li", "…") if tally.count > len(tally.examples) else None
    return tag(
        "div",
        tag("h3", tag("span", about.severity, class_="badge"), f"{about.title[:1].upper()}{about.title[1:]}"),
        tag("p", counted(tally.count, "case"), ", ", tag("code", kind), class_="quiet"),
        tag("p", "Remedy: ", _with_code(about.remedy)),
        tag("ul", examples, more),
        id=f"finding-{kind}",
        class_=f"finding {about.severity}",
    )


def _with_code(text: str) -> Markup:
    """Text of ours, in which commands are between backticks."""
    parts = text.split("`")
    return joined(tag("code", part) if i % 2 else tag("span", part) for i, part in enumerate(parts))


def _example(example: Example) -> Iterator[object]:
    if example.name is not None:
        yield tag("strong", example.name)
        yield " "
    if example.place:
        yield f"({example.place}) "
    yield example.found


def _origin(gathered: Gathered, origin: Origin) -> Markup:
    fields = gathered.statistics.fields
    stored = origin.disk
    rows = []
    for name, videos in fields.videos.items():
        on_disk = stored.get(name)
        rows.append(
            [
                name,
                ", ".join(str(dtype) for dtype, _ in fields.dtypes[name].ordered()),
                f"{videos:,}",
                f"{fields.bytes[name]:,}",
                "" if on_disk is None else f"{on_disk:,}",
                "" if on_disk is None or not fields.bytes[name] else percent(on_disk, fields.bytes[name]),
            ]
        )
    rest = {name: size for name, size in stored.items() if name not in fields.videos}
    rows += [[name, "", "", "", f"{size:,}", ""] for name, size in sorted(rest.items())]
    rows.append(["all", "", "", f"{fields.bytes.total():,}", f"{sum(stored.values()):,}" if stored else "", ""])
    headings = ["array or file", "dtype", "#videos", "#bytes of values", "#bytes on disk", "#ratio"]
    left = gathered.videos.left_out
    return joined(
        [
            table(["", ""], [[what, text] for what, text in origin.facts], caption="Origin"),
            tag("p", f"{counted(len(left), 'video')} of the source {'was' if len(left) == 1 else 'were'} left out.")
            if left
            else "",
            table(headings, rows, caption="Bytes of each array"),
            tag("p", f"{fields.others:,} arrays with further keys are not listed.") if fields.others else "",
        ]
    )


def _method() -> Markup:
    return joined(
        tag("p", text)
        for text in (
            "A joint of an image is missing if it is at (0, 0), not finite, or has a score of 0; in 3D, if it is not "
            "finite, has a score of 0, or if its whole skeleton is at the origin. Shares are of the skeletons that "
            "have at least one joint.",
            "A speed is the distance of a joint between two frames in a row of a person in which it was found. Speeds "
            "are counted in steps of an eighth or less, scores in steps of 0.02; quantiles are interpolated within a "
            "step. Lengths from 4,096 frames on are rounded down to 12 significant bits.",
            "A gap is a run of frames in which a row has no skeleton, between two that have one. Persons have changed "
            "rows if two or more are four times nearer to another row than to their own, from one frame to the next, "
            "and moved by more than a tenth of their extent.",
            "For detections, persons are counted in the frames that have one.",
        )
    )
