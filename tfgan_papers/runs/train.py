"""Training: from a `Run` to a run folder with samples, checkpoints and an export."""

import contextlib
import sys

import keras
import numpy as np
import tqdm.contrib
from absl import logging

from tfgan_papers import data, figures, keras_internals
from tfgan_papers.errors import TrainingFailure, UsageError
from tfgan_papers.metrics import coverage
from tfgan_papers.models import surgery
from tfgan_papers.papers import contract
from tfgan_papers.runs import (
    callbacks,
    collapse,
    distribution,
    export,
    records,
    settings,
    sheets,
    summary,
    tensorboard,
    tracking,
)
from tfgan_papers.runs.checkpoints import Checkpoints
from tfgan_papers.runs.run import Run


def train(run: Run, make_scorer=None):
    """Trains a run, or continues it.

    Args:
        run: `Run`.
        make_scorer: function from the training examples to a `commands.scoring.Scorer`,
            which selects the best checkpoint. It is called before training, after
            TensorFlow is configured.
    """
    _fit(run, *_prepare(run, make_scorer))


@callbacks.ended_by_ctrl_c()
def _prepare(run, make_scorer):
    """Loads data, builds the model, restores the newest checkpoint, if there is one, and
    writes run.json.

    Returns:
        The arguments of `_fit`.
    """
    values = run.values
    strategy = distribution.start(values.training.seed, values.machine)
    chief = distribution.is_chief(strategy)
    if chief and run.facts:  # a new run is locked later, when nothing can be refused
        run.folder.lock()
    check(values, strategy)
    known = bool(run.facts)
    examples = data.load(values.data.train_split, values.data)
    run.check_data(examples)
    value_range = values.data.value_range
    if values.training.flip and len(examples.shape) != 3:
        raise UsageError("--flip needs images, and these data are points: leave it out")
    examples.check_batch(values.training.batch_size * run.minibatches_per_step())
    of = run.settings(
        examples.shape, examples.mean(value_range), examples.size, examples.classes
    )
    scorer = make_scorer(examples) if make_scorer else None

    def first_look(model):
        """Draws a sheet before the step is timed, which takes longer."""
        check_batch(model, values.training.batch_size, strategy)
        if scorer:
            scorer.check_model(model)
        if run.paper.initialize and not known:  # it may refuse an option
            run.paper.initialize(model, examples, of, values.paper, value_range)
        run.folder.check_export()
        run.folder.lock()
        if len(examples.shape) == 3 and not (known and run.folder.sheets()):
            _, picture = sheets.drawer(model, value_range)(model)
            sheets.save(picture, run.folder / "samples", 0)

    options, facts = _compile_options(strategy, run, of, examples, first_look)
    with distribution.scope(strategy):
        model = run.build(of, **options)
    layers = keras_internals.layers(*model.networks)
    normalizes = any(isinstance(x, keras.layers.BatchNormalization) for x in layers)
    if values.machine.sync_batch_norm and not normalizes:
        contract.warn_of_no_effect(
            "sync_batch_norm", "networks without batch normalization"
        )
    check_batch(model, values.training.batch_size, strategy)
    if scorer:
        scorer.check_model(model)
    run.folder.check_export()
    every = _steps_between_checkpoints(values.training)
    checkpoints = Checkpoints(run.folder / "checkpoints", model, every)
    done = checkpoints.restore() or 0
    if scorer and done < values.training.steps:
        _begin_selection(run, checkpoints, scorer.selected_by, done)
    shared = values.defining() | {"report_steps": values.training.report_steps}
    shared |= {"threads": None, "fingerprint": run.facts["fingerprint"]}
    distribution.check_alike(strategy, done, shared)
    if done:
        logging.info("resuming from step %d in %s", done, run.folder)
    else:
        if known:
            logging.info("there is no checkpoint in %s yet: starting again", run.folder)
        if run.paper.initialize:
            run.paper.initialize(model, examples, of, values.paper, value_range)
    if chief:
        run.folder.lock()
    if not done and values.training.on_collapse == "rollback":
        checkpoints.save(0, "history", keep=None)  # so that a rollback is always possible
    run.facts |= options | facts
    if chief:
        _note(run, done)
    else:  # the chief's watch does it there
        collapse.use_stored_noise(run.folder, model)
    return model, of, checkpoints, scorer, strategy, examples, done


def _begin_selection(run, checkpoints, by, done):
    """Notes how the best checkpoint is selected, and begins anew if it is in another way
    than before, because the scores have other scales."""
    before = run.facts.get("selected_by")
    scored = np.isfinite(checkpoints.best_score.numpy())
    if before is None and not scored:
        run.facts["selected_by"] = {"options": by, "since": 0}
    elif before is None or before["options"] != by:
        was = before["options"]["metric"] if before else "a score that is not noted"
        was += " in another way" * (was == by["metric"])
        logging.warning(
            "the best checkpoint was selected by %s: from step %d on it is selected anew, "
            "by %s with these options",
            *(was, done, by["metric"]),
        )
        run.facts["selected_by"] = {"options": by, "since": done, "before": before}
    since = run.facts["selected_by"]["since"]
    if since and done <= since:  # also if the run was killed before its next checkpoint
        checkpoints.best_score.assign(-np.inf)


def check(values: settings.Values, strategy):
    """Checks the options before the data are read.

    Raises:
        UsageError: the options do not fit the strategy, or contradict each other.
    """
    training, steps = values.training, values.machine.steps_per_execution
    distribution.check(strategy, training.batch_size, steps)  # of each minibatch of a step
    collapse.check(strategy, training.on_collapse)
    tracking.check(training.track)
    if training.report_steps % (steps or 1):
        raise UsageError(
            f"--report_steps={training.report_steps} is not a multiple of "
            f"--steps_per_execution={steps}: change one of them"
        )


def _steps_between_checkpoints(training):
    """The steps between regular checkpoints, whole report periods."""
    period = training.report_steps
    return -(-training.checkpoint_steps // period) * period


def check_batch(model, batch_size: int, strategy):
    """Checks that batch normalization gets at least two examples per replica.

    With one, the normalized activations do not depend on the latents.

    Raises:
        UsageError: the generator has batch normalization, and a replica gets one example.
    """
    share = batch_size // strategy.num_replicas_in_sync
    if share == 1 and surgery.mixes_examples(model.generator):
        raise UsageError(
            f"--batch_size={batch_size} gives batch normalization one example at a time, "
            "so that samples would not depend on the latents: use at least 2 for each "
            "device"
        )


def _note(run, done):
    """Writes flags.txt and run.json, before the first step."""
    run.facts.setdefault("run_id", summary.run_id(run.values))
    run.facts.setdefault("edition", settings.EDITION)
    run.facts.setdefault("commit", records.commit())
    run.facts.setdefault("command", records.command())
    steps = max(run.values.training.steps, done)
    machines = run.facts.setdefault("machines", [])  # a run may continue elsewhere
    here = records.described(records.machine(), records.versions())
    if done < steps and here not in machines:
        machines.append(here)
    commits = run.facts.setdefault("commits", [run.facts["commit"]])  # or with other code
    if done < steps and (commit := records.commit()) not in commits:
        commits.append(commit)
    # flags.txt first: with run.json alone, the same command would look like another run
    run.folder.write_text("flags.txt", settings.lines(run.values, steps))
    run.folder.write("run.json", run.facts)
    (run.folder / "failure.json").unlink(missing_ok=True)  # of an earlier attempt


def _compile_options(strategy, run, of, examples, first_look):
    """The options of `distribution.compile_options`, with the measurements behind them.

    A resumed run keeps those with which it started, because its arithmetic must not change,
    unless it was too short to be timed. If the step is timed, `first_look` is called before
    with the new model.
    """
    machine, period = run.values.machine, run.values.training.report_steps
    decided = run.facts.get("jit_compile_why", distribution.NOT_TIMED)
    if machine.jit_compile == "auto" and decided != distribution.NOT_TIMED:
        several = strategy.num_replicas_in_sync > 1
        steps = machine.steps_per_execution or run.facts.get("steps_per_execution", 1)
        if several or period % steps:  # the devices or --report_steps are other ones
            steps = 1
        compiled = run.facts["jit_compile"] and not (several and machine.sync_batch_norm)
        return {"jit_compile": compiled, "steps_per_execution": steps}, {}

    def model_of(jit_compile):
        return run.build(of, jit_compile=jit_compile)

    def batch_of(model):
        batch = next(iter(run.batches(examples, model, of, seed=0)))
        if not model.compiled_by_xla:  # the first of the two
            first_look(model)  # now that nothing can be refused
        return batch

    total = run.values.training.steps
    return distribution.compile_options(
        strategy, machine, model_of, batch_of, period, total
    )


def _fit(run, model, of, checkpoints, scorer, strategy, examples, done):
    """Trains up to --steps, then writes the export and the summary."""
    training = run.values.training
    chief = distribution.is_chief(strategy)
    stop = callbacks.GracefulStop()
    if not chief:  # only the chief writes the run folder
        watchers = [stop, callbacks.StopOnNonFinite()]
        with stop:
            _train_segments(run, model, of, strategy, examples, done, watchers, stop)
        sys.exit(128 + stop.signum if stop.signum else 0)
    if done >= training.steps and run.folder.steps() == done:
        print(f"the run in {run.folder} is complete: use a larger --steps to continue it")
        return
    images = training.batch_size * run.minibatches_per_step()
    for line in summary.opening(run, model, examples, strategy, done):
        print(line, flush=True)
    if training.tensorboard_port:
        address = tensorboard.serve(run.folder.path, training.tensorboard_port)
        print(f"TensorBoard: {address}", flush=True)
    track = tracking.tracker(run) if training.track else None
    writer = tensorboard.Writer(run.folder / "tensorboard", done, track)
    bar = sys.stdout.isatty() and callbacks.Progress(training.steps, done, images)
    reporter, watch, keeper, watchers = _watchers(
        run, model, examples, checkpoints, scorer, writer, bar, images
    )
    with stop, _failure_kept(run), _around(bar):
        watchers = [stop, *watchers]
        done = _train_segments(run, model, of, strategy, examples, done, watchers, stop)
        keeper.keep(model, scored=not stop.signum or done >= training.steps)
    if stop.signum:
        print(f"interrupted at step {done}: run the same command to continue")
        sys.exit(128 + stop.signum)
    if reporter.seconds_per_step:
        summary.measure(run, reporter, images)
    facts = summary.manifest(run, model, done)
    export.export(model, run.folder / "export", run.values.data.value_range, facts)
    watch.conclude()
    summary.write(run, model, watch, strategy)
    for line in summary.closing(run, model):
        print(line, flush=True)


def _watchers(run, model, examples, checkpoints, scorer, writer, bar, images):
    """The callbacks of the process that writes the run folder."""
    training, value_range = run.values.training, run.values.data.value_range
    total, period = training.steps, training.report_steps
    of = run.values
    name = "/".join(run.folder.path.resolve().parts[-2:])  # TensorBoard shows 15 characters
    tensorboard.flags(writer, of.defining(), of.of_trial(), name)
    _draw_examples(run, examples, writer)
    reporter = callbacks.Reporter(writer, total, period, images, bar)
    points = sheets.some_points(examples, value_range)
    draw = sheets.drawer(model, value_range, points)
    samples = callbacks.SampleSheets(writer, draw, run.folder / "samples", period, total)
    score = scorer.select if scorer else None
    keeper = callbacks.CheckpointCallback(checkpoints, checkpoints.every, writer, score)
    watch = collapse.Watch(
        *(run.folder, model, checkpoints, writer),
        *(_watched_examples(model, examples, value_range), period, training.on_collapse),
        coverage.of_examples(examples, value_range),
    )
    # before the last checkpoint is written: a run resumed from it may have no step to time
    measure = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: summary.measure(run, reporter, images)
    )
    watchers = [reporter, samples, watch, measure, keeper]
    return reporter, watch, keeper, [*watchers, bar] if bar else watchers


def _draw_examples(run, examples, writer):
    """Draws the sheet of examples, if there is none yet."""
    path = run.folder / "samples" / "real.png"
    picture = None if path.is_file() else sheets.of_examples(examples)
    if picture is not None:
        figures.save(picture, path)
        with writer.at(0) as events:
            events.image("real", picture)


def _watched_examples(model, examples, value_range):
    """The examples with which the collapse watch compares samples, in random order."""
    n, labels = min(collapse.EXAMPLES, examples.size), model.classes > 0
    stream = examples.stream(n, collapse.SEED, value_range, labels=labels)
    return next(iter(stream))


@contextlib.contextmanager
def _around(bar):
    """Writes log lines above the progress bar `bar`, if it is not False."""
    if not bar:
        yield
        return
    handler = logging.get_absl_handler().python_handler
    stream = handler.setStream(tqdm.contrib.DummyTqdmFile(handler.stream))
    try:
        with contextlib.closing(bar):
            yield
    finally:
        handler.setStream(stream)


def _train_segments(run, model, of, strategy, examples, done, watchers, stop):
    """Trains from step `done` to the end of the run or until a signal, with `fit`.

    Returns:
        The step reached.
    """
    training = run.values.training
    total, period = training.steps, training.report_steps
    steps_per_execution = run.facts.get("steps_per_execution", model.steps_per_execution)
    segments = _segments(done, total, period)
    while segment := next(segments, None):
        steps, periods = segment
        planned = done + steps * periods
        stream = run.batches(examples, model, of, training.seed, done)
        _set_steps_per_execution(model, steps, steps_per_execution)
        model.fit(
            distribution.distribute(strategy, stream),
            steps_per_epoch=steps,
            initial_epoch=done // period,
            epochs=done // period + periods,
            callbacks=watchers,
            shuffle=False,  # the stream is shuffled
            verbose=0,
        )
        done = model.steps_done
        if stop.signum:
            break
        if done != planned:  # a rollback
            segments = _segments(done, total, period)
    return done


@contextlib.contextmanager
def _failure_kept(run):
    """Writes failure.json if training fails, because a failure is a result of the run."""
    try:
        yield
    except TrainingFailure as failure:
        run.folder.write("failure.json", {"reason": failure.reason})
        raise


def _set_steps_per_execution(model, steps, asked):
    """Sets steps per execution to `asked`, or to 1 if it does not divide the `steps` of an
    epoch, because Keras would train for more steps."""
    fitting = asked if steps % asked == 0 else 1
    if model.steps_per_execution != fitting:
        model.steps_per_execution = fitting
        model.make_train_function(force=True)


def _segments(done, total, period):
    """Yields (steps per epoch, epochs) from step `done` to `total`.

    The segments are one step, whose duration shows the time to compile; the steps up to the
    next report; whole periods; and the remaining steps.
    """
    if done < total:
        yield 1, 1
        done += 1
    aligned = min(total, -(-done // period) * period)
    if done < aligned:
        yield aligned - done, 1
    if (total - aligned) // period:
        yield period, (total - aligned) // period
    if aligned < total and (total - aligned) % period:
        yield (total - aligned) % period, 1
