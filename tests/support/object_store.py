"""A real S3 protocol server on loopback (moto's), and the variables with which a driver finds it."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import fsspec
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    # what cannot be reached is said soon
    "AWS_MAX_ATTEMPTS": "1",
}


@dataclass(frozen=True)
class ObjectStore:
    """A running server; `endpoint_url` is what `--endpoint-url` and AWS_ENDPOINT_URL_S3 take."""

    endpoint_url: str

    @property
    def driver(self) -> fsspec.AbstractFileSystem:
        return fsspec.filesystem("s3", endpoint_url=self.endpoint_url, use_listings_cache=False)

    def bucket(self, name: str) -> str:
        """Make a bucket; return its URL."""
        self.driver.mkdir(name)
        return f"s3://{name}"

    def fill(self, url: str, files: Mapping[str, bytes]) -> None:
        """Put objects below a URL, many at once, by their keys as they are."""
        root = url.removeprefix("s3://")
        self.driver.pipe({f"{root}/{key}": data for key, data in files.items()})


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """Run a server, with credentials for it in the environment, where the driver looks for them."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with mock.patch.dict(os.environ, CREDENTIALS):
            yield ObjectStore(f"http://{host}:{port}")
    finally:
        server.stop()
