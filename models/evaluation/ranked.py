"""Ranked lists as a picture: queries and what was found for them, right ones framed green and wrong ones red."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from models.data.images import Images
from models.evaluation.assessment import Assessment, Labels
from models.evaluation.metrics import Ints
from models.files import write_whole
from service.images.preprocess import resize

HEIGHT, WIDTH, FRAME, GAP, CAPTION = 128, 64, 4, 6, 14  # pixels
PLACES = 10
EACH = 5  # best queries, and worst
RIGHT, WRONG, QUERY = (30, 160, 60), (205, 40, 40), (40, 90, 200)


def choose(average_precisions: NDArray[np.float64], each: int = EACH) -> list[int]:
    """The queries with the worst average precision and those with the best, worst first; without a positive: neither.

    >>> choose(np.array([0.5, np.nan, 1.0, 0.1, 0.7]), 1), choose(np.array([0.5, 0.2]), 5)
    ([3, 2], [1, 0])
    """
    order = np.argsort(average_precisions, kind="stable")
    order = order[~np.isnan(average_precisions[order])]
    return [int(k) for k in (order if len(order) <= 2 * each else [*order[:each], *order[-each:]])]


def write_ranked(
    path: Path, assessment: Assessment, labels: Labels, images: Images, queries: Ints, gallery: Ints
) -> None:
    """Write a PNG with a row for each of the worst and best queries: the query, then the first ten of its ranking.

    queries and gallery are numbers of images. Crops that the protocol ignores (junk, the same person on the same
    camera, and with them the query itself) are left out. Raises Refused when the file cannot be written.
    """
    rows = [draw_row(query, assessment, labels, images, queries, gallery) for query in choose(assessment.rankings.ap)]
    sheet = Image.new("RGB", (rows[0].width, sum(row.height + GAP for row in rows)), "white")
    for k, row in enumerate(rows):
        sheet.paste(row, (0, k * (row.height + GAP)))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_whole(path, buffer.getvalue())


def draw_row(
    query: int, assessment: Assessment, labels: Labels, images: Images, queries: Ints, gallery: Ints
) -> Image.Image:
    """One query and the first PLACES of its ranking."""
    who, where = labels.query_ids[query], labels.query_cameras[query]
    said = f"{who} c{where} AP {assessment.rankings.ap[query]:.2f}"
    tiles = [draw_tile(images[int(queries[query])], QUERY, said)]
    for rank, place in enumerate(assessment.ranked[query][:PLACES], start=1):
        if place < 0:
            break
        colour = RIGHT if labels.ids[place] == who else WRONG
        caption = f"{rank}: {labels.ids[place]} c{labels.cameras[place]}"
        tiles.append(draw_tile(images[int(gallery[place])], colour, caption))
    row = Image.new("RGB", ((PLACES + 1) * (tiles[0].width + GAP) + 2 * GAP, tiles[0].height), "white")
    for k, tile in enumerate(tiles):
        row.paste(tile, (k * (tile.width + GAP) + (2 * GAP if k else 0), 0))
    return row


def draw_tile(image: NDArray[np.uint8], colour: tuple[int, int, int], caption: str) -> Image.Image:
    """A crop in a frame with a line below it."""
    framed = ImageOps.expand(Image.fromarray(resize(image, HEIGHT, WIDTH)), FRAME, colour)
    tile = Image.new("RGB", (framed.width + 2 * GAP, framed.height + CAPTION), "white")
    tile.paste(framed, (GAP, 0))
    ImageDraw.Draw(tile).text((0, framed.height + 1), caption, fill=colour, font_size=9)
    return tile
