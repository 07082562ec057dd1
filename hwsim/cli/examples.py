"""Examples of each command, as its ``--help`` shows them; the tests run every one, in this order, in one folder.

They need nothing but the package: its small trace, its machines, and what an earlier one has written.
"""

from __future__ import annotations

Example = tuple[str, str]
"""What it is for, and the line."""

EXAMPLES: dict[str, tuple[Example, ...]] = {
    "doctor": (("what is installed here, and what each missing part would give", "hwsim doctor"),),
    "list": (
        ("every machine, with what it is", "hwsim list machines"),
        ("all of one recipe, with its paper", "hwsim list recipes --detail nvidia-nvfp4"),
    ),
    "new": (
        ("a machine of your own, to change and to price", "hwsim new machine mine"),
        ("a unit of your own, and a machine that uses it", "hwsim new unit mine_unit"),
        ("a design space", "hwsim new space mine_space"),
        ("a model", "hwsim new model mine_model"),
    ),
    "capture": (("operands of a model of your own", "hwsim capture mine_model.py:build --out traces/mine"),),
    "train": (("the model by the recipe in its file, ten steps", "hwsim train mine_model.py:build --steps 10"),),
    "evaluate": (
        ("a first result, from the trace that comes with the package", "hwsim evaluate gpt-small edge-nvfp4"),
        ("your own machine", "hwsim evaluate gpt-small mine.toml"),
        (
            "a step of a whole model on eight chips, by its shape alone",
            "hwsim evaluate llama3-8b hbm-int8 --phase decode --batch 8 --context 1024 --chips 8",
        ),
    ),
    "explain": (
        ("every picojoule by cause, as a page", "hwsim explain gpt-small edge-nvfp4 --page why.html"),
        ("the same as tables for a spreadsheet", "hwsim explain gpt-small edge-nvfp4 --tables why"),
    ),
    "explore": (
        (
            "a small search on your own space and trace",
            "hwsim explore mine_space.toml --trace traces/mine --trials 12 --no-gates --out reports/mine",
        ),
    ),
    "report": (
        ("the page of a study, again", "hwsim report reports/mine"),
        ("the same while another terminal still searches", "hwsim report reports/mine --watch"),
        ("its figures for a paper, as SVG and PDF", "hwsim report reports/mine --figures figures"),
    ),
    "query": (
        (
            "the best design under a limit, and how sure that is",
            'hwsim query reports/mine --minimize energy --where "area_mm2<=4"',
        ),
    ),
    "diff": (("two machines, knob by knob", "hwsim diff edge-nvfp4 edge-int8 --trace gpt-small"),),
    "sweep": (
        (
            "every design of a space, a coarser grid of at most 40",
            "hwsim sweep mine_space.toml --trace traces/mine --points 40 --out reports/all",
        ),
    ),
    "worker": (
        (
            "the first of two jobs of an array that price a space together",
            "hwsim worker mine_space.toml --shard 1/2 --trace traces/mine --points 40 --out reports/jobs",
        ),
        (
            "the second",
            "hwsim worker mine_space.toml --shard 2/2 --trace traces/mine --points 40 --out reports/jobs",
        ),
    ),
    "merge": (("what the jobs have priced, as one study", "hwsim merge reports/jobs"),),
    "export": (
        (
            "a product on a machine, as ZigZag reads it",
            "hwsim export edge-int8 --to zigzag --gemm 64x64x64 --out peer",
        ),
        ("a study for optuna-dashboard", "hwsim export reports/mine --to optuna --out board"),
    ),
    "serve": (
        (
            "a CSV of arrival_s,input_toks,output_toks on a bought device: percentiles of both waits",
            "hwsim serve llama3-8b h100 --arrivals arrivals.csv",
        ),
    ),
    "study": (("a published claim measured again, on a small grid", "hwsim study pann --quick --out reports/pann"),),
    "schema": (("what an editor needs to complete machine files", "hwsim schema machine --out machine.schema.json"),),
    "rtl": (("Verilog of a multiplier, its bench and golden vectors", "hwsim rtl mul_u4x4_array --out rtl"),),
    "synth": (("its gates", "hwsim synth mul_u4x4_array"),),
    "power": (("the unit of a machine, gate by gate on real operands", "hwsim power gpt-small edge-int4"),),
    "calibrate": (
        (
            "coefficients of one unit from its own circuits",
            "hwsim calibrate gpt-small --unit integer --out calibration",
        ),
    ),
    "verify": (("every emulated unit against every oracle that is here", "hwsim verify --quick"),),
    "cache": (("what is remembered, and how much of it", "hwsim cache show"),),
}
