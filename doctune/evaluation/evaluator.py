"""Evaluates a tuned model against its base, the champion and others, and decides."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from doctune.artifacts import local_file, local_folder
from doctune.digests import digest_file
from doctune.errors import EvaluationError
from doctune.evaluation.answers import AnswerCollector, Answers
from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.clusters import clusters_of
from doctune.evaluation.comparison import (
    BASE,
    CHAMPION,
    TUNED,
    Comparison,
    compare,
    likelihood_sample,
    merge,
    model_samples,
)
from doctune.evaluation.fairness import (
    Fairness,
    compare_fairly,
    judge_fairness,
    judge_quiz_fairness,
)
from doctune.evaluation.general_prompts import general_examples
from doctune.evaluation.judge import GeminiJudge, judge_samples
from doctune.evaluation.leaks import refuse_leaks
from doctune.evaluation.models import Models, find_models, judged_engine
from doctune.evaluation.options import EvaluationOptions, JudgeOptions
from doctune.evaluation.outputs import caps_of, provenance_of, write_predictions
from doctune.evaluation.quiz import Quiz, make_quiz
from doctune.evaluation.quiz_comparison import compare_quiz, product_answers, question_slices
from doctune.evaluation.quiz_scores import mark_all
from doctune.evaluation.report import ReportData, render_report
from doctune.evaluation.score_card import ProductAnswers, ScoreCard, make_card
from doctune.evaluation.similarity import encoder_folder
from doctune.evaluation.slices import Slice, slice_gains, worst_slice
from doctune.evaluation.summary import render_summary
from doctune.evaluation.test_set import Example, TestSet, load_test_set
from doctune.evaluation.verdict import Outcome, decide
from doctune.files import write_text
from doctune.progress import progress


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The result, for the gate and the pipeline's metrics."""

    passed: bool
    outcome: Outcome
    reason: str
    scores: Mapping[str, float]
    test_digest: str
    examples: int
    product: ProductAnswers
    engine: str  # that answered as the tuned model
    caps: tuple[str, ...] = ()


def evaluate_model(
    model_dir: Path,
    test_path: Path,
    *,
    scores_path: Path,
    predictions_path: Path,
    report_path: Path,
    options: EvaluationOptions | None = None,
    champion_uri: str = "",
    train_path: Path | None = None,
    summary_path: Path | None = None,
    index_uri: str = "",
) -> Evaluation:
    """Scores a tuned model on a test set, decides, and writes scores, predictions and report.

    Args:
        model_dir: A folder that `tune_model` wrote: `model/` and `training.json`.
        test_path: JSONL in chat form; the last message of each row is the reference answer.
        scores_path: JSON to write: the verdict and all numbers (`ScoreCard`).
        predictions_path: JSONL to write: every answer of every model.
        report_path: HTML to write.
        champion_uri: A folder like `model_dir`, or "" if there is no champion.
        train_path: The training examples; a test set that contains one of them is refused.
        summary_path: Markdown to write: verdict and main numbers.
        index_uri: The knowledge index to answer from; "" asks from memory and with the true passage
            only.

    Raises:
        StorageError: `index_uri` names no index.
        EvaluationError: The test set or a model folder is missing or wrong, or the test set leaks.
        ModelError: A model cannot be loaded.
    """
    chosen = options or EvaluationOptions()
    test = load_test_set(test_path, max_examples=chosen.max_examples, seed=chosen.seed)
    if train_path is not None:
        refuse_leaks(test.examples, train_path)
    champion = local_folder(champion_uri) if champion_uri else None
    fairness = judge_fairness(test.examples, model_dir, champion)
    if fairness.kept.sum() < chosen.min_examples <= len(test.examples):
        # A champion that was trained on other documents is ignored.
        champion_uri, champion = "", None
    chosen = chosen.model_copy(update={"engine": judged_engine(chosen.engine, model_dir)})
    models = find_models(
        model_dir,
        champion_uri=champion_uri,
        others=chosen.others,
        with_native=chosen.engine != "native",
    )
    quiz = _quiz(test, chosen, index_uri)
    collectors = _collectors(models, test, quiz, chosen)
    fair = (fairness, judge_quiz_fairness(quiz, model_dir, champion))
    data = _measure(models, collectors, test, quiz, fair, chosen, champion_uri)
    card, verdict = data.card, data.verdict
    write_predictions(predictions_path, test, data.answers, data.samples)
    write_text(report_path, render_report(data))
    if summary_path is not None:
        write_text(summary_path, render_summary(card, verdict))
    write_text(scores_path, card.model_dump_json(indent=2) + "\n")
    _clean_up(collectors, chosen)
    return Evaluation(
        passed=verdict.passed,
        outcome=verdict.outcome,
        reason=verdict.reason,
        scores=card.scores,
        test_digest=test.digest,
        examples=card.examples,
        product=data.product,
        engine=chosen.engine,
        caps=card.caps,
    )


def _measure(
    models: Models,
    collectors: Mapping[str, AnswerCollector],
    test: TestSet,
    quiz: Quiz,
    fair: tuple[Fairness, Fairness],
    chosen: EvaluationOptions,
    champion_uri: str,
) -> ReportData:
    """Collects the answers of all models, compares them, and decides.

    Args:
        fair: What the champion is compared on: of the test set, and of the questions.
    """
    fairness, of_questions = fair
    answers = {name: collector.answers() for name, collector in collectors.items()}
    encoder = encoder_folder() if chosen.semantic_similarity else None
    samples = {
        name: model_samples(test.examples, given, encoder=encoder)
        for name, given in answers.items()
    }
    bootstrap = Bootstrap(
        resamples=chosen.bootstrap_resamples,
        confidence=chosen.confidence,
        seed=chosen.seed,
        clusters=clusters_of(test.examples),
    )
    result = mark_all(quiz, {name: given.quiz for name, given in answers.items()})
    first = compare_fairly(samples, bootstrap, fairness)
    comparison = _compare_all(first, test.examples, answers, bootstrap, chosen.judge, fairness)
    comparison = merge([compare_quiz(result, bootstrap, of_questions), comparison])
    rivals = samples
    if not fairness.whole:
        rivals = {name: own for name, own in samples.items() if name != CHAMPION}
    least = chosen.min_slice_examples
    slices = slice_gains(test.examples, rivals, bootstrap, min_examples=least)
    slices += question_slices(result, bootstrap, min_examples=least, champion=of_questions.whole)
    provenance = provenance_of(test, models, answers, chosen, champion_uri)
    card = _decided_card(comparison, slices, answers, test, chosen, provenance)
    product = product_answers(result, bootstrap)
    facts = {
        "caps": caps_of(test, models, quiz),
        "product": product,
        "fairness": "; ".join(filter(None, (fairness.note, of_questions.note))),
    }
    card = card.model_copy(update=facts)
    verdict = decide(card, chosen)
    return ReportData(
        card=card,
        verdict=verdict,
        examples=test.examples,
        answers=answers,
        samples=samples,
        training=models.training,
        quiz=result,
        product=product,
    )


def _quiz(test: TestSet, options: EvaluationOptions, index_uri: str) -> Quiz:
    questions = local_file(options.questions) if options.questions else None
    if questions and options.questions_digest not in ("", digest_file(questions)):
        raise EvaluationError(
            f"{options.questions} has changed since the run began: start it anew."
        )
    knowledge = None
    if index_uri:
        from doctune.evaluation.grounding import IndexKnowledge

        knowledge = IndexKnowledge(local_folder(index_uri))
    return make_quiz(
        test.examples,
        questions_path=questions,
        knowledge=knowledge,
        max_questions=options.max_questions,
        seed=options.seed,
    )


def _collectors(
    models: Models, test: TestSet, quiz: Quiz, options: EvaluationOptions
) -> dict[str, AnswerCollector]:
    general = general_examples() if options.general_prompts else ()
    return {
        name: AnswerCollector(
            name,
            folder,
            test.examples,
            general,
            test_digest=test.digest,
            max_new_tokens=options.max_new_tokens,
            batch_size=options.batch_size,
            quiz=[prompt.messages for prompt in quiz.prompts_for(name)],
            engine=options.engine if name == TUNED else "native",
        )
        for name, folder in models.folders.items()
    }


def _clean_up(collectors: Mapping[str, AnswerCollector], options: EvaluationOptions) -> None:
    """Keeps what base and rivals answered, unless their time is to be taken with the model's."""
    timed = any(guardrail.metric == "latency" for guardrail in options.guardrails)
    for name, collector in collectors.items():
        if name == TUNED or timed:
            collector.checkpoint.remove()
        else:
            collector.checkpoint.keep()


def _compare_all(
    first: Comparison,
    examples: Sequence[Example],
    answers: Mapping[str, Answers],
    bootstrap: Bootstrap,
    judge: JudgeOptions | None,
    fairness: Fairness,
) -> Comparison:
    """Compares on the test set, on general prompts and by the judge, with a joint correction."""
    parts = [first]
    if all(given.general for given in answers.values()):
        general = {
            name: {"general_perplexity": likelihood_sample(given.general)}
            for name, given in answers.items()
        }
        parts.append(compare(general, replace(bootstrap, clusters=None)))
    if judge is not None:
        with progress("Judging answers", None, "answers") as bar:
            judged = judge_samples(
                GeminiJudge(judge),
                examples,
                {name: given.texts for name, given in answers.items()},
                most=judge.max_examples,
                seed=bootstrap.seed,
                on_example=bar.advance,
            )
        for opponent, pair in judged.items():
            part = compare_fairly(pair, bootstrap, fairness)
            # "judge_tuned" is the preference over the base model alone.
            parts.append(part if opponent == BASE else replace(part, measured=()))
    return merge(parts)


def _decided_card(
    comparison: Comparison,
    slices: Sequence[Slice],
    answers: Mapping[str, Answers],
    test: TestSet,
    options: EvaluationOptions,
    provenance: Mapping[str, str],
) -> ScoreCard:
    worst = worst_slice(slices, options.primary_metric)
    card = make_card(
        comparison,
        slices,
        {
            "primary_metric": options.primary_metric,
            "confidence": options.confidence,
            "examples": len(test.examples),
            "test_digest": test.digest,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "worst_slice": worst.name if worst else "",
            "provenance": dict(provenance),
        },
    )
    speeds = {
        f"tokens_per_second_{name}": given.tokens_per_second for name, given in answers.items()
    }
    card = card.model_copy(update={"scores": {**card.scores, **speeds}})
    verdict = decide(card, options)
    return card.model_copy(
        update={"passed": verdict.passed, "outcome": verdict.outcome, "reason": verdict.reason}
    )
