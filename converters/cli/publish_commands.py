"""The work of the commands push and pull."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

import skelstore
from converters.cli.printing import show
from converters.cli.progress import progress
from converters.data_card import TABLE, data_card, write_table
from skelstore.publish.files import LocalStore, RemoteStore
from skelstore.publish.hub import CARD
from skelstore.publish.pulling import pull
from skelstore.publish.pushing import push, writable_service
from skelstore.remote.hub import HubDataset
from skelstore.remote.transfers import Content
from skelstore.remote.url import Url
from skelstore.wording import counted


def push_command(store: Path, url: Url, force: bool) -> None:
    service = writable_service(url)
    local = LocalStore(store)
    with tempfile.TemporaryDirectory() as folder:
        beside = _make_beside(store, service, Path(folder)) if isinstance(service, HubDataset) else {}
        total = local.copy.size + sum(content.size for content in beside.values())
        with progress("sending", total, "B") as advance:
            sent = push(local, url, force=force, beside=beside, advance=advance)
    files = len(local.copy.files) + 1 + len(beside)
    show(f"{url}: complete, {sent:,} of {counted(files, 'file')} sent")


def _make_beside(store: Path, service: HubDataset, folder: Path) -> dict[str, Content]:
    """The files beside a store on the hub, by their paths in the data set."""
    path = str(PurePosixPath(service.folder).parent / TABLE)
    with skelstore.open(store) as opened:
        write_table(opened, folder / TABLE)
        card = data_card(opened, service.root, path)
    table = Content(folder / TABLE, (folder / TABLE).stat().st_size, None)
    return {CARD: Content.of_bytes(card.encode()), path: table}


def pull_command(url: Url, store: Path, force: bool) -> None:
    source = RemoteStore(url)
    with progress("fetching", source.copy.size, "B") as advance:
        fetched = pull(source, store, force=force, advance=advance)
    show(f"{store}: complete, {fetched:,} of {counted(len(source.copy.files) + 1, 'file')} fetched")
