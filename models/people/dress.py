"""What a person looks like on the surface: one sheet of colour for each part, with seams, straps and a face."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.people.fabric import ASIDE, SIZE, Sheet, V, lay, piece, weave
from models.people.person import Head, Person
from models.people.wardrobe import Cloth, Outfit

Sheets = NDArray[np.uint8]  # (LAYERS, SIZE, SIZE, 3)
TORSO, SLEEVE, HIPS, LEG, SKIRT, FACE, HAIR, SHOE, BAG, SKIN, HAT, ARM, SHIN, METAL = range(14)
LAYERS = 14


@lru_cache(maxsize=4)
def dress(person: Person) -> Sheets:
    """All sheets of a person; kept, because the pictures of one person are mostly drawn in a row. Not to be changed."""
    outfit, height = person.outfit, person.body.height
    sheets = np.empty((LAYERS, SIZE, SIZE, 3), np.float32)
    sheets[TORSO] = torso(person)
    sheets[SLEEVE] = sleeve(outfit, height)
    sheets[HIPS] = hips(outfit, height)
    sheets[LEG] = leg(outfit, height)
    sheets[SKIRT] = skirt(outfit, height)
    sheets[FACE] = face(person.head)
    sheets[HAIR] = np.array(person.head.hair_colour, np.float32)
    sheets[HAIR] *= 1 + 0.18 * np.repeat(piece(64, 0.3)[:1], SIZE, 0)[..., None] + 0.1 * piece(16, 0.6)[..., None]
    sheets[SHOE] = shoe(outfit)
    sheets[BAG] = bag(person)
    sheets[SKIN] = person.head.skin
    sheets[HAT] = outfit.cloth.colour if person.head.hat == "hood" else person.head.hat_colour
    sheets[ARM] = person.head.skin
    sheets[SHIN] = shin(outfit, person.head.skin)
    sheets[METAL] = person.bag_colour if person.umbrella else (0.2, 0.2, 0.22)
    return np.asarray(np.clip(sheets, 0.0, 1.0) * 255).astype(np.uint8)


def torso(person: Person) -> Sheet:
    """The top from its hem (row 0) to the neck: cloth, hem, front, neckline, straps."""
    outfit, rng = person.outfit, np.random.default_rng((person.seed, 1))
    sheet = weave(outfit.cloth, 0.95, 0.34 * person.body.height + max(0.0, outfit.hem))
    aside = np.abs(ASIDE)
    sheet *= 1 - 0.12 * (V < 0.035)[..., None]
    if outfit.top == "puffer":
        sheet *= 1 + 0.22 * np.sin(V * rng.uniform(35, 60))[..., None]
    if outfit.top in ("jacket", "hoodie", "coat", "puffer", "shirt") and not outfit.open:
        light = float(rng.uniform(0.55, 1.35))
        sheet *= np.where(aside < 0.012, light, 1.0)[..., None]
    if outfit.top in ("hoodie", "jacket", "coat") and rng.random() < 0.6:  # pockets
        sheet *= np.where((np.abs(aside - 0.11) < 0.05) & (np.abs(V - 0.2) < 0.012 + 0.1 * (aside - 0.06)), 0.7, 1.0)[
            ..., None
        ]
    deep = {"vest top": 0.14, "t-shirt": 0.06, "dress": 0.1, "shirt": 0.08, "jumper": 0.05}.get(outfit.top, 0.05)
    deep *= rng.uniform(0.6, 1.6)
    neckline = 1 - deep * (1 - aside / (0.13 if rng.random() < 0.6 else 0.2)) < V
    if outfit.open or outfit.top in ("jacket", "coat", "puffer", "hoodie"):
        lay(sheet, (aside < outfit.open * (0.35 + 0.65 * V)) & (V < 1.1), outfit.inner)
        sheet *= np.where(np.abs(aside - outfit.open * (0.35 + 0.65 * V)) < 0.012, 0.72, 1.0)[..., None]
        lay(sheet, neckline, outfit.inner)
    else:
        lay(sheet, neckline & (aside < 0.25), person.head.skin)
    if outfit.top == "vest top":
        lay(sheet, (V > 0.8) & (np.abs(aside - 0.25) < 0.06), person.head.skin)
    if outfit.top in ("shirt", "jacket", "coat") and not (outfit.open and outfit.top == "shirt"):  # collar, lapels
        sheet *= np.where((V > 0.93) & ~neckline, 0.85, 1.0)[..., None]
    return straps(person, sheet)


def straps(person: Person, sheet: Sheet) -> Sheet:
    """The straps of a rucksack or a shoulder bag, on the chest and across the back."""
    side = 1.0 if person.bag_left else -1.0
    if person.bag == "backpack":
        shown = (np.abs(np.abs(ASIDE) - 0.115) < 0.022) & (V > 0.35)
        lay(sheet, shown, tuple(0.8 * c for c in person.bag_colour))  # type: ignore[arg-type]
    elif person.bag == "shoulder" and person.bag_size > 0.95:  # worn across
        front = np.abs(ASIDE * side - (0.14 - 0.3 * V)) < 0.016
        back = np.abs((np.abs(ASIDE) - 0.5) * np.sign(ASIDE) * side + (0.14 - 0.3 * V)) < 0.016
        lay(sheet, np.where(np.abs(ASIDE) < 0.25, front, back), tuple(0.85 * c for c in person.bag_colour))  # type: ignore[arg-type]
    return sheet


def sleeve(outfit: Outfit, height: float) -> Sheet:
    """A sleeve from the shoulder (row 0) to the wrist, as if it were long."""
    cloth = outfit.cloth
    kept = cloth.pattern if cloth.pattern not in ("print", "back", "blocks") else "plain"
    sheet = weave(Cloth(outfit.sleeve_colour, cloth.second, kept, cloth.scale, cloth.phase), 0.3, 0.32 * height)
    if outfit.top == "puffer":
        sheet *= 1 + 0.2 * np.sin(V * 45)[..., None]
    if outfit.top in ("jacket", "hoodie") and cloth.phase < 0.12:  # stripes down the sleeve
        lay(sheet, np.abs(np.abs(ASIDE) - 0.25) < 0.05, cloth.second)
    sheet *= np.where(V > 0.94, 0.8, 1.0)[..., None]
    return sheet


def hips(outfit: Outfit, height: float) -> Sheet:
    """The bottom round the hips, from below (row 0) to the waist."""
    sheet = weave(outfit.lower, 0.95, 0.15 * height)
    lay(sheet, (V > 0.86) & (outfit.lower.phase < 0.5), (0.12, 0.09, 0.07))
    sheet *= np.where((np.abs(np.abs(ASIDE) - 0.37) < 0.06) & (np.abs(V - 0.45) < 0.02), 0.75, 1.0)[..., None]
    return sheet


def leg(outfit: Outfit, height: float) -> Sheet:
    """A leg of the bottom from the hip (row 0) to the ankle, as if it were long."""
    sheet = weave(outfit.lower, 0.5, 0.45 * height)
    if outfit.bottom == "jeans":  # worn pale on the thighs
        worn = np.exp(-(((V - 0.3) / 0.2) ** 2) - (ASIDE / 0.15) ** 2)
        sheet += (0.16 * outfit.lower.phase * worn)[..., None]
        sheet *= 1 + 0.04 * piece(48, outfit.lower.phase)[..., None]
    sheet *= np.where(np.abs(np.abs(ASIDE) - 0.25) < 0.012, 0.85, 1.0)[..., None]
    if outfit.bottom == "trousers" and outfit.lower.phase > 0.92:  # stripes of a tracksuit
        lay(sheet, np.abs(np.abs(ASIDE) - 0.25) < 0.05, outfit.lower.second)
    return sheet


def skirt(outfit: Outfit, height: float) -> Sheet:
    """What hangs from the waist (row 0): a skirt, or the lower part of a coat, which may be open."""
    coat = outfit.bottom != "skirt"
    cloth = outfit.cloth if coat else outfit.lower
    kept = cloth.pattern if cloth.pattern not in ("print", "back") else "plain"
    sheet = weave(Cloth(cloth.colour, cloth.second, kept, cloth.scale, cloth.phase), 1.1, 0.3 * height)
    if coat and outfit.open:
        lay(sheet, (np.abs(ASIDE) < outfit.open * (0.35 + 0.5 * V)) & (V < 2), outfit.lower.colour)
    elif coat:
        sheet *= np.where(np.abs(ASIDE) < 0.01, 0.7, 1.0)[..., None]
    else:  # pleats
        sheet *= 1 + 0.1 * (cloth.phase > 0.5) * np.sin(ASIDE * 60)[..., None] * V[..., None]
    sheet *= np.where(V > 0.96, 0.85, 1.0)[..., None]
    return sheet


def face(head: Head) -> Sheet:
    """A head from the chin (row 0) to the crown: skin, eyes, mouth, beard, glasses, mask, and hair down to its line."""
    sheet = np.empty((SIZE, SIZE, 3), np.float32)
    sheet[:] = head.skin
    aside = np.abs(ASIDE)
    sheet *= 1 - 0.1 * (np.exp(-(((V - 0.62) / 0.05) ** 2)) * (aside < 0.16))[..., None]
    eyes = (np.abs(aside - 0.075) < 0.035) & (np.abs(V - 0.55) < 0.035)
    brows = (np.abs(aside - 0.075) < 0.045) & (np.abs(V - 0.64) < 0.02)
    lay(sheet, 0.75 * eyes, (0.12, 0.08, 0.07))
    lay(sheet, 0.55 * brows, head.hair_colour)
    lay(sheet, 0.45 * ((aside < 0.045) & (np.abs(V - 0.22) < 0.03)), (0.55, 0.2, 0.2))
    sheet *= np.where((aside < 0.035) & (np.abs(V - 0.36) < 0.025), 0.8, 1.0)[..., None]  # under the nose
    if head.beard:
        jaw = (V < 0.36) & (aside < 0.3) & ~((aside < 0.05) & (np.abs(V - 0.22) < 0.04))
        lay(sheet, 0.85 * head.beard * jaw, head.hair_colour)
    if head.glasses:
        lay(sheet, 0.8 * ((aside < 0.13) & (np.abs(V - 0.56) < 0.06)), (0.1, 0.1, 0.12))
    if head.mask:
        lay(sheet, (V < 0.42) & (aside < 0.2), (0.75, 0.82, 0.88) if head.hair_colour[0] > 0.15 else (0.1, 0.1, 0.11))
    if head.hair != "bald":
        line = 0.82 - 0.55 * np.clip((aside - 0.12) / 0.16, 0, 1)
        lay(sheet, line < V, head.hair_colour)
    return sheet


def shoe(outfit: Outfit) -> Sheet:
    """A shoe: upper side at the front of the sheet, sole at its back."""
    sheet = np.empty((SIZE, SIZE, 3), np.float32)
    sheet[:] = outfit.shoes
    lay(sheet, np.abs(ASIDE) > 0.33, outfit.sole)
    sheet *= np.where((np.abs(ASIDE) < 0.08) & (np.abs(V - 0.5) < 0.15), 1.25, 1.0)[..., None]
    return sheet


def shin(outfit: Outfit, skin: tuple[float, float, float]) -> Sheet:
    """What is below shorts and skirts, from the hip to the ankle: skin or stockings, socks, boots."""
    sheet = np.empty((SIZE, SIZE, 3), np.float32)
    sheet[:] = outfit.stockings if outfit.bottom in ("shorts", "skirt") else skin
    if outfit.bottom == "shorts" and outfit.lower.phase < 0.6:
        lay(sheet, 0.97 - 0.25 * outfit.lower.phase < V, outfit.sole)
    return sheet


def bag(person: Person) -> Sheet:
    """A bag with a pocket, a flap and seams; a white one with a print where it is from a shop."""
    sheet = np.empty((SIZE, SIZE, 3), np.float32)
    sheet[:] = person.bag_colour
    back = np.abs(np.abs(ASIDE) - 0.5)
    sheet *= np.where((back < 0.17) & (V < 0.45) & ((V > 0.4) | (back > 0.15)), 0.7, 1.0)[..., None]
    sheet *= np.where(np.abs(V - 0.72) < 0.02, 0.65, 1.0)[..., None]
    if person.bag == "shopper":
        lay(sheet, (np.abs(V - 0.5) < 0.16) & (np.abs(ASIDE) < 0.5), person.outfit.inner)
    return sheet
