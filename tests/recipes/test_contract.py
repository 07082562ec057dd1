"""Recipes as data: the catalogue, the checks of its records, schedules."""

import pytest

from hwsim import recipes
from hwsim.errors import ArgumentError, UnknownName
from hwsim.recipes import FLOAT32, Change, Gemm, Layer, Mask, Monitor, Operand, Recipe, Rotation, Rule, Selection

FP8 = Operand("fp8.e4m3.tensor")


def test_every_name_is_a_recipe_with_a_paper_and_an_unknown_one_is_refused_with_its_neighbours():
    for name in recipes.names():
        recipe = recipes.get(name)
        assert recipe.name == name
        assert recipe.title
        assert recipe.paper
        assert recipes.get(recipe) is recipe
    assert {"nvidia-nvfp4", "mxfp8"} <= set(recipes.names())
    with pytest.raises(UnknownName, match=r"nvidia-nvfp4.*, got 'nvidia-nvfp'$"):
        recipes.get("nvidia-nvfp")


def test_a_users_file_holds_a_recipe(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from hwsim.recipes import *\n"
        "RECIPE = get('mxfp8').keeping(Selection(first=1), name='mine')\n"
        "OTHER = RECIPE.then(Change(0.5, ('fprop',)), name='other')\n"
    )
    assert recipes.get(file).rules[0].where == Selection(first=1)
    assert recipes.get(f"{file}:OTHER").schedule == (Change(0.5, ("fprop",)),)
    with pytest.raises(ArgumentError, match=r"mine.py: file must define NOTHING, a hwsim.recipes.Recipe"):
        recipes.get(f"{file}:NOTHING")
    with pytest.raises(ArgumentError, match="recipe file must be Python source that exists"):
        recipes.get(tmp_path / "absent.py")


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (lambda: Operand("nvfp5"), "scheme must be one of"),
        (lambda: Operand(scale=0.0), "operand.scale: scale must be positive"),
        (lambda: Operand(source="low"), "operand.source: source must be high or forward"),
        (lambda: Rotation(12), "rotation.size: size must be a power of two"),
        (lambda: Rotation(32, "nvidia"), 'signs "nvidia" must have size 16'),
        (lambda: Rotation(16, "nvidia", redrawn=True), "only drawn signs can be redrawn"),
        (lambda: Mask(4, 4), "mask: n must lie below m"),
        (lambda: Mask(1, 2, "approximate"), "the approximate rule must be 2:4"),
        (lambda: Layer(Gemm(b=Operand(source="forward"))), "fprop must take its operands from high precision"),
        (lambda: Layer(dgrad=Gemm(b=Operand(source="forward"))), "dgrad.b: there must be an fprop"),
        (lambda: Layer(Gemm(), dgrad=Gemm(a=Operand(source="forward"))), "a gradient must come from high precision"),
        (lambda: Selection(last=1.5), "last: last must be a number of blocks or a fraction below 1"),
        (lambda: Selection(kinds=("heads",)), "kinds: kind must be one of linear"),
        (lambda: Change(1.5, ("fprop",)), "schedule.at: at must lie in 0..1"),
        (
            lambda: Recipe("x", "", "", Layer(), schedule=(Change(0.5, ("fprop",)), Change(0.1, ("fprop",)))),
            "recipe x: changes must be in the order of time",
        ),
    ],
)
def test_a_wrong_field_is_refused_by_name(made, rule):
    with pytest.raises((ArgumentError, UnknownName), match=rule):
        made()


def test_a_schedule_and_a_monitor_change_gemms_and_leave_float32_layers_alone():
    eight = Gemm(FP8, FP8)
    recipe = Recipe(
        "x", "", "", Layer(eight, eight, eight),
        rules=(Rule(Selection(kinds=("head",))),),
        schedule=(Change(0.5, ("dgrad", "wgrad")), Change(0.75, ("wgrad",), eight)),
        monitor=Monitor(gemms=("fprop",)),
    )  # fmt: skip
    assert recipe.at(recipe.layer, 0.49) == recipe.layer
    assert recipe.at(recipe.layer, 0.5) == Layer(eight, None, None)
    assert recipe.at(recipe.layer, 0.75) == Layer(eight, None, eight)
    assert recipe.at(recipe.layer, 0.75, switched=True) == Layer(None, None, eight)
    assert recipe.at(FLOAT32, 0.75) == FLOAT32
    assert recipe.then(Change(0.9, ("wgrad",))).at(recipe.layer, 0.9).wgrad is None


def test_what_is_random_is_known():
    stochastic = Gemm(Operand("nvfp4.te_sr"), FP8)
    assert not recipes.get("mxfp8").stochastic
    assert recipes.get("nvidia-nvfp4").stochastic
    assert Layer(wgrad=stochastic).stochastic
    assert Layer(Gemm(rotation=Rotation(32, "drawn", redrawn=True))).stochastic
    assert not Layer(Gemm(rotation=Rotation(32, "drawn"))).stochastic  # once for all
    assert Operand(mask=Mask(2, 4)).stochastic
    assert not Operand(mask=Mask(2, 4, "largest")).stochastic
    assert Operand("nvfp4.te_sr", "forward", mask=Mask(2, 4)).label == "forward → 2:4 → nvfp4.te_sr"
