"""What a person wears and shows, in words, for labels beside the pictures."""

import math
from dataclasses import dataclass
from typing import Literal

from models.people.colours import name_of
from models.people.person import Person

Side = Literal["front", "back", "left", "right"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """One line of attributes.csv; colours are everyday names."""

    picture: str  # path below the folder, with forward slashes
    identity: int
    camera: int
    side: Side  # of the person that is seen
    gender: str
    hair: str
    hair_colour: str
    hat: str
    glasses: str
    upper: str
    upper_colour: str
    upper_pattern: str
    sleeve: str
    lower: str
    lower_colour: str
    shoe_colour: str
    bag: str
    bag_colour: str


def side_of(yaw: float) -> Side:
    """The side seen of a person who is turned by `yaw` radians: 0 looks at the camera, pi/2 to its right."""
    quarter = round(yaw / (math.pi / 2)) % 4
    sides: tuple[Side, ...] = ("front", "right", "back", "left")
    return sides[quarter]


def describe_person(person: Person, picture: str, identity: int, camera: int, side: Side) -> Attributes:
    """The line for one picture of a person."""
    head, outfit = person.head, person.outfit
    return Attributes(
        picture=picture,
        identity=identity,
        camera=camera,
        side=side,
        gender="female" if person.body.female else "male",
        hair=head.hair,
        hair_colour="none" if head.hair == "bald" else name_of(head.hair_colour),
        hat=head.hat,
        glasses="yes" if head.glasses else "no",
        upper=outfit.top,
        upper_colour=name_of(outfit.cloth.colour),
        upper_pattern=outfit.cloth.pattern,
        sleeve="none" if outfit.sleeve == 0 else "short" if outfit.sleeve < 0.6 else "long",
        lower="dress" if outfit.top == "dress" else outfit.bottom,
        lower_colour=name_of(outfit.lower.colour),
        shoe_colour=name_of(outfit.shoes),
        bag=person.bag,
        bag_colour="none" if person.bag == "none" else name_of(person.bag_colour),
    )
