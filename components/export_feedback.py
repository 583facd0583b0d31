"""Take the snapshot of feedback that a retraining learns from, and say what is in it."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def export_feedback(
    feedback: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    snapshot: str,
    digest: str,
) -> None:
    """Copies a snapshot into the run, checked, and writes the analysis of it.

    The trigger takes the snapshot from the database: steps hold no password of it, and a run that
    is tried again learns from the same rows.

    Args:
        feedback: One row an opinion, with its answer and its review, JSON Lines.
        report: Rates with intervals, clusters of failing questions, agreement: one file.
        snapshot: gs:// object that `doctune retrain trigger` wrote.
        digest: What its bytes must be.
    """
    from pathlib import Path

    from doctune.artifacts import local_file
    from doctune.feedback.analysis import analyse
    from doctune.feedback.report import render_report
    from doctune.feedback.snapshot import copy_snapshot, read_snapshot
    from doctune.files import write_text

    source = local_file(snapshot)
    rows = copy_snapshot(source, Path(feedback.path), digest)
    analysis = analyse(read_snapshot(source))
    write_text(Path(report.path), render_report(analysis))
    feedback.metadata.update(digest=digest, rows=rows, snapshot=snapshot)
    report.metadata.update(digest=digest, opinions=analysis.opinions)
