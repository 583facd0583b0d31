"""Runs a compiled pipeline of launchers and asks what it has deployed; prints JSON.

run_launchers.py SPEC BUCKET
"""

import json
import sys

from google.cloud import aiplatform, storage

spec, bucket = sys.argv[1:]
rows = storage.Client().bucket(bucket).blob("rows.jsonl")
rows.upload_from_string("1\n2.5\n")
job = aiplatform.PipelineJob(
    display_name="launchers", template_path=spec, pipeline_root=f"gs://{bucket}/root"
)
job.run()
(tuning,) = aiplatform.HyperparameterTuningJob.list()
(endpoint,) = aiplatform.Endpoint.list()
(batch,) = aiplatform.BatchPredictionJob.list()
answers = [
    json.loads(line)["prediction"]
    for blob in batch.iter_outputs()
    if "prediction.results" in blob.name
    for line in blob.download_as_text().splitlines()
]
found = {
    "losses": [trial.final_measurement.metrics[0].value for trial in tuning.trials],
    "trained": [job.state.name for job in aiplatform.CustomJob.list()],
    "online": endpoint.predict(instances=[4]).predictions,
    "batch": sorted(answers),
    "tasks": {task.task_name: task.state.name for task in job.task_details},
}
sys.stdout.write(json.dumps(found) + "\n")
