"""How fast the page of ``skelstore view`` is with many videos, in Chromium: ``python -m tests.support.view_figures``.

Prints medians and worst cases of several runs: the time until the page is painted and until the first thumbnail is
drawn; the time between frames of the browser and its long tasks (50 ms and more) while 5,000 rows are scrolled; the
time from a click on a video until the player's canvas has changed, and until the video itself is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from tests.support.browser import browser, serving, visiting

CLASSES = 60
OBSERVE = """
window.longTasks = [];
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((one) => one.duration)))
  .observe({ type: "longtask", buffered: true });
window.firstThumbnail = new Promise((resolve) => {
  const look = () => {
    const canvas = document.querySelector(".item:not(.waiting) canvas");
    const data = canvas && canvas.width && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    if (data && data.some((value) => value)) resolve(performance.now());
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});
"""
SCROLL = """async (rows) => {
  const grid = document.getElementById("grid");
  const list = grid.querySelector(".cells");
  const cell = grid.querySelector(".item:not([hidden])").getBoundingClientRect();
  const end = Math.min(rows * (cell.height + 10), list.clientHeight - grid.clientHeight);
  window.longTasks.length = 0;
  const gaps = [];
  const frames = 600;
  await new Promise((resolve) => {
    let before = performance.now();
    let frame = 0;
    const step = () => {
      const now = performance.now();
      gaps.push(now - before);
      before = now;
      grid.scrollTop = (end * ++frame) / frames;
      if (frame < frames) requestAnimationFrame(step);
      else resolve();
    };
    requestAnimationFrame(step);
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { gaps: gaps.slice(2), tasks: [...window.longTasks], scrolled: grid.scrollTop };
}"""
CLICK = """async (number) => {
  const link = [...document.querySelectorAll(".item:not([hidden]):not(.waiting) .cell")][number];
  const canvas = document.querySelector(".picture");
  delete canvas.dataset.frame;
  const empty = () => !canvas.width || !canvas.clientWidth
    || !canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value);
  const start = performance.now();
  link.click();
  const wait = (ready) => new Promise((resolve) => {
    const look = () => (ready() ? resolve(performance.now() - start) : requestAnimationFrame(look));
    look();
  });
  const changed = await wait(() => !empty());
  const video = await wait(() => canvas.dataset.frame !== undefined);
  return [changed, video];
}"""


CPU = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
"""Metrics of Chromium, in seconds of its main thread."""


def read_cpu(session: Any) -> dict[str, float]:
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return {name: metrics[name] for name in CPU}


def write_store(path: Path, videos: int) -> Path:
    """A store of short videos that share their joints' movements."""
    noise = np.random.default_rng(0)
    start = noise.uniform(200, 800, (50, 1, 1, 17, 2))
    clips = (start + np.cumsum(noise.normal(0, 9, (50, 1, 8, 17, 2)), axis=2)).astype(np.float16)
    score = noise.random((1, 8, 17)).astype(np.float16)
    names = [f"S{i % 32:03}C{i % 3:03}P{i % 106:03}R{i % 2:03}A{i % CLASSES:03}_{i:06}" for i in range(videos)]
    with skelstore.Writer(path) as writer:
        for i, name in enumerate(names):
            common = {"frame_dir": name, "label": i % CLASSES, "img_shape": (1080, 1920), "total_frames": 8}
            writer.add(common | {"keypoint": clips[i % 50], "keypoint_score": score})
        writer.splits = {"train": names[: videos // 2], "val": names[videos // 2 :]}
    return path


def describe(title: str, values: list[float], unit: str = "ms") -> str:
    return f"{title}: median {statistics.median(values):.1f} {unit}, worst {max(values):.1f} {unit} of {len(values)}"


def read_tasks(trace: bytes) -> list[float]:
    """The CPU time of each task of the page's main thread, in ms: without what other processes took meanwhile."""
    events = json.loads(trace)["traceEvents"]
    threads = [one for one in events if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"]
    mains = {(one["pid"], one["tid"]) for one in threads}
    tasks = [one for one in events if one["name"] == "RunTask" and (one["pid"], one["tid"]) in mains]
    return [one.get("tdur", 0) / 1000 for one in tasks]


def trace_scrolling(chromium: Any, address: str) -> list[float]:
    """The CPU time of each task of the page while 5,000 rows are scrolled. Tracing itself takes a part of it."""
    with visiting(chromium, address) as page:
        page.expected.append("willReadFrequently")
        page.add_init_script(OBSERVE)
        page.goto("/")
        page.evaluate("window.firstThumbnail")
        chromium.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
        page.evaluate(SCROLL, 5_000)
        return read_tasks(chromium.stop_tracing())


def measure(chromium: Any, address: str, runs: int) -> None:
    painted, drawn, gaps, tasks, changed, shown, cpu = [], [], [], [], [], [], []
    for _ in range(runs):
        with visiting(chromium, address) as page:
            page.expected.append("willReadFrequently")  # of this script, which reads the canvases
            page.add_init_script(OBSERVE)
            page.goto("/")
            drawn.append(page.evaluate("window.firstThumbnail"))
            script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            painted.append(page.evaluate(script))
            page.wait_for_timeout(500)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = read_cpu(session)
            scrolled = page.evaluate(SCROLL, 5_000)
            after = read_cpu(session)
            cpu.append({name: (after[name] - before[name]) / len(scrolled["gaps"]) * 1000 for name in after})
            gaps += scrolled["gaps"]
            tasks += scrolled["tasks"]
            page.wait_for_timeout(1_000)
            for number in range(3):
                one, other = page.evaluate(CLICK, 4 + number)
                changed.append(one)
                shown.append(other)
                page.keyboard.press("Escape")
                page.wait_for_timeout(500)
    print(describe("first paint", painted))
    print(describe("first thumbnail drawn", drawn))
    print(describe("between frames while 5,000 rows are scrolled", gaps), end="")
    print(f"; {sum(gap > 50 for gap in gaps)} over 50 ms; long tasks: {[round(task) for task in tasks]}")
    for name in CPU:
        print(describe(f"  CPU time of the page per frame, {name}", [one[name] for one in cpu]))
    own = trace_scrolling(chromium, address)
    print(describe("CPU time of the page's 100 longest tasks while it scrolls and is traced", sorted(own)[-100:]))
    print(describe("from a click to a changed canvas", changed))
    print(describe("from a click to the video", shown))


def main() -> None:
    """Measure, with a store that is made for it or one that is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=240_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--store", type=Path, help="use this store, and write it if there is none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "many.zarr"
        if not path.exists():
            write_store(path, options.videos)
        with serving(path) as address, browser() as chromium:
            print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            measure(chromium, address, options.runs)
            print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
