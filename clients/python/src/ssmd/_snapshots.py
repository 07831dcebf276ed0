"""Snapshot files: written whole or not at all, but into pipes and devices; read in pieces."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from types import TracebackType

from ssmd._channel import FilePath
from ssmd._errors import DataLoss
from ssmd._proto import session_pb2

# As the server cuts what it sends.
_CHUNK_BYTES = 256 << 10


def is_written_through(path: FilePath) -> bool:
    """Whether there is something that is no regular file, which no file may take the place of."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


class SnapshotWriter:
    """Writes beside the file and takes its place in `commit`; left before that, nothing remains.

    A link is followed; a pipe or a device is written to as the snapshot comes.
    A snapshot is a whole conversation: its owner's to read.
    """

    def __init__(self, path: FilePath) -> None:
        self._through = is_written_through(path)
        self._path = os.fspath(path) if self._through else os.path.realpath(path)
        self._temporary = f"{self._path}.{secrets.token_hex(4)}.tmp"
        self._total = 0
        self._written = 0

    def __enter__(self) -> SnapshotWriter:
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0)
        if self._through:
            self._file = os.fdopen(os.open(self._path, flags), "wb")
        else:
            flags |= os.O_CREAT | os.O_EXCL
            self._file = os.fdopen(os.open(self._temporary, flags, 0o600), "wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        finally:  # closing writes what is left, which may fail
            if os.path.exists(self._temporary):
                os.unlink(self._temporary)

    def write(self, part: session_pb2.ExportSessionResponse) -> None:
        self._total = part.total_bytes or self._total
        self._written += self._file.write(part.chunk)

    def commit(self) -> int:
        """Puts the file in place and returns its size. Raises DataLoss where it is not whole."""
        if self._written != self._total:
            raise DataLoss(
                "DATA_LOSS",
                f"the snapshot was to have {self._total} bytes, and {self._written} came",
            )
        self._file.flush()
        if not self._through:
            os.fsync(self._file.fileno())
            os.replace(self._temporary, self._path)
        return self._written


def read_snapshot(
    path: FilePath, first: session_pb2.ImportSessionRequest
) -> Iterator[session_pb2.ImportSessionRequest]:
    """The messages of an import: `first`, which holds everything but the bytes, and the bytes."""
    with open(path, "rb") as file:
        message = session_pb2.ImportSessionRequest()
        message.CopyFrom(first)
        message.total_bytes = os.fstat(file.fileno()).st_size
        message.chunk = file.read(_CHUNK_BYTES)
        yield message
        while chunk := file.read(_CHUNK_BYTES):
            yield session_pb2.ImportSessionRequest(chunk=chunk)
