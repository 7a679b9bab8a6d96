"""Pictures of lesson 05: losses, clips, one update, whole runs, and a grid of recorded ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from ..problems.stable_updates import COLUMNS, GOAL, ROWS, START, Run
from . import COLOURS, DASHES, new_figure, show, with_sliders

NAVY, RED, TEAL, AMBER, GREY = COLOURS
MARKERS = "osv^D"
LOWEST = -8.0  # of the return axis
IN_A_ROW = 4  # panels of the comparison
GRID_TITLES = {1: "1 epoch: only rounding", 5: "5 epochs", 20: "20 epochs: β decides"}
GRID_LOWEST = -2.5  # of the grid's; what is below is marked there


def plot_roof() -> None:
    """The courier's roof: where a shift goes on, what a fall is, and which way the wind blows."""
    figure, (axis,) = new_figure(height=2.6)
    for place in range(ROWS * COLUMNS):
        row, column = divmod(place, COLUMNS)
        axis.add_patch(Rectangle((column, row), 1, 1, linewidth=2, fc="#f4efe6", ec="white"))
    axis.add_patch(Rectangle((START + 1, 0), GOAL - START - 1, 1, color="#3d3d3d", linewidth=0))
    white = {"ha": "center", "va": "center", "color": "white"}
    axis.text(COLUMNS / 2, 0.5, "street: −1, and back to the start", **white)
    axis.text(START + 0.5, 0.5, "start", ha="center", va="center")
    axis.text(GOAL + 0.5, 0.5, "goal", ha="center", va="center", weight="bold")
    axis.annotate("", (8.6, 0.7), (8.6, 3.3), arrowprops={"arrowstyle": "-|>", "lw": 3})
    axis.text(8.75, 2, "wind", va="center")
    axis.set(xlim=(0, 9.6), ylim=(0, ROWS), aspect="equal", title="The courier's roof")
    axis.axis("off")
    show(
        figure,
        f"A grid of {ROWS} rows and {COLUMNS} columns. In the lowest row, the start is at the left "
        "end, the goal at the right end, and the street between them. The wind blows towards "
        "the street.",
    )


def plot_losses(
    distance: Float[Tensor, " point"], losses: Mapping[float, Float[Tensor, " point"]]
) -> None:
    """The penalised loss along one direction away from old, for several weights."""
    figure, (axis,) = new_figure()
    places = []
    for (beta, loss), colour, dash in zip(losses.items(), COLOURS, DASHES, strict=False):
        loss = loss.detach().cpu()
        lowest = int(loss.argmin())
        edge = lowest == len(loss) - 1
        place = f"none within {distance[-1]:g}" if edge else f"{distance[lowest]:.2f}"
        places.append(f"{place} at β = {beta:g}")
        axis.plot(distance, loss, color=colour, linestyle=dash, label=f"β = {beta:g}")
        axis.plot(distance[lowest], loss[lowest], ">" if edge else "o", color=colour, clip_on=False)
    axis.set(
        title="All losses leave old with one slope; the penalty decides where they turn",
        xlabel="distance from old along the direction of steepest descent",
        ylabel="penalised loss",
        xlim=(0, distance[-1].item()),
    )
    axis.legend()
    show(figure, f"Distance from old at which each loss is lowest: {', '.join(places)}.")


def plot_clip(
    ratio: Float[Tensor, " point"],
    promises: Mapping[float, Float[Tensor, " point"]],
    epsilon: float,
) -> None:
    """The clipped promise of one token as its ratio moves, for each advantage."""
    figure, axes = new_figure(len(promises))
    for axis, (advantage, promise) in zip(axes, promises.items(), strict=True):
        plain = ratio * advantage
        axis.axvspan(1 - epsilon, 1 + epsilon, color=GREY, alpha=0.18, linewidth=0)
        axis.plot(ratio, plain, color=RED, linestyle=DASHES[1], label="ratio · advantage")
        axis.plot(ratio, promise.detach().cpu(), color=NAVY, label="clipped")
        axis.plot(1, advantage, "o", color="black")
        flat = "above 1 + ε" if advantage > 0 else "below 1 − ε"
        axis.set(
            title=f"Advantage {_signed(advantage)}: flat {flat}",
            xlabel="ratio, policy / old",
            ylabel="promise of the token",
        )
        axis.legend()
    ends = ", ".join(
        f"{promise[0].item():.2f} and {promise[-1].item():.2f} for advantage {_signed(advantage)}"
        for advantage, promise in promises.items()
    )
    first, last = ratio[0].item(), ratio[-1].item()
    show(figure, f"At ratios of {first:.2g} and {last:.2g} the clipped promise is {ends}.")


def _signed(number: float) -> str:
    return f"{number:+g}".replace("-", "−")


def plot_epochs(divergences: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """KL(old ‖ policy) after each step on one batch; a thin line for each seed."""
    figure, (axis,) = new_figure()
    ends = []
    looks = zip(divergences.items(), COLOURS, DASHES, MARKERS, strict=False)
    for (name, seeds), colour, dash, marker in looks:
        epochs = range(1, len(seeds[0]) + 1)
        for i, nats in enumerate(seeds):
            look = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 4}
            axis.semilogy(epochs, nats, linewidth=1.2, label="" if i else name, **look)
        last = torch.tensor([nats[-1] for nats in seeds])
        ends.append(f"{name}: {last.min():.3f} to {last.max():.3f} nats")
    axis.set(
        title="Equal after the first step; then only the penalty pulls back",
        xlabel="step on the same batch",
        ylabel="KL(old ‖ policy) (nats)",
        xticks=[1, *range(5, len(seeds[0]) + 1, 5)],
    )
    axis.legend()
    show(figure, f"After the last step the divergence is, {'; '.join(ends)}.")


def plot_runs(runs: Mapping[str, Sequence[Run]]) -> None:
    """Return and divergence of whole runs over updates: a figure for each label, a line a seed."""
    every = [nats for group in runs.values() for run in group for nats in run.kl]
    sizes = [nats for nats in every if 0 < nats < float("inf")] or [1.0]
    limits = (max(min(sizes), 1e-5) / 2, max(sizes) * 2)
    for name, group in runs.items():
        figure, (left, right) = new_figure(2, height=3.0)
        for i, run in enumerate(group):
            look = {"color": COLOURS[i], "linestyle": DASHES[i], "linewidth": 1.4}
            left.plot(run.returns, label=f"seed {i}", **look)
            _mark_below(left, run.returns, COLOURS[i])
            right.semilogy(range(1, len(run.kl) + 1), run.kl, **look)
            _mark_infinite(right, run.kl, limits[1], COLOURS[i])
        drops = [worst_drop(run.returns) for run in group]
        title = f"{name}: worst drop {max(drops):.1f}"
        left.set(title=title, xlabel="update", ylabel="parcels − falls in a shift")
        left.set_ylim(LOWEST, 4)
        title = f"{name}: largest update {max(max(run.kl) for run in group):.2g} nats"
        right.set(title=title, xlabel="update", ylabel="KL(old ‖ policy) (nats)", ylim=limits)
        figure.legend(loc="outside lower center", ncols=len(group), fontsize=8)
        each = ", ".join(f"{drop:.2f}" for drop in drops)
        ends = ", ".join(f"{run.returns[-1]:.2f}" for run in group)
        nats = ", ".join(f"{max(run.kl):.2g}" for run in group)
        last = f"Last returns: {ends}. Largest updates in nats: {nats}."
        below = sum(value < LOWEST for run in group for value in run.returns)
        marked = f" Arrows: {below} returns below {LOWEST:g}." if below else ""
        endless = sum(nats == float("inf") for run in group for nats in run.kl)
        marked += f" Arrows on the right: {endless} updates without end." if endless else ""
        show(
            figure,
            f"{name}: the return's greatest fall in one update is, seed by seed, {each}.{marked} "
            f"{last}",
        )


def _mark_infinite(axis: Axes, kl: Sequence[float], top: float, colour: str) -> None:
    """An arrow at the top for each update that went infinitely far."""
    there = [n for n, nats in enumerate(kl, 1) if nats == float("inf")]
    axis.plot(there, [top] * len(there), "^", color=colour, clip_on=False)


def tell_runs(runs: Mapping[str, Sequence[Run]]) -> None:
    """A row for each run: its worst drop, its largest update, and how it did on the whole.

    change: of the return, in one update.
    """
    print("                     worst drop            largest update        mean return")
    print("                change  update   nats    nats  update  change    all  last 10")
    for name, group in runs.items():
        for seed, run in enumerate(group):
            change = torch.tensor(run.returns).diff()
            at, top = int(change.argmin()), int(torch.tensor(run.kl).argmax())
            drop = f"{change[at]:+7.2f} {at + 1:7} {run.kl[at]:6.2f}"
            largest = f"{run.kl[top]:7.2f} {top + 1:7} {change[top]:+7.2f}"
            means = f"{mean_return(run):6.2f} {sum(run.returns[-10:]) / 10:8.2f}"
            print(f"{name:8} seed {seed} {drop} {largest} {means}")


def mean_return(run: Run) -> float:
    """Over the whole run, so that slow learning costs and so does a plunge."""
    return sum(run.returns[1:]) / len(run.kl)


def tell_difference(held: Sequence[Run], free: Sequence[Run]) -> None:
    """At how many seeds the first group of runs is better than the second, by each count."""
    pairs = list(zip(held, free, strict=True))
    counts = {
        "the worst drop is smaller": lambda run: -worst_drop(run.returns),
        "the largest update is smaller": lambda run: -max(run.kl),
        "the mean return of the whole run is higher": mean_return,
        "the mean of the last ten returns is higher": lambda run: sum(run.returns[-10:]),
    }
    for what, score in counts.items():
        better = sum(score(one) > score(other) for one, other in pairs)
        print(f"{what} at {better} of {len(pairs)} seeds")


def _mark_below(axis: Axes, returns: Sequence[float], colour: str) -> None:
    below = [update for update, value in enumerate(returns) if value < LOWEST]
    axis.plot(below, [LOWEST] * len(below), "v", color=colour, markersize=8)


def worst_drop(returns: Sequence[float]) -> float:
    """The most that the return fell in one update."""
    return max(before - after for before, after in zip(returns[:-1], returns[1:], strict=True))


def plot_controllers(
    kl: Float[Tensor, " update"], target: float, betas: Mapping[str, Sequence[float]]
) -> None:
    """A made-up run of divergences, and what each controller makes of it."""
    figure, (top, bottom) = new_figure(2)
    updates = range(1, len(kl) + 1)
    top.semilogy(updates, kl, color=GREY, marker="o", markersize=3)
    top.axhspan(target / 1.5, 1.5 * target, color=TEAL, alpha=0.25, linewidth=0)
    top.set(
        title="Five large updates, then small ones",
        xlabel="update",
        ylabel="KL(old ‖ policy) (nats)",
    )
    ends = []
    for (name, values), colour, dash in zip(betas.items(), COLOURS, DASHES, strict=False):
        bottom.semilogy(range(1, len(values) + 1), values, color=colour, linestyle=dash, label=name)
        ends.append(f"{name} {values[-1]:.3g}, greatest {max(values):.3g}")
    bottom.set(title="One overshoots, one hardly moves", xlabel="update", ylabel="β")
    bottom.legend()
    show(figure, f"The weight at the end, from 1 at the start: {'; '.join(ends)}.")


def plot_ratios(ratios: Mapping[str, Float[Tensor, " step"]], epsilon: float) -> None:
    """Every ratio of a batch after one update, a row for each way to update."""
    figure, (axis,) = new_figure(height=1.2 + 0.6 * len(ratios))
    shares = []
    for row, ((name, ratio), colour) in enumerate(zip(ratios.items(), COLOURS, strict=False)):
        ratio = ratio.cpu()
        place = row + 0.5 * (torch.linspace(0, 1, len(ratio)) - 0.5)
        axis.plot(ratio, place, ".", color=colour, markersize=3, alpha=0.4)
        share = ((ratio - 1).abs() > epsilon).float().mean().item()
        beside = {"xycoords": ("axes fraction", "data"), "va": "center"}
        axis.annotate(f"{share:.0%} beyond", (1.01, row), **beside)
        shares.append(f"{name} {share:.0%}")
    axis.axvspan(1 - epsilon, 1 + epsilon, color=GREY, alpha=0.25, linewidth=0, zorder=0)
    axis.set_xscale("log")
    ticks = (0.03, 0.1, 0.3, 1, 3)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks(range(len(ratios)), list(ratios))
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set(
        title="A clip does not keep every ratio inside its bounds",
        xlabel="ratio of the action taken, policy / old, after the update (log scale)",
    )
    show(figure, f"Share of the ratios beyond the bounds: {', '.join(shares)}.")


def plot_comparison(record: Mapping[str, Any]) -> None:
    """Return over updates, a panel for each method, a thin line for each seed."""
    methods = list(record["comparison"].items())
    for start in range(0, len(methods), IN_A_ROW):
        shown = methods[start : start + IN_A_ROW]
        figure, axes = new_figure(IN_A_ROW, height=2.6)
        for axis, (name, curves) in zip(axes, shown, strict=True):
            _draw_seeds(axis, torch.tensor(curves["returns"]))
            axis.set_title(name.replace(", ", ",\n"), fontsize=10)
            axis.set_xlabel("update")
        axes[0].set_ylabel("parcels − falls in a shift")
        ends = ", ".join(f"{name} {scores(c)['final return'].median():.2f}" for name, c in shown)
        show(figure, f"A line for each seed, the median in bold. Median final return: {ends}.")


def _draw_seeds(axis: Axes, returns: Float[Tensor, "seed update"]) -> None:
    updates = range(returns.shape[1])
    for seed in returns:
        axis.plot(updates, seed, color=NAVY, linewidth=0.8, alpha=0.45)
    axis.plot(updates, returns.median(0).values, color="black", linewidth=2)
    under = int((returns[:, 1:] < LOWEST).any(1).sum())
    if under:
        axis.text(
            0.97,
            0.05,
            f"below: {under} of {len(returns)}",
            transform=axis.transAxes,
            ha="right",
            bbox=PLAIN,
        )
    axis.set(ylim=(LOWEST, 4), xlim=(0, returns.shape[1] - 1))


PLAIN = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # legible on top of lines


def scores(curves: Mapping[str, Any]) -> dict[str, Float[Tensor, " seed"]]:
    """By what the methods are compared: a number for each seed."""
    returns, kl = torch.tensor(curves["returns"]), torch.tensor(curves["kl"])
    return {
        "final return": returns[:, -10:].mean(dim=1),
        "worst drop": (returns[:, :-1] - returns[:, 1:]).amax(dim=1),
        "greatest KL": kl.amax(dim=1),
    }


def plot_scores(record: Mapping[str, Any]) -> None:
    """Final return, worst drop and greatest KL of every seed, a row for each method."""
    figure, axes = new_figure(3, height=4.0)
    rows = {name: scores(curves) for name, curves in record["comparison"].items()}
    titles = {
        "final return": "Final return",
        "worst drop": "Worst drop",
        "greatest KL": "Greatest KL",
    }
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for row, measured in enumerate(rows.values()):
            values = measured[key]
            spots = row + torch.linspace(-0.25, 0.25, len(values))
            axis.plot(values, spots, ".", color=NAVY, markersize=5, alpha=0.7)
            middle = values.median()
            axis.vlines(middle, row - 0.38, row + 0.38, color=RED, linewidth=2.5)
        names = [name.replace(", ", ",\n") for name in rows] if axis is axes[0] else []
        axis.set_yticks(range(len(rows)), names or [""] * len(rows))
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.set_title(title)
    axes[0].set(xlabel="parcels − falls (log beyond ±4)")
    axes[0].set_xscale("symlog", linthresh=4)
    axes[0].set_xticks([-30, 0, 3], ["−30", "0", "3"])
    axes[0].minorticks_off()
    axes[1].set(xlabel="parcels − falls (log scale)", xscale="log")
    axes[2].set(xlabel="nats (log scale)", xscale="log")
    middles = ", ".join(
        f"{name} {m['final return'].median():.2f} and {m['worst drop'].median():.2f}"
        for name, m in rows.items()
    )
    show(figure, f"Dots are seeds, bars medians. Median final return and worst drop: {middles}.")


def explore_grid(record: Mapping[str, Any]) -> None:
    """Final return over β for every learning rate and number of epochs; sliders where they run."""
    _show_grid(record)
    rows, settings = record["grid"], record["settings"]
    starts = {
        "rate": ("learning rate", settings["rate"]),
        "beta": ("β", settings["beta"]),
        "epochs": ("epochs", settings["epochs"]),
    }
    with_sliders(
        lambda **chosen: _show_setting(record, **chosen),
        lambda widgets: {
            name: widgets.SelectionSlider(
                options=sorted({row[name] for row in rows}),
                value=value,
                description=label,
                style={"description_width": "7em"},  # else "learning rate" is cut short
            )
            for name, (label, value) in starts.items()
        },
        "learning rate, β and epochs",
    )


def _show_grid(record: Mapping[str, Any]) -> None:
    grid = record["grid"]
    epochs, rates = (sorted({row[name] for row in grid}) for name in ("epochs", "rate"))
    figure, axes = new_figure(len(epochs), height=4.2)
    for axis, count in zip(axes, epochs, strict=True):
        for i, rate in enumerate(rates):
            own = [row for row in grid if row["rate"] == rate and row["epochs"] == count]
            _draw_rate(axis, own, i, f"rate {rate:g}")
        betas = [f"{row['beta']:g}" for row in own]
        axis.set_xticks(range(len(betas)), betas)
        axis.set(
            title=GRID_TITLES[count],
            xlabel="β",
            ylim=(GRID_LOWEST, 4),
        )
    axes[0].set_ylabel("final return (parcels − falls)")
    axes[0].legend(loc="upper left", fontsize=8)
    top = max(grid, key=lambda row: min(row["final"]))
    show(
        figure,
        "Medians over seeds with bars from the worst seed to the best; arrows: the worst seed is "
        f"below {GRID_LOWEST:g}. The setting whose worst seed ends best has learning rate "
        f"{top['rate']:g}, {top['epochs']} epochs, β = {top['beta']:g}: "
        f"{min(top['final']):.2f} to {max(top['final']):.2f}.",
    )


def _draw_rate(axis: Axes, rows: Sequence[Mapping[str, Any]], index: int, label: str) -> None:
    final = torch.tensor([row["final"] for row in rows])
    place = torch.arange(len(rows)) + 0.2 * (index - 1.5)
    low, middle, high = final.amin(1), final.median(1).values, final.amax(1)
    look = {"color": COLOURS[index], "linestyle": DASHES[index]}
    axis.vlines(place, low.clamp(min=GRID_LOWEST), high, color=COLOURS[index], linewidth=1)
    axis.plot(
        place,
        middle.clamp(min=GRID_LOWEST),
        marker=MARKERS[index],
        markersize=4,
        linewidth=1.3,
        label=label,
        **look,
    )
    under = low < GRID_LOWEST
    axis.plot(
        place[under], [GRID_LOWEST] * int(under.sum()), "v", color=COLOURS[index], markersize=5
    )


def _show_setting(record: Mapping[str, Any], rate: float, beta: float, epochs: int) -> None:
    """The curves of one setting beside those of β = 0 at the same learning rate and epochs."""
    figure, (axis,) = new_figure()
    stride = record["settings"]["stride"]
    for weight, colour, dash in ((0.0, GREY, DASHES[1]), (beta, NAVY, DASHES[0])):
        row = _setting(record, rate, weight, epochs)
        updates = [stride * i for i in range(len(row["middle"]))]
        low, high = (torch.tensor(row[name]).clamp(min=LOWEST) for name in ("low", "high"))
        axis.fill_between(updates, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(updates, row["middle"], color=colour, linestyle=dash, label=f"β = {weight:g}")
    drop, nats = max(row["worst drop"]), max(row["greatest KL"])
    axis.set(
        title=f"Learning rate {rate:g}, {epochs} epochs, β = {beta:g}",
        xlabel="update",
        ylabel="parcels − falls in a shift",
        ylim=(LOWEST, 4),
    )
    axis.legend(loc="lower right")
    show(
        figure,
        f"Median and range over seeds at learning rate {rate:g}, {epochs} epochs, β = {beta:g}, "
        f"beside β = 0. The median ends at {row['middle'][-1]:.2f}. Worst drop {drop:.2f}, "
        f"greatest KL of an update {nats:.2g} nats, worst final return {min(row['final']):.2f}.",
    )


def _setting(record: Mapping[str, Any], rate: float, beta: float, epochs: int) -> dict[str, Any]:
    wanted = {"rate": rate, "beta": beta, "epochs": epochs}
    return next(row for row in record["grid"] if wanted.items() <= row.items())


def tell_grid(grid: Sequence[Mapping[str, Any]]) -> None:
    """The grid in numbers: with one epoch how far β moves an end; with more, ends and drops.

    A final return says little about the way there, so the greatest drop stands beside it.
    """
    rates, betas = (sorted({row[name] for row in grid}) for name in ("rate", "beta"))
    rows = {(row["rate"], row["beta"], row["epochs"]): row for row in grid}
    for rate in rates:
        ends = torch.tensor([rows[rate, beta, 1]["final"] for beta in betas])
        effect = (ends - ends[0]).abs().amax()
        print(f"1 epoch, rate {rate:4}: greatest effect of β on a final return {effect:.2g}")
    print("\nmedian final return [worst seed], greatest drop of any seed")
    print("   rate      β     5 epochs                    20 epochs")
    for rate in rates[1:]:
        for beta in betas:
            cells = []
            for row in (rows[rate, beta, 5], rows[rate, beta, 20]):
                final, drop = torch.tensor(row["final"]), max(row["worst drop"])
                cells.append(f"{final.median():5.2f} [{final.min():6.2f}], {drop:5.2f}")
            print(f"   {rate:4}   {beta:4}     {cells[0]}     {cells[1]}")
