"""How much of LEAP's score hangs on which five DAMAEs it averages? Disjoint sets of five, task 2a, paper's settings.

    python benchmarks/representation_spread.py [--sets 3]

Trains five DAMAEs a set (seeds 0 to 4, 5 to 9 ...), fits a PS-LASSO on each, and scores the mean of each set's
predictions: Spearman's correlation within each drug, mean over drugs, on every holdout. Results go to
`data/results/representation spread/`; the run resumes where it was stopped. On two cores some two hours.
The table has a row a set; the last line is the SD over the sets' means, which
`leaplib.results.comparisons.REPRESENTATION_SPREAD` is to cover.
"""

import argparse
from dataclasses import replace

import pandas as pd

import leaplib as lp
from leaplib.base.metrics import spearman
from leaplib.base.store import load_frame
from leaplib.profiles import Profile
from leaplib.runs.engine import TaskRun
from leaplib.runs.recipes import LEAP

SIZE = 5  # DAMAEs in LEAP


def scores(profile: Profile) -> pd.DataFrame:
    """Return LEAP's mean correlation within drugs, sets of DAMAEs x splits, from the saved predictions of members."""
    run, found = TaskRun(profile, lp.TASKS["2a"]), {}
    members = LEAP.parts(profile.n_representations)
    for split in run.splits:
        truth = run.cohort.response.loc[split.test].to_numpy()
        made = [load_frame(run.path("predictions", split, member)).to_numpy() for member in members]
        sets = [sum(made[first : first + SIZE]) / SIZE for first in range(0, len(made), SIZE)]
        found[split.name] = [pd.Series(spearman(truth, predicted)).mean() for predicted in sets]
    return pd.DataFrame(found, index=pd.RangeIndex(len(members) // SIZE, name="set"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=3)
    paper = lp.PROFILES["paper"]
    profile = replace(paper, name="representation spread", n_representations=SIZE * parser.parse_args().sets)
    lp.run(profile, ["2a"], ["leap"])
    table = scores(profile)
    print(table.assign(mean=table.mean(axis=1)).round(4).to_string())
    print(f"SD over sets: {table.mean(axis=1).std():.4f}")


if __name__ == "__main__":
    main()
