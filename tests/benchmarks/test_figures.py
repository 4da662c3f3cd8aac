"""The figures in the documents: each table and the plot show what the results hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import documents, ratios
from benchmarks.__main__ import main
from converters.bench import plot, reading
from converters.bench.results import Result
from tests.support.processes import run_python
from tests.support.repository import REPOSITORY
from tests.support.results import measured, read


@pytest.fixture
def results() -> list[Result]:
    return measured()


def cells(block: str) -> list[list[str]]:
    """The cells of the table in a block."""
    lines = [line for line in block.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]


def test_every_table_has_the_figures_of_the_results(results: list[Result]) -> None:
    found = documents.blocks(results)
    assert tuple(found) == documents.NAMES
    assert cells(found["reading"]) == [
        ["", "K400-like, 52 KB", "NTU-like, 6 KB"],
        ["skelstore, `fast`", "20", "1,234"],
        ["skelstore, `default`", "60", "40"],
        ["LMDB + pickle", "10", ""],
        ["floor: memcpy from a map", "5", ""],
        ["floor of `default`: blosc", "30", "10"],
    ]
    assert "the reader in Python" in found["reading"]
    assert sorted(cells(found["reading-all"])[1:]) == sorted(cells(found["reading"])[1:])
    assert cells(found["ratios"]) == [
        ["times as fast (aim)", "K400-like, 52 KB", "NTU-like, 6 KB"],
        ["fast against LMDB", "0.5 (>= 1.5)", "2 (>= 1.8)"],
        ["default against the bare blosc, its time", "2 (<= 1.15)", "4"],
    ]
    assert cells(found["opening"]) == [
        ["", "skelstore", "pickle"],
        ["open 240,000 videos", "17 ms", "1,900 ms"],
        ["open, and the first video by name", "20 ms", "2,000 ms"],
        ["private memory after opening", "0.12 MB", "521 MB"],
        ["private memory per worker, of 8", "20 MB", "508 MB"],
    ]
    assert cells(found["size"])[1] == ["real HRNet", "1.01", "0.72", "0.59"]
    assert cells(found["conversion"])[1] == ["ntu 1 GB", "100", "110", "147", "1.7 x", "1.9 x"]
    assert "peer: zarr 3.1.6" in found["remote"]
    assert cells(found["remote"]) == [
        ["", "K400-like", "NTU-like", "aim"],
        ["a video by name: round trips", "1.2", "1.1", "<= 1.5"],
        ["", "measured", "aim"],
        ["open 300 videos: round trips", "2", ""],
    ]


def test_ratios_are_claims_with_their_verdicts(results: list[Result]) -> None:
    gathered = ratios.gather(results[:2])
    assert gathered.measurements["fast against LMDB"] == {"K400-like, 52 KB": 0.5, "NTU-like, 6 KB": 2.0}
    assert [(claim.what, claim.to_json()["reached"]) for claim in gathered.claims] == [
        ("fast against LMDB: K400-like, 52 KB", False),
        ("fast against LMDB: NTU-like, 6 KB", True),
        ("default against the bare blosc: K400-like, 52 KB", False),
    ]


def test_only_measured_tables_are_replaced(results: list[Result]) -> None:
    size, opening = (f"<!-- figures: {name} -->\n" for name in ("size", "opening"))
    end = "<!-- end of figures -->\n"
    text = f"a\n{size}old\n{end}b\n{opening}{end}"
    once = documents.replaced(text, documents.blocks(results[4:]))
    assert "old" not in once
    assert "| real HRNet |" in once
    assert once.startswith(f"a\n{size}")
    assert once.endswith(f"\n{end}b\n{opening}{end}")
    assert documents.replaced(once, documents.blocks(results[4:])) == once
    with pytest.raises(ValueError, match="no figures named length; there are reading"):
        documents.replaced(text.replace("size", "length"), {})


def test_the_documents_have_every_table_once(results: list[Result]) -> None:
    text = "".join((REPOSITORY / document).read_text(encoding="utf-8") for document in documents.DOCUMENTS)
    replaced = documents.replaced(text, {name: f"[{name}]" for name in documents.NAMES})
    assert [replaced.count(f"[{name}]\n<!-- end") for name in documents.NAMES] == [1] * len(documents.NAMES)


def test_the_plot_is_drawn_if_both_panels_were_measured(
    results: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(plot, "write_plot", lambda path, results: drawn.append(path))
    for document in documents.DOCUMENTS:
        (tmp_path / document).parent.mkdir(exist_ok=True)
        (tmp_path / document).write_text("<!-- figures: reading -->\n<!-- end of figures -->\n")
    documents.write(tmp_path, results[:2])
    assert "1,234" in (tmp_path / "README.md").read_text()
    assert drawn == []
    documents.write(tmp_path, results)
    assert drawn == [tmp_path / documents.PLOT]


def test_the_plot_shows_each_side_but_the_one_that_reads_nothing(results: list[Result]) -> None:
    shown = plot.medians(results[:2])
    assert list(shown) == ["fast", "default", "bare blosc", "LMDB", "bare memcpy"]
    assert shown["fast"] == {"K400-like, 52 KB": 20, "NTU-like, 6 KB": 1234.4}


def test_headings_name_the_data_and_the_size_of_its_videos() -> None:
    assert reading.heading(read("kinetics", 51.7)) == "K400-like, 52 KB"
    assert reading.heading(read("mine.zarr", 12.2)) == "mine.zarr, 12 KB"


@pytest.mark.parametrize("suffix", plot.SUFFIXES)
def test_plots_are_files(suffix: str, tmp_path: Path) -> None:
    """With both panels, and of a user's own store. In another process, because matplotlib keeps fonts open."""
    pytest.importorskip("matplotlib")
    code = """if True:
        import sys
        from pathlib import Path
        from converters.bench import plot
        from tests.support.results import measured, read
        both, own = map(Path, sys.argv[1:])
        plot.write_plot(both, measured())
        plot.write_plot(own, [read("mine.zarr", 12.2, fast=20, your_store=30, LMDB=10)])
    """
    paths = [tmp_path / f"{name}{suffix}" for name in ("both", "own")]
    done = run_python(code, *paths, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    kinds = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(kinds[suffix]) for path in paths)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["size", "--documents", str(REPOSITORY), "--smallest"], "--smallest measures none"),
        (["size", "--documents", str(REPOSITORY / "docs")], "needs the folder of README.md"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
