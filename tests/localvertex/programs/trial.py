"""A training program for tuning: reports a metric that its flags decide."""

import argparse
import sys
import time

import hypertune

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=0.0)
parser.add_argument("--units", type=int, default=1)
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--optimizer", default="none")
parser.add_argument("--momentum", type=float)
parser.add_argument("--steps", type=int, default=1)
parser.add_argument("--sleep", type=float, default=0.0)
parser.add_argument("--fail-above", type=float, default=1e9)
parser.add_argument("--silent", action="store_true")
options = parser.parse_args()
if options.x > options.fail_above:
    sys.exit(f"x is {options.x}, which diverges")
report = hypertune.HyperTune()
for step in range(1, options.steps + 1):
    if not options.silent:
        report.report_hyperparameter_tuning_metric("loss", (options.x - 3) ** 2, step)
        report.report_hyperparameter_tuning_metric("size", options.units, step)
    time.sleep(options.sleep)
