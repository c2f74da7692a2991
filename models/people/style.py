"""Styles: what a generated world looks like as a whole.

A network is trained on STREET alone and judged on HELD_OUT, because the score on the generator it was trained on says
little about pictures from elsewhere. No training draws from a style of HELD_OUT.
"""

from dataclasses import dataclass
from typing import Literal

Range = tuple[float, float]
Pattern = Literal[
    "plain", "melange", "hoops", "pinstripes", "checks", "plaid", "dots", "blocks", "print", "back", "camouflage",
    "floral", "diagonal", "argyle", "gradient", "zigzag",
]  # fmt: skip
Setting = Literal["road", "pavement", "wall", "shops", "park", "campus", "indoor", "plaza", "blobs"]

EVERYDAY: tuple[Pattern, ...] = (
    "melange", "hoops", "pinstripes", "checks", "plaid", "dots", "blocks", "print", "print", "back", "camouflage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Optics:
    """How far cameras of a style differ from a perfect one. Ranges are (low, high), deviations are of normal laws."""

    cast: Range = (0.15, 0.07)  # deviations of the logarithms of red over blue and of green: temperature and tint
    mixing: float = 0.03  # deviation of the leaks between colours
    saturation: Range = (0.45, 1.2)
    exposure: Range = (0.0, 0.24)  # mean and deviation of its logarithm
    gamma: float = 0.2  # deviation of its logarithm
    haze: float = 0.22  # largest share of a veil laid over the picture
    slope: float = 0.16  # deviation of the fall of light across the picture
    blur: Range = (0.0, 1.3)  # radius, pixels of a crop of 128 rows
    motion: float = 0.18  # share of pictures that are smeared
    noise: float = 9.0  # largest standard deviation, in 1/255
    quality: Range = (38.0, 95.0)  # of the JPEG
    rows: Range = (44.0, 210.0)  # of the crop before it is stored
    sharpened: float = 0.2  # share of cameras that sharpen
    interlaced: float = 0.03  # share of cameras whose odd rows come later
    looseness: float = 1.0  # how imprecisely boxes are cut, 0 to 1
    clutter: float = 0.4  # share of pictures with other people or things in the way


@dataclass(frozen=True, slots=True)
class Style:
    """Ranges are (low, high) and drawn uniformly; lengths are fractions of the person's height."""

    name: str
    height_m: Range = (1.52, 1.93)
    build: Range = (0.84, 1.28)  # multiplies every girth
    head: Range = (0.92, 1.1)  # multiplies the size of the head
    legs: Range = (0.465, 0.51)  # height of the hips
    usual: float = 0.72  # share of garments in the colours that such garments usually have; others have any hue
    saturation: Range = (0.2, 0.95)  # of colours of any hue
    patterned: float = 0.4  # share of garments that are not plain
    patterns: tuple[Pattern, ...] = EVERYDAY
    cold: Range = (0.0, 1.0)  # the season: 0 shorts and T-shirts, 1 coats and scarves
    folds: float = 1.0  # multiplies the shading by folds
    occlusion: float = 1.0  # multiplies the darkening where surfaces meet
    fuzz: float = 1.0  # multiplies the unevenness of outlines
    oversample: int = 2  # rays per pixel and direction
    ambient: Range = (0.4, 0.75)  # light that comes from everywhere; the rest comes from one side
    stride: float = 0.5  # largest swing of a leg, radians
    pitch: Range = (0.0, 0.5)  # camera looking down, radians
    distance_m: Range = (4.0, 16.0)  # of the camera
    settings: tuple[Setting, ...] = ("road", "pavement", "wall", "shops", "park", "campus")
    optics: Optics = Optics()


STREET = Style("street")  # what training draws

TOY = Style(  # dolls with large heads in flat, loud clothes before blobs
    "toy",
    height_m=(1.3, 1.75),
    build=(1.1, 1.5),
    head=(1.35, 1.7),
    usual=0.2,
    saturation=(0.2, 0.7),
    patterned=0.7,
    folds=0.0,
    occlusion=0.0,
    fuzz=0.0,
    ambient=(0.25, 0.45),
    stride=0.75,
    pitch=(0.2, 0.75),
    settings=("blobs",),
    optics=Optics(cast=(0.25, 0.15), mixing=0.06, gamma=0.22),
)

MALL = Style(  # indoors, dark winter clothes, few pixels, strong casts, no soft shadows
    "mall",
    height_m=(1.5, 1.85),
    build=(0.78, 1.05),
    head=(1.0, 1.16),
    legs=(0.48, 0.53),
    usual=0.92,
    patterned=0.2,
    cold=(0.55, 1.0),
    folds=0.5,
    occlusion=0.3,
    fuzz=0.4,
    oversample=1,
    ambient=(0.6, 0.9),
    stride=0.35,
    pitch=(0.2, 0.6),
    distance_m=(3.0, 7.0),
    settings=("indoor",),
    optics=Optics(
        cast=(0.35, 0.18), mixing=0.08, saturation=(0.25, 0.8), gamma=0.28, haze=0.3, blur=(0.4, 1.8), noise=13.0,
        quality=(25.0, 70.0), rows=(36.0, 84.0), sharpened=0.0, looseness=0.7,
    ),
)  # fmt: skip

PLAZA = Style(  # summer, from high above, sharp and bright, stocky bodies, patterns that training never shows
    "plaza",
    height_m=(1.45, 1.8),
    build=(1.0, 1.45),
    head=(1.05, 1.25),
    legs=(0.44, 0.475),
    usual=0.5,
    saturation=(0.3, 0.85),
    patterned=0.65,
    patterns=("floral", "diagonal", "argyle", "gradient", "zigzag"),
    cold=(0.0, 0.4),
    folds=1.6,
    fuzz=0.6,
    ambient=(0.2, 0.4),
    stride=0.6,
    pitch=(0.5, 0.85),
    distance_m=(6.0, 20.0),
    settings=("plaza",),
    optics=Optics(
        cast=(0.08, 0.03), mixing=0.02, saturation=(0.9, 1.5), exposure=(0.15, 0.15), gamma=0.1, haze=0.04,
        blur=(0.0, 0.4), motion=0.03, noise=4.0, quality=(75.0, 97.0), rows=(130.0, 260.0), sharpened=0.7, clutter=0.55,
    ),
)  # fmt: skip

HELD_OUT: tuple[Style, ...] = (TOY, MALL, PLAZA)  # to validate by, never to train on
STYLES = {style.name: style for style in (STREET, *HELD_OUT)}
