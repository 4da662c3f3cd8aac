"""Publishing a store of this machine at a URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from skelstore.errors import StoreError
from skelstore.publish.files import LocalStore
from skelstore.publish.hub import push_to_hub
from skelstore.publish.objects import push_objects
from skelstore.remote.hub import HubDataset
from skelstore.remote.objects import ObjectStore
from skelstore.remote.service import Service
from skelstore.remote.services import service_of
from skelstore.remote.transfers import Content, Transfer
from skelstore.remote.url import Url


def push(
    store: LocalStore,
    url: Url,
    *,
    force: bool = False,
    beside: Mapping[str, Content] | None = None,
    advance: Callable[[int], None] | None = None,
) -> int:
    """Publish a store at a URL of an object store or of the hub; the number of files that were sent.

    The root is written last, and only if there is none, so a push that was ended leaves no store. The next push of the
    same store sends what is missing: a file is known by its size and checksum. ``force`` replaces the store at the URL;
    its root is removed first, so that readers get an error and never a mix of both. ``beside`` are files for the data
    set on the hub, by their paths in it. ``advance`` is called with the bytes since the last call.

    Raises StoreExistsError if another store, complete or not, is at the URL and ``force`` is not given; DamageError if
    a file of the store is damaged; StoreReplacedError if the store was replaced meanwhile; StoreError for a URL that
    takes no files; and what requests raise.
    """
    service = writable_service(url)
    transfer = Transfer(advance)
    if isinstance(service, HubDataset):
        return push_to_hub(store, service, transfer, force=force, beside=beside or {})
    return push_objects(store, service, transfer, force=force)


def writable_service(url: Url) -> HubDataset | ObjectStore:
    """The service for a URL. Raises StoreError if it takes no files, and as ``service_of``."""
    service: Service = service_of(url)
    if isinstance(service, (HubDataset, ObjectStore)):
        return service
    raise StoreError(
        f"{url} is on a web server, which takes no files: copy the folder of the store to the server, or push to "
        "s3://, gs://, az:// or hf://"
    )
