"""A model with one weight: `line.py fit` trains it, `line.py serve` answers with it."""

import argparse
import json
import os
from http.server import ThreadingHTTPServer

import hypertune
from google.cloud import storage
from serving import Handler

POINTS = [(x, 3.0 * x) for x in range(1, 6)]


def fit(rate, steps=40):
    """Finds the slope by gradient descent; reports its loss, saves it where Vertex says."""
    slope = 0.0
    for _ in range(steps):
        slope -= rate * sum(2 * x * (slope * x - y) for x, y in POINTS) / len(POINTS)
    loss = sum((slope * x - y) ** 2 for x, y in POINTS)
    hypertune.HyperTune().report_hyperparameter_tuning_metric("loss", loss, steps)
    if folder := os.environ.get("AIP_MODEL_DIR"):
        weights(folder).upload_from_string(json.dumps({"slope": slope}))


def weights(folder):
    return storage.Blob.from_uri(f"{folder.rstrip('/')}/line.json", client=storage.Client())


class Line(Handler):
    def answer(self, instance):
        return self.slope * instance


def serve():
    Line.slope = json.loads(weights(os.environ["AIP_STORAGE_URI"]).download_as_bytes())["slope"]
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Line).serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=("fit", "serve"))
    parser.add_argument("--rate", type=float, default=0.02)
    options = parser.parse_args()
    if options.work == "fit":
        fit(options.rate)
    else:
        serve()
