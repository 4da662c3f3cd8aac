"""The page of ``skelstore view`` in a real browser: what it shows is what the stores hold."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pytest

import skelstore
from converters import view
from converters.selection import where, with_names
from tests.support.browser import browser, serving, visiting
from tests.support.contracts import write

PAGE = Path(view.__file__).parent / "page"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "javascript:alert(1)",
    "a&amp;b#video=c%20d",
    "\u202eemit\u202c",
    "line\nbreak",
    "__proto__",
    "n" * 400,
]
"""Names that a page could take for markup, for an address or for a property."""

MARKUP = "<img src=x onerror=alert(1)><b>\x00\n\u202e'\"&amp;</b>"
CLASSES = ["drink water", "<b>bold</b>", "wave & <i>go</i>", "fall"]
LONG = 2_300
VISITS = itertools.count()
VIDEOS = 90


class Site(NamedTuple):
    """A server and the stores behind it, in the order of the page."""

    address: str
    flat: skelstore.Store
    deep: skelstore.Store
    packed: skelstore.Store


def flat_annotations() -> list[dict[str, Any]]:
    """Videos in 2D: hostile names, one or two persons, absent joints, and one that is sent in two runs of frames."""
    annotations = []
    for number in range(VIDEOS):
        noise = np.random.default_rng(number)
        persons, frames = 1 + number % 2, LONG if number == 20 else 5 + number % 40
        start = noise.uniform(100, 900, (persons, 1, 17, 2))
        keypoint = start + np.cumsum(noise.normal(0, 3, (persons, frames, 17, 2)), axis=1)
        score = noise.random((persons, frames, 17)).astype(np.float32)
        score[:, :, 3] = 0
        annotations.append(
            {
                "frame_dir": HOSTILE[number] if number < len(HOSTILE) else f"S{number % 9:03}_{number:03}",
                "label": number % 4,
                "img_shape": (1080, 1920),
                "total_frames": frames,
                "keypoint": keypoint.astype(np.float32),
                "keypoint_score": score,
                "note": "<u>text</u>",
            }
        )
    annotations[30]["keypoint"][0, 2, :5] = np.nan
    annotations[30]["keypoint"][0, 2, 5, 0] = np.inf
    return annotations


def deep_annotations() -> list[dict[str, Any]]:
    """Videos in 3D, two of whose names are also in the store in 2D."""
    annotations = []
    for number in range(12):
        noise = np.random.default_rng(1_000 + number)
        shape = (1 + number % 2, 10 + number, 25, 3)
        name = f"S{number % 9:03}_{number:03}"
        keypoint = noise.normal(0, 0.5, shape).astype(np.float32) + np.float32(1e-3)
        annotations.append({"frame_dir": name, "label": number % 3, "total_frames": shape[1], "keypoint": keypoint})
    return annotations


def packed_annotations() -> list[dict[str, Any]]:
    """Compressed annotations: detections with the numbers of their frames."""
    annotations = []
    for number in range(6):
        noise = np.random.default_rng(2_000 + number)
        frames = np.sort(noise.integers(0, 12, 30)).astype(np.int16)
        keypoint = noise.uniform(1, 300, (30, 17, 3)).astype(np.float16)
        keypoint[..., 2] = noise.uniform(0.1, 1, (30, 17))
        annotations.append(
            {
                "frame_dir": f"kinetics{number}",
                "label": number,
                "img_shape": (320, 426),
                "original_shape": (320, 426),
                "total_frames": 12,
                "frame_inds": frames,
                "box_score": noise.uniform(0.5, 1, 30).astype(np.float16),
                "keypoint": keypoint,
            }
        )
    return annotations


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("view")
    names = [annotation["frame_dir"] for annotation in flat_annotations()]
    splits = {"train": names[:60], "<s>val</s>": names[60:]}
    source = {"dialect": "writer", "class_names": CLASSES}
    paths = [
        write(folder / "flat.zarr", flat_annotations(), splits, source=source),
        write(folder / "deep.zarr", deep_annotations()),
        write(folder / "packed.zarr", packed_annotations()),
    ]
    videos = folder / "videos"
    videos.mkdir()
    if shutil.which("ffmpeg"):
        make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=192x108:rate=10:duration=3", "-pix_fmt"]
        subprocess.run([*make, "yuv420p", str(videos / "S003_012.mp4")], check=True, timeout=60)
    others = [write_hostile(folder), write(folder / "damaged.zarr", deep_annotations()[:4], {"train": ["S000_000"]})]
    table = others[1] / "splits.arrow"
    table.write_bytes(table.read_bytes()[:-9] + b"\xff" * 9)
    with ExitStack() as stack:
        stores = [stack.enter_context(skelstore.open(path)) for path in paths]
        yield Site(stack.enter_context(serving(*paths, *others, "--videos", videos)), *stores)


def write_hostile(folder: Path) -> Path:
    """A store all of whose texts are markup: its file, names, labels, classes, splits, and keys; the splits are odd."""
    annotations = [
        {
            "frame_dir": f"{MARKUP}{number}",
            "label": [0, f"{MARKUP} label", "length", [1, MARKUP]][number],
            "total_frames": 3,
            MARKUP: MARKUP,
            "keypoint": np.ones((1, 3, 17, 2), np.float32),
        }
        for number in range(4)
    ]
    splits = {f"{MARKUP} split": [f"{MARKUP}0"], "__proto__": [f"{MARKUP}1"], "lone \ud800": [f"{MARKUP}2"]}
    source = {"dialect": "writer", "class_names": [f"{MARKUP} class", "b"]}
    return write(folder / f"{MARKUP.replace('/', '').replace(chr(0), '')}.zarr", annotations, splits, source=source)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as made:
        yield made


@pytest.fixture
def page(chromium: Any, site: Site) -> Iterator[Any]:
    with visiting(chromium, site.address, reduced_motion="reduce") as made:
        yield made


def open_page(page: Any, fragment: str = "") -> None:
    """Open the page at a fragment, from nothing; by way of about:blank, the browser would start a process each time."""
    page.goto(f"/?{next(VISITS)}{fragment and '#'}{fragment}")
    page.locator("#filters .field").wait_for(state="attached")
    if not re.search(r"\b(video|row)=", fragment):
        page.locator("#grid:not([aria-busy])").wait_for()


def expect_count(page: Any, videos: int, of: int = VIDEOS) -> None:
    text = f"{videos} video" if videos == of else f"{videos} of {of} video"
    page.wait_for_function("(text) => document.getElementById('count').textContent.startsWith(text)", arg=text)


def first_names(page: Any, count: int) -> list[str]:
    """The names of the first cells, in the order of the selection."""
    page.wait_for_function(
        "(count) => document.querySelectorAll('.item:not([hidden]):not(.waiting)').length >= count", arg=count
    )
    script = """(cells) => cells.filter((cell) => !cell.hidden)
        .sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)
        .map((cell) => cell.querySelector(".cell-name").textContent)"""
    names: list[str] = page.locator(".item").evaluate_all(script)
    return names[:count]


def wait_frame(page: Any, frame: int, pane: int = 0) -> None:
    page.wait_for_function(
        "([pane, frame]) => document.querySelectorAll('.picture')[pane]?.dataset.frame === String(frame)",
        arg=[pane, frame],
    )


def open_video(page: Any, fragment: str, frame: int = 0) -> None:
    open_page(page, f"{fragment}&frame={frame}")
    wait_frame(page, frame)


def picture(page: Any, pane: int = 0) -> str:
    """What is drawn, to be compared."""
    drawn: str = page.locator(".picture").nth(pane).evaluate("(canvas) => canvas.toDataURL()")
    return drawn


def read_table(page: Any, frame: int, pane: int = 0) -> list[list[list[float]]]:
    """The numbers of the table per person who is there, joint and column."""
    box = page.locator(".table-box").nth(pane)
    if not box.evaluate("(box) => box.open"):
        box.locator("summary").click()
    page.wait_for_function(
        "([pane, text]) => document.querySelectorAll('.joints caption')[pane]?.textContent === text",
        arg=[pane, f"Joints of frame {frame}"],
    )
    script = """(table) => [...table.tBodies].filter((body) => !body.hidden).map(
        (body) => [...body.rows].slice(1).map((row) => [...row.querySelectorAll("td")].map((one) => one.innerText)))"""
    rows = page.locator(".joints").nth(pane).evaluate(script)
    return [[[float(cell) for cell in row] for row in person] for person in rows]


def check_table(page: Any, frame: int, expected: list[np.ndarray[Any, Any]], pane: int = 0) -> None:
    """Check the table against an array [V, columns] per person, as float32, exactly."""
    found = [np.array(person).astype(np.float32) for person in read_table(page, frame, pane)]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other.astype(np.float32))


def dense_rows(annotation: dict[str, Any], frame: int) -> list[np.ndarray[Any, Any]]:
    """Per person of a dense annotation: the coordinates and the score of each joint."""
    persons = annotation["keypoint"][:, frame].astype(np.float32)
    if "keypoint_score" not in annotation:
        return list(persons)
    scores = annotation["keypoint_score"][:, frame].astype(np.float32)
    return list(np.concatenate([persons, scores[..., None]], axis=-1))


# --- what the files of the page may not contain ------------------------------------------------------------------


def test_nothing_of_a_store_can_become_markup_or_code() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextualFragment"
        r"|DOMParser|srcdoc|setHTML|set(?:Timeout|Interval)\(\s*[\"'`]"
    )
    files = sorted(PAGE.iterdir())
    assert {file.suffix for file in files} == {".html", ".css", ".js", ".svg"}
    for file in files:
        text = file.read_text()
        assert not forbidden.search(text), file.name
        addresses = set(re.findall(r"https?://[^\s\"'`]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file.name
        if file.suffix == ".html":
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), file.name


# --- the grid ----------------------------------------------------------------------------------------------------


def test_filters_select_what_the_store_has(page: Any, site: Site) -> None:
    annotations = list(site.flat)
    open_page(page)
    expect_count(page, VIDEOS)
    page.get_by_role("button", name="train 60").click()
    expect_count(page, 60)
    page.get_by_label("<b>bold</b>").check()
    page.get_by_label("fall").check()
    train = annotations[:60]
    expect_count(page, sum(one["label"] in (1, 3) for one in train))
    page.get_by_label("Name", exact=True).fill("s00")
    named = [one for one in train if one["label"] in (1, 3) and "s00" in one["frame_dir"].lower()]
    expect_count(page, len(named))
    assert first_names(page, 4) == [one["frame_dir"] for one in named][:4]
    page.get_by_role("button", name="Clear all").click()
    expect_count(page, VIDEOS)
    page.get_by_label("Least frames").fill("20")
    page.get_by_label("Most frames").fill("30")
    expect_count(page, sum(20 <= one["total_frames"] <= 30 for one in annotations))
    page.get_by_label("Least persons").fill("2")
    expect_count(page, sum(20 <= one["total_frames"] <= 30 and len(one["keypoint"]) == 2 for one in annotations))


def test_an_expression_filters_and_a_wrong_one_is_explained(page: Any, site: Site) -> None:
    open_page(page)
    expression = page.get_by_label("Expression", exact=True)
    expression.fill("label == 2 and total_frames > 12")
    expect_count(page, len(where(site.flat, "label == 2 and total_frames > 12")))
    page.expected.append("400")
    expression.fill("lable == 2")
    page.locator(".error:visible").wait_for()
    assert "lable" in page.locator(".error").inner_text()
    assert expression.get_attribute("aria-invalid") == "true"
    expression.fill("label == 3")
    expect_count(page, len(where(site.flat, "label == 3")))
    assert page.locator(".error:visible").count() == 0


def test_videos_are_sorted(page: Any, site: Site) -> None:
    open_page(page, "sort=frames&desc=1")
    frames = sorted((one["total_frames"] for one in site.flat), reverse=True)[:4]
    first_names(page, 4)
    facts = page.locator(".item").evaluate_all(
        "(cells) => cells.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((cell) => cell.innerText)"
    )
    assert [int(re.findall(r"([\d,]+) frames", text)[0].replace(",", "")) for text in facts[:4]] == frames
    page.get_by_label("Sort by").select_option("name")
    page.get_by_role("button", name="Descending").click()
    expected = sorted(one["frame_dir"] for one in site.flat if one["frame_dir"].startswith("S"))
    page.get_by_label("Name", exact=True).fill("S0")
    expect_count(page, len(expected))
    assert first_names(page, 4) == expected[:4]


def test_headings_stand_before_each_class_and_set_of_splits(page: Any, site: Site) -> None:
    """Each cell is below the heading of its group; the keys move in columns across headings."""
    script = """() => {
        const shown = (all) => [...document.querySelectorAll(all)].filter((one) => !one.hidden);
        const top = (one) => one.getBoundingClientRect().top;
        const headings = shown(".heading:not(.now)").map((one) => [top(one), one.querySelector("bdi").textContent]);
        headings.sort((a, b) => a[0] - b[0]);
        return shown(".item:not(.waiting)").map((one) => [
            one.ariaPosInSet - 1, headings.findLast(([height]) => height < top(one))?.[1],
            one.getBoundingClientRect().left, top(one)]);
    }"""
    order = sorted(range(VIDEOS), key=lambda row: site.flat[row]["label"])
    for sort in ("label", "split"):
        open_page(page, f"sort={sort}")
        first_names(page, 4)
        page.locator(".cell").first.focus()
        seen = set()
        for _ in range(40):
            focused = int(page.evaluate("document.activeElement.closest('.item').ariaPosInSet")) - 1
            page.wait_for_function("() => !document.querySelector('.item.waiting:not([hidden])')")
            places = {index: place for index, *place in page.evaluate(script)}
            for index, (title, *_) in places.items():
                if title is not None:  # its heading is in view
                    expected = ["train", "<s>val</s>"][index >= 60]
                    assert title == (CLASSES[site.flat[order[index]]["label"]] if sort == "label" else expected)
                    seen.add(title)
            page.keyboard.press("ArrowDown")
            moved = int(page.evaluate("document.activeElement.closest('.item').ariaPosInSet")) - 1
            if moved == focused:
                break
            if moved in places:
                assert places[moved][1] <= places[focused][1]  # the same column, or the last of a shorter row
                assert places[moved][2] > places[focused][2]
        assert moved // 4 == (VIDEOS - 1) // 4 or moved > VIDEOS - 5
        assert seen == (set(CLASSES) if sort == "label" else {"train", "<s>val</s>"})
        page.keyboard.press("Home")
        page.wait_for_function("() => document.activeElement.closest('.item').ariaPosInSet === '1'")


def test_findings_of_check_are_a_filter(page: Any) -> None:
    open_page(page)
    page.get_by_role("button", name="Check this store").click()
    kind = page.locator(".kind").first
    kind.wait_for()
    page.wait_for_function("() => document.querySelector('.findings progress').hidden")
    videos = int(kind.locator(".number").inner_text().replace(",", ""))
    assert kind.locator(".hint").inner_text()
    kind.click()
    expect_count(page, videos)
    page.get_by_role("button", name="Remove the filter").click()
    expect_count(page, VIDEOS)


def test_only_cells_in_view_exist_and_the_last_video_is_reached(page: Any, site: Site) -> None:
    open_page(page)
    first_names(page, 4)
    assert page.locator(".item").count() < VIDEOS
    page.locator(".cell").first.focus()
    page.keyboard.press("End")
    page.wait_for_function("(name) => document.activeElement.innerText.includes(name)", arg=site.flat.name(VIDEOS - 1))
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("(name) => document.activeElement.innerText.includes(name)", arg=site.flat.name(VIDEOS - 2))
    assert page.locator(".item").count() < VIDEOS
    page.keyboard.press("Enter")
    wait_frame(page, 0)
    assert page.locator(".video-name").inner_text() == site.flat.name(VIDEOS - 2)


def test_thumbnails_move_unless_motion_is_reduced(chromium: Any, site: Site) -> None:
    script = "() => document.querySelector('.item:nth-child(2) canvas').toDataURL()"
    for motion in ("no-preference", "reduce"):
        with visiting(chromium, site.address, reduced_motion=motion) as page:
            open_page(page)
            empty = "(first) => document.querySelector('.item:nth-child(2) canvas').toDataURL() !== first"
            page.wait_for_function("() => document.querySelectorAll('.item:not(.waiting)').length > 3")
            page.wait_for_timeout(400)
            drawn = page.evaluate(script)
            if motion == "reduce":
                page.wait_for_timeout(500)
                assert page.evaluate(script) == drawn
            else:
                page.wait_for_function(empty, arg=drawn)
                page.get_by_role("button", name="Pause the thumbnails").click()
                page.wait_for_timeout(100)
                drawn = page.evaluate(script)
                page.wait_for_timeout(400)
                assert page.evaluate(script) == drawn


# --- permalinks and keys -----------------------------------------------------------------------------------------


def test_a_permalink_restores_what_was_shown_and_back_goes_back(page: Any, site: Site) -> None:
    open_page(page)
    page.get_by_role("button", name="train 60").click()
    expect_count(page, 60)
    name = str(site.flat.name(10))
    page.locator(".cell", has_text=name).click()
    wait_frame(page, 0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    wait_frame(page, 2)
    page.wait_for_function("() => location.hash.includes('frame=2')")
    link = page.url
    page.go_back()
    expect_count(page, 60)
    assert page.locator("#player").is_hidden()
    page.go_back()
    expect_count(page, VIDEOS)
    page.go_forward()
    expect_count(page, 60)
    page.go_forward()
    page.locator("#player").wait_for()
    page.goto("about:blank")
    page.goto(link)
    wait_frame(page, 2)
    assert page.locator(".video-name").inner_text() == name
    page.keyboard.press("Escape")
    expect_count(page, 60)


def test_the_next_video_of_a_link_is_that_of_its_filters(page: Any, site: Site) -> None:
    names = [str(site.flat.name(row)) for row in range(VIDEOS) if site.flat[row]["label"] == 1]
    names.sort(reverse=True)
    there = [name for name in names if name.startswith("S")]
    shown = "(name) => document.querySelector('.video-name').textContent === name"
    open_video(page, f"label=1&sort=name&desc=1&name=S0&video={there[3]}")
    expect_count(page, len(there))
    for key, name in (("j", there[4]), ("j", there[5]), ("k", there[4])):
        page.keyboard.press(key)
        page.wait_for_function(shown, arg=name)
    open_video(page, f"label=1&sort=name&desc=1&name=S0&video={site.flat.name(8)}")  # the filters leave it out
    expect_count(page, len(there))
    page.keyboard.press("j")
    page.wait_for_function(shown, arg=there[0])


def test_keys_of_the_player(page: Any, site: Site) -> None:
    open_page(page)
    page.locator(".cell", has_text=str(site.flat.name(9))).click()
    wait_frame(page, 0)
    frames = site.flat[9]["total_frames"]
    for key, frame in [("End", frames - 1), ("ArrowLeft", frames - 2), ("Home", 0), ("Shift+ArrowRight", 10)]:
        page.keyboard.press(key)
        wait_frame(page, frame)
    speed = page.get_by_label("Speed")
    page.keyboard.press(",")
    assert speed.input_value() == "0.5"
    page.keyboard.press(".")
    page.keyboard.press(".")
    assert speed.input_value() == "2"
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause (space)").wait_for()
    page.wait_for_function("() => document.querySelector('.picture').dataset.frame !== '10'")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Play (space)").wait_for()
    page.keyboard.press("m")
    assert page.get_by_role("button", name="Mark (m)").get_attribute("aria-pressed") == "true"
    page.keyboard.press("j")
    page.wait_for_function(
        "(name) => document.querySelector('.video-name').textContent === name", arg=site.flat.name(10)
    )
    page.keyboard.press("k")
    page.wait_for_function(
        "(name) => document.querySelector('.video-name').textContent === name", arg=site.flat.name(9)
    )
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keyboard").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#player").is_visible()
    page.keyboard.press("Escape")
    page.locator("#browse").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("_01")
    expect_count(page, sum("_01" in str(site.flat.name(i)) for i in range(VIDEOS)))


# --- values ------------------------------------------------------------------------------------------------------


def test_the_table_holds_the_values_of_the_store(page: Any, site: Site) -> None:
    random = np.random.default_rng(5)
    for number, store in enumerate((site.flat, site.deep)):
        for row in random.choice(np.arange(8, len(store)), 2, replace=False):
            annotation = store[int(row)]
            frame = int(random.integers(annotation["total_frames"]))
            open_video(page, f"s={number}&video={annotation['frame_dir']}", frame)
            check_table(page, frame, dense_rows(annotation, frame))


def test_the_table_shows_values_that_are_not_finite(page: Any, site: Site) -> None:
    open_video(page, f"video={site.flat.name(30)}", 2)
    check_table(page, 2, dense_rows(site.flat[30], 2))


def test_the_views_of_a_compressed_store(page: Any, site: Site) -> None:
    """As stored: the detections of the frame in their order. For training: as ``Store.decompressed`` returns it."""
    row, frame = 3, 5
    annotation = site.packed[row]
    detections = annotation["keypoint"][annotation["frame_inds"] == frame]
    assert len(detections)
    open_video(page, f"s=2&video={site.packed.name(row)}", frame)
    check_table(page, frame, list(detections))
    page.keyboard.press("v")
    page.wait_for_function("() => document.querySelector('.view-choice').value === 'training'")
    page.locator(".pane:not([aria-busy])").wait_for()
    dense = site.packed.decompressed()[row]
    expected = [person for person in dense_rows(dense, frame) if person.any()]
    found = [person for person in read_table(page, frame) if np.any(person)]
    np.testing.assert_array_equal(np.array(found, np.float32), np.array(expected, np.float32))


def test_a_long_video_is_read_in_runs(page: Any, site: Site) -> None:
    frame = LONG - 2
    open_video(page, f"video={site.flat.name(20)}", frame)
    check_table(page, frame, dense_rows(site.flat[20], frame))
    page.keyboard.press("Home")
    wait_frame(page, 0)
    check_table(page, 0, dense_rows(site.flat[20], 0))


def test_the_table_follows_the_frame_and_the_curve_the_joint(page: Any, site: Site) -> None:
    open_video(page, f"video={site.flat.name(11)}", 1)
    check_table(page, 1, dense_rows(site.flat[11], 1))
    page.get_by_label("Frame", exact=True).fill("4")
    check_table(page, 4, dense_rows(site.flat[11], 4))
    page.get_by_label("Joint", exact=True).select_option("9")
    page.wait_for_function("() => location.hash.includes('joint=9')")
    curve = page.get_by_role("img", name="score of joint 9 left wrist")
    lowest = site.flat[11]["keypoint_score"][0, :, 9].argmin()
    assert f"at frame {lowest}," in curve.get_attribute("aria-label")


def test_a_joint_is_chosen_by_a_click_where_the_rule_draws_it(page: Any, site: Site) -> None:
    """Joint (x, y) is at (x s, y s) of the picture of the image."""
    row = 12
    annotation = site.flat[row]
    open_video(page, f"video={annotation['frame_dir']}")
    box = page.locator(".picture").bounding_box()
    scale = min((box["width"] - 28) / 1920, (box["height"] - 28) / 1080)
    left, top = (box["width"] - 1920 * scale) / 2, (box["height"] - 1080 * scale) / 2
    points = annotation["keypoint"][0, 0].astype(float) * scale + (left, top)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.eye(17) * 1e9
    joint = int(apart.min(axis=1).argmax())  # the one that is farthest from all others
    page.mouse.click(box["x"] + points[joint, 0] + 3, box["y"] + points[joint, 1])
    page.wait_for_function("(joint) => document.querySelector('[aria-label=Joint]').value === joint", arg=str(joint))


# --- the player's pictures ---------------------------------------------------------------------------------------


def test_joints_in_3d_are_turned(page: Any, site: Site) -> None:
    open_video(page, f"s=1&video={site.deep.name(4)}")
    seen = {picture(page)}
    for key in ("a", "w", "+"):
        page.keyboard.press(key)
        page.wait_for_timeout(80)
        assert picture(page) not in seen
        seen.add(picture(page))
    box = page.locator(".picture").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 10, steps=3)
    page.mouse.up()
    page.wait_for_timeout(80)
    assert picture(page) not in seen
    page.keyboard.press("r")
    page.wait_for_timeout(80)
    assert picture(page) in seen


def test_a_heatmap_is_laid_over_the_picture(page: Any, site: Site) -> None:
    """Of the server's answer only the arrangement counts here: the middle of the image is hot."""
    values = np.zeros((64, 64), np.uint8)
    values[24:40, 24:40] = 255
    header = json.dumps({"arrays": [{"name": "heatmap", "dtype": "uint8", "shape": [64, 64], "offset": 0}]}).encode()
    header += b" " * (-(4 + len(header)) % 8)
    body = struct.pack("<I", len(header)) + header + values.tobytes()
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(body=body, content_type="application/octet-stream")

    page.route("**/heatmap?*", answer)
    open_video(page, f"video={site.flat.name(13)}", 3)
    before = picture(page)
    page.keyboard.press("h")
    page.wait_for_function("(before) => document.querySelector('.picture').toDataURL() !== before", arg=before)
    assert "kind=keypoint" in asked[0]
    assert "frame=3" in asked[0]
    script = (
        """(canvas) => [...canvas.getContext("2d").getImageData(canvas.width / 2 + 9, canvas.height / 2, 1, 1).data]"""
    )
    assert page.locator(".picture").evaluate(script)[3] > 150
    page.keyboard.press("h")
    page.wait_for_timeout(200)
    assert "kind=limb" in asked[-1]


def test_the_heatmap_of_the_server_is_drawn(page: Any, site: Site) -> None:
    open_video(page, f"s=2&video={site.packed.name(0)}&view=training", 1)
    before = picture(page)
    with page.expect_response("**/heatmap?*kind=keypoint*") as answer:
        page.get_by_label("Heatmap").select_option("keypoint")
    assert answer.value.status == 200
    page.wait_for_function("(before) => document.querySelector('.picture').toDataURL() !== before", arg=before)
    page.get_by_label("Heatmap").select_option("")
    page.wait_for_function("(before) => document.querySelector('.picture').toDataURL() === before", arg=before)


def test_a_video_that_cannot_be_drawn_is_explained(page: Any, site: Site) -> None:
    page.expected.append("422")
    page.route("**/video?*", lambda route: route.fulfill(status=422, json={"error": "chunk 3 is <b>damaged</b>"}))
    open_page(page)
    page.locator(".cell", has_text=str(site.flat.name(9))).click()
    page.locator(".note", has_text="chunk 3 is <b>damaged</b>").wait_for()
    assert page.locator(".curve").is_hidden()
    page.keyboard.press("Escape")
    page.locator("#browse").wait_for()


def test_a_server_that_has_ended_is_reported(page: Any, site: Site) -> None:
    open_page(page)
    page.expected.append("ERR_")
    page.route("**/select?*", lambda route: route.abort("connectionrefused"))
    page.get_by_role("button", name="train 60").click()
    page.get_by_role("alert").filter(has_text="start skelstore view again").wait_for()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_the_video_is_beneath_at_the_same_frame(page: Any, site: Site) -> None:
    open_video(page, f"video={site.flat.name(12)}", 6)
    page.wait_for_function("() => document.querySelector('video.beneath').readyState >= 2")
    page.wait_for_function("() => Math.abs(document.querySelector('video.beneath').currentTime - 6.5 / 10) < 0.01")
    place = page.locator("video.beneath").bounding_box()
    assert place["width"] / place["height"] == pytest.approx(1920 / 1080, rel=0.01)
    page.get_by_label("Video", exact=True).uncheck()
    page.locator("video.beneath").wait_for(state="hidden")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_the_video_beneath_follows_while_frames_are_played(page: Any, site: Site) -> None:
    """What the film shows is at most two frames away from the skeletons, at each speed and after a jump."""
    open_video(page, f"video={site.flat.name(12)}", 0)
    page.wait_for_function("() => document.querySelector('video.beneath').readyState >= 3")
    script = """async (frames) => {
        const film = document.querySelector("video.beneath");
        const picture = document.querySelector(".picture");
        const apart = [];
        const seen = new Set();
        const end = performance.now() + 700;
        while (performance.now() < end) {
            await new Promise((resolve) => requestAnimationFrame(resolve));
            seen.add(picture.dataset.frame);
            if (!film.seeking) apart.push(Math.abs(film.currentTime * 10 - Number(picture.dataset.frame) - 0.5));
        }
        apart.sort((a, b) => a - b);
        return { apart: apart[Math.floor(apart.length * 0.9)], paused: film.paused, rate: film.playbackRate,
            frames: seen.size };
    }"""
    for speed in ("1", "2"):
        page.keyboard.press("Home")
        wait_frame(page, 0)
        page.get_by_label("Speed").select_option(speed)
        page.locator(".picture").focus()
        page.keyboard.press(" ")
        found = page.evaluate(script)
        assert not found["paused"]
        assert found["rate"] == float(speed)
        assert found["frames"] > 2
        assert found["apart"] < 2 * max(1, float(speed)), (speed, found)
        page.keyboard.press(" ")
        page.wait_for_function("() => document.querySelector('video.beneath').paused")
    frame = int(page.locator(".picture").get_attribute("data-frame"))
    page.wait_for_function(
        "(time) => Math.abs(document.querySelector('video.beneath').currentTime - time) < 0.01", arg=(frame + 0.5) / 10
    )


def test_two_stores_side_by_side(page: Any, site: Site) -> None:
    name = str(site.flat.name(9))
    open_video(page, f"video={name}&with=1", 2)
    wait_frame(page, 2, pane=1)
    check_table(page, 2, dense_rows(site.flat[name], 2))
    check_table(page, 2, dense_rows(site.deep[name], 2), pane=1)
    page.keyboard.press("ArrowRight")
    check_table(page, 3, dense_rows(site.flat[name], 3))
    check_table(page, 3, dense_rows(site.deep[name], 3), pane=1)
    open_video(page, f"video={site.flat.name(40)}&with=1")
    page.locator(".pane").nth(1).locator(".note").filter(has_text=re.compile("S004_040")).wait_for()
    page.get_by_label("Beside").select_option("")
    page.wait_for_function("() => document.querySelectorAll('.pane').length === 1")


# --- marks -------------------------------------------------------------------------------------------------------


def test_marks_are_kept_filtered_exported_and_imported(page: Any, site: Site, tmp_path: Path) -> None:
    open_page(page)
    first_names(page, 12)
    page.locator(".cell", has_text=str(site.flat.name(8))).focus()
    marked = [str(site.flat.name(8)), str(site.flat.name(9)), HOSTILE[0]]
    for name in marked:
        page.locator(".item", has_text=name).locator(".cell-mark").click(force=True)
    open_page(page)
    page.get_by_role("button", name="Marked only (3)").click()
    expect_count(page, 3)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == "flat_marked.txt"
    assert set(path.read_text().splitlines()) == set(marked)
    assert {one["frame_dir"] for one in with_names(site.flat, path)} == set(marked)
    (tmp_path / "more.txt").write_text(f"{site.flat.name(15)}\n{marked[0]}\n")
    page.locator("input[type=file]").set_input_files(tmp_path / "more.txt")
    expect_count(page, 4)
    page.evaluate("localStorage.clear()")


def test_a_marked_name_that_is_no_line_is_exported_as_json(page: Any, site: Site, tmp_path: Path) -> None:
    open_page(page)
    name = "line\nbreak"
    page.locator(".item", has_text="line\\u000abreak").locator(".cell-mark").click(force=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert [one["frame_dir"] for one in with_names(site.flat, path)] == [name]


# --- hostile text, access, sizes and themes ----------------------------------------------------------------------


def test_names_with_markup_are_text(page: Any) -> None:
    open_page(page)
    for number, name in enumerate(HOSTILE):
        first_names(page, len(HOSTILE))
        page.locator(f".item[aria-posinset='{number + 1}'] a").click()
        wait_frame(page, 0)
        escaped = re.sub("[\n\u202e\u202c]", lambda one: f"\\u{ord(one[0]):04x}", name)
        shown = escaped if len(escaped) <= 300 else escaped[:300] + "…"
        assert page.locator(".video-name").evaluate("(name) => name.textContent") == shown
        page.locator("details", has=page.locator(".facts-list")).evaluate("(box) => { box.open = true; }")
        page.get_by_text("<u>text</u>").wait_for()
        assert page.locator("b, i, u, s, img, main script, main iframe").count() == 0
        page.keyboard.press("Escape")
    for name in HOSTILE[3:4]:  # out of the address of the page
        open_video(page, urlencode({"video": name}))
        page.wait_for_function("(text) => document.querySelector('.video-name').textContent === text", arg=name)


def test_all_texts_of_a_store_are_text(page: Any) -> None:
    markup = "document.querySelectorAll('b:not(kbd), i, u, s, img, main script, iframe').length"
    open_page(page, "s=3&sort=label")
    first_names(page, 4)
    assert page.locator(".heading:not(.now):not([hidden])").first.inner_text().startswith("<img src=x")
    page.get_by_role("button", name="Check this store").click()
    page.wait_for_function("() => document.querySelector('.findings progress').hidden")
    assert page.locator(".class").filter(has_text="<img").count() >= 2
    page.locator(".class", has_text="label length").locator("input").check()
    expect_count(page, 1, 4)
    page.locator(".class", has_text="label length").locator("input").uncheck()
    expect_count(page, 4, 4)
    for number in range(3):
        pill = page.locator(".pills .pill").nth(number)
        pill.click()
        expect_count(page, 1, 4)
        pill.click()
        expect_count(page, 4, 4)
    page.locator(".cell").first.click()
    wait_frame(page, 0)
    page.locator("details", has=page.locator(".facts-list")).evaluate("(box) => { box.open = true; }")
    assert page.locator(".facts-list dt", has_text="<img").count() == 1
    assert page.evaluate(markup) == 0
    page.get_by_label("Beside").select_option("0")  # it has no such video
    page.locator(".pane").nth(1).locator(".note", has_text="<img").wait_for()
    assert page.evaluate(markup) == 0


def test_odd_addresses_lead_somewhere(page: Any) -> None:
    for number in ("__proto__", "length"):
        open_page(page, urlencode({"s": number, "label": "length", "with": number}))
        expect_count(page, 0)
    open_video(page, "row=9&with=__proto__&view=constructor&view2=length&joint=x&curve=__proto__&colours=x")
    page.expected.append("400")
    open_page(page, "row=NaN")
    page.get_by_role("alert").filter(has_text="expected an integer").wait_for()


def test_damaged_splits_are_explained_and_the_videos_shown(page: Any) -> None:
    open_page(page, "s=4")
    page.get_by_role("alert").filter(has_text="splits.arrow").wait_for()
    expect_count(page, 4, 4)
    first_names(page, 4)
    page.get_by_label("Store").select_option("0")
    expect_count(page, VIDEOS)
    assert page.locator("#banner").is_hidden()


def test_the_accessibility_tree(page: Any, site: Site) -> None:
    open_page(page)
    first_names(page, 4)
    tree = page.locator("body").aria_snapshot()
    for part in ("banner", "main", 'form "Filters"', 'list "Videos"', "status", 'searchbox "Name"', 'group "Split"'):
        assert part in tree, part
    check_names(page)
    open_video(page, f"video={site.flat.name(9)}")
    read_table(page, 0)
    tree = page.locator("#player").aria_snapshot()
    for part in (
        'region "Player"',
        'heading "S000_009"',
        'slider "Frame"',
        'button "Play (space)"',
        "table",
        'rowheader "0 nose"',
    ):
        assert part in tree, part
    assert page.locator(".picture").get_attribute("aria-label").startswith("Skeletons: frame 0 of")
    check_names(page)


def check_names(page: Any) -> None:
    """Check that whatever takes the focus has a name."""
    script = """() => [...document.querySelectorAll("button, a, input, select, canvas[tabindex], summary")]
        .filter((one) => one.checkVisibility() && !one.ariaLabel && !one.textContent.trim() && !one.labels?.length)
        .map((one) => one.outerHTML)"""
    assert page.evaluate(script) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_in_both_themes(chromium: Any, site: Site, scheme: str) -> None:
    """WCAG 2.1 AA: 4.5 to 1 for text, for every pair of colours that the style sheet lays over another."""
    with visiting(chromium, site.address, color_scheme=scheme, reduced_motion="reduce") as page:
        open_page(page)
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        script = "(names) => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(name))"
        pairs = [(text, ground) for text in ("text", "muted") for ground in ("ground", "surface", "sunken", "raised")]
        pairs += [("accent", "accent-soft"), ("on-accent", "accent"), ("error", "error-soft"), ("error", "surface")]
        pairs += [("warning", "warning-soft"), ("warning", "surface"), ("accent", "surface")]
        for text, ground in pairs:
            light, dark = sorted(map(luminance, page.evaluate(script, [f"--{text}", f"--{ground}"])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
        page.get_by_role("button", name="Theme").click()
        other = {"light": "dark", "dark": "light"}[scheme]
        assert page.evaluate("document.documentElement.dataset.theme") == other
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == other


def luminance(colour: str) -> float:
    """The relative luminance of ``#rrggbb`` (WCAG 2.1)."""
    parts = [int(colour.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_phone(chromium: Any, site: Site) -> None:
    options = {
        "viewport": {"width": 390, "height": 800},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    }
    with visiting(chromium, site.address, reduced_motion="reduce", **options) as page:
        open_page(page)
        first_names(page, 4)
        narrow = "document.documentElement.scrollWidth <= innerWidth"
        assert page.evaluate(narrow)
        assert page.locator("#filters").is_hidden()
        page.locator("#filters-button").tap()
        page.get_by_label("drink water").tap()
        expect_count(page, sum(one["label"] == 0 for one in site.flat))
        page.locator("#scrim").tap(position={"x": 380, "y": 300})
        page.wait_for_function("() => document.getElementById('filters-button').ariaExpanded === 'false'")
        page.locator(".cell").nth(1).tap()
        wait_frame(page, 0)
        assert page.evaluate(narrow)
        page.get_by_role("button", name="One frame on (right arrow)").tap()
        wait_frame(page, 1)
        page.get_by_role("button", name="Videos", exact=True).tap()
        page.locator("#browse").wait_for()
