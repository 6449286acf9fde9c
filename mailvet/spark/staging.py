"""The folder that driver and executors share: what was planned, and the verdicts as they come.

Workers write it through Arrow's file systems, Spark reads it as Parquet: a path of a mounted folder (a local disk for
local Spark, NFS, /dbfs/..., /Volumes/...), or a URI of `file`, `hdfs`, `s3`, `gs` or `abfss`.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet.errors import SettingsError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet

__all__ = ["Folder", "is_object_store"]


def is_object_store(location: str | Path) -> bool:
    """Whether a folder there cannot be put in another's place at once, because a renaming is a copy."""
    return re.match(r"^(s3[an]?|gs|gcs|abfss?|wasbs?):", str(location)) is not None


class Folder:
    """One folder, seen by Arrow (`filesystem`, `path`) and by Spark (`uri`)."""

    def __init__(self, filesystem: Any, path: str, uri: str) -> None:
        self._filesystem = filesystem
        self._path = path.rstrip("/")
        self.uri = uri.rstrip("/")

    @classmethod
    def of(cls, location: str | Path) -> Folder:
        """The folder at a path or a URL.

        Raises:
            SettingsError: a kind of place that Arrow cannot write to.
        """
        from pyarrow import fs

        text = re.sub(r"^dbfs:/+", "/dbfs/", str(location))
        if not re.match(r"^[a-z][a-z0-9+.-]*:/", text):
            path = str(Path(text).expanduser().absolute())
            # Databricks mounts volumes under the same path everywhere; other bare paths Spark would look for in HDFS.
            return cls(fs.LocalFileSystem(), path, path if path.startswith("/Volumes/") else f"file://{path}")
        try:
            filesystem, path = fs.FileSystem.from_uri(re.sub(r"^s3[an]:", "s3:", re.sub(r"^file:/+", "file:///", text)))
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
            raise SettingsError(
                f"The folder {text} cannot be opened: {str(error).splitlines()[0]}. Name a folder that the driver and "
                "all executors can write to: a mounted path, or a URI of hdfs, s3, gs or abfss."
            ) from None
        return cls(filesystem, path, text)

    def __truediv__(self, name: str) -> Folder:
        return Folder(self._filesystem, f"{self._path}/{name}", f"{self.uri}/{name}")

    def beside(self, name: str) -> Folder:
        """Another folder in the same one."""
        return Folder(
            self._filesystem, f"{self._path.rpartition('/')[0]}/{name}", f"{self.uri.rpartition('/')[0]}/{name}"
        )

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._path.rpartition("/")[2]

    def exists(self) -> bool:
        """Whether there is such a folder with anything in it that Spark would read."""
        return any(not name.startswith(("_", ".")) for name in self.names())

    def names(self) -> list[str]:
        """What lies in it, sorted; nothing where there is no such folder."""
        from pyarrow import fs

        found = self._filesystem.get_file_info(fs.FileSelector(self._path, allow_not_found=True))
        return sorted(each.base_name for each in found)

    def make(self) -> None:
        """Make the folder and see whether it can be written to.

        Raises:
            SourceError: it cannot.
        """
        try:
            self._filesystem.create_dir(self._path, recursive=True)
            with self._filesystem.open_output_stream(f"{self._path}/_writable") as stream:
                stream.write(b"")
            self._filesystem.delete_file(f"{self._path}/_writable")
        except OSError as error:
            raise SourceError(
                f"The folder {self.uri} cannot be written to: {str(error).splitlines()[0]}. Name one that the driver "
                "and all executors can write to. Nothing was asked."
            ) from None

    @contextlib.contextmanager
    def writing(self, name: str, schema: pa.Schema) -> Iterator[pa.parquet.ParquetWriter]:
        """A writer of a Parquet file that appears complete, when the block has ended well, or not at all."""
        import pyarrow.parquet as pq

        hidden = self._hidden(name)
        # Texts that are all different would only be looked up in a dictionary in vain.
        repeated = [field.name for field in schema if field.name not in ("email", "email_key")]
        try:
            with pq.ParquetWriter(hidden, schema, filesystem=self._filesystem, use_dictionary=repeated) as writer:
                yield writer
            self._filesystem.move(hidden, f"{self._path}/{name}")
        except BaseException:
            with contextlib.suppress(OSError):
                self._filesystem.delete_file(hidden)
            raise

    def write(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file that appears complete or not at all."""
        with self.writing(name, table.schema) as writer:
            writer.write_table(table)

    def copy(self, name: str, to: Folder) -> None:
        """Copy a file, which appears in the other folder complete or not at all."""
        from pyarrow import fs

        hidden = to._hidden(name)
        fs.copy_files(
            f"{self._path}/{name}", hidden, source_filesystem=self._filesystem, destination_filesystem=to._filesystem
        )
        to._filesystem.move(hidden, f"{to._path}/{name}")

    def _hidden(self, name: str) -> str:
        """A path for what is not complete; neither Spark nor Arrow reads names that start so."""
        return f"{self._path}/_{name}.{uuid.uuid4().hex[:8]}"

    def delete_files(self, start: str, *, but: Collection[str] = ()) -> None:
        """Delete the files whose names start so, complete or not, but for those named."""
        for name in self.names():
            if name.removeprefix("_").startswith(start) and name not in but:
                with contextlib.suppress(FileNotFoundError):  # who wrote it has taken it away itself
                    self._filesystem.delete_file(f"{self._path}/{name}")

    def read(self, start: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The Parquet files whose names start so."""
        import pyarrow.parquet as pq

        for name in self.names():
            if name.startswith(start):
                yield pq.read_table(f"{self._path}/{name}", columns=list(columns), filesystem=self._filesystem)

    def move_to(self, other: Folder) -> None:
        """Rename."""
        self._filesystem.move(self._path, other._path)

    def delete(self) -> None:
        """Delete the folder with everything in it; nothing happens where there is none."""
        from pyarrow import fs

        if self._filesystem.get_file_info(self._path).type == fs.FileType.Directory:
            self._filesystem.delete_dir(self._path)
