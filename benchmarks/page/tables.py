"""The parts of docs/performance.md that figures fill, as Markdown."""

from .goals import goals, percent
from .results import mean, on_threads, ratio, read_share, share, speed


def table(headings, rows):
    """A heading that ends in a colon has its column to the right, where numbers stand."""
    right = [heading.endswith(":") for heading in headings]
    lines = [[heading.removesuffix(":") for heading in headings], ["---:" if r else "---" for r in right], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine_part(results):
    machine = results.all_machines()[0]
    text = [f"{machine['processor']}, {machine['cores']} cores"]
    if "compiler" in machine:
        text[0] += f"; ctnn {machine['ctnn']}, {machine['compiler']} at `{machine['flags']}`, {machine['isa']}"
    programs = {f"{name} {version}" for data in results.kernels.values() for name, version in data["peers"].items()}
    programs |= {data["programs"][1] for data, _ in results.compare.values()}
    if programs:
        text.append(", ".join(sorted(programs, key=str.lower)))
    limits = {data["threads"]: data["limits"] for data in [*results.steps.values(), *results.kernels.values()]}
    rows = [(threads, f"{at['gflops']:.0f}", f"{at['read_gbytes']:.1f}", f"{at['triad_gbytes']:.1f}")
            for threads, at in sorted(limits.items())]
    heading = ("threads:", "multiply-adds, GFLOP/s:", "reading memory, GB/s:", "two reads and a write, GB/s:")
    return "; ".join(text) + "." + (f"\n\n{table(heading, rows)}" if rows else "")


def goals_part(results):
    rows = [(goal, bound, reached, "yes" if met else "**no**") for goal, bound, reached, met in goals(results)]
    return table(("goal", "bound", "reached", "met"), rows) if rows else None


def compare_part(results):
    rows = [(network, row["pass"], row["batch"], f"{row['ctnn_ms']:.2f}",
             f"{row['pytorch_ms']:.2f} ({row['pytorch_format'].replace('_', ' ')})", f"{row['ratio_p10']:.2f}",
             f"{row['ratio_fastest']:.2f}") for network, (_, found) in results.compare.items() for row in found]
    heading = ("network", "pass", "batch:", "ctnn, ms:", "PyTorch, ms:", "ratio:", "of the fastest runs:")
    threads = sorted({data["threads"] for data, _ in results.compare.values()})
    return f"On {' and '.join(map(on_threads, threads))}:\n\n{table(heading, rows)}" if rows else None


def steps_part(results):
    rows = [(row["network"], row["pass"], threads, row["batch"], f"{1e3 * row['seconds_fastest']:.3f}",
             f"{1e3 * row['seconds_p10']:.3f}", f"{row['batch'] / row['seconds_fastest']:.0f}",
             percent(row["seconds_limit"] / row["seconds_fastest"]), f"{row['plan_bytes'] / 2**20:.2f}")
            for threads, data in sorted(results.steps.items()) for row in data["steps"]]
    heading = ("network", "pass", "threads:", "batch:", "fastest, ms:", "10th percentile, ms:", "images/s:",
               "of the limit:", "plan, MiB:")
    return table(heading, rows) if rows else None


def kernel_table(data):
    peers = list(data["peers"])
    rows = []
    for row in data["kernels"]:
        error = "not finite" if row["error"] is None else f"{row['error']:.1e}"
        cells = [row["layer"], row["direction"], f"{1e3 * row['seconds_fastest']:.3f}", f"{speed(row):.1f}",
                 percent(share(row)), percent(read_share(row, data)), error]
        for peer in peers:
            times = row["peers"].get(peer)
            cells += [f"{speed(row, times):.1f}", f"{ratio(row, peer):.2f}"] if times else ["", ""]
        rows.append(cells)
    heading = ["layer", "direction", "ms:", "GFLOP/s:", "of peak:", "of reading:", "error:"]
    return table(heading + [f"{text}:" for peer in peers for text in (peer, "ratio")], rows)


def kernels_part(results):
    parts = []
    for threads, data in sorted(results.kernels.items()):
        parts.append(f"On {on_threads(threads)}:\n\n{kernel_table(data)}")
        for peer in data["peers"]:
            ratios = [ratio(row, peer) for row in data["kernels"]
                      if peer in row["peers"] and row["kind"] != "winograd"]
            if ratios:
                parts.append(f"{peer}: geometric mean of {len(ratios)} ratios {mean(ratios):.2f}.")
    return "\n\n".join(parts) or None


def streams_part(results):
    rows = []
    for threads, data in sorted(results.streams.items()):
        for row in data["streams"]:
            gbytes = 1e-9 * row["bytes"] / row["seconds_fastest"]
            rows.append((row["loop"], row["pass"], threads, f"{1e3 * row['seconds_fastest']:.3f}", f"{gbytes:.1f}",
                         percent(gbytes / data["limits"]["triad_gbytes"])))
    heading = ("loop", "pass", "threads:", "ms:", "GB/s:", "of two reads and a write:")
    return table(heading, rows) if rows else None


def compile_part(results):
    if results.compile is None:
        return None
    rows = [(row["program"], f"`{row['source']}`", row["compiler"], f"{row['user_seconds']:.1f}",
             f"{row['elapsed_seconds']:.1f}", f"{row['peak_bytes'] / 1e6:.0f}", f"{row['object_bytes'] / 1e3:.0f}",
             f"{row['program_bytes'] / 1e3:.0f}" if row["program_bytes"] else "") for row in results.compile["compile"]]
    heading = ("program", "source", "compiler", "user, s:", "elapsed, s:", "peak memory, MB:", "object, kB:",
               "program, kB:")
    return f"At `{results.compile['flags']}`:\n\n{table(heading, rows)}"


def startup_part(results):
    if results.startup is None:
        return None
    rows = []
    for what, times in results.startup["milliseconds"].items():
        times = sorted(times)
        rows.append((what, len(times), *(f"{x:.0f}" for x in (times[0], times[len(times) // 10], times[len(times) // 2]))))
    heading = ("milliseconds", "runs:", "fastest:", "tenth percentile:", "median:")
    return f"On {on_threads(results.startup['threads'])}:\n\n{table(heading, rows)}"


PARTS = {"machine": machine_part, "goals": goals_part, "compare": compare_part, "steps": steps_part,
         "kernels": kernels_part, "streams": streams_part, "compile": compile_part, "startup": startup_part}
