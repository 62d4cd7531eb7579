"""DAMAE against the matrix products that it cannot do without, in one run.

    python benchmarks/damae.py [--simulated] [--json out.json] [--device auto] [--epochs 4] [--batch-size 1024]

Real data: the expression of GDSC and CCLE, all genes (975 x 6,163). Without the archives, or with `--simulated`,
data of the same shape are simulated, and the output says so. A training is timed as users have it, and the forward and
backward products of its steps alone: their share tells how much there is left to gain.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import leaplib  # before torch: it sets how idle threads wait

# isort: split
import numpy as np
import torch

from leaplib.base.compute import resolve_device
from leaplib.base.errors import InputError
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.cohorts.prepare import screen_of
from leaplib.cohorts.selection import pca_outliers
from leaplib.profiles import get_profile
from leaplib.representation.damae import DAMAE, corrupt

SHAPE = 975, 6163


def load_data() -> np.ndarray:
    """Return the standardised expression of the drug screen, all genes."""
    expression = screen_of(get_profile("demo"), "drugs").expression
    expression = expression.drop(index=pca_outliers(expression))
    return np.array(ExpressionScaler(expression.shape[1]).fit_transform(expression))


def simulate() -> np.ndarray:
    """Return standardised data of the same shape: sixty common factors, and noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((SHAPE[0], 60)) @ rng.standard_normal((60, SHAPE[1])) / 8
    X += 0.7 * rng.standard_normal(SHAPE)
    return ((X - X.mean(0)) / X.std(0)).astype(np.float32)


def seconds_of(function: Callable[[], object], rounds: int) -> float:
    """Return how long a call takes at best, a GPU's work included."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


def measure(X: np.ndarray, options: argparse.Namespace, precision: str) -> dict[str, object]:
    """Train once without a holdout, and take the parts of an epoch alone."""
    settings = {"batch_size": options.batch_size, "device": options.device, "precision": precision}
    model = DAMAE(learning_rate=1e-3, max_epochs=options.epochs, holdout=0, **settings)
    training = seconds_of(lambda: model.fit(X), options.rounds)
    samples = torch.tensor(X, device=resolve_device(options.device))
    network = model.network_.to(samples.device)
    batches = samples.tensor_split(-(-len(X) // options.batch_size))

    def products() -> None:
        with torch.autocast(samples.device.type, torch.bfloat16, enabled=model.precision_ == "bfloat16"):
            for batch in batches:
                network.zero_grad()
                network(batch).sum().backward()

    epoch, alone = training / options.epochs, seconds_of(products, options.rounds)
    spoiling = seconds_of(lambda: [corrupt(batch) for batch in batches], options.rounds)
    return {"precision": model.precision_, "ms_per_epoch": 1e3 * epoch, "product_share": alone / epoch,
            "corruption_share": spoiling / epoch, "train_loss": model.history_["train_loss"].iloc[-1]}  # fmt: skip


def processor() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the fastest counts")
    options = parser.parse_args()
    try:
        X = simulate() if options.simulated else load_data()
    except InputError as error:
        print(f"{error}\nSIMULATED data of the same shape instead")
        X, options.simulated = simulate(), True
    device = resolve_device(options.device)
    figures: dict[str, object] = {"float32": measure(X, options, "float32"), "auto": measure(X, options, "auto")}
    figures |= {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "processor": processor(),
                "threads": torch.get_num_threads(), "torch": torch.__version__, "leaplib": leaplib.__version__,
                "samples": X.shape[0], "genes": X.shape[1], "epochs": options.epochs,
                "batch_size": options.batch_size, "simulated": options.simulated}  # fmt: skip
    print(json.dumps(figures, indent=2, default=float))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2, default=float) + "\n")


if __name__ == "__main__":
    main()
