"""A drop folder behind any fsspec URL: an object store as a rule (`s3://`, `gs://`, `az://`).

An object store has no folders, only keys with slashes in them. So the whole tree comes with one recursive listing
(S3: 1,000 keys a request), and the folders are made of the keys here. fsspec hands a listing over in one piece, so it
needs memory for each object below the URL: 2.5 kB at its height, 0.4 kB once the folders are made (measured with s3fs).
A million objects are too many for one URL: let the store expire old ones.

What fails is tried again here, besides what the drivers try by themselves: what they are set to differs. They find
credentials by themselves:
https://s3fs.readthedocs.io/en/latest/#credentials, https://gcsfs.readthedocs.io/en/latest/#credentials,
https://github.com/fsspec/adlfs#setting-credentials.
"""

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import fsspec

from flakeguard_pipeline.domain.errors import ArtifactGoneError, ConfigurationError, SourceDeniedError, SourceError
from flakeguard_pipeline.normalize.redaction import redact
from flakeguard_pipeline.providers.drop_gathering import JOB_FILE, RUN_FILE, Gathering
from flakeguard_pipeline.providers.patience import BACKOFF_SECONDS, MAX_TRIES, Clock
from flakeguard_pipeline.providers.source import Access, FoundFolder, SourceReport

EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
}
"""What to install for the drivers of the large object stores."""

WITH_ENDPOINT = ("s3", "s3a", "gs", "gcs")
"""Schemes whose drivers take an `endpoint_url`."""

STAMP_FIELDS = ("etag", "ETag", "md5Hash", "generation")
"""What drivers call the mark of an object's bytes."""

TIME_FIELDS = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
"""What drivers call the moment of an object's last change; it stands in where a driver has no mark."""

MAX_DETAIL = 300
"""Characters of a driver's own words that are told: some repeat the whole request."""

CHECK_LEVELS = 8
"""Levels of folders that `check` goes down to find a file to read: enough for PROVIDER/OWNER/NAME/RUN/ATTEMPT."""

Result = TypeVar("Result")

_HOPELESS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)
_URL = re.compile(r"([a-z][a-z0-9+.-]*)(?:://|::)", re.IGNORECASE)
_NO_IDENTITY = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "DefaultCredentialsError",
        "RefreshError",
        "ClientAuthenticationError",
    }
)
"""What drivers raise that find no credentials, or only expired ones."""


def local_path(path_or_url: Path | str) -> Path | None:
    """Return the local path that something names; None where it is the URL of something else."""
    if isinstance(path_or_url, Path):
        return path_or_url
    found = _URL.match(path_or_url)
    if found is None:
        return Path(path_or_url)
    if found[1].lower() in ("file", "local") and "::" not in path_or_url:
        return Path(fsspec.core.url_to_fs(path_or_url)[1])
    return None


def store_options(url: str, storage_options: Mapping[str, Any], endpoint_url: str | None) -> dict[str, Any]:
    """Return what the driver of an fsspec URL is to be given.

    Raises:
        ConfigurationError: the URL cannot be used, or its driver is not installed.
    """
    found = _URL.match(url)
    scheme = found[1].lower() if found else ""
    user, _, host = urlsplit(url).netloc.rpartition("@")
    if ":" in user:
        raise ConfigurationError(
            f"the URL of {scheme}://{host} holds a password; leave it out, the driver finds credentials by itself"
        )
    if endpoint_url and scheme not in WITH_ENDPOINT:
        raise ConfigurationError(f"{url}: `endpoint_url` is for s3:// and gs://; leave it out")
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        what = f"pip install 'flakeguard[{extra}]'" if extra else f"install it ({error})"
        raise ConfigurationError(f"{url}: the driver for {scheme}:// is not installed; {what}") from error
    except ValueError as error:
        raise ConfigurationError(
            f"{url}: nothing is known of {scheme}://; use s3://, gs://, az:// or a path"
        ) from error
    options = dict(storage_options)
    if endpoint_url:
        options["endpoint_url"] = endpoint_url
    if scheme in EXTRAS:
        # a listing that is kept would hide what came since, and hold its memory for ever
        options.setdefault("use_listings_cache", False)
    return options


def open_store(url: str, options: Mapping[str, Any]) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the driver of an fsspec URL, and the path that the URL names there, without a slash at its end.

    Raises:
        ConfigurationError: the driver refuses the URL.
        SourceDeniedError: the driver finds no credentials.
    """
    try:
        store, root = fsspec.core.url_to_fs(url, **options)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{url} cannot be used ({told(error)}); check the URL and the driver's variables"
        ) from error
    except Exception as error:
        raise failure(url, error) from error
    return store, root.rstrip("/")


class ObjectTree:
    """Everything below an fsspec URL."""

    def __init__(
        self,
        url: str,
        report: SourceReport,
        storage_options: Mapping[str, Any],
        endpoint_url: str | None,
        clock: Clock,
    ) -> None:
        """Prepare to read; raises ConfigurationError where the URL cannot be used. Nothing is asked yet."""
        self.place = url
        self._report = report
        self._clock = clock
        self._options = store_options(url, storage_options, endpoint_url)

    @cached_property
    def _opened(self) -> tuple[fsspec.AbstractFileSystem, str]:
        # late, because some drivers look for credentials at once
        return open_store(self.place, self._options)

    @property
    def _store(self) -> fsspec.AbstractFileSystem:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    def require(self) -> None:
        """Do nothing: that the driver is there is known, and a request can wait until the listing."""

    def folders(self) -> Iterator[FoundFolder]:
        """Yield the folders."""
        listing = self._listing()
        below = len(self._root) + 1
        owners = {
            folder
            for name in listing
            for folder, _, last in (_cut(name[below:]),)
            if last in (RUN_FILE, JOB_FILE) and not _is_hidden(name[below:])
        }
        gathering = Gathering()
        while listing:
            name, info = listing.popitem()
            location = name[below:]
            if info.get("type") == "directory" or location.endswith("/"):
                if info.get("size"):
                    self._report.note("a key that ends in a slash holds bytes; it was passed over")
                continue  # a folder's marker, which consoles and some drivers write
            if not _is_hidden(location):
                gathering.add(_text(location), location, _owner(location, owners), _stamp(info))
        yield from gathering.folders()

    def _listing(self) -> dict[str, dict[str, Any]]:
        store, root = self._opened
        try:
            listing: dict[str, dict[str, Any]] = self._asked(lambda: store.find(root, detail=True))
        except FileNotFoundError as error:
            raise self._missing() from error
        except Exception as error:
            raise failure(self.place, error) from error
        if self._root in listing:
            raise ConfigurationError(f"the drop folder {self.place} is a file; name the folder that it lies in")
        return listing

    def _asked(self, action: Callable[[], Result]) -> Result:
        """Return what asking the driver gives, after further tries where they may help; counts them."""

        def counted() -> Result:
            self._report.add(requests=1)
            return action()

        def again(seconds: float) -> None:
            self._report.add(retries=1, waited_seconds=seconds)
            self._clock.sleep(seconds)

        return tried(counted, again)

    def _missing(self) -> ConfigurationError:
        return ConfigurationError(f"the drop folder {self.place} does not exist; check its URL")

    @contextlib.contextmanager
    def open(self, location: str) -> Iterator[BinaryIO]:
        """Yield one object as a local file, which is gone afterwards."""
        name = f"{self._root}/{location}"
        shown = f"{self.place.rstrip('/')}/{_text(location)}"
        handle, scratch = tempfile.mkstemp(prefix="flakeguard-")
        os.close(handle)
        path = Path(scratch)
        try:
            try:
                self._asked(lambda: self._store.get_file(name, scratch))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise failure(self.place, error) from error
                raise ArtifactGoneError(errno.ENOENT, "it is gone from the drop folder", shown) from error
            except Exception as error:
                if _code(error) == "InvalidObjectState":
                    raise OSError(errno.EACCES, "it is archived; restore it in the object store", shown) from error
                raise failure(shown, error) from error
            self._report.add(received_bytes=path.stat().st_size)
            with path.open("rb") as stream:
                yield stream
        finally:
            path.unlink(missing_ok=True)

    def check(self) -> Iterator[Access]:
        """Try to list the place, and to read one file of it."""
        folder, file = self._root, ""
        for level in range(CHECK_LEVELS):
            try:
                entries = self._entries(folder)
            except FileNotFoundError:
                yield Access(f"list {self.place}", level > 0, "nothing is there yet, or the bucket does not exist")
                return
            except Exception as error:  # noqa: BLE001 - whatever a driver raises is the answer
                yield Access(f"list {self.place}", False, str(failure(self.place, error)))
                return
            if not level:
                yield Access(f"list {self.place}", True, f"{len(entries)} entries")
            files = [each["name"] for each in entries if each["type"] == "file" and not each["name"].endswith("/")]
            folders = [each["name"] for each in entries if each["type"] == "directory"]
            file = min(files, default="")
            if file or not folders:
                break
            folder = min(folders)
        if file:
            yield self._may_read(file[len(self._root) + 1 :])

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        # once: whoever checks wants to know now
        self._report.add(requests=1)
        return list(self._store.ls(folder, detail=True))

    def _may_read(self, location: str) -> Access:
        what = f"read {self.place.rstrip('/')}/{_text(location)}"
        try:
            with self.open(location) as stream:
                stream.read(1)
        except (SourceError, OSError) as error:
            return Access(what, False, str(error))
        return Access(what, True, "it can be read")


def tried(action: Callable[[], Result], wait: Callable[[float], None]) -> Result:
    """Return what `action` gives, trying again what may succeed then, after longer and longer waits.

    Raises:
        Exception: what `action` raised last; drivers have errors of their own for a network that fails.
    """
    for tries in range(1, MAX_TRIES):
        try:
            return action()
        except Exception as error:
            if is_denied(error) or isinstance(error, _HOPELESS):
                raise
        wait(BACKOFF_SECONDS * 2 ** (tries - 1))
    return action()


def failure(place: str, error: Exception) -> SourceError:
    """Return what to tell of a driver's error."""
    if is_denied(error):
        return SourceDeniedError(
            f"{place} refuses us ({told(error)}); check the credentials that the driver finds (for S3 the AWS_* "
            "variables or the machine's role) and what they may read"
        )
    return SourceError(f"{place} cannot be read ({told(error)}); check the URL and the network, then run again")


def is_denied(error: Exception) -> bool:
    """Say whether a store refuses us, or the driver does not know who we are."""
    return isinstance(error, PermissionError) or type(error).__name__ in _NO_IDENTITY


def told(error: Exception) -> str:
    """Return a driver's own words on one line, without secrets: some drivers repeat signed addresses."""
    words = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1", " ".join(str(error).split()))
    return f"{type(error).__name__}: {redact(words)[:MAX_DETAIL] or 'no answer'}"


def _code(error: BaseException) -> str:
    """Return the store's own code of an error, where the driver keeps it (s3fs does)."""
    answer = getattr(error.__cause__, "response", None)
    fault = answer.get("Error") if isinstance(answer, Mapping) else None
    return str(fault.get("Code", "")) if isinstance(fault, Mapping) else ""


def _cut(path: str) -> tuple[str, str, str]:
    return path.rpartition("/")


def _is_hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path


def _owner(path: str, owners: set[str]) -> str | None:
    """Return the nearest folder above a path that is one of `owners`, as text."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in owners:
            return _text(folder)
    return None


def _stamp(info: Mapping[str, Any]) -> str:
    """Return what changes when an object's bytes do.

    The mark of the bytes alone, where there is one: an upload that is repeated with the same bytes changes nothing.
    """
    mark = next((info[name] for name in STAMP_FIELDS if info.get(name)), None)
    if mark is None:
        time = next((info[name] for name in TIME_FIELDS if info.get(name)), "")
        mark = time.isoformat() if isinstance(time, datetime) else time
    return f"{info.get('size')}\0{mark}"


def _text(path: str) -> str:
    """Return a key as text that any database takes."""
    return path.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")
