"""The tables of step times match their records."""

import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from tests import launch
from tfgan_papers.layers.initializers import Draw
from tfgan_papers.papers import gan_networks

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
OTHERS = ("scores", "weak_scaling")
RECORDS = [p for p in sorted(BENCHMARKS.glob("*.json")) if p.stem not in OTHERS]


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def imports_as_a_script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def step_times():
    return loaded("step_times")


@pytest.fixture
def timed_settings():
    return loaded("timed_settings")


@pytest.fixture
def scaling():
    return loaded("weak_scaling")


def test_readme_has_the_tables_of_all_records(step_times):
    readme = (BENCHMARKS / "README.md").read_text()
    assert step_times.with_tables(readme, BENCHMARKS) == readme
    assert readme.count("| plain |") == len(RECORDS) > 0


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_named_for_what_it_times(path, timed_settings):
    record = json.loads(path.read_text())
    suffix = {"float32": "", "mixed_bfloat16": "_bfloat16"}[record["precision"]]
    suffix += "_avx2" if "(avx2)" in record["machine"] else ""
    suffix += "_gpu" if record.get("device") == "gpu" else ""
    suffix += "_before" if "before" in record else ""
    assert path.stem == record["setting"] + suffix
    assert record["setting"] in timed_settings.SETTINGS


def test_without_a_gpu_a_benchmark_of_one_is_one_clear_line():
    ended = subprocess.run(
        [sys.executable, BENCHMARKS / "step_times.py", "gan_mnist", "--device=gpu"],
        env={**launch.ENVIRONMENT, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1 and not ended.stdout
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: TensorFlow finds no GPU on this machine: install")


@pytest.mark.parametrize("module", ["psutil", "torch"])
def test_without_the_extra_a_benchmark_is_one_clear_line(module, monkeypatch, step_times):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    for name in {"psutil", "torch"} - {module}:
        monkeypatch.setitem(sys.modules, name, importlib.util)
    monkeypatch.setattr(sys, "argv", ["step_times.py", "gan_mnist"])
    with pytest.raises(SystemExit, match=f"error: {module} is not installed: pip install"):
        step_times.main()


def test_arithmetic_is_that_of_the_weights_of_a_perceptron(timed_settings):
    """A dense layer multiplies and adds once a weight."""
    networks = gan_networks.mnist_networks((28, 28, 1), np.full(784, 0.5), Draw(0))
    g, d = ([w.shape for w in n.weights if len(w.shape) > 1] for n in networks)
    counts = [timed_settings.layer_counts(network) for network in networks]
    assert counts == [[np.prod(shape) for shape in shapes] for shapes in (g, d)]
    assert sum(counts[0]) == 100 * 1200 + 1200 * 1200 + 1200 * 784


def test_both_time_the_authors_networks_of_began(timed_settings):
    """The weights have the same sizes."""
    pytest.importorskip("torch")
    model = timed_settings.began32().model(jit_compile=False)
    theirs = loaded("pytorch_steps").began_networks(32)
    for ours, other in zip((model.generator, model.discriminator), theirs, strict=True):
        sizes = [p.numel() for p in other.parameters()]
        assert sorted(sizes) == sorted(np.prod(w.shape) for w in ours.trainable_weights)


@pytest.mark.parametrize(
    "name", ["gan_mnist", "gan_tfd", "lsgan_ring", "improved_gan_mnist", "began32"]
)
def test_a_setting_builds_its_model_and_its_stream(name, timed_settings):
    setting = timed_settings.SETTINGS[name]()
    assert setting.model(jit_compile=False).generator.count_params() > 0
    next(iter(setting.stream()))


def test_a_jump_on_a_line_is_its_largest_step(rng):
    lines = loaded("straight_lines")
    ends = rng.normal(size=(2, 3, 4)).astype("float32")
    even = lines.between(ends, 17)
    np.testing.assert_allclose(even[:, [0, -1]].swapaxes(0, 1), ends, rtol=1e-6)
    np.testing.assert_allclose(lines.largest_steps(even), 1 / 16, rtol=1e-4)
    jump = np.where(np.arange(17)[:, None] < 5, even[:, :1], even[:, -1:])
    np.testing.assert_allclose(lines.largest_steps(jump), 1)


def test_images_in_the_inner_half_of_a_line_may_be_off_the_data(rng):
    lines = loaded("straight_lines")
    training = np.array([[0.0, 0.0], [1.0, 0.0]])
    points = np.stack([np.linspace(0, 1, 17), np.full(17, 0.1)], 1)
    distances = lines.nearest(points, training)
    by_hand = np.hypot(np.minimum(points[:, 0], 1 - points[:, 0]), 0.1)
    np.testing.assert_allclose(distances, by_hand)
    expected = np.median(by_hand[4:13]) / 0.1
    np.testing.assert_allclose(lines.off_the_data(distances[None]), expected)


def test_samples_that_are_training_images_are_sharp():
    sharp = loaded("sharp_samples")
    images = np.uint8([[[[0]], [[0]]], [[[100]], [[0]]], [[[0]], [[200]]]])
    assert sharp.measured(np.repeat(images[:2], 50, 0), images) == (0.0, 2)
    assert sharp.measured(images[:1] + np.uint8(10), images) == (np.hypot(10, 10) / 100, 1)


def test_weak_scaling_is_of_medians_and_of_ratios_within_a_round(scaling):
    seconds = [(0.010, 0.011, 0.020, 0.004), (0.012, 0.013, 0.016, 0.002)]
    rounds = [dict(zip(scaling.KINDS, each, strict=True)) for each in seconds]
    *_, row = scaling.table({"settings": {"a": rounds}}).splitlines()
    assert row == "| `a` | 11.0 ms | 12.0 ms | 18.0 ms | 3.0 ms | 62% |"


def test_the_page_has_the_table_of_weak_scaling_and_the_estimate(timed_settings, scaling):
    page = (BENCHMARKS.parent / "docs" / "distribution.md").read_text()
    record = BENCHMARKS / "weak_scaling.json"
    if record.is_file():
        assert scaling.table(json.loads(record.read_text())) in page
    estimate = page.split("ESTIMATE")[1]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", estimate, re.MULTILINE)
    assert len(rows) == 4
    for name, row in rows:
        of_step = json.loads((BENCHMARKS / f"{name}.json").read_text())
        step = of_step["gflop_per_step"] / 1e4  # seconds at 10 TFLOP/s
        networks = timed_settings.SETTINGS[name]().model(jit_compile=False).networks
        size = 4 * sum(w.numpy().size for n in networks for w in n.trainable_weights)
        expected = [f"{1e3 * step:.1f} ms", f"{size / 1e6:.1f} MB"]
        for gpus, speed in ((8, 300e9), (64, 25e9)):
            seconds = 2 * (gpus - 1) / gpus * size / speed
            expected += [f"{1e3 * seconds:.2f} ms", f"{step / (step + seconds):.0%}"]
        assert [cell.strip() for cell in row.split("|")] == expected
