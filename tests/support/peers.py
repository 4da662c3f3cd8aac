"""Check that a peer of the benchmarks returns the annotations that were written."""

from __future__ import annotations

from pathlib import Path

from benchmarks.data import Synthetic
from converters.bench import reading
from converters.bench.peers import Peer
from tests.support.exact import assert_exact


def check_peer(peer: Peer, data: Synthetic, folder: Path) -> None:
    """Check that a peer returns every annotation exactly."""
    peer.build(data, folder)
    peer.open()
    try:
        for annotation in data.load():
            assert_exact(peer.get(annotation["frame_dir"]), annotation)
    finally:
        peer.close()


def check_peer_named(name: str, kind: str, videos: str, folder: str) -> None:
    """Call ``check_peer`` for the peer with that name; for a separate process."""
    (peer,) = (peer for peer in reading.peers() if peer.name == name)
    own = Path(folder) / "peer"
    own.mkdir()
    check_peer(peer, Synthetic(kind, int(videos), own.parent), own)
