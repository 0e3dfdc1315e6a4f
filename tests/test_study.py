"""A study executes each of its runs once, even if it is interrupted, and its table agrees
with their folders."""

import concurrent.futures
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types

import distributed
import numpy as np
import psutil
import pytest
import tensorflow as tf
from PIL import Image

from tests import launch, pretended
from tfgan_papers import figures
from tfgan_papers.commands import findings, study
from tfgan_papers.commands.grid import StudyRun, folder_of, parse_grid, settings_of
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import execution
from tfgan_papers.runs.folder import RunFolder

# Of its four settings two diverge at once.
ARGUMENTS = (
    *("--mode=study", "--grid=fidelity=paper,code", "--grid=learning_rate=2.0,1e30"),
    *("--seeds=1", "--jobs=2", "--steps=12", "--report_steps=6", "--batch_size=20"),
    "--deterministic",
)
RUNS = 4


# Folders made by hand.


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
    paper, code = (findings.summarize({"fidelity": f}, runs, {}) for f in ("paper", "code"))
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
    blamed = findings.summarize({"fidelity": "code"}, runs, {runs[4].name: "no disk"})
    assert blamed["failures"] == 2


def test_the_table_has_a_row_a_setting_and_names_each_failure(runs):
    summary = [findings.summarize({"fidelity": f}, runs, {}) for f in ("paper", "code")]
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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "needs --grid"),
        (["k"], "--grid=k=one,other"),
        (["colour=red"], "no flag --colour"),
        (["seed=1,2"], "--seed cannot vary"),
        (["k=1", "k=2"], "--k cannot vary, or is there twice"),
        (["k=1,1"], "a value is there twice"),
        (["k=1,many"], "--k=many"),
        (["k=0"], "--k=0"),
        (["fidelity=paper,both"], r"--fidelity=both: choose one of paper, code"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        parse_grid(given)


def test_settings_are_all_combinations():
    grid = parse_grid(["k=1,2", "fidelity=paper,code"])
    assert settings_of(grid) == [
        {"k": "1", "fidelity": "paper"},
        {"k": "1", "fidelity": "code"},
        {"k": "2", "fidelity": "paper"},
        {"k": "2", "fidelity": "code"},
    ]


# A study that is there.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study interrupted, killed, and taken to its end; and once more; and two of its runs
    on their own."""
    folder = tmp_path_factory.mktemp("study") / "whole"
    arguments = (*ARGUMENTS, f"--logdir={folder}")

    def alone(fidelity):
        varied = (f"--fidelity={fidelity}", "--learning_rate=2.0", "--seed=1")
        path = folder.with_name(fidelity)
        ended = launch.fork(*ARGUMENTS[5:], *varied, f"--logdir={path}")
        assert ended.code == 0, ended.err
        return launch.tensors(path)

    future = launch.POOL.submit(lambda: {f: alone(f) for f in ("paper", "code")})
    stops = []
    for signum in (signal.SIGINT, signal.SIGKILL):
        process = launch.Launched(*arguments, fresh=not stops)
        process.wait(lambda p=process: f"/{RUNS}] " in p.out.read_text())
        process.signal(signum)
        stops.append(process.ended())
    last = launch.fork(*arguments, f"--record={folder.with_name('record.json')}")
    again = launch.fork(*arguments)
    return types.SimpleNamespace(
        folder=folder, stops=stops, last=last, again=again, alone=future.result()
    )


def test_an_interrupted_study_says_so_and_leaves_no_process_behind(whole):
    interrupted, killed = whole.stops
    assert (interrupted.code, killed.code) == (128 + signal.SIGINT, -signal.SIGKILL)
    line = "interrupted: the same command continues from there"
    assert interrupted.out.splitlines()[-1] == line
    assert "Traceback" not in interrupted.err


def test_a_run_of_an_interrupted_study_keeps_a_checkpoint(tmp_path):
    run = tmp_path / "fidelity=code" / "seed-1"
    flags = ("--mode=study", "--grid=fidelity=code", "--seeds=1", "--steps=1000000")
    flags += ("--report_steps=5", "--batch_size=20", "--jit_compile=false")
    process = launch.Launched(*flags, f"--logdir={tmp_path}", fresh=False)

    def log():
        return (run / "log.txt").read_text() if (run / "log.txt").is_file() else ""

    process.wait(lambda: re.search("^step +5/", log(), re.MULTILINE))
    process.signal(signal.SIGINT)
    assert process.ended().code == 128 + signal.SIGINT
    interrupted = re.search(
        r"^interrupted at step (\d+): run the same", log(), re.MULTILINE
    )
    assert launch.kept_steps(run)[-1] == int(interrupted[1])


def test_every_run_is_finished_once(whole):
    assert whole.last.code == 0, whole.last.err
    lines = [*whole.stops[0].out.splitlines(), *whole.stops[1].out.splitlines()]
    lines += whole.last.out.splitlines()
    finished = [line for line in lines if line.startswith("[")]
    names = [line.split("] ")[1].split(":")[0] for line in finished]
    assert len(set(names)) == len(names) <= RUNS  # a killed study leaves one unsaid
    if "] fidelity=" in whole.last.out:  # else the killed study's processes ended them all
        assert finished[-1].startswith(f"[{RUNS}/{RUNS}] ")
        assert finished[-1].endswith("elapsed, about 0:00:00 to go")


def test_its_runs_are_those_that_the_command_alone_makes(whole):
    for fidelity, expected in whole.alone.items():
        found = launch.tensors(
            whole.folder / f"fidelity={fidelity},learning_rate=2.0/seed-1"
        )
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, name)


def test_its_record_counts_the_runs_that_diverged(whole):
    record = json.loads((whole.folder / "study.json").read_text())
    # At step 12 the samples of the others do not vary yet.
    assert [setting["failures"] for setting in record["settings"]] == [1, 1, 1, 1]
    assert record["settings"][1]["interval"] == pytest.approx(wilson(1, 1), abs=1e-12)
    assert len(record["runs"]) == RUNS and record["seeds"] == [1]
    for run in record["runs"]:
        diverges = run["setting"]["learning_rate"] == "1e30"
        assert run["steps"] == (0 if diverges else 12)
        reason = "is nan between steps|is not finite at step" if diverges else "at step 12"
        assert re.search(reason, run["failure"])
        assert run["failure"].startswith("low_diversity") != diverges
        assert ("training d_loss" in run["scores"]) != diverges
    assert record["failure_is"] and record["budget"]["steps"] == 2 * 12
    assert record["command"].startswith("python main.py --mode=study")
    copy = json.loads((whole.folder.parent / "record.json").read_text())
    assert copy["settings"] == record["settings"] and copy["runs"] == record["runs"]


def test_its_table_and_figure_are_in_the_folder(whole):
    table = (whole.folder / "study.md").read_text()
    assert table in whole.last.out
    assert "| code | 1e30 | 1 of 1 | 100% (21% to 100%) |" in table
    figure = np.asarray(Image.open(whole.folder / "study.png").convert("L"))
    assert 0.005 < (figure < 128).mean() < 0.5


def test_a_finished_study_started_again_runs_nothing(whole):
    assert whole.again.code == 0
    assert not [line for line in whole.again.out.splitlines() if line.startswith("[")]
    assert (whole.folder / "study.md").read_text() in whole.again.out


@pytest.mark.parametrize(
    "other",
    [
        "--grid=k=1,2",
        "--batch_size=30",
        "--logdir={}/fidelity=code,learning_rate=2.0/seed-1",
    ],
)
def test_a_folder_of_another_study_or_of_a_run_is_refused_and_kept(whole, other):
    before = launch.contents(whole.folder)
    arguments = (*ARGUMENTS, f"--logdir={whole.folder}", other.format(whole.folder))
    ended = launch.fork(*arguments)
    assert ended.code == 2
    (line,) = ended.errors
    assert str(whole.folder) in line and "another --logdir" in line
    assert launch.contents(whole.folder) == before


def test_a_setting_that_makes_no_sense_ends_the_study_in_one_line(tmp_path):
    short = ("--mode=study", "--steps=1", "--batch_size=20", "--jit_compile=false")
    short += (f"--logdir={tmp_path}/study",)
    grid = ("--grid=loss=non_saturating,wasserstein", "--seeds=2")
    ended = launch.fork(*short, *grid)
    assert ended.code == 2 and "Traceback" not in ended.err
    (line,) = ended.errors
    assert "loss=wasserstein seed 1: --loss=wasserstein: --model=gan takes" in line
    ended = launch.fork(*short, "--grid=loss=non_saturating", "--seeds=1")
    assert ended.code == 0, ended.err
    assert "[1/1]" not in ended.out  # the other run is not trained again


def test_of_two_runs_that_make_no_sense_the_first_to_end_is_named(tmp_path, monkeypatch):
    def execute(folder, arguments, permit):
        RunFolder(folder).write_text("log.txt", f"error: {arguments[-1]} makes none\n")
        return 2

    monkeypatch.setattr(execution, "execute", execute)
    runs = [StudyRun({}, seed, RunFolder(tmp_path / str(seed))) for seed in (1, 2)]
    of = study.StudyOptions(jobs=2)
    with pytest.raises(UsageError, match=r"seed ([12]): --seed=\1 makes none"):
        study.run_all(RunFolder(tmp_path), runs, [], 1, ScoreOptions(), of)


def test_a_process_ends_with_its_permit_and_without_one_none_begins(tmp_path):
    """A process that is stopped while it imports has no checkpoint to keep, and ends."""
    run, arguments = str(tmp_path / "run"), ["--model=gan", "--steps=100000"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with execution.permit(tmp_path / "running") as permit:
            working = pool.submit(execution.execute, run, arguments, permit)
            while not (tmp_path / "run" / "log.txt").is_file():
                time.sleep(0.01)
        assert working.result(timeout=launch.PATIENCE) != 0
    other = tmp_path / "other"
    assert execution.execute(str(other), arguments, permit) is None and not other.exists()


def test_a_worker_that_does_not_see_the_folder_is_one_clear_line(tmp_path):
    run = StudyRun({}, 1, RunFolder(tmp_path / "study" / "k=1" / "seed-1"))
    with pytest.raises(UserError, match=f"does not see {tmp_path}/study: give a --logdir"):
        study._error(run, None)


def test_a_cluster_without_a_scheduler_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(execution, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(UsageError, match="--cluster=tcp://127.0.0.1:1: no Dask scheduler"),
        execution.executor(1, "tcp://127.0.0.1:1"),
    ):
        pass


def test_a_cluster_that_loses_a_worker_gives_the_runs_of_this_machine(whole, tmp_path):
    """The worker is killed, with the process that it waits for, between two checkpoints."""
    varied = ("--grid=fidelity=paper,code", "--learning_rate=2.0", "--checkpoint_steps=6")
    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**workers) as cluster:
        process = launch.Launched(
            *("--mode=study", *varied, *ARGUMENTS[3:], f"--logdir={tmp_path}"),
            *(f"--cluster={cluster.scheduler_address}",),
            fresh=False,
        )
        process.wrote(tmp_path, "*/*/checkpoints/last/step-000000006.index")
        (lost, *_) = tmp_path.glob("*/*/checkpoints/last/step-000000006.index")
        lost = lost.parents[2]
        for worker in (psutil.Process(each.pid) for each in cluster.workers.values()):
            trains = [p for p in worker.children() if f"--logdir={lost}" in p.cmdline()]
            for each in (worker, *trains) if trains else ():
                each.kill()
        assert not (lost / "summary.json").exists()
        ended = process.ended()
    assert ended.code == 0, ended.err
    assert re.search("^resuming from step (6|12)", (lost / "log.txt").read_text(), re.M)
    for fidelity, expected in whole.alone.items():
        found = launch.tensors(tmp_path / f"fidelity={fidelity}" / "seed-1")
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, name)
    here, there = (
        json.loads((folder / "study.json").read_text())["settings"]
        for folder in (whole.folder, tmp_path)
    )
    for name in ("diversity", "coverage"):  # means of training are of the part since then
        found, expected = ([r["scores"][name] for r in of] for of in (there, here[::2]))
        assert found == expected


def test_a_finished_run_does_not_run_again_when_its_worker_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "execute", pretended.execute)
    runs = [
        StudyRun({"k": "1"}, seed, folder_of(tmp_path, {"k": "1"}, seed))
        for seed in (1, 2, 3)
    ]
    notes = [run.folder / "processes" for run in runs]

    def lose_the_other_worker(cluster):
        ended = [run.folder / "failure.json" for run in runs[:2]]
        while not all(path.exists() for path in (*ended, notes[2])):
            time.sleep(0.1)
        time.sleep(1)  # until both results have arrived
        busy = int(notes[2].read_text())
        for pid in {worker.pid for worker in cluster.workers.values()} - {busy}:
            os.kill(pid, signal.SIGKILL)
        time.sleep(3)  # Dask notices, and starts another worker
        (tmp_path / "go").touch()

    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**workers) as cluster:
        loser = threading.Thread(target=lose_the_other_worker, args=(cluster,))
        loser.start()
        of = types.SimpleNamespace(jobs=1, cluster=cluster.scheduler_address)
        study.run_all(RunFolder(tmp_path), runs, [], 1, ScoreOptions(), of)
        loser.join()
    assert [len(note.read_text().split()) for note in notes] == [1, 1, 1]


def test_a_run_that_a_killed_study_left_at_work_is_waited_for(tmp_path):
    """From the start of its process, long before it locks its folder."""
    folder = RunFolder(tmp_path)
    with folder.open_log() as log:
        left = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(2)"], stdout=log
        )
    with folder.open_log():
        assert left.wait(timeout=0.5) == 0
