"""PS-TCRP: leaplib against a plain loop over perturbations, on the same cores in one run.

    python benchmarks/tcrp.py [--simulated] [--json out.json] [--device auto] [--perturbations 24]

Real data: the drug responses of GDSC v1 (task 4b, all drugs) and a code of the demo profile's autoencoders,
which are trained now where `make run` has not done so yet. Without the archives, or with `--simulated`, data of
the same shapes are simulated, and the output says so.

leaplib fits a random subset of the drugs at the paper's settings: five folds, ten grid points, 200 epochs of
12 tasks. The loop is the same algorithm on the same tasks from the same initial weights, one network at a time:
each task takes its inner step by torch.autograd with create_graph, the mean loss goes back through all of them,
and torch's Adam moves the weights. It runs for a few networks (a drug, fold and grid point each), in parallel
over networks with joblib; drawing the tasks is not counted. `max_difference` is the largest between the
predictions of the two for the held-out fold, in SDs of the training labels, `median_difference` the median over
networks of the largest of each. Both work in single precision: they agree to some 1e-6, but where rounding
decides on which side of its kink a unit is, a network can come out 1e-2 apart. (The tests compare in double.)
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed, parallel_config
from torch.nn.functional import mse_loss, pad

from leaplib.base.compute import resolve_device
from leaplib.base.errors import InputError
from leaplib.cohorts.prepare import drug_screen
from leaplib.cohorts.selection import prepare_drugs
from leaplib.models.base import Training
from leaplib.models.tcrp import PSTcrp, TaskSampler, initial_weights
from leaplib.profiles import get_profile
from leaplib.representation.pretraining import embed
from leaplib.tasks import get_task

K = 5
NETWORKS = 3, 2  # that the loop learns: drugs x grid points


def load_data(device: str) -> Training:
    profile = get_profile("demo")
    cohort, _ = prepare_drugs(drug_screen(profile), get_task("4b"), fingerprints=False)
    codes = embed(profile, get_task("2a"), device).codes[0].loc[cohort.samples.index]
    print(f"GDSC v1: {len(codes)} lines, {cohort.response.shape[1]} drugs")
    return Training(codes.to_numpy(float), cohort.response.to_numpy(), cohort.samples["tissue"].to_numpy(str))


def simulate(n: int = 940, p: int = 256, drugs: int = 190) -> Training:
    """Return codes and labels with an offset a tissue; the tissues' sizes fall off as those of GDSC do."""
    rng = np.random.default_rng(0)
    X, tissue = rng.standard_normal((n, p)), np.minimum(rng.exponential(5, n).astype(int), 25)
    Y = X @ rng.standard_normal((p, drugs)) / 16 + rng.standard_normal((26, drugs))[tissue]
    Y = np.where(rng.random(Y.shape) < 0.06, np.nan, Y + 2 * rng.standard_normal(Y.shape))
    return Training(X, Y, tissue.astype(str))


def forward(weights: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    first, bias1, second, bias2, third, bias3 = weights
    return (torch.relu(torch.relu(x @ first + bias1) @ second + bias2) @ third + bias3)[:, 0]


def learn(weights: list[torch.Tensor], epochs: list, meta_rate: float, inner_rate: float) -> list[torch.Tensor]:
    """Return what one network has learnt; an epoch is a list of tasks (support x and y, query x and y)."""
    torch.set_num_threads(1)
    resolve_device("cpu")
    weights = [weight.clone().requires_grad_() for weight in weights]
    adam = torch.optim.Adam(weights, lr=meta_rate)
    for tasks in epochs:
        losses = []
        for x, y, query_x, query_y in tasks:
            slopes = torch.autograd.grad(mse_loss(forward(weights, x), y), weights, create_graph=True)
            adapted = [weight - inner_rate * slope for weight, slope in zip(weights, slopes, strict=True)]
            losses.append(mse_loss(forward(adapted, query_x), query_y))
        adam.zero_grad()
        torch.stack(losses).mean().backward()
        adam.step()
    return [weight.detach() for weight in weights]


def epochs_of(sampler: TaskSampler, number: int, n_epochs: int) -> list:
    """Return the tasks of one perturbation without their empty places."""
    epochs = []
    for epoch in range(n_epochs):
        drawn = sampler.draw(epoch)
        tasks = []
        for x, y, share in zip(drawn.x[number, :, :, :-1], drawn.y[number], drawn.share[number], strict=True):
            sides = torch.tensor_split(torch.arange(len(y)), 2)
            used = [side[share[side] > 0] for side in sides]
            tasks.append((x[used[0]], y[used[0]], x[used[1]], y[used[1]]))
        epochs.append(tasks)
    return epochs


def loop(model: PSTcrp, data: Training, seed: list[int], points: np.ndarray) -> tuple[float, list]:
    """Return seconds a network on all cores, and networks: those of the perturbations at some grid points."""
    grid, fold = model.points(), model._fit_fold(data, seed[1])
    x = torch.from_numpy((data.X - fold.x_mean) / fold.x_scale).float()
    known = torch.from_numpy(~np.isnan(data.Y.T))
    y = torch.from_numpy(np.nan_to_num((data.Y - fold.y_mean[0]) / fold.y_scale[0]).T).float()
    tissues = torch.from_numpy(np.unique(data.groups, return_inverse=True)[1])
    sampler = TaskSampler(pad(x, (0, 1), value=1), y, known, tissues, model, seed)
    layers = [torch.from_numpy(layer).float() for layer in initial_weights(sampler.x.shape[1], model, seed)]
    own = [part for layer in layers for part in (layer[:-1], layer[-1])]
    jobs = [(own, epochs, grid[point]["meta_rate"], grid[point]["inner_rate"])
            for number in range(len(y)) for epochs in [epochs_of(sampler, number, model.n_epochs)]
            for point in points]  # fmt: skip
    cores = torch.get_num_threads()
    with parallel_config("loky", n_jobs=cores), Parallel(batch_size=1) as parallel:
        parallel(delayed(learn)(job[0], job[1][:1], *job[2:]) for job in jobs[:cores])  # starts workers
        start = time.perf_counter()
        networks = parallel(delayed(learn)(*job) for job in jobs)
    return (time.perf_counter() - start) / len(jobs), networks


def compare(model: PSTcrp, data: Training, folds: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loop's seconds a network, and the largest difference of the predictions for fold 0 of each."""
    points = np.random.default_rng(2).choice(len(model.points()), NETWORKS[1], replace=False)
    training, held = data.rows(folds != 0), data.rows(folds == 0)
    seconds, networks = loop(model, training, [model.random_state, 0], points)
    fold = model._fit_fold(training, 0)
    ours = (fold.predict(held.X)[points] - fold.y_mean[points, None]) / fold.y_scale[points, None]
    x = torch.from_numpy((held.X - fold.x_mean) / fold.x_scale)
    theirs = [forward([weight.double() for weight in network], x).numpy() for network in networks]
    theirs = np.array(theirs).reshape(-1, len(points), len(x)).transpose(1, 2, 0)
    return seconds, np.abs(ours - theirs).max(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--perturbations", type=int, default=24)
    options = parser.parse_args()
    try:
        data = simulate() if options.simulated else load_data(options.device)
    except InputError as error:
        print(f"{error}\nSIMULATED data of the same shapes instead")
        options.simulated, data = True, simulate()
    rng = np.random.default_rng(0)
    order, folds = rng.permutation(data.Y.shape[1]), rng.permutation(np.arange(len(data.X)) % K)
    model = PSTcrp(device=options.device)
    start = time.perf_counter()
    model.fit(data.X, data.Y[:, order[: options.perturbations]], folds, data.groups)
    ours = (time.perf_counter() - start) / options.perturbations
    few = Training(data.X, data.Y[:, order[: NETWORKS[0]]], data.groups)
    network, differences = compare(model, few, folds)
    results = {
        "speedup_vs_loop": network * K * len(model.points()) / ours,
        "max_difference": float(differences.max()),
        "median_difference": float(np.median(differences)),
        "seconds_per_perturbation": ours,
        "seconds_per_perturbation_loop": network * K * len(model.points()),
        "samples": len(data.X),
        "perturbations": options.perturbations,
        "device": str(resolve_device(options.device)),
        "cores": torch.get_num_threads(),
        "simulated": options.simulated,
    }
    for key, value in results.items():
        print(f"{key:32s}{value:.4g}" if isinstance(value, float) else f"{key:32s}{value}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
