"""Random erasing: rectangles within their ranges, from PyTorch's generator, and never in evaluation."""

import pytest
import torch

from models.data.erasing import RandomErasing


def boxes(eraser: RandomErasing, count: int = 500, height: int = 64, width: int = 32) -> torch.Tensor:
    torch.manual_seed(0)
    return eraser.draw(count, height, width)[:, 0]


def test_in_evaluation_images_pass_through_untouched_and_no_chance_is_used() -> None:
    images, before = torch.randn(4, 3, 16, 8), torch.get_rng_state()
    assert RandomErasing(1.0).eval()(images) is images
    assert RandomErasing(0.0)(images) is images
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_state_erases_in_the_same_way_and_always_uses_as_much_chance() -> None:
    images, state = torch.randn(8, 3, 32, 16), torch.get_rng_state()
    ends = []
    for probability in (0.5, 0.5, 1.0):
        torch.set_rng_state(state)
        ends.append((RandomErasing(probability)(images), torch.get_rng_state()))
    assert torch.equal(ends[0][0], ends[1][0])
    assert torch.equal(ends[0][1], ends[2][1])


def test_what_is_hidden_is_one_rectangle_of_the_asked_for_area_and_aspect() -> None:
    for hidden in boxes(RandomErasing(1.0)):
        rows, columns = hidden.any(1).nonzero(), hidden.any(0).nonzero()
        tall, wide = int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)
        assert int(hidden.sum()) == tall * wide
        assert 0.015 < tall * wide / (64 * 32) < 0.42
        assert 0.26 < tall / wide < 3.8


def test_every_part_of_a_picture_is_hidden_now_and_then() -> None:
    assert boxes(RandomErasing(1.0)).any(0).all()


def test_as_many_pictures_are_changed_as_asked_for() -> None:
    changed = boxes(RandomErasing(0.3), 3000).any(2).any(1).float().mean()
    assert 0.27 < changed < 0.33


@pytest.mark.parametrize("noise", [False, True])
def test_only_hidden_pixels_change_and_all_three_channels_do(noise: bool) -> None:
    eraser, images = RandomErasing(1.0, noise=noise), torch.randn(16, 3, 32, 16) + 10
    torch.manual_seed(1)
    hidden = eraser.draw(16, 32, 16).expand_as(images)
    torch.manual_seed(1)
    erased = eraser(images)
    assert torch.equal(erased[~hidden], images[~hidden])
    assert (erased[hidden] < 6).all()
    assert bool((erased[hidden] == 0).all()) is not noise
