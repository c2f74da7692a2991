"""What clients were told, and therefore what must be there, must be gone, or may be either."""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.crash.audit import Row


class Fate(StrEnum):
    """Of a request, as far as its client knows."""

    UNANSWERED = "unanswered"  # all of it may be there, or nothing
    DONE = "done"
    REFUSED = "refused"  # the answer said that nothing was done


@dataclass(slots=True)
class _Enrolment:
    identity: str
    pictures: list[bytes]  # all different
    fate: Fate = Fate.UNANSWERED
    crops: dict[int, str] = field(default_factory=dict)  # acknowledged: crop → sha256 of its picture

    @property
    def digests(self) -> list[str]:
        """The sha256 of each picture."""
        return [hashlib.sha256(picture).hexdigest() for picture in self.pictures]


class Oracle:
    """Holds every acknowledgement. Each enrolment carries a token in the field `track`, which ties rows to requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._enrolments: dict[str, _Enrolment] = {}
        self._removals: dict[int, Fate] = {}
        self._removed_together: list[list[int]] = []
        self._history: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def as_of(self, moment_s: float) -> "Oracle":
        """What was known before a moment of `time.monotonic`."""
        earlier = Oracle()
        for known_s, method, arguments in self._history:
            if known_s < moment_s:
                method(earlier, *arguments)
        return earlier

    def acknowledged_at(self) -> list[float]:
        """The moments of `time.monotonic` right after an acknowledgement came."""
        return [known_s for known_s, method, _ in self._history if method in (Oracle.enrolled, Oracle.removed)]

    def enrolling(self, identity: str, pictures: list[bytes]) -> str:
        """An enrolment is about to be sent; returns its token."""
        with self._lock:
            token = f"t-{len(self._enrolments)}"
            self._enrolments[token] = _Enrolment(identity, pictures)
            self._note(Oracle.enrolling, identity, pictures)
            return token

    def enrolled(self, token: str, crops: list[int]) -> None:
        """It was acknowledged, with these crops for its pictures."""
        self._note(Oracle.enrolled, token, crops)
        enrolment = self._enrolments[token]
        enrolment.crops = dict(zip(crops, enrolment.digests, strict=True))
        enrolment.fate = Fate.DONE

    def refused(self, token: str) -> None:
        """Its answer said that nothing was done."""
        self._note(Oracle.refused, token)
        self._enrolments[token].fate = Fate.REFUSED

    def removing(self, crops: list[int]) -> None:
        """A removal is about to be sent."""
        self._note(Oracle.removing, crops)
        self._removals.update(dict.fromkeys(crops, Fate.UNANSWERED))
        self._removed_together.append(list(crops))

    def removed(self, crops: list[int]) -> None:
        """It was acknowledged."""
        self._note(Oracle.removed, crops)
        self._removals.update(dict.fromkeys(crops, Fate.DONE))

    def kept(self, crops: list[int]) -> None:
        """Its answer said that nothing was done."""
        self._note(Oracle.kept, crops)
        self._removals.update(dict.fromkeys(crops, Fate.REFUSED))
        self._removed_together.remove(crops)  # from now on some of them may go without the others

    def _note(self, method: Callable[..., object], *arguments: Any) -> None:
        """Before what it tells of is done, so that `as_of` never knows of an answer too early or a request too late."""
        self._history.append((time.monotonic(), method, arguments))

    def count(self) -> dict[str, int]:
        """How many enrolments and removed crops there are of each fate."""
        fates = [f"enrolments {one.fate}" for one in self._enrolments.values()]
        fates += [f"removals {fate}" for fate in self._removals.values()]
        return {fate: fates.count(fate) for fate in sorted(set(fates))}

    def unanswered(self) -> list[tuple[str, str, list[bytes]]]:
        """Enrolments whose clients know nothing yet: token, identity, pictures."""
        return [
            (token, one.identity, one.pictures)
            for token, one in self._enrolments.items()
            if one.fate is Fate.UNANSWERED
        ]

    def must_have(self) -> dict[int, str]:
        """Crops that were acknowledged and never asked to be removed, and their identities."""
        return {
            crop: enrolment.identity
            for enrolment in self._enrolments.values()
            for crop in enrolment.crops
            if self._removals.get(crop, Fate.REFUSED) is Fate.REFUSED
        }

    def must_not_have(self) -> set[int]:
        """Crops whose removal was acknowledged."""
        return {crop for crop, fate in self._removals.items() if fate is Fate.DONE}

    def problems(self, rows: Sequence[Row]) -> list[str]:
        """Where rows are not what the acknowledgements say."""
        there = {row.crop for row in rows}
        found = [f"crop {crop} of {name} is lost" for crop, name in self.must_have().items() if crop not in there]
        found += [f"crop {crop} is back after its removal" for crop in self.must_not_have() & there]
        for crops in self._removed_together:
            if 0 < len(there & set(crops)) < len(crops):
                found.append(f"crops {crops} were to be removed together, and only some of them are")
        by_token: dict[str, list[Row]] = {}
        for row in rows:
            by_token.setdefault(row.track, []).append(row)
        found += [f"rows of a request nobody sent: {token!r}" for token in by_token.keys() - self._enrolments.keys()]
        for token, enrolment in self._enrolments.items():
            found += self._problems_of(token, enrolment, by_token.get(token, []))
        return found

    def _problems_of(self, token: str, enrolment: _Enrolment, rows: list[Row]) -> list[str]:
        found = [f"{token} is under {row.identity}" for row in rows if row.identity != enrolment.identity]
        digests = sorted(row.digest for row in rows)
        if len(set(digests)) != len(digests):
            found.append(f"{token} has a picture twice")
        if enrolment.fate is Fate.REFUSED and rows:
            found.append(f"{token} was refused and has rows")
        if enrolment.fate is Fate.UNANSWERED and rows and digests != sorted(enrolment.digests):
            found.append(f"{token} is there by half: {len(rows)} of {len(enrolment.digests)} pictures")
        if enrolment.fate is Fate.DONE:
            wrong = [row for row in rows if enrolment.crops.get(row.crop) != row.digest]
            found += [f"{token} has crop {row.crop}, or its picture, which nobody was told of" for row in wrong]
        return found
