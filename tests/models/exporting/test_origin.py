"""What a file says of its training."""

from models.exporting.origin import describe_training, to_entries


def test_synthetic_people_are_called_so_and_a_folder_by_its_name_alone() -> None:
    flags = {"data": "people", "seed": 1, "start": ""}
    assert describe_training(flags, 2000, 6000, only_drawn=True) == {
        "trained_on": "synthetic people", "identities": 2000, "steps": 6000, "seed": 1, "only_drawn": True,
    }  # fmt: skip
    told = describe_training(
        flags | {"data": "/home/anna/shop", "start": "/home/anna/runs/base"}, 40, 200, only_drawn=False
    )
    assert (told["trained_on"], told["started_from"]) == ("shop", "base")


def test_entries_are_text_with_the_projects_name_before_theirs() -> None:
    assert to_entries({"seed": 1, "input": "128x64"}) == {"reappear.seed": "1", "reappear.input": "128x64"}
