"""Styles: what a generated world looks like as a whole. A network is trained on one and judged on another as well,
because the score on the generator it was trained on says little about pictures from elsewhere."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Style:
    """Ranges are (low, high) and drawn uniformly; lengths are fractions of the person's height."""

    name: str
    height_m: Range = (1.52, 1.95)
    build: Range = (0.82, 1.3)  # multiplies every girth
    head: Range = (0.92, 1.1)  # multiplies the size of the head
    neutral: float = 0.4  # share of garments in black, grey, white, navy, brown or beige
    saturation: Range = (0.35, 1.0)
    patterned: float = 0.45  # share of garments that are not plain
    folds: float = 0.12  # depth of the shading by folds
    ambient: Range = (0.45, 0.75)  # light that comes from everywhere; the rest comes from one side
    stride: float = 0.5  # largest swing of a leg, radians
    pitch: Range = (0.0, 0.5)  # camera looking down, radians
    organic: bool = False  # backgrounds of blobs and foliage instead of walls, windows and ground


STREET = Style("street")

TOY = Style(
    "toy",
    height_m=(1.3, 1.75),
    build=(1.1, 1.6),
    head=(1.35, 1.7),
    neutral=0.2,
    saturation=(0.2, 0.7),
    patterned=0.7,
    folds=0.0,
    ambient=(0.25, 0.45),
    stride=0.75,
    pitch=(0.2, 0.75),
    organic=True,
)
