"""What to think of a run's figures: pure functions of its record, each a sentence or two and whether it is bad news."""

from statistics import median

from models.runs import LayerNote, Record

HEALTHY = 1e-3  # update over weights; about this, says Karpathy (CS231n, "Ratio of weights:updates")
FAR = 10.0  # times more or less than HEALTHY
GAP = 0.2  # of rank-1 between training and validation
DEAD = 0.5  # share of channels

Verdict = tuple[str, bool]


def judge_loss(record: Record) -> Verdict:
    """Whether the loss fell, and whether it still does."""
    totals = [total for _, total, *_ in record.losses]
    if len(totals) < 2:
        return "Too few steps were noted to say anything.", False
    said = f"From {totals[0]:.3g} to {totals[-1]:.3g}."
    if totals[-1] >= totals[0]:
        return f"{said} The loss did not fall: lower the learning rate, and see train --check.", True
    tail = totals[-max(2, len(totals) // 4) :]
    early, late = tail[: len(tail) // 2], tail[len(tail) // 2 :]
    fall = (sum(early) / len(early) - sum(late) / len(late)) / max(1e-9, totals[0] - totals[-1])
    if fall > 0.05:
        return f"{said} It still falls at the end: more steps will help.", False
    return f"{said} It is flat at the end.", False


def judge_rate(record: Record) -> Verdict:
    """Where the learning rate peaked and how it ended."""
    rates = [(rate, step) for step, _, _, rate in record.losses]
    if not rates:
        return "No step was noted.", False
    peak, step = max(rates, key=lambda one: one[0])
    return f"Peaked at {peak:.2g} at step {step} and ended at {rates[-1][0]:.2g}.", False


def judge_scores(record: Record) -> Verdict:
    """The gap between people of the training and unseen ones, and what happened since the best."""
    if not record.scores:
        return "No validation was made.", False
    last = record.scores[-1][0]
    final = {name: rank for step, name, _, rank, _ in record.scores if step == last}
    seen = final.pop("train", None)
    said = [", ".join(f"rank-1 {rank:.3f} on {name}" for name, rank in final.items()) + f" at step {last}."]
    bad = False
    if seen is not None and final:
        chosen = [final[name] for name in record.best.get("set", "").split(",") if name in final] or list(
            final.values()
        )
        unseen = sum(chosen) / len(chosen)
        bad = seen - unseen > GAP
        meaning = "it overfits: more identities, stronger changes or fewer steps" if bad else "no sign of overfitting"
        said.append(f"People of the training {seen:.3f}: a gap of {seen - unseen:+.3f}, {meaning}.")
    best = record.best
    if best:
        said.append(f"Best {best['metric']} on {best['set']}: {best['value']:.4f} at step {best['step']}.")
        if best["step"] < last:
            said.append("It has not been better since.")
    return " ".join(said), bad


def judge_ratios(record: Record) -> Verdict:
    """Layers whose weights move far more or less than healthy ones."""
    middle = medians(record.ratios)
    if not middle:
        return "No update was looked at.", False
    said = []
    for name, ratio in sorted(middle.items(), key=lambda one: one[1]):
        if ratio == 0:
            said.append(f"{name} does not move at all.")
        elif ratio < HEALTHY / FAR:
            said.append(f"Update ratio of {name} is {HEALTHY / ratio:.0f}× too low ({ratio:.1e}).")
        elif ratio > HEALTHY * FAR:
            said.append(f"Update ratio of {name} is {ratio / HEALTHY:.0f}× too high ({ratio:.1e}).")
    whole = f"Median over layers {median(middle.values()):.1e}; about 1e-3 is healthy."
    if not said:
        return f"{whole} No layer is further than {FAR:.0f}× from it.", False
    rest = f"\n… and {len(said) - 6} more layers." if len(said) > 6 else ""
    return "\n".join([whole, *said[:6]]) + rest, True


def judge_dead(record: Record) -> Verdict:
    """Parts of the backbone of which many channels give 0 for every picture."""
    if not record.dead:
        return "No activation was looked at.", False
    step, shares = record.dead[-1]
    poor = {name: share for name, share in shares.items() if share > DEAD}
    if poor:
        listed = ", ".join(f"{name} ({share:.0%})" for name, share in poor.items())
        return (
            f"At step {step} most channels are dead in {listed}: lower the learning rate or lengthen the warm-up.",
            True,
        )
    return f"At step {step} at most {max(shares.values(), default=0):.0%} of a part's channels are dead.", False


def judge_gradients(record: Record) -> Verdict:
    """Layers without a gradient, and how far gradients differ in size."""
    found = record.histograms.get("gradients", {})
    spans = {name: max(abs(low), abs(high)) for name, (low, high, *_) in found.items()}
    if not spans:
        return "No gradient was looked at.", False
    without = [name for name, span in spans.items() if span == 0]
    if without:
        return f"No gradient reaches {', '.join(without[:5])}.", True
    small, large = min(spans, key=spans.__getitem__), max(spans, key=spans.__getitem__)
    times = spans[large] / spans[small]
    return (
        f"The largest gradients are {spans[large]:.1e} ({large}) and {spans[small]:.1e} ({small}), {times:.0f}× apart.",
        False,
    )


def judge_filters(record: Record) -> Verdict:
    """Whether the first layer has learned edges and colours or is still noise."""
    if not record.filters:
        return "No filter was looked at.", False
    first, last = record.filters[0][1], record.filters[-1][1]
    return f"Roughness {first:.2f} at first, {last:.2f} now; 1 is noise, edges and colour blobs are below 0.7.", False


def judge_triplets(record: Record) -> Verdict:
    """How many anchors of the last batch are nearer to somebody else."""
    if not record.triplets:
        return "No batch was looked at.", False
    step, share = record.triplets[-1]
    return (
        f"At step {step} {share:.0%} of the anchors are nearer to somebody else than to their own farthest picture. "
        "Blue: anchor, green: the same person, red: somebody else. Wrong labels show here first.",
        False,
    )


def medians(notes: list[LayerNote]) -> dict[str, float]:
    """Each layer's median over the notes."""
    names = notes[-1][1] if notes else {}
    return {name: median(figures[name] for _, figures in notes if name in figures) for name in names}
