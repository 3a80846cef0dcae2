"""Files: none but on the page that imports logs, and there none beyond the limit, in memory or on disk."""

from __future__ import annotations

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

_TOO_LARGE = "lockmon.upload_too_large"


def limit_bytes() -> int:
    """The largest file that is taken, in bytes."""
    return int(settings.LOG_UPLOAD_MB) * 1024 * 1024


def was_too_large(request: HttpRequest) -> bool:
    """Whether a file of this request was passed over because it is larger than the limit."""
    return bool(request.META.get(_TOO_LARGE))


class NoFiles(FileUploadHandler):
    """The handler of every page but one (settings.FILE_UPLOAD_HANDLERS): a file is passed over unkept."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        """Drop the file with its first piece."""
        raise SkipFile

    def file_complete(self, file_size: int) -> None:
        """Nothing: an empty file is none either."""


class SizeLimit(FileUploadHandler):
    """Stands before Django's own handlers; counts each file and drops it where it grows beyond the limit."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        """Pass the chunk on, or raise SkipFile: then the other handlers close and delete what they have."""
        if start + len(raw_data) > limit_bytes():
            if self.request is not None:
                self.request.META[_TOO_LARGE] = True
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Nothing: Django's own handlers make the file."""
