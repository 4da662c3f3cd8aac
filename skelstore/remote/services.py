"""The object store for a URL, by its scheme."""

from __future__ import annotations

from skelstore.remote.azure import Container
from skelstore.remote.google import GoogleBucket
from skelstore.remote.hub import HubDataset
from skelstore.remote.s3 import Bucket
from skelstore.remote.service import Service
from skelstore.remote.url import Url
from skelstore.remote.web import WebFolder

SERVICES: dict[str, type[Service]] = {
    "http": WebFolder,
    "https": WebFolder,
    "s3": Bucket,
    "gs": GoogleBucket,
    "az": Container,
    "hf": HubDataset,
}


def service_of(url: Url) -> Service:
    """The service that has the files below a URL. Raises StoreError or RemoteError if the URL is none of its kind."""
    return SERVICES[url.scheme](url)
