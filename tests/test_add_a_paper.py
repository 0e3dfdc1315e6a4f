"""The code in docs/add_a_paper.md is a working paper."""

import json
import math
import re

from tests import launch
from tests.tiny_models import SHAPE, critic, generator

SCRIPT = """
import sys
from tfgan_papers import cli
from tfgan_papers.papers import PAPERS

page = {"__name__": "wgan_gp"}
exec(open(sys.argv.pop(1)).read(), page)
PAPERS["wgan_gp"] = page["PAPER"]
cli.run()
"""


def page_code():
    text = (launch.ROOT / "docs" / "add_a_paper.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return code


def test_the_page_is_short():
    lines = [line for line in page_code().splitlines() if line.strip()]
    assert len(lines) <= 60


def test_the_model_of_the_page_evaluates(rng):
    page = {"__name__": "wgan_gp_of_the_page"}
    exec(page_code(), page)
    model = page["WGANGP"](generator("sigmoid"), critic())
    model.compile("adam", "adam")
    images = rng.uniform(0, 1, (16, *SHAPE)).astype("float32")
    found = model.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    assert set(found) == {"d_loss", "g_loss", "d_real", "d_fake"}
    assert all(map(math.isfinite, found.values()))


def test_the_paper_of_the_page_trains_resumes_and_samples(tmp_path):
    script, code, run = tmp_path / "main.py", tmp_path / "wgan_gp.py", tmp_path / "run"
    script.write_text(SCRIPT)
    code.write_text(page_code())

    def launched(*arguments):
        process = launch.Launched(
            *(code, "--model=wgan_gp", f"--logdir={run}", *arguments),
            fresh=False,
            script=str(script),
        )
        ended = process.ended()
        assert ended.code == 0, ended.err
        return ended

    short = ("--batch_size=10", "--report_steps=2", "--jit_compile=false")
    launched("--penalty=5", "--steps=2", *short)
    launched("--steps=4", *short)  # the folder remembers the rest
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 4
    assert set(summary["scalars"]) == {"d_loss", "g_loss", "d_real", "d_fake"}
    assert "--penalty=5.0" in (run / "flags.txt").read_text()
    launched("--mode=sample")
    assert list((run / "samples").glob("sheet-*.png"))
