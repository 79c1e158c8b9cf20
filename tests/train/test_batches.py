"""Which rows make up which step."""

import pytest

pytest.importorskip("datasets")

from datasets import Dataset

from jbench.train.batches import distinct, plan, planned
from jbench.types import UsageError


def test_a_plan_uses_every_whole_batch_of_every_set_once_an_epoch():
    found = plan([20, 9, 43], batch=4, steps=17, seed=1)
    assert [found.count(number) for number in range(3)] == [5, 2, 10]
    assert found != sorted(found)
    assert plan([20, 9, 43], batch=4, steps=34, seed=1)[:17] == found
    assert plan([20, 9, 43], batch=4, steps=17, seed=2) != found


def test_a_row_that_shares_a_text_with_its_batch_waits_for_the_next():
    rows = Dataset.from_dict({"anchor": list("abcd"), "positive": ["x", "y", "a", "z"]})
    batches = distinct(rows, 2)
    assert [next(batches) for _ in range(4)] == [[0, 1], [2, 3], [0, 1], [2, 3]]
    rows = Dataset.from_dict({"anchor": list("abcd"), "positive": ["x", "x", "y", "z"]})
    batches = distinct(rows, 2)
    assert [next(batches) for _ in range(2)] == [[0, 2], [1, 3]]


def test_rows_that_all_share_a_text_fill_no_batch():
    rows = Dataset.from_dict({"anchor": list("abcd"), "positive": ["x"] * 4})
    with pytest.raises(UsageError, match="too many of 4 rows share texts to fill batches of 2: set batch_size"):
        next(distinct(rows, 2))


class Ranks:
    """The part of accelerate's sharding that matters: batches are dealt to the devices one after another."""

    def __init__(self, batches, count):
        self.steps = [batches[i : i + count] for i in range(0, len(batches), count)]


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_every_device_sees_the_same_data_set_in_a_step_and_together_they_see_the_batch_of_one(devices):
    from torch.utils.data import BatchSampler, ConcatDataset, SequentialSampler

    sets = [
        Dataset.from_dict({"anchor": [f"{name}{i}" for i in range(count)]}) for name, count in (("a", 24), ("b", 8))
    ]
    samplers = [BatchSampler(SequentialSampler(rows), 8 // devices, True) for rows in sets]
    steps = plan([24, 8], batch=8, steps=4, seed=0)
    made = planned(ConcatDataset(sets), samplers, steps=steps, batch=8, no_duplicates=False)
    batches = list(made)
    assert len(made) == len(batches) == 4 * devices
    for chosen, dealt in zip(steps, Ranks(batches, devices).steps, strict=True):
        assert {row < 24 for each in dealt for row in each} == {chosen == 0}
    one = planned(
        ConcatDataset(sets),
        [BatchSampler(SequentialSampler(r), 8, True) for r in sets],
        steps=steps,
        batch=8,
        no_duplicates=False,
    )
    assert [row for each in batches for row in each] == [row for each in one for row in each]
