"""Pictures named by a CSV file with the columns path, identity, camera and, optionally, split.

Paths are relative to the file. Split is train, query, gallery or test; without the column the rows are divided later.
"""

import csv
from pathlib import Path

from tqdm import tqdm

from models.data.sample import SPLITS, Row
from models.errors import Refused

COLUMNS = ("path", "identity", "camera")


def read_table(path: Path) -> list[Row]:
    """The rows of the file. Raises Refused, which names the file and its line."""
    if not path.is_file():
        raise Refused(f"{path} is not there; give a CSV file with the columns {', '.join(COLUMNS)}")
    lines = dict[Path, int]()  # where each picture stands
    line, rows = 0, []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise Refused(f"{path} line 1: no column {missing[0]}; the first line must name {', '.join(COLUMNS)}")
            line = reader.line_num
            for fields in tqdm(reader, desc=f"reading {path.name}", disable=None, leave=False):
                line = reader.line_num
                row = _parse(path, line, fields, divided="split" in (reader.fieldnames or ()))
                if row.path in lines:
                    raise Refused(
                        f"{path} line {line}: {row.path} stands in line {lines[row.path]} already; take one out"
                    )
                lines[row.path] = line
                rows.append(row)
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not text in UTF-8; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise Refused(f"{path} line {line + 1}: {error}; save it as CSV with commas") from error
    if not rows:
        raise Refused(f"{path} names no pictures; put a line for each picture below the first")
    return rows


def _parse(table: Path, line: int, row: dict[str | None, str | None], divided: bool) -> Row:
    where = f"{table} line {line}"
    if None in row:
        raise Refused(f"{where}: more fields than the first line has; put fields with commas in quotes")
    values = {column: (row.get(column) or "").strip() for column in (*COLUMNS, "split")}
    for column in COLUMNS:
        if not values[column]:
            raise Refused(f"{where}: no {column}; fill it in or take the line out")
    if divided and (not values["split"] or values["split"] not in SPLITS):
        raise Refused(f"{where}: split is {values['split']!r}; it must be train, query, gallery or test")
    picture = table.parent / values["path"]
    if not picture.is_file():
        raise Refused(f"{where}: {picture} is not there; paths are relative to the file's folder")
    return Row(picture, values["identity"], values["camera"], values["split"])
