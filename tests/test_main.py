"""The command line: the output of a run, the contents of its folder, the other modes."""

import functools
import importlib.metadata
import io
import json
import pathlib
import re
import shlex
import sys
import tempfile

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tests import launch
from tfgan_papers.papers import PAPERS
from tfgan_papers.runs import tensorboard
from tfgan_papers.runs.run import open_run

REPORTED = [1, 5, 10, 15, 20]
SCALARS = {"d_loss", "g_loss", "d_real", "d_fake"}
PIXELS, SIDE, GAP = 8, 64, 2  # of a digit, enlarged on a sheet, between them


@pytest.fixture(scope="module")
def run():
    return launch.trained()


@pytest.fixture(scope="module")
def summary(run):
    return json.loads((run.folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def variants(run):
    """name -> (folder, process) of runs that differ from `run` in one respect."""
    several = (*launch.BASE, f"--steps_per_execution={launch.REPORT_STEPS}")
    scored = (
        *("--model=gan", "--batch_size=20", "--steps=2", "--report_steps=2"),
        *("--metrics=parzen_window", "--validation_split=train[80%:90%]"),
        *("--test_split=train[90%:]", "--strategy=mirrored", "--cpu_devices=2"),
        "--mixed_precision=mixed_bfloat16",
    )
    commands = {
        "replayed": [f"--flagfile={run.folder}/flags.txt"],
        "several_steps_a_call": several,
        "scored": scored,
    }
    with tempfile.TemporaryDirectory() as root:
        folders = {name: pathlib.Path(root, name) for name in commands}
        start = functools.partial(launch.POOL.submit, launch.fork)
        futures = {
            name: start(*command, f"--logdir={folders[name]}", export=name == "scored")
            for name, command in commands.items()
        }
        yield {name: (folders[name], future.result()) for name, future in futures.items()}


@pytest.fixture(scope="module")
def events(run):
    unlimited = {event_accumulator.TENSORS: 0}
    events = event_accumulator.EventAccumulator(
        str(run.folder / "tensorboard"), size_guidance=unlimited
    )
    return events.Reload()


def plugin_tags(events, plugin):
    tags = events.Tags()["tensors"]
    metadata = {tag: events.SummaryMetadata(tag).plugin_data for tag in tags}
    return {tag for tag, data in metadata.items() if data.plugin_name == plugin}


def series(events, tag):
    """step -> array."""
    return {e.step: tf.make_ndarray(e.tensor_proto) for e in events.Tensors(tag)}


def tiles(path):
    """The images of a sheet of digits, enlarged, int (n, 32, 32, 3), row by row."""
    page = np.asarray(Image.open(path), int)
    rows, columns = ((side - GAP) // (SIDE + GAP) for side in page.shape[:2])
    assert page.shape == (rows * (SIDE + GAP) + GAP, columns * (SIDE + GAP) + GAP, 3)
    return np.stack(
        [
            page[top : top + SIDE, left : left + SIDE]
            for top in range(GAP, rows * (SIDE + GAP), SIDE + GAP)
            for left in range(GAP, columns * (SIDE + GAP), SIDE + GAP)
        ]
    )


def enlarged(images):
    """uint8 digits (n, 8, 8, 1) as they stand on a sheet."""
    zoom = SIDE // PIXELS
    return images.astype(int).repeat(zoom, 1).repeat(zoom, 2).repeat(3, 3)


# Training.


def test_it_trains_and_prints_one_line_a_report(run):
    assert run.ended.code == 0, run.ended.err
    lines = [line for line in run.ended.out.splitlines() if line.startswith("step ")]
    form = r"step +(\d+)/20((?:  \w+ +-?\d+\.\d{4})+)  (.*)"
    found = [re.fullmatch(form, line) for line in lines]
    assert all(found), lines
    assert re.fullmatch(r"first step in \d+ s", found[0][3])  # no hours left
    for match in found[1:]:
        assert re.fullmatch(r"[\d,]+ images/s  \d+ s left", match[3])
    assert [int(match[1]) for match in found] == REPORTED
    for match in found:
        assert set(match[2].split()[::2]) == SCALARS


def test_it_says_at_the_start_what_and_where_and_at_the_end_what_is_there(run):
    before, after = run.ended.out.split("step  1/20")
    assert before.splitlines() == [
        "gan on digits: 1,617 images of 8x8x1, 10 classes",
        "generator 1,639,264 weights, discriminator 367,441 weights",
        "1 CPU, float32, no XLA (--deterministic excludes XLA)",
        f"20 steps with 20 images each; run folder {run.folder}",
    ]
    *_, steps, sheet, watch, more, serve = after.splitlines()
    assert steps.startswith("20 steps, ")
    assert sheet.endswith(str(run.folder / "samples" / "step-000000020.png"))
    assert watch.endswith(f"tensorboard --logdir={run.folder}")
    assert more.endswith(f"python main.py --mode=sample --logdir={run.folder}")
    serving = launch.ROOT.joinpath("docs", "serving.md").read_text()
    command = serve.removeprefix("serve").strip()
    assert command.replace(str(run.folder), "runs/gan-digits") in serving


def test_summary_has_the_keys_that_others_rely_on(run, summary):
    keys = """model loss dataset steps batch_size seed images_per_second ms_per_step
        compile_seconds peak_memory_mb parameters scalars versions jit_compile
        mixed_precision strategy run_id command"""
    assert set(keys.split()) <= set(summary)
    assert (summary["model"], summary["loss"]) == ("gan", "non_saturating")
    assert (summary["dataset"], summary["seed"]) == ("digits", 1)
    assert (summary["steps"], summary["batch_size"]) == (launch.STEPS, launch.BATCH_SIZE)
    assert (summary["mixed_precision"], summary["strategy"]) == ("float32", "one")
    assert summary["jit_compile"] is False  # --deterministic
    assert summary["run_id"].startswith("gan-digits-")
    assert shlex.split(summary["command"]) == ["python", "main.py", *run.arguments]
    versions = dict(summary["versions"])
    assert versions.pop("python") == ".".join(map(str, sys.version_info[:3]))
    assert {"tfgan-papers", "tensorflow", "keras"} <= set(versions)
    assert versions == {name: importlib.metadata.version(name) for name in versions}


def test_summarys_parameters_are_those_of_the_networks(summary):
    g = (100 * 1200 + 1200) + (1200 * 1200 + 1200) + (1200 * 64 + 64)
    d = (64 * 5 * 240 + 5 * 240) + (240 * 5 * 240 + 5 * 240) + (240 + 1)
    assert summary["parameters"] == {"generator": g, "discriminator": d}


def test_summarys_speed_is_that_of_the_reports(run, summary):
    product = summary["images_per_second"] * summary["ms_per_step"]
    assert product == pytest.approx(1000 * launch.BATCH_SIZE)
    printed = re.findall(r"([\d,]+) images/s", run.ended.out)
    speeds = sorted(float(speed.replace(",", "")) for speed in printed)
    assert speeds[0] - 1 <= summary["images_per_second"] <= speeds[-1] + 1
    (first,) = re.findall(r"first step in (\d+) s", run.ended.out)
    assert 0.2 < summary["compile_seconds"] < int(first) + 1
    assert 200 < summary["peak_memory_mb"] < 8000


def test_tensorboard_has_the_scalars_that_are_printed(run, summary, events):
    scalars = plugin_tags(events, "scalars")
    groups = dict.fromkeys(("d_loss", "g_loss"), "losses")
    groups |= dict.fromkeys(("d_real", "d_fake"), "balance")
    watched = {f"watch/{name}" for name in ("diversity", "coverage", "d_auc")}
    trained = {f"{group}/{name}" for name, group in groups.items()}
    assert scalars == {*trained, *watched, "speed/images_per_s"}
    assert list(series(events, "speed/images_per_s")) == REPORTED[1:]  # not of compiling
    for tag in watched:
        assert list(series(events, tag)) == REPORTED[1:]  # at whole periods
    for name in SCALARS:
        values = series(events, f"{groups[name]}/{name}")
        assert list(values) == REPORTED
        printed = re.findall(rf"{name} +(-?\d+\.\d+)", run.ended.out)
        assert [f"{value:.4f}" for value in values.values()] == printed
        assert summary["scalars"][name] == pytest.approx(float(values[launch.STEPS]))
    assert set(summary["scalars"]) == SCALARS


def test_tensorboard_has_the_sheets_that_are_in_the_folder(run, events):
    assert plugin_tags(events, "images") == {"Sheets/samples", "Sheets/real"}
    pictures = series(events, "Sheets/samples")
    files = sorted(path.name for path in (run.folder / "samples").iterdir())
    sheets = [f"step-{step:09d}.png" for step in REPORTED]
    assert files == ["latest.png", "real.png", *sheets]
    for step, (_, _, encoded) in pictures.items():
        image = np.asarray(Image.open(io.BytesIO(encoded)))
        side = 8 * (SIDE + GAP) + GAP
        assert image.shape == (side, side, 3)
        stored = Image.open(run.folder / "samples" / f"step-{step:09d}.png")
        assert stored.format == "PNG"
        np.testing.assert_array_equal(image, np.asarray(stored))
    assert list(pictures) == REPORTED


def test_tensorboard_has_a_histogram_of_every_weight(run, events):
    tags = plugin_tags(events, "histograms")
    counts = []
    for tag in tags:
        histograms = series(events, tag)
        assert list(histograms) == REPORTED
        counts.append(int(histograms[launch.STEPS][:, 2].sum()))
    weights = launch.tensors(run.folder)
    sizes = [a.size for name, a in weights.items() if "_trainable_variables" in name]
    most = tensorboard.HISTOGRAM_VALUES
    assert "weights/generator/00_dense/kernel" in tags
    assert len(sizes) == 12 and max(sizes) > 4 * most
    for size, count in zip(sorted(sizes), sorted(counts), strict=True):
        assert count == size or most / 3 < count <= most < size


def test_tensorboard_describes_every_tag(events):
    kinds = ("scalars", "images", "histograms")
    tags = [tag for kind in kinds for tag in plugin_tags(events, kind)]
    told = {tag: events.SummaryMetadata(tag).summary_description for tag in tags}
    assert len(told) == 9 - 1 + 2 + 12
    assert all(text.endswith(".") for text in told.values()), told
    kernel = "weights/generator/00_dense/kernel"
    assert told[kernel].startswith("kernel of the dense layer")
    assert told[kernel].endswith("shape 100x1200.")


@pytest.mark.parametrize("model", PAPERS)
def test_each_scalar_that_a_model_reports_has_a_description(model):
    classes = [of for of in vars(sys.modules[PAPERS[model].options.__module__]).values()]
    reported = {name for of in classes for name in getattr(of, "scalars", ())}
    assert reported and reported <= set(tensorboard.DESCRIPTIONS)


def test_tensorboard_has_the_flags_as_text_and_as_hyper_parameters(run, events):
    lines = (run.folder / "flags.txt").read_text().splitlines()
    stored = dict(line.removeprefix("--").split("=", 1) for line in lines)
    assert stored["batch_size"] == "20" and stored["learning_rate"] == "2.0"
    assert (stored.pop("steps"), stored.pop("on_collapse")) == ("20", "warn")
    assert stored.pop("test_split") == "train[90%:]"
    assert stored.pop("validation_split") == ""
    assert plugin_tags(events, "text") == {"flags"}
    (text,) = series(events, "flags").values()
    rows = text.item().decode().lower().splitlines()
    assert {f"| {name} | {value} |" for name, value in stored.items()} <= set(rows)
    data = [
        plugin_data_pb2.HParamsPluginData.FromString(
            events.SummaryMetadata(tag).plugin_data.content
        )
        for tag in plugin_tags(events, "hparams")
    ]
    (trial,) = [d.session_start_info for d in data if d.session_start_info.hparams]
    assert trial.group_name == "/".join(run.folder.parts[-2:])
    hparams = trial.hparams
    assert hparams["batch_size"].number_value == 20
    assert hparams["loss"].string_value == "non_saturating"
    assert set(hparams) == {  # what others have too, GAN's own, and what was given
        *("model", "dataset", "loss", "batch_size", "learning_rate", "seed"),
        *("k", "deterministic", "train_split"),
    }
    assert set(hparams) < set(stored)


def test_flags_txt_replays_the_run(run, variants):
    folder, ended = variants["replayed"]
    assert ended.code == 0, ended.err
    found, expected = launch.tensors(folder), launch.tensors(run.folder)
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)
    assert launch.contents(folder)["flags.txt"] == launch.contents(run.folder)["flags.txt"]


def test_several_steps_a_call_neither_overrun_nor_change_the_run(run, variants):
    folder, ended = variants["several_steps_a_call"]
    assert ended.code == 0, ended.err
    steps = [int(step) for step in re.findall(r"step +(\d+)/", ended.out)]
    assert steps == REPORTED
    assert launch.kept_steps(folder) == launch.kept_steps(run.folder) == [10, 15, 20]
    found = launch.tensors(folder)
    for name, array in launch.tensors(run.folder).items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-6, err_msg=name)


def test_metrics_keep_the_best_checkpoint_and_are_taken_at_the_end(variants):
    folder, ended = variants["scored"]
    assert ended.code == 0, ended.err
    (score,) = json.loads((folder / "scores.json").read_text())
    assert (score["metric"], score["step"]) == ("parzen_window", 2)
    sizes = (score["validation_examples"], score["test_examples"])
    assert sizes == (179, 180)  # of 1797: from 1438, from 1617 on
    assert f"at step 2: {score['value']:.2f} +- " in ended.out.splitlines()[-1]
    best = [path.name for path in (folder / "checkpoints" / "best").glob("*.index")]
    assert best == ["step-000000002.index"]
    reader = tf.train.load_checkpoint(
        str(folder / "checkpoints" / "best" / "step-000000002")
    )
    kept = float(reader.get_tensor("best_score/.ATTRIBUTES/VARIABLE_VALUE"))
    assert f"{kept:.4g} by the score that selects the best" in ended.err


def test_another_mode_works_in_the_precision_of_the_run(variants):
    """Here mixed_bfloat16, of which float32 differs by far more than nothing."""
    folder, _ = variants["scored"]
    z = np.random.default_rng(5).uniform(-1.7, 1.7, (50, 100)).astype("float32")
    first = tf.saved_model.load(str(folder / "export"))
    images = first.generate(z).numpy()
    ended = launch.within("--mode=export", "--checkpoint=best", f"--logdir={folder}")
    assert ended.code == 0, ended.err
    second = tf.saved_model.load(str(folder / "export"))
    np.testing.assert_array_equal(second.generate(z), images)


@pytest.mark.parametrize("steps", [launch.STEPS, launch.STEPS // 2])
def test_a_complete_run_started_again_changes_nothing(steps):
    with launch.copy_of_trained("history") as folder:
        before = launch.contents(folder)
        ended = launch.fork(*launch.BASE, f"--logdir={folder}", f"--steps={steps}")
        assert ended.code == 0, ended.err
        (line,) = ended.out.splitlines()
        remedy = "use a larger --steps to continue it"
        assert line == f"the run in {folder} is complete: {remedy}"
        after = launch.contents(folder)
        for name, content in before.items():
            if not name.startswith("export/"):
                assert after[name] == content, name
        added = {name.split("/")[0] for name in set(after) - set(before)}
        assert added <= {"tensorboard"}


def test_a_run_killed_before_its_summary_writes_it_when_started_again(summary):
    with launch.copy_of_trained("export", "history", "summary.json") as folder:
        ended = launch.fork(*launch.BASE, f"--logdir={folder}")
        assert ended.code == 0, ended.err
        found = json.loads((folder / "summary.json").read_text())
        assert found.pop("last_command") != summary["last_command"]
        assert found == {k: v for k, v in summary.items() if k != "last_command"}
        assert (folder / "export" / "manifest.json").is_file()
        # The time of one more step, which compiles, is not the run's.
        longer = (*launch.BASE, f"--logdir={folder}", "--steps=21")
        ended = launch.fork(*longer, export=False)
        assert ended.code == 0, ended.err
        longer = json.loads((folder / "summary.json").read_text())
        assert longer["steps"] == 21 and longer["scalars"] != summary["scalars"]
        for name in ("ms_per_step", "images_per_second", "compile_seconds"):
            assert longer[name] == summary[name]


def test_each_model_has_a_folder_of_its_own_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model in PAPERS:
        run = open_run({"model": model})
        dataset = "printed_digits" if model == "began" else "digits"
        assert run.folder.path == pathlib.Path("runs", f"{model}-{dataset}")
        assert run.values.data.dataset == dataset
    scenes = open_run({"model": "lsgan", "dataset": "lsun/bedroom"})
    assert scenes.folder.path == pathlib.Path("runs", "lsgan-lsun-bedroom")


def test_the_folder_of_the_data_is_remembered_too(tmp_path):
    pictures, folder = tmp_path / "pictures", tmp_path / "run"
    pictures.mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (8, 8, 8))):
        Image.fromarray(np.uint8(pixels)).save(pictures / f"{i}.png")
    of_folder = ("--dataset=folder", f"--data_dir={pictures}", "--image_size=8")
    short = ("--batch_size=4", "--steps=1", "--jit_compile=false")
    for arguments in ([*of_folder, *short], ["--mode=sample", "--sample=nearest"]):
        ended = launch.within(*arguments, f"--logdir={folder}")
        assert ended.code == 0, ended.err
    moved = pictures.rename(tmp_path / "moved")
    ended = launch.within(f"--logdir={folder}", f"--data_dir={moved}")
    assert ended.code == 0, ended.err  # it is free to change


def test_the_keras_example_of_the_readme_runs_as_it_stands(tmp_path, monkeypatch):
    text = (launch.ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (example,) = [block for block in blocks if "gan.fit" in block]
    monkeypatch.chdir(tmp_path)
    names = {"images": np.float32(sklearn.datasets.load_digits().data[:320] / 16)}
    exec(example, names)
    assert names["samples"].shape == (10, 64)
    head, *epochs = (tmp_path / "log.csv").read_text().splitlines()
    assert {"d_loss", "g_loss"} <= set(head.split(",")) and len(epochs) == 5


# The other modes.


@pytest.fixture(scope="module")
def pictures(run):
    """name of the picture -> its path; no flag is given but --logdir and these."""
    commands = {
        "sheet": ["--sample=sheet"],
        "five": ["--sample=sheet", "--num_samples=5", "--sample_seed=7"],
        "nearest": ["--sample=nearest"],
        "line": ["--sample=line"],
        "history": ["--sample=history"],
    }
    with launch.copy_of_trained("export", "history") as folder:
        paths = {}
        for name, command in commands.items():
            ended = launch.within("--mode=sample", *command, f"--logdir={folder}")
            assert ended.code == 0, ended.err
            paths[name] = pathlib.Path(ended.out.strip())
            assert paths[name].parent == folder / "samples"
        yield paths


@pytest.fixture(scope="module")
def served(run):
    return tf.saved_model.load(str(run.folder / "export"))


def test_mode_sample_draws_the_sheet_of_training(run, pictures):
    last = tiles(run.folder / "samples" / f"step-{launch.STEPS:09d}.png")
    drawn = tiles(pictures["sheet"])
    assert drawn.shape == (64, SIDE, SIDE, 3)
    assert abs(drawn - last).max() <= 1


def test_mode_sample_draws_as_many_as_asked_from_the_seed_asked(pictures, served):
    drawn = tiles(pictures["five"])
    assert drawn.shape == (6, SIDE, SIDE, 3)  # three columns, two rows
    expected = enlarged(served.sample(n=5, seed=7).numpy())
    assert abs(drawn[:5] - expected).max() <= 1
    assert (drawn[5] == 255).all()


def test_mode_sample_shows_the_nearest_training_image_beside_the_fifth(pictures, served):
    drawn = tiles(pictures["nearest"]).reshape(4, 6, SIDE, SIDE, 3)
    expected = enlarged(served.sample(n=20, seed=0).numpy())
    assert abs(drawn[:, :5].reshape(expected.shape) - expected).max() <= 1
    digits = sklearn.datasets.load_digits().images[:1617]  # the others are held out
    digits = np.uint8(np.rint(digits * 255 / 16)).reshape(-1, 64).astype(int)
    pixels = drawn[:, :, :: SIDE // PIXELS, :: SIDE // PIXELS, 0].reshape(4, 6, 64)
    for row in pixels:
        distances = ((digits - row[4]) ** 2).sum(1)
        (which,) = np.flatnonzero((digits == row[5]).all(1))[:1]
        assert distances[which] <= 1.01 * distances.min()  # pixels are rounded


def test_mode_sample_draws_lines_between_samples(pictures, served):
    drawn = tiles(pictures["line"]).reshape(4, 10, SIDE, SIDE, 3)
    ends = enlarged(served.sample(n=8, seed=0).numpy())
    assert abs(drawn[:, 0] - ends[:4]).max() <= 1
    assert abs(drawn[:, -1] - ends[4:]).max() <= 1
    leaps = abs(np.diff(drawn, axis=1)).mean((0, 2, 3, 4))
    whole = abs(drawn[:, -1] - drawn[:, 0]).mean()
    assert leaps.max() < whole / 2


def test_mode_sample_shows_the_scalars_above_the_sheets_of_the_run(run, pictures, events):
    assert pictures["history"].name == "history.png"
    drawn = np.asarray(Image.open(pictures["history"]).convert("RGB"))
    width, height = drawn.shape[1], drawn.shape[0]
    scalars = len(plugin_tags(events, "scalars"))
    assert scalars > len(SCALARS)
    # a square for each scalar, above as many wide squares as there are sheets
    assert width / height == pytest.approx(scalars / (1 + scalars / 5), rel=0.1)
