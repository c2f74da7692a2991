"""Searches for flags that train better: grid, random or TPE, by Optuna, and says which of them mattered.

A search is a folder: trials.log (Optuna's journal), a run for each trial, tune.html. The same command goes on with it.
"""

import shutil
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import optuna
import typer
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.errors import Outside, Refused, Unfit
from models.files import write_whole
from models.network import Architecture
from models.runs import option, read_record
from models.training.axes import Axis, read_axis
from models.training.flags import FREE, PEOPLE, Flags, check_flags, follow_start, list_flags, list_told, take_flags
from models.training.journal import Journal
from models.training.material import gather, read_others
from models.training.plots import Section, start_figure, tabulate, to_svg, write_page
from models.training.train import Stopped, train

READING = frozenset({"layout", "hold_out", "validate", "watched", "seed"})  # that say which pictures are read
Method = Literal["grid", "random", "tpe"]


def tune(flags: Flags, axes: list[Axis], folder: Path, method: Method, trials: int) -> optuna.Study:
    """Search until there are so many finished trials, all of the grid for `grid`, and write the report.

    What an earlier call left in the folder counts. A trial that was interrupted is trained on; one that its flags
    cannot be trained with, or whose loss is not finite, counts as refused. Raises Refused when the folder's search was
    another one, and what no flag that is tried can help, such as a full disk or a picture that cannot be read, which
    ends the search until the same command is given again.
    """
    flags = check_flags(flags)
    bound = [axis.name for axis in axes if axis.name in {one.name for one in fields(Architecture)}]
    if flags.start and bound:
        raise Refused(
            f"--try {option(bound[0])}: is the architecture's, which --from {flags.start} says; leave out one"
        )
    check_pictures(flags, axes)
    study = open_study(flags, axes, folder, method)
    finish_interrupted(study)
    if method == "grid":
        trials = queue_grid(study, axes)
    done = count_done(study)
    bar = tqdm(total=trials, initial=min(done, trials), desc="trials", disable=None)
    while done < trials:
        trial = study.ask()
        values = {axis.name: axis.suggest(trial, method == "grid") for axis in axes}
        run_trial(study, trial, replace(flags, **values), folder)  # type: ignore[arg-type]
        done = count_done(study)
        bar.update(1)
        write_search(study, folder, method)
    bar.close()
    write_search(study, folder, method)
    return study


def check_pictures(flags: Flags, axes: list[Axis]) -> None:
    """Raises Refused where pictures are of no use whatever is tried, before every trial is refused for them."""
    if READING.intersection(axis.name for axis in axes):
        return
    try:
        if flags.data == PEOPLE:
            read_others(flags)
        else:
            gather(flags)
    except Unfit:
        return  # as flags that are tried may not be


def open_study(flags: Flags, axes: list[Axis], folder: Path, method: Method) -> optuna.Study:
    """The search in the folder, new or as it was left. Samplers are seeded by the trials that there are."""
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(Journal(folder / "trials.log"))
    study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
    computed = {name: value for name, value in list_flags(flags).items() if name not in FREE}
    asked = {"flags": repr(computed), "axes": repr(axes), "method": method}
    before = study.user_attrs or asked
    other = [name for name, value in asked.items() if before.get(name) != value]
    if other:
        raise Refused(f"{folder}: holds a search with other {' and '.join(other)}; give another --out")
    for name, value in asked.items():
        study.set_user_attr(name, value)
    seed = flags.seed + len(study.trials)
    study.sampler = TPESampler(seed=seed, n_startup_trials=5) if method == "tpe" else RandomSampler(seed)
    return study


def queue_grid(study: optuna.Study, axes: list[Axis]) -> int:
    """Ask for every point of the grid that was not asked for before; gives how many the grid has."""
    points = list(product(*(axis.points() for axis in axes)))
    for point in points:
        study.enqueue_trial(dict(zip([axis.name for axis in axes], point, strict=True)), skip_if_exists=True)
    return len(points)


def finish_interrupted(study: optuna.Study) -> None:
    """Trials that an earlier call left unfinished are given up and asked for again; their runs are taken over."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            left = trial.user_attrs.get("run", f"trial-{trial.number:04d}")
            study.enqueue_trial(trial.params, user_attrs={"run": left})


def count_done(study: optuna.Study) -> int:
    """Trials that need not be made any more: finished, or failed for a reason of their own."""
    return sum(trial.state is TrialState.COMPLETE or "refused" in trial.user_attrs for trial in study.trials)


def run_trial(study: optuna.Study, trial: optuna.Trial, flags: Flags, folder: Path) -> None:
    """Train with the trial's flags and tell the study the best value of the chosen metric."""
    name = trial.user_attrs.get("run", f"trial-{trial.number:04d}")
    run = folder / name
    trial.set_user_attr("run", name)
    resume = (run / "last.pt").exists()
    if run.exists() and not resume:
        shutil.rmtree(run)  # it was interrupted before it saved anything
    try:
        train(flags, run, resume)
    except (Outside, Stopped):
        raise
    except (Refused, ValueError, RuntimeError) as refused:  # PyTorch raises the latter two for what it cannot compute
        trial.set_user_attr("refused", next(iter(str(refused).splitlines()), type(refused).__name__))
        study.tell(trial, state=TrialState.FAIL)
        return
    study.tell(trial, read_record(run).best["value"])


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Finished trials, the best first."""
    found = study.get_trials(states=(TrialState.COMPLETE,))
    return sorted(found, key=lambda one: (-(one.value or 0.0), one.number))


def measure_importances(study: optuna.Study) -> dict[str, float]:
    """The share of the differences between trials that each flag explains (fANOVA: Hutter et al., ICML 2014).

    Empty where there are fewer than two trials, or all are equal.
    """
    values = {trial.value for trial in complete(study)}
    if len(values) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def write_search(study: optuna.Study, folder: Path, method: Method) -> None:
    """Write tune.html."""
    done, importances = complete(study), measure_importances(study)
    refused = [trial for trial in study.trials if "refused" in trial.user_attrs]
    names = sorted({name for trial in done for name in trial.params})
    head = ["run", "value", *map(option, names)]
    rows = [[one.user_attrs["run"], f"{one.value:.4f}", *(one.params[name] for name in names)] for one in done]
    why = [(one.user_attrs["run"], one.user_attrs["refused"]) for one in refused]
    sections = [
        Section("Best", say_best(done), tabulate(head, rows[:1])),
        Section("What mattered", say_importances(importances), plot_importances(importances)),
        Section("Values", "Each point is a trial.", plot_values(done, names)),
        Section("Trials", f"{len(done)} finished, searched by {method}.", tabulate(head, rows)),
        Section("Refused trials", f"{len(refused)} were refused.", tabulate(["run", "why"], why), bool(refused)),
    ]
    write_whole(folder / "tune.html", write_page(f"Search {folder.name}", sections))


def say_best(done: list[FrozenTrial]) -> str:
    """The best trial as flags."""
    if not done:
        return "No trial has finished."
    return f"{done[0].value:.4f} with " + " ".join(f"{option(name)} {value}" for name, value in done[0].params.items())


def say_importances(importances: dict[str, float]) -> str:
    """The flags in the order in which they mattered."""
    if not importances:
        return "Too few trials differ to say which flag mattered."
    listed = ", ".join(f"{option(name)} {share:.0%}" for name, share in importances.items())
    return f"Share of the differences that each flag explains: {listed}. With few trials this is a hint, no more."


def plot_importances(importances: dict[str, float]) -> str:
    """Bars."""
    figure, (axes,) = start_figure(height=1 + 0.4 * len(importances))
    axes.barh([option(name) for name in reversed(importances)], list(reversed(importances.values())))
    axes.set_xlim(0, 1)
    return to_svg(figure, "importances")


def plot_values(done: list[FrozenTrial], names: list[str]) -> str:
    """The value over each flag."""
    figure, plots = start_figure(max(1, len(names)))
    for axes, name in zip(plots, names, strict=False):
        tried = [trial.params[name] for trial in done]
        numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in tried)
        axes.plot(
            tried if numbers else [str(one) for one in tried], [trial.value or 0.0 for trial in done], "o", markersize=4
        )
        if numbers and min(tried) > 0 and max(tried) / min(tried) > 20:
            axes.set_xscale("log")
        axes.set_xlabel(option(name))
    return to_svg(figure, "values")


@take_flags
def tune_command(
    context: typer.Context,
    data: Annotated[str, typer.Argument(help="a folder of pictures, a CSV file, or `people` for synthetic people")],
    out: Annotated[Path, typer.Option(help="folder of the search; one that is there is gone on with")],
    tries: Annotated[
        list[str], typer.Option("--try", help="NAME=VALUE,VALUE,… or NAME=LOW..HIGH[:log]; several times")
    ],
    method: Annotated[Method, typer.Option(help="grid, random or tpe")] = "tpe",
    trials: Annotated[int, typer.Option(help="finished trials to have in the end; a grid is tried whole", min=1)] = 20,
    **given: Any,
) -> None:
    """Search for flags that train better, and report which mattered. Other flags are those of train.

    [bold]Example:[/] python -m models tune pictures --out runs/search --try rate=1e-4..1e-2:log --try dim=128,512
    """
    flags = Flags(data=data, **given)
    if flags.start:
        flags = follow_start(flags, list_told(context, given))
    try:
        study = tune(flags, [read_axis(text) for text in tries], out, method, trials)
    except Stopped as stopped:
        Console(stderr=True, soft_wrap=True).print("stopped; the same command goes on with the search", highlight=False)
        raise typer.Exit(130) from stopped
    table = Table("flag", "share of the differences")
    for name, share in measure_importances(study).items():
        table.add_row(option(name), f"{share:.0%}")
    Console().print(table)
    Console(markup=False).print(f"best: {say_best(complete(study))}\nreport: {out / 'tune.html'}", highlight=False)
