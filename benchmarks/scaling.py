"""How LEAP's regression grows with perturbations and samples: seconds and memory up to all genes of DepMap.

    python benchmarks/scaling.py [--json out.json] [--perturbations 500,1500,6000,18000] [--samples 200,500,1019,2000]

The shape of task 1a: 1,019 cell lines x 256 codes of five representations, four fifths of the lines to train on, five
tuning folds, ten penalties. Perturbations grow at 1,019 samples, samples at 200 perturbations. Each point is a
process of its own, which fits the five PS-LASSOs as LEAP does, keeps them all, predicts the held-out lines, averages,
scores, and writes and reads predictions and scores; making the data and compiling are not timed.

Codes and labels are simulated: ReLU codes of 120 common factors, labels of the same factors plus noise with twice
their SD. Two in a hundred labels are missing, as in DepMap: most perturbations are complete, one in twenty misses the
lines of another library (four patterns), one in fifty some lines of its own.

JSON keys: `points` (samples, perturbations, seconds, cpu_seconds, ms_per_perturbation, peak_gb, data_gb, spearman),
`slope_perturbations` and `slope_samples` (of log CPU seconds on log size: 1 is linear), `cpu_seconds_predicted`,
`cpu_seconds_observed`, `gb_predicted`, `gb_observed` (of the largest point, predicted by a line through the smaller
ones), `mb_per_1000_perturbations`, `cores`, `processor`. Growth is that of CPU seconds, which other work on the machine
disturbs least.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SAMPLES, FEW = 1019, 200
N_CODES, N_REPRESENTATIONS, N_FACTORS = 256, 5, 120
LIBRARIES, WITHOUT, SOME = 4, 0.3, 24
"""Patterns of lines that a library lacks, the share of the lines in each, and lines that a perturbation lacks alone."""

LIMIT_GB = 12


def simulate(n: int, n_perturbations: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the codes of each representation, and labels with NaN."""
    rng = np.random.default_rng([n, n_perturbations])
    factors = rng.standard_normal((n, N_FACTORS)) * np.linspace(2, 0.1, N_FACTORS)
    codes = [np.maximum(factors @ rng.standard_normal((N_FACTORS, N_CODES)) / 4 - 0.5, 0)
             for _ in range(N_REPRESENTATIONS)]  # fmt: skip
    labels = factors @ rng.standard_normal((N_FACTORS, n_perturbations))
    labels /= labels.std(axis=0)
    for column in labels.T:  # one at a time: the data shall not set the peak
        column += 2 * rng.standard_normal(n)
    patterns = rng.random((LIBRARIES, n)) < WITHOUT
    for number in np.flatnonzero(rng.random(n_perturbations) < 0.05):
        labels[patterns[rng.integers(LIBRARIES)], number] = np.nan
    for number in np.flatnonzero(rng.random(n_perturbations) < 0.02):
        labels[rng.choice(n, SOME, replace=False), number] = np.nan
    return codes, labels


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def point(n: int, n_perturbations: int) -> dict[str, float]:
    """Measure one size in this process."""
    import pandas as pd

    from leaplib.base.store import load_frame, save_frame
    from leaplib.cohorts.splits import Split, tuning_folds
    from leaplib.models.base import average
    from leaplib.models.lasso import PSLasso
    from leaplib.runs.engine import score_split

    codes, values = simulate(n, n_perturbations)
    lines = pd.Index([f"line-{number}" for number in range(n)])
    labels = pd.DataFrame(values, lines, pd.Index([f"gene-{number}" for number in range(n_perturbations)]))
    train, test = lines[: 4 * n // 5], lines[4 * n // 5 :]
    split = Split("holdout-0", train, test, tuning_folds(train, 0))
    frames = [pd.DataFrame(code, lines) for code in codes]
    PSLasso().fit(frames[0].loc[train], labels.loc[train, labels.columns[:40]], split.folds)
    data, started, cpu = peak_gb(), time.perf_counter(), time.process_time()
    members = [PSLasso().fit(frame.loc[train], labels.loc[train], split.folds) for frame in frames]
    prediction = average([member.predict(frame.loc[test]) for member, frame in zip(members, frames, strict=True)])
    prediction = prediction.astype(np.float32)
    scores = score_split(labels.loc[test], prediction, split)
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in (("prediction", prediction), ("scores", scores)):
            save_frame(frame, Path(folder) / f"{name}.parquet", {})
            load_frame(Path(folder) / f"{name}.parquet")
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    mean = scores[(scores["perturbation"] == "") & (scores["metric"] == "spearman")].set_index("level")["value"]
    return {"samples": n, "perturbations": n_perturbations, "seconds": seconds, "cpu_seconds": cpu,
            "ms_per_perturbation": 1000 * seconds / n_perturbations, "peak_gb": peak_gb(), "data_gb": data,
            "spearman": float(mean["per_perturbation"])}  # fmt: skip


def measured(n: int, n_perturbations: int) -> dict[str, float]:
    """Measure one size in a process of its own, so that its peak is nobody else's."""
    command = [sys.executable, __file__, "--point", f"{n},{n_perturbations}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"{n} samples x {n_perturbations} perturbations failed:\n{found.stderr}")
    row = json.loads(found.stdout)
    print(f"{n:8,d} {n_perturbations:14,d} {row['seconds']:9.1f} {row['cpu_seconds']:9.1f} "
          f"{row['ms_per_perturbation']:10.1f} {row['peak_gb']:8.2f} {row['data_gb']:8.2f} {row['spearman']:8.3f}",
          flush=True)  # fmt: skip
    return row


def slope(rows: list[dict[str, float]], over: str) -> float:
    """Return the exponent of the growth of the CPU seconds."""
    return float(np.polyfit(np.log([row[over] for row in rows]), np.log([row["cpu_seconds"] for row in rows]), 1)[0])


def line(rows: list[dict[str, float]], what: str) -> np.ndarray:
    """Return slope and intercept of a quantity over perturbations."""
    return np.polyfit([row["perturbations"] for row in rows], [row[what] for row in rows], 1)


def figures(wide: list[dict[str, float]], tall: list[dict[str, float]]) -> dict[str, object]:
    """Return growth, and the largest number of perturbations as predicted from the smaller ones."""
    last, smaller = wide[-1], wide[:-1]
    at = last["perturbations"]
    found: dict[str, object] = {"slope_perturbations": slope(wide, "perturbations")}
    if len(tall) > 1:
        found["slope_samples"] = slope(tall, "samples")
    if len(smaller) > 1:
        found |= {"cpu_seconds_predicted": float(np.polyval(line(smaller, "cpu_seconds"), at)),
                  "gb_predicted": float(np.polyval(line(smaller, "peak_gb"), at))}  # fmt: skip
    found |= {"cpu_seconds_observed": last["cpu_seconds"], "gb_observed": last["peak_gb"],
              "mb_per_1000_perturbations": float(line(wide, "peak_gb")[0] * 1e3 * 1024)}  # fmt: skip
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return found | {"cores": cores, "processor": platform.processor() or platform.machine(), "points": [*wide, *tall]}


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--perturbations", type=numbers, default=[500, 1500, 6000, 18000])
    parser.add_argument("--samples", type=numbers, default=[200, 500, SAMPLES, 2000], help=f"with {FEW} perturbations")
    parser.add_argument("--point", type=numbers, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(point(*options.point)))
        return
    print(" samples  perturbations   seconds       CPU    ms each  peak GB  data GB Spearman", flush=True)
    wide = [measured(SAMPLES, n) for n in options.perturbations]
    tall = [measured(n, FEW) for n in options.samples]
    results = figures(wide, tall)
    print()
    for key, value in results.items():
        if key != "points":
            print(f"{key:28s}{value:.4g}" if isinstance(value, float) else f"{key:28s}{value}")
    print(f"{'under ' + str(LIMIT_GB) + ' GB':28s}{results['gb_observed'] < LIMIT_GB}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
