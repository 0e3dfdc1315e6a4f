"""What a study finds in the folders of its runs: failures, rates, scores and pictures.

The folders are made by hand.
"""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgan_papers import figures
from tfgan_papers.commands import findings
from tfgan_papers.commands.grid import StudyRun
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UserError
from tfgan_papers.runs.folder import RunFolder


def made(folder, seed, fidelity, *, steps=100, collapse="healthy", failed=None, **scores):
    """The folder of a run that has ended, as a Run."""
    there = RunFolder(folder / fidelity / f"seed-{seed}")
    run = StudyRun({"fidelity": fidelity}, seed, there)
    if failed:
        run.folder.write("failure.json", {"reason": failed})
        return run
    verdict = {"verdict": collapse, "step": steps, "diversity": 0.5}
    scalars = {"d_real": 0.25, "g_loss": 0.125 * seed, "mode_coverage": 7.0}
    summary = {"steps": steps, "ms_per_step": 2.0, "collapse": verdict, "scalars": scalars}
    run.folder.write("summary.json", summary)
    entries = [{"metric": name, "step": steps, **entry} for name, entry in scores.items()]
    run.folder.write("scores.json", entries)
    return run


def covered(value, modes=8):
    return {"value": float(value), "modes": modes, "samples": 5120, "high_quality": 0.5}


@pytest.fixture
def runs(tmp_path):
    return [
        made(tmp_path, 1, "paper", mode_coverage=covered(8)),
        made(tmp_path, 2, "paper", mode_coverage=covered(3)),
        made(tmp_path, 3, "paper", mode_coverage=covered(4)),
        made(tmp_path, 4, "paper", failed="d_loss is nan between steps 6 and 12"),
        made(tmp_path, 1, "code", mode_coverage=covered(8)),
        made(tmp_path, 2, "code", mode_coverage=covered(8)),
        made(tmp_path, 3, "code", mode_coverage=covered(8)),
        made(tmp_path, 4, "code", mode_coverage=covered(8), collapse="collapsed"),
    ]


def wilson(k, n, z=1.959963984540054):
    middle, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return [(middle - half) / (n + z * z), (middle + half) / (n + z * z)]


def test_what_counts_as_a_failure_is_named(runs):
    failures = [run.failure() for run in runs]
    assert failures == [
        *(None, "3 of 8 modes", "4 of 8 modes", "d_loss is nan between steps 6 and 12"),
        *(None, None, None, "collapsed: diversity 0.500 at step 100"),
    ]


def test_a_negative_score_is_no_failure(tmp_path):
    """A log-likelihood below 0 once counted as fewer modes than none."""
    run = made(tmp_path, 1, "paper", parzen_window={"value": -1.4, "samples": 100})
    assert run.failure() is None


def test_rates_intervals_means_and_deviations_are_those_by_hand(runs):
    found = [findings.found(run, {}) for run in runs]
    paper, code = (findings.summarize({"fidelity": f}, found) for f in ("paper", "code"))
    assert (paper["failures"], paper["runs"], paper["failure_rate"]) == (3, 4, 0.75)
    assert paper["interval"] == pytest.approx(wilson(3, 4), abs=1e-12)
    assert code["interval"] == pytest.approx(wilson(1, 4), abs=1e-12)
    score = paper["scores"]["mode_coverage"]  # 8, 3, 4; the fourth has none
    t = 4.302652729911275  # 97.5% of Student's with 2 degrees of freedom
    half = t * math.sqrt(7 / 3)
    assert score == {
        "mean": 5.0,
        "deviation": pytest.approx(math.sqrt(7)),
        "interval": pytest.approx([5 - half, 5 + half]),
        "runs": 3,
    }
    assert code["scores"]["mode_coverage"]["deviation"] == 0.0
    trained = {"training d_real", "training g_loss", "training mode_coverage"}
    of_code = {"mode_coverage", "mode_coverage high_quality", "diversity"}
    assert set(code["scores"]) == of_code | trained
    assert code["scores"]["training g_loss"]["mean"] == 0.125 * (1 + 2 + 3 + 4) / 4
    assert code["scores"]["diversity"]["mean"] == 0.5
    found = [findings.found(run, {runs[4].name: "no disk"}) for run in runs]
    blamed = findings.summarize({"fidelity": "code"}, found)
    assert blamed["failures"] == 2


def test_the_table_has_a_row_a_setting_and_names_each_failure(runs):
    found = [findings.found(run, {}) for run in runs]
    summary = [findings.summarize({"fidelity": f}, found) for f in ("paper", "code")]
    for row in summary:
        row["scores"] = {"mode_coverage": row["scores"]["mode_coverage"]}
    text = findings.markdown(summary, {"fidelity=paper seed 4": "d_loss is nan"})
    assert text.splitlines() == [
        "| fidelity | failed | rate, 95% interval | mode_coverage |",
        "| --- | --- | --- | --- |",
        "| paper | 3 of 4 | 75% (30% to 95%) | 5 +- 2.65 (-1.572 to 11.57) (3 runs) |",
        "| code | 1 of 4 | 25% (5% to 70%) | 8 +- 0 (8 to 8) |",
        "",
        "- fidelity=paper seed 4: d_loss is nan",
    ]


def test_the_score_by_step_is_in_the_record_and_drawn_a_line_a_run(tmp_path):
    runs = [made(tmp_path, seed, "paper", mode_coverage=covered(8)) for seed in (1, 2)]
    for run in runs:
        writer = tf.summary.create_file_writer(str(run.folder / "tensorboard"))
        for step in (50, 100):
            with writer.as_default(step):
                tf.summary.scalar("selection", step / 10 + run.seed)
                tf.summary.scalar("mode_coverage", step / 100)
        writer.close()
    scores = ScoreOptions(metrics=("mode_coverage",))
    findings.report(RunFolder(tmp_path), {"fidelity": ["paper"]}, {}, runs, {}, scores)
    record = json.loads((tmp_path / "study.json").read_text())
    curves = [run["selection"] for run in record["runs"]]
    assert curves == [[[50, 6.0], [100, 11.0]], [[50, 7.0], [100, 12.0]]]
    assert [run["training"] for run in record["runs"]] == [[[50, 0.5], [100, 1.0]]] * 2
    picture = np.asarray(Image.open(tmp_path / "selection.png")).reshape(-1, 3)
    coloured = picture[np.ptp(picture.astype(int), axis=1) > 60]
    assert len(np.unique(coloured // 64, axis=0)) >= 2  # a colour a run


def test_the_last_sheets_of_each_setting_are_side_by_side(tmp_path):
    """The second setting's first run has none, and the third's none at all."""
    colours = {"a": (255, 0, 0), "b": (0, 0, 255), "c": None}
    runs = []
    for fidelity, colour in colours.items():
        for seed in (1, 2):
            runs.append(made(tmp_path, seed, fidelity))
            if colour is None or (fidelity == "b" and seed == 1):
                continue
            for step, value in ((1, (0, 0, 0)), (100, colour)):
                sheet = np.full((20, 20, 3), value, np.uint8)
                figures.save(sheet, runs[-1].folder / "samples" / f"step-{step:09d}.png")
    grid, record = {"fidelity": [*colours]}, tmp_path / "record.json"
    of = ScoreOptions(record=str(record))
    findings.report(RunFolder(tmp_path), grid, {}, runs, {}, of)
    picture = np.asarray(Image.open(record.with_suffix(".png")))
    width = picture.shape[1] // 3
    first, second, third = (picture[:, i * width : (i + 1) * width] for i in range(3))
    assert (first == colours["a"]).all(-1).mean() > 0.5
    assert (second == colours["b"]).all(-1).mean() > 0.5
    assert (third == 255).all(-1).mean() > 0.9
    np.testing.assert_array_equal(picture, np.asarray(Image.open(tmp_path / "samples.png")))


def test_a_picture_that_the_runs_have_drawn_takes_the_place_of_the_last_sheet(tmp_path):
    """Of the first run that has drawn one, and in rows, because it is wide."""
    settings = ("paper", "code")
    runs = [made(tmp_path, seed, name) for name in settings for seed in (1, 2)]
    for run in runs:
        names = {"step-000000100": 0, "strip": 128 if run.seed == 2 else None}
        for name, value in names.items():
            if value is not None:
                drawn = np.full((20, 100, 3), value, np.uint8)
                figures.save(drawn, run.folder / "samples" / f"{name}.png")
    grid = {"fidelity": [*settings]}
    findings.report(RunFolder(tmp_path), grid, {}, runs, {}, ScoreOptions(), "strip")
    picture = np.asarray(Image.open(tmp_path / "samples.png"))
    height, width, _ = picture.shape
    assert (picture == 128).all(-1).mean() > 0.5 and width > height
    assert not runs[0].finished(100, (), "strip") and runs[1].finished(100, (), "strip")


def test_a_study_over_unlike_machines_lists_them(tmp_path, capsys):
    runs = [made(tmp_path, seed, "paper") for seed in (1, 2, 3)]
    runs.append(made(tmp_path, 4, "paper", failed="nan"))
    runs[0].folder.write("run.json", {"machines": ["A, 2 cores", "B, 8 cores"]})
    for run in runs[1:3]:
        summary = run.folder.read("summary.json")  # as older versions wrote it
        summary |= {"machine": "A, 2 cores", "versions": {"numpy": "2.0"}}
        run.folder.write("summary.json", summary)
    expected = ["A, 2 cores", "A, 2 cores, numpy 2.0", "B, 8 cores"]
    grid = {"fidelity": ["paper"]}
    findings.report(RunFolder(tmp_path), grid, {}, runs, {}, ScoreOptions())
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["machines_of_runs"] == expected
    listed = [line for line in capsys.readouterr().out.splitlines() if "were on" in line]
    assert listed == [f"- Some runs were on: {machine}" for machine in expected]
    findings.report(RunFolder(tmp_path), grid, {}, runs[1:3], {}, ScoreOptions())
    assert "were on" not in capsys.readouterr().out


def test_a_study_over_unlike_numbers_of_steps_lists_them(tmp_path, capsys):
    """Not those of a run that failed early, nor if the grid varies them."""
    runs = [made(tmp_path, seed, "paper", steps=100 * seed) for seed in (1, 2, 2)]
    runs.append(made(tmp_path, 4, "paper", failed="nan"))
    for grid in ({"fidelity": ["paper"]}, {"fidelity": ["paper"], "steps": ["0"]}):
        of = [run._replace(setting=findings.settings_of(grid)[0]) for run in runs]
        findings.report(RunFolder(tmp_path), grid, {}, of, {}, ScoreOptions())
    lines = capsys.readouterr().out.splitlines()
    listed = [line for line in lines if line.startswith("- Runs of")]
    assert listed == ["- Runs of 100 steps: 1", "- Runs of 200 steps: 2"]


def test_an_earlier_record_counts_as_if_its_runs_were_here(tmp_path):
    grid, of = {"fidelity": ["paper", "code"]}, ScoreOptions()
    runs = [made(tmp_path, seed, f) for seed in (1, 2, 3) for f in ("paper", "code")]
    for number, run in enumerate(runs):
        machine = "A, 2 cores" if number < 4 else "B, 2 cores"
        run.folder.write("run.json", {"machines": [machine], "commit": str(number)})

    def reported(name, runs, earlier=None):
        folder = RunFolder(tmp_path / name)
        findings.report(folder, grid, {}, runs, {}, of, None, earlier)
        return folder.read("study.json")

    whole = reported("whole", runs)
    first = {**reported("first", runs[:4]), "command": "python main.py --seeds=2"}
    both = reported("both", runs[4:], first)
    assert both.pop("earlier_commands") == [first["command"]]
    assert both.pop("study") == "both" and whole.pop("study") == "whole"
    assert both["budget"].pop("hours") == pytest.approx(whole["budget"].pop("hours"))
    assert both == whole and both["seeds"] == [1, 2, 3]
    part = {**first, "runs": first["runs"][1:]}  # of whose hours three quarters count
    of = ScoreOptions(record=str(tmp_path / "record.json"))
    hours = reported("part", [runs[0], *runs[4:]], part)["budget"]["hours"]
    assert hours == pytest.approx(6 * 100 * 2.0 / 3.6e6)
    kept = tmp_path / "record.json", tmp_path / "record.png"
    assert [path.exists() for path in kept] == [True, False]  # no run has a picture


def test_a_scalar_of_training_is_no_score(tmp_path):
    """Else the ledger would take one for the other."""
    found = made(tmp_path, 2, "paper").quantities()
    assert found == {
        "training d_real": 0.25,
        "training g_loss": 0.25,
        "training mode_coverage": 7.0,
        "diversity": 0.5,
    }


def test_finished_means_failed_for_good_or_trained_so_far_and_scored(tmp_path):
    trained = made(tmp_path, 1, "paper", parzen_window={"value": 1.0})
    assert trained.finished(100, []) and trained.finished(0, ["parzen_window"])
    assert not trained.finished(101, [])
    assert not trained.finished(100, ["parzen_window", "mode_coverage"])
    assert made(tmp_path, 2, "paper", failed="nan").finished(10**6, ["mode_coverage"])
    assert not StudyRun({}, 1, RunFolder(tmp_path / "none")).finished(0, [])
    (trained.folder / "summary.json").write_text('{"steps": 10')
    with pytest.raises(UserError, match="summary.json is damaged"):
        trained.finished(0, [])


def test_a_score_of_an_earlier_step_is_none_of_the_trained_runs(tmp_path):
    run = made(tmp_path, 1, "paper", steps=200, mode_coverage=covered(8))
    (older,) = json.loads((run.folder / "scores.json").read_text())
    older["step"] = 100
    (run.folder / "scores.json").write_text(json.dumps([older]))
    assert run.folder.scores() == {} and not run.finished(200, ["mode_coverage"])
