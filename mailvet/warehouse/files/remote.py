"""Files in object stores, by their URLs: `s3://bucket/contacts.csv`, `gs://...`, `abfs://...`.

fsspec reaches them, with the library of each store and the credentials that this finds by itself (environment, profile,
role of the machine). A URL holds none. What is read is copied into a private folder first; what is written is written
there and then uploaded, and an object store shows an object only once it is complete.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

from mailvet.errors import SettingsError, SourceError, UnavailableError, argument
from mailvet.private_files import PrivateFolder

__all__ = ["beside", "fetch", "is_remote", "name_of", "remote_digest", "send", "stored_name"]

_STORES = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "az": ("adlfs", "azure"),
}
"""Scheme -> the library that reaches it, and the extra of mailvet's that brings it."""

_BLOCK = 1 << 20


def is_remote(text: str | Path | None) -> bool:
    """Whether this is the URL of a file in an object store."""
    return isinstance(text, str) and text.partition("://")[0].lower() in _STORES and "://" in text


def name_of(url: str) -> str:
    """The last part of a URL.

    Raises:
        SettingsError: it names no file, or holds a password.
    """
    scheme, _, rest = url.partition("://")
    place, slash, key = rest.partition("/")
    if ":" in place:
        raise SettingsError(
            f"A {scheme}:// URL holds no key and no password. They are found in the environment, in a profile or in "
            "the role of the machine."
        )
    name = PurePosixPath(key).name
    if not place or not slash or not name or key.endswith("/"):
        raise SettingsError(
            f"{argument('output', scheme + '://...')} names no file: write {scheme}://bucket/folder/name.csv."
        )
    return name


def beside(url: str, name: str) -> str:
    """The URL of another file in the same folder."""
    return f"{url[: -len(name_of(url))]}{name}"


def stored_name(url: str) -> Path:
    """What the store of verdicts calls a remote file, where it keeps the hashes of what was written."""
    return Path("/") / url


def fetch(url: str, folder: PrivateFolder) -> Path:
    """Copy a remote file into a folder, under its own name.

    Raises:
        SourceError: there is none, or it may not be read. UnavailableError: the store cannot be reached.
        SettingsError: the library of the store is not installed.
    """
    target = folder.path / name_of(url)
    system, path = _system(url)
    try:
        system.get_file(path, str(target))
    except Exception as error:
        raise _fault(url, "read", error) from None
    return target


def remote_digest(url: str) -> str | None:
    """The SHA-256 of a remote file in lower-case hexadecimal digits; None where there is none.

    Raises:
        SourceError, UnavailableError, SettingsError: as `fetch`.
    """
    system, path = _system(url)
    found = hashlib.sha256()
    try:
        system.invalidate_cache()
        if not system.exists(path):
            return None
        with system.open(path, "rb") as stream:
            while block := stream.read(_BLOCK):
                found.update(block)
    except Exception as error:
        raise _fault(url, "read", error) from None
    return found.hexdigest()


def send(source: Path, url: str) -> None:
    """Upload a file; the object is there once all of it is, and until then what was there before stays.

    Raises:
        SourceError: it may not be written. UnavailableError: the store cannot be reached.
        SettingsError: the library of the store is not installed.
    """
    system, path = _system(url)
    try:
        system.put_file(str(source), path)
    except Exception as error:
        raise _fault(url, "written", error) from None


def _system(url: str) -> tuple[Any, str]:
    name_of(url)
    library, extra = _STORES[url.partition("://")[0].lower()]
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url)
    except ImportError:
        raise SettingsError(f"{library} is not installed: pip install 'mailvet[{extra}]'") from None
    except Exception as error:
        raise _fault(url, "read", error) from None
    return system, str(path)


def _fault(url: str, what: str, error: Exception) -> SourceError:
    """The fault of a store without its words, which may hold signed URLs and names of keys."""
    kind = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return SourceError(f"There is no file {url}, or no such bucket. Check the URL.")
    if isinstance(error, PermissionError) or "Credential" in kind:
        return SourceError(
            f"{url} may not be {what} ({kind}). Check the credentials that are set for this store, and their rights."
        )
    return UnavailableError(f"{url} cannot be {what} now ({kind}). Nothing of it was changed.")
