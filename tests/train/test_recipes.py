"""Every value of every recipe against what the reports say, and how values are changed."""

import csv
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from jbench.train.recipes import RECIPES, SimCSE, changed, described, find_recipe, keys, steps_of, warm_up_of
from jbench.types import UsageError

TABLE = Path(__file__).parent.parent / "data" / "recipes.csv"


def literal(text, like):
    if isinstance(like, bool):
        return {"true": True, "false": False}[text]
    return tuple(text.split(",")) if isinstance(like, tuple) else type(like)(text)


def test_every_value_of_every_recipe_is_what_the_table_says():
    rows = list(csv.DictReader(TABLE.read_text("utf-8").splitlines()))
    told = {}
    for name in RECIPES:
        for row in rows:
            if fnmatchcase(name, row["recipe"]):
                assert (name, row["key"]) not in told, f"{name} {row['key']} stands twice"
                told[name, row["key"]] = row["value"]
    recipes = {name: find_recipe(name) for name in RECIPES}
    assert set(told) == {(name, key) for name, recipe in recipes.items() for key in keys(recipe)}
    wrong = {
        (name, key): getattr(recipes[name], key)
        for (name, key), text in told.items()
        if getattr(recipes[name], key) != literal(text, getattr(recipes[name], key))
    }
    assert wrong == {}


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_has_a_source_and_is_the_one_in_use(name):
    recipe = find_recipe(name)
    assert recipe.name == name
    for row in described(recipe):
        assert row["source"]
        assert row["value"] == getattr(recipe, row["key"])


@pytest.mark.parametrize(
    ("name", "key", "used", "others"),
    [
        ("jacolbert", "query_length", 32, [64]),
        ("jacolbert", "warm_up", 8000, [0.1]),
        ("jacolbert", "examples", 10_000_000, [8_000_000]),
        ("jacolbert", "in_batch_negatives", True, [None]),
        ("jacolbert-v2.5", "document_length", 300, [228]),
        ("ruri-base", "distil_temperature", 1.0, [0.01]),
        ("ruri-reranker-stage1-small", "shuffle_positive", True, [False]),
        ("simcse-sup", "seed", 0, [None]),
    ],
)
def test_where_sources_disagree_the_other_readings_stand_beside_the_one_in_use(name, key, used, others):
    row = next(row for row in described(find_recipe(name)) if row["key"] == key)
    assert (row["value"], [other["value"] for other in row["others"]]) == (used, others)


@pytest.mark.parametrize(
    ("name", "rows", "steps", "warm_up"),
    [
        ("simcse-sup", 150_000, 2048, 204),  # 2**20 // 512; int(0.1 * 2048), not 205
        ("simcse-unsup", 1_000_000, 16384, 1638),
        ("jacolbert", 10_000_000, 78_125, 8000),
        ("jacolbert-v2", 1, 250_000, 10_000),
        ("jacolbert-v2.5", 1, 50_000, 2500),
        ("ruri-pt-base", 88_735_744, 10_832, 1083),
        ("ruri-base", 292_864, 572, 57),
        ("ruri-reranker-stage2-base", 51_427, 803, 80),
    ],
)
def test_steps_follow_from_examples_or_epochs(name, rows, steps, warm_up):
    recipe = find_recipe(name)
    assert steps_of(recipe, rows) == steps
    assert warm_up_of(recipe, steps) == warm_up


def test_a_changed_value_keeps_what_it_replaced():
    recipe = changed(find_recipe("simcse-sup"), {"batch_size": "64", "head": "false", "data": "a,b"})
    assert isinstance(recipe, SimCSE)
    assert (recipe.batch_size, recipe.head, recipe.data) == (64, False, ("a", "b"))
    told = recipe.said["batch_size"]
    assert (told.source, told.others) == ("--set", ((512, "simple-simcse-ja train.sh"),))
    assert steps_of(recipe, 1) == 16384


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("simcse-sup", {"batchsize": "8"}, "unknown setting of simcse-sup 'batchsize'; did you mean batch_size"),
        ("simcse-sup", {"said": "x"}, "unknown setting of simcse-sup 'said'"),
        ("simcse-sup", {"batch_size": "many"}, "--set batch_size=many: expected a whole number above 0"),
        ("simcse-sup", {"batch_size": "0"}, "--set batch_size=0: expected a whole number above 0"),
        ("simcse-sup", {"steps": "-1"}, "--set steps=-1: expected a whole number of 0 or more"),
        ("simcse-sup", {"learning_rate": "nan"}, "--set learning_rate=nan: expected a number above 0"),
        ("simcse-sup", {"head": "yes"}, "--set head=yes: expected true or false"),
        ("simcse-sup", {"precision": "bf61"}, "unknown precision 'bf61'; did you mean bf16"),
        ("jacolbert", {"batch_size": "24"}, "batch_size=24 is no multiple of in_batch=16"),
        ("jacolbert-v2", {"ways": "1"}, "ways=1: without negatives of other queries, a query needs one of its own"),
    ],
)
def test_a_wrong_key_or_value_is_one_line(name, asked, message):
    with pytest.raises(UsageError) as error:
        changed(find_recipe(name), asked)
    assert message in str(error.value)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(UsageError, match="unknown recipe 'jacolbert-v3'; did you mean"):
        find_recipe("jacolbert-v3")


def test_too_little_data_and_a_warm_up_without_end_are_said():
    with pytest.raises(UsageError, match="100 rows of training data do not fill one batch of 512: set batch_size"):
        steps_of(find_recipe("ruri-base"), 100)
    with pytest.raises(UsageError, match="warm_up=8000 does not end before the last of 300 steps"):
        steps_of(changed(find_recipe("jacolbert"), {"steps": "300"}), 1)
