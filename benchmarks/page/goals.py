"""The project's goals for speed, memory and compile time, and what a run reached of each."""

from .results import mean, on_threads, ratio, read_share, share, title

PEAK = {"forward": 0.85, "backward data": 0.85, "backward weights": 0.80}
# A third of the MiB that PyTorch takes in a training step for activations and workspace, and ms for one image.
NETWORKS = {"SmallAlexNet": (58, 0.6), "AlexNet32": (20, 6.0), "AlexNetLrn": (121, 27.0), "AlexNetBn": (66, None)}
BATCHES = {"SmallAlexNet": 128, "AlexNet32": 128, "AlexNetLrn": 16, "AlexNetBn": 16}


def percent(x):
    return f"{100 * x:.0f} %"


def all_of(figures, bound, form):
    """How many (name, value) reach the bound, and the least of them."""
    name, least = min(figures, key=lambda figure: figure[1])
    hits = sum(value >= bound for _, value in figures)
    return f"{hits} of {len(figures)}, least {form(least)} ({name})", hits == len(figures)


def kernel_goals(threads, data):
    """Goals of single layers in one run of `ctnn_bench kernels`."""
    where = on_threads(threads)
    direct = [row for row in data["kernels"] if row["kind"] != "winograd"]
    wide = [row for row in direct if row["group_inputs"] >= 32 and row["samples"] > 1]
    for direction, bound in PEAK.items():
        figures = [(row["layer"], share(row)) for row in wide if row["direction"] == direction]
        if figures:
            yield (f"layers with at least 32 input channels, {direction}, {where}: share of the multiply-add peak",
                   f"≥ {percent(bound)}", *all_of(figures, bound, percent))
    ratios = [(title(row), ratio(row, "oneDNN")) for row in direct if "oneDNN" in row["peers"]]
    if ratios:
        yield (f"every layer and direction, {where}: oneDNN's time to ours", "≥ 0.97",
               *all_of(ratios, 1 / 1.03, lambda x: f"{x:.2f}"))
        average = mean([value for _, value in ratios])
        yield f"their geometric mean, {where}", "≥ 1.25", f"{average:.2f}", average >= 1.25
    one_image = [(row["layer"], read_share(row, data)) for row in direct
                 if row["kind"] == "linear" and row["samples"] == 1 and row["direction"] == "forward"]
    if one_image:
        yield (f"linear layers on one image, {where}: share of the bandwidth of reading memory", "≥ 80 %",
               *all_of(one_image, 0.8, percent))


def scaling_goal(kernels):
    """Share of peak on the most threads over that on one: what is lost of the peak's own scaling."""
    most = max(kernels)
    ones = {title(row): share(row) for row in kernels[1]["kernels"]
            if row["kind"] == "convolution" and row["group_inputs"] >= 32}
    figures = [(title(row), share(row) / ones[title(row)]) for row in kernels[most]["kernels"]
               if title(row) in ones]
    if figures:
        yield (f"convolutions with at least 32 input channels: scaling to {on_threads(most)}, as a share of the peak's",
               "≥ 0.95", *all_of(figures, 0.95, lambda x: f"{x:.2f}"))


def step_goals(data):
    """Goals of whole networks in one run of `ctnn_bench steps`."""
    where = on_threads(data["threads"])
    for row in data["steps"]:
        if row["network"] not in NETWORKS:
            continue
        network, reached = row["network"], row["seconds_limit"] / row["seconds_fastest"]
        if row["pass"] == "train":
            yield (f"{network}, training step, {where}: share of the limit", "≥ 70 %", percent(reached),
                   reached >= 0.7)
            bound, mib = NETWORKS[network][0], row["plan_bytes"] / 2**20
            if row["batch"] == BATCHES[network]:
                yield (f"{network}, activations and workspace of a training step", f"≤ {bound} MiB", f"{mib:.1f} MiB",
                       mib <= bound)
        elif row["pass"] == "infer":
            yield (f"{network}, inference of a batch, {where}: share of the limit", "≥ 75 %", percent(reached),
                   reached >= 0.75)
        elif row["pass"] == "infer_one" and NETWORKS[network][1] is not None:
            bound, ms = NETWORKS[network][1], 1e3 * row["seconds_fastest"]
            yield f"{network}, inference of one image, {where}", f"≤ {bound:g} ms", f"{ms:.2f} ms", ms <= bound


def compile_goals(data):
    bounds = {"train SmallAlexNet": (15, 1e9), "infer SmallAlexNet": (8, 1e9)}
    for row in data["compile"]:
        if row["program"] in bounds:
            seconds, peak = bounds[row["program"]]
            yield (f"compiling a program: {row['program']}, {row['compiler']}",
                   f"≤ {seconds} s, ≤ {peak / 1e9:g} GB",
                   f"{row['elapsed_seconds']:.1f} s, {row['peak_bytes'] / 1e9:.2f} GB",
                   row["elapsed_seconds"] <= seconds and row["peak_bytes"] <= peak)


def goals(results):
    """(goal, bound, reached, met) of all that was measured."""
    for threads, data in sorted(results.kernels.items()):
        yield from kernel_goals(threads, data)
    if 1 in results.kernels and len(results.kernels) > 1:
        yield from scaling_goal(results.kernels)
    for network, (data, rows) in results.compare.items():
        for row in rows:
            if row["pass"] == "train" and network in NETWORKS:
                yield (f"{network}, training step, {on_threads(data['threads'])}: PyTorch's time to ours", "≥ 2",
                       f"{row['ratio_p10']:.2f}", row["ratio_p10"] >= 2)
    for _, data in sorted(results.steps.items()):
        yield from step_goals(data)
    if results.compile:
        yield from compile_goals(results.compile)
