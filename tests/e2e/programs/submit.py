"""A user's script: runs a compiled pipeline on Vertex AI, at once or by a schedule that fires.

    submit.py SPEC ARGUMENTS BUCKET now|scheduled

ARGUMENTS is the JSON of the pipeline's parameters, with `pdfs` a folder of this machine. The last
line of the output is JSON: the tasks of the run and what the endpoint answers.
"""

import json
import sys
import time
from pathlib import Path

from google.cloud import aiplatform, storage

spec, arguments_file, bucket, when = sys.argv[1:]
arguments = json.loads(Path(arguments_file).read_text())
for pdf in Path(arguments["pdfs"]).iterdir():
    storage.Client().bucket(bucket).blob(f"pdfs/{pdf.name}").upload_from_filename(pdf)
arguments["pdfs"] = f"gs://{bucket}/pdfs"
job = aiplatform.PipelineJob(
    display_name="train",
    template_path=spec,
    parameter_values=arguments,
    pipeline_root=f"gs://{bucket}/runs",
    enable_caching=False,
)
if when == "now":
    job.run()
else:
    schedule = job.create_schedule(display_name="once", cron="* * * * *", max_run_count=1)
    deadline = time.monotonic() + 120
    while not (runs := schedule.list_jobs()):
        if time.monotonic() > deadline:
            sys.exit("the schedule started no run within two minutes")
        time.sleep(0.5)
    job = aiplatform.PipelineJob.get(runs[0].resource_name)
    job.wait()
tasks = {}
details = aiplatform.PipelineJob.get(job.resource_name).task_details
names = {message.task_id: message.task_name for message in details}
for message in details:
    task = type(message).to_dict(message, use_integers_for_enums=False)
    # Each pipeline within another has a condition-1 of its own.
    name, within = message.task_name, names.get(message.parent_task_id, "")
    if (within, name) == ("deploy-version", "condition-1"):
        name = f"{within}/{name}"
    tasks[name] = {
        "state": task["state"],
        "values": task["execution"].get("metadata", {}),
        "artifacts": {
            name: [[artifact["uri"], artifact.get("metadata", {})] for artifact in found]
            for name, output in task.get("outputs", {}).items()
            if (found := output["artifacts"])
        },
    }
(endpoint,) = aiplatform.Endpoint.list(filter=f'display_name="{arguments["endpoint_name"]}"')
answer = endpoint.predict(instances=[{"prompt": arguments["question"]}]).predictions[0]["text"]
sys.stdout.write(json.dumps({"tasks": tasks, "answer": answer}) + "\n")
