"""What a run was trained on, so that nobody is judged by as a stranger who is none.

A run keeps a line for each picture in trained_on.txt, a digest of its bytes: pictures are known again wherever they lie
and whatever they are called. `before` stands behind those that the run it was fine-tuned from was trained on.
"""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from models.data.reading import SEED, read_set
from models.data.sample import PictureSet
from models.errors import Refused
from models.evaluation.ancestry import DRAWN, DRAWN_ONES, read_entries, saw_only_drawn, says_only_drawn
from models.evaluation.evaluate import IDENTITIES
from models.evaluation.exam import PEOPLE, Exam, read_exam
from models.evaluation.exported import is_exported
from models.files import write_whole
from models.runs import read_record
from service.embedding.manifest import read_manifest
from service.errors import ModelRefused

FILE, BEFORE = "trained_on.txt", " before"
DIGITS = 16  # of a digest: 64 bits, so that two of a million pictures share one once in forty million sets


@dataclass(frozen=True, slots=True)
class Trained:
    """Digests of the pictures that a run learned from, and of those that the run it began with did."""

    own: frozenset[str]
    before: frozenset[str]


@dataclass(frozen=True, slots=True)
class Division:
    """How a run read the pictures it was trained on, and whom it held out."""

    layout: str
    pattern: str | None
    share: float
    seed: int

    def read(self, data: Path) -> PictureSet:
        """The pictures, divided in that way. Raises Refused where they cannot be."""
        return read_set(
            data,
            self.layout,
            pattern=self.pattern,
            share=self.share,
            seed=self.seed,
            training=False,
            evaluation=False,
        )


def digest(path: Path) -> str:
    """Of a file's bytes. Raises Refused where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS]
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from error


def digest_all(paths: Sequence[Path]) -> list[str]:
    """A digest for each file, with a progress bar."""
    return [digest(path) for path in tqdm(paths, desc="knowing pictures again", disable=None, leave=False)]


def note_pictures(run: Path, paths: Sequence[Path], start: Path | None, *, resumed: bool) -> None:
    """Keep what a run is trained on, and what the run `start` was; nothing where people were drawn. Raises Refused
    where a run that is `resumed` has learned from other pictures until now."""
    before, own = read_trained(start) if start else None, frozenset(digest_all(paths))
    known = read_trained(run) if resumed else None
    if known is not None:
        if known.own != own:
            raise Refused(
                f"{run}: {len(known.own - own)} of the pictures that it was trained on are gone or others, and "
                f"{len(own - known.own)} are new; resume with those it had, or begin another by --from {run}"
            )
        return
    (run / FILE).unlink(missing_ok=True)  # of a training that ended before it saved anything
    if not (paths or before):
        return
    old = sorted(before.own | before.before) if before else []
    lines = [*sorted(own), *(one + BEFORE for one in old)]
    write_whole(run / FILE, "".join(f"{line}\n" for line in lines).encode())


def read_trained(run: Path) -> Trained | None:
    """What a run noted; None where it learned from no pictures on disk, or was made before runs noted it."""
    try:
        lines = (run / FILE).read_text().splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{run / FILE} cannot be read ({error}); give the run as it was trained") from error
    old = frozenset(line.removesuffix(BEFORE) for line in lines if line.endswith(BEFORE))
    return Trained(frozenset(line for line in lines if not line.endswith(BEFORE)), old)


def find_same(trained: Iterable[Path], judged: Iterable[Path]) -> tuple[Path, Path] | None:
    """The first picture to judge by that is trained on, behind the one it is: the same file, or one of the same bytes.

    Only files of equal size are read.
    """
    places, sizes = dict[Path, Path](), dict[int, list[Path]]()
    for path in trained:
        places[path.resolve()] = path
        sizes.setdefault(path.stat().st_size, []).append(path)
    known = dict[Path, str]()
    for path in judged:
        if path.resolve() in places:
            return places[path.resolve()], path
        alike = sizes.get(path.stat().st_size, [])
        mine = digest(path) if alike else ""
        for other in alike:
            known[other] = known.get(other) or digest(other)
            if known[other] == mine:
                return other, path
    return None


def division_of(run: Path, data: Path, layout: str = "auto", pattern: str | None = None) -> Division | None:
    """How a run divided these very pictures; None where it was trained on others.

    They are its own where they lie in the place it was trained from, and where the pictures it would train on by its
    flags are those it noted: a folder may have been moved or copied.
    """
    record = read_record(run)
    flags = record.flags
    trained = record.data or str(flags.get("data", ""))
    if trained in ("", DRAWN):
        return None
    division = Division(
        str(flags.get("layout", "auto")) if layout == "auto" else layout,
        flags.get("pattern") if pattern is None else pattern,
        float(flags["hold_out"]),
        int(flags["seed"]),
    )
    if Path(trained).resolve() == data.resolve():
        return division
    try:
        return division if is_trained_on(run, division.read(data)) else None
    except Refused:  # not in the layout of the run's
        return None


def is_trained_on(run: Path, pictures: PictureSet | Exam) -> bool:
    """Whether a run learned from the training part of a set and from nothing else."""
    known = read_trained(run)
    if known is None or len(pictures.train) < len(known.own):
        return False
    return frozenset(digest_all([one.path for one in pictures.train])) == known.own


def read_exam_of(
    run: Path | None,
    data: str,
    layout: str = "auto",
    *,
    pattern: str | None = None,
    share: float | None = None,
    seed: int | None = None,
    identities: int = IDENTITIES,
    anyway: bool = False,
) -> Exam:
    """The queries and the gallery of `data` to judge a run by, or, for None, a network whose training is not known.

    Where a layout does not say who is for evaluation: a `share` of the people; for None those that the run held out
    where `data` is what it was trained on, else all. Raises Refused, unless `anyway`, where a picture to judge by is
    one that was trained on.
    """
    own = None
    if run is not None and not data.startswith(PEOPLE) and (own := division_of(run, Path(data), layout, pattern)):
        layout, pattern = own.layout, own.pattern
        share, seed = own.share if share is None else share, own.seed if seed is None else seed
    exam = read_exam(
        data,
        layout,
        pattern=pattern,
        share=1.0 if share is None else share,
        seed=SEED if seed is None else seed,
        identities=identities,
    )
    if run is not None and not anyway:
        remedy = "give the very folder of the training, whose held-out people are then judged by"
        if own is not None and (share, seed) == (own.share, own.seed):
            remedy = f"run check-data on {data}, which names pictures that two people share"
        check_strange(run, exam.paths, data, remedy)
    return exam


def warn_of_export(model: Path, data: str) -> None:
    """Say on stderr that an exported folder does not know whom its run held out, where it may have seen pictures."""
    try:
        entries = read_entries(model / read_manifest(model).file)
    except (ModelRefused, OSError):
        return  # opening it says what is wrong
    learned_from = entries.get("reappear.trained_on")
    if learned_from is None or says_only_drawn(entries):
        return
    if learned_from == DRAWN_ONES:
        learned_from = f"{entries.get('reappear.started_from', 'whoever made its weights')} before drawn people"
    print(
        f"{model} learned from pictures of {learned_from}, and does not know of whom: where people of {data} may "
        "be among them, judge the run that it was exported from",
        file=sys.stderr,
    )


def check_strange(run: Path, judged: Sequence[Path], data: str, remedy: str) -> None:
    """Raises Refused where a run, or the one it was fine-tuned from, was trained on pictures of `data` to judge by."""
    if is_exported(run):
        if judged:
            warn_of_export(run, data)
        return
    known = read_trained(run)
    record = read_record(run)
    if known is None and judged and not saw_only_drawn({"data": DRAWN, **record.flags}, record.origin):
        print(f"{run} did not note what it was trained on: see to it that {data} holds none of that", file=sys.stderr)
    if known is None or not judged:
        return
    both = known.own | known.before
    found = [path for path, mine in zip(judged, digest_all(judged), strict=True) if mine in both]
    if found:
        raise Refused(
            f"{data}: {run} was trained on {len(found)} of the {len(judged)} pictures to judge by, such as {found[0]}; "
            f"give pictures of other people, or {remedy}"
        )
