"""Everything that can go wrong, in one tree. It knows no HTTP: `api/errors.py` gives each branch its status.

ReappearError
├── BadInput                what was sent cannot be used; the message says what to send instead
│   ├── BadPicture          a picture that cannot be taken
│   │   ├── EmptyPicture
│   │   ├── UnsupportedFormat
│   │   ├── CorruptPicture
│   │   ├── PictureTooLarge
│   │   └── BoxOutside
│   ├── BodyTooLarge
│   ├── SlowBody
│   └── UnsupportedBody
├── CallerLeft              nobody waits for the answer any more
├── Unauthorised            no key, or one that opens nothing
├── NotAllowed              the key is not for this, or the request comes from where it must not come from
├── TooManyRequests         this key's share is used up
├── NotFound
├── Conflict
├── Unavailable             nothing is wrong with the request: try again later
│   ├── Overloaded
│   ├── Stopping
│   ├── NotReady
│   ├── DatabaseDown        nothing was written
│   │   └── DatabaseDamaged it stays so until somebody restores a backup
│   ├── StoreDown           the data folder cannot be written: nothing was kept
│   └── OutcomeUnknown      it may have been written
├── FileRefused             a file cannot be written or used like this
├── BackupRefused           a backup cannot be made or restored like this; nothing was changed
│   └── BackupDamaged       the file is not a whole backup
└── StartRefused            the service must not start like this
    ├── ModelRefused
    ├── DatabaseRefused
    ├── FolderRefused
    │   └── FolderInUse
    ├── KeysRefused
    └── IndexRefused
"""

from typing import ClassVar


class ReappearError(Exception):
    """The root: a stable code for programs and a detail for people, which says what to do."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.error_code = code or self.code


class BadInput(ReappearError):
    """What was sent cannot be used."""

    code = "INVALID_INPUT"


class BadPicture(BadInput):
    """A picture that cannot be taken."""

    code = "BAD_PICTURE"


class EmptyPicture(BadPicture):
    """No bytes at all."""

    code = "EMPTY"


class UnsupportedFormat(BadPicture):
    """Not JPEG, PNG or WebP."""

    code = "UNSUPPORTED_FORMAT"


class CorruptPicture(BadPicture):
    """Damaged or cut short."""

    code = "CORRUPT"


class PictureTooLarge(BadPicture):
    """More bytes or pixels than allowed."""

    code = "TOO_LARGE"


class BoxOutside(BadPicture):
    """The box does not lie within the picture."""

    code = "BOX_OUTSIDE"


class BodyTooLarge(BadInput):
    """The request's body is over its limit."""

    code = "BODY_TOO_LARGE"


class SlowBody(BadInput):
    """The request's body did not arrive in time."""

    code = "SLOW_BODY"


class UnsupportedBody(BadInput):
    """The request's content type is none of those the route takes."""

    code = "UNSUPPORTED_BODY"


class CallerLeft(ReappearError):
    """The client closed its connection; nobody waits for the answer any more."""

    code = "CALLER_LEFT"


class Unauthorised(ReappearError):
    """The request carries no key, or one that is not known, was revoked or has expired."""

    code = "UNAUTHORISED"


class NotAllowed(ReappearError):
    """The key's scope or collection is another, the request names another host, or another site's page sent it."""

    code = "NOT_ALLOWED"


class TooManyRequests(ReappearError):
    """The key's requests of the last minute are as many as it may send."""

    code = "TOO_MANY_REQUESTS"


class NotFound(ReappearError):
    """No such identity, crop, collection or route."""

    code = "NOT_FOUND"


class Conflict(ReappearError):
    """It exists already, is in use, or another request with the same key is on its way."""

    code = "CONFLICT"


class Unavailable(ReappearError):
    """Nothing is wrong with the request; the same one may succeed later."""

    code = "UNAVAILABLE"
    retry_after_s: ClassVar[int] = 1


class Overloaded(Unavailable):
    """A queue is full. Nothing of the request was done."""

    code = "OVERLOADED"


class Stopping(Unavailable):
    """The service is shutting down and takes no new work."""

    code = "STOPPING"
    retry_after_s = 5


class NotReady(Unavailable):
    """The index is not loaded, or must not be used."""

    code = "NOT_READY"
    retry_after_s = 5


class DatabaseDown(Unavailable):
    """The database does not answer, is full or is locked. Nothing was written."""

    code = "DATABASE_DOWN"
    retry_after_s = 5


class DatabaseDamaged(DatabaseDown):
    """The file of the database is damaged. Nothing is read or written any more; trying again does not help."""

    code = "DATABASE_DAMAGED"
    retry_after_s = 60


class StoreDown(Unavailable):
    """The disk of the pictures is full, read-only or broken. Nothing of the request was kept."""

    code = "STORE_DOWN"
    retry_after_s = 5


class OutcomeUnknown(Unavailable):
    """A write was on its way when something failed. It may have been kept: look, or repeat it with its key."""

    code = "OUTCOME_UNKNOWN"
    retry_after_s = 5


class FileRefused(ReappearError):
    """A file cannot be written or used like this; only commands meet it."""

    code = "FILE_REFUSED"


class BackupRefused(ReappearError):
    """A backup cannot be made or restored like this; nothing was changed. Only commands meet it."""

    code = "BACKUP_REFUSED"


class BackupDamaged(BackupRefused):
    """The file is no backup, is cut short, or has a wrong byte."""

    code = "BACKUP_DAMAGED"


class StartRefused(ReappearError):
    """The service must not start like this; the message says what to change."""

    code = "START_REFUSED"


class ModelRefused(StartRefused):
    """The model folder, its network or the provider is not what it should be."""


class DatabaseRefused(StartRefused):
    """The database is not at the revision this version needs, or belongs elsewhere."""


class KeysRefused(StartRefused):
    """Nobody could open the service, or the file with the first key cannot be used."""


class IndexRefused(StartRefused):
    """The kind of index that is asked for is not known, or cannot be had with this build of FAISS."""


class FolderRefused(StartRefused):
    """The data folder cannot be written, or belongs to another database."""


class FolderInUse(FolderRefused):
    """Another process has the data folder."""
