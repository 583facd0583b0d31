"""Every form of control flow that KFP has, as Vertex AI documents it; what fails says so."""

import threading
import time
from pathlib import Path
from typing import Any, Optional

import pytest
from kfp import dsl

from tests.runner.control_flow import run

_running = threading.Semaphore(1)


@dsl.component(install_kfp_package=False)
def say(text: str) -> str:
    return text


@dsl.component(install_kfp_package=False)
def shout(text: str) -> str:
    return text.upper()


@dsl.component(install_kfp_package=False)
def add(left: int, right: int = 1) -> int:
    return left + right


@dsl.component(install_kfp_package=False)
def divide(by: int) -> float:
    return 1 / by


@dsl.component(install_kfp_package=False)
def make_list(count: int) -> list:
    return list(range(count))


@dsl.component(install_kfp_package=False)
def make_dicts() -> list:
    return [{"who": "a", "tags": ["x", "y"]}, {"who": "b", "tags": []}]


@dsl.component(install_kfp_package=False)
def total(numbers: list) -> int:
    return sum(numbers)


@dsl.component(install_kfp_package=False)
def depth(lists: list) -> list:
    return lists


@dsl.component(install_kfp_package=False)
def write(text: str, note: dsl.Output[dsl.Dataset]):
    note.metadata["text"] = text


@dsl.component(install_kfp_package=False)
def read(note: dsl.Input[dsl.Dataset]) -> str:
    return note.metadata["text"]


@dsl.component(install_kfp_package=False)
def read_all(notes: dsl.Input[list[dsl.Dataset]]) -> str:
    return ",".join(note.metadata["text"] for note in notes)


@dsl.component(install_kfp_package=False)
def optional(text: str = "default", other: Optional[str] = None) -> str:  # noqa: UP045 KFP's form
    return f"{text} {other}"


@dsl.component(install_kfp_package=False)
def clean_up(status: dsl.PipelineTaskFinalStatus, text: str = ""):
    pass


@dsl.component(install_kfp_package=False)
def alone():
    if not _running.acquire(blocking=False):
        raise RuntimeError("two at once")
    time.sleep(0.05)
    _running.release()


_SNAKES = [{"snakes": "boa", "food": "eggs"}, {"snakes": "cobra", "food": "frogs"}]


def test_a_condition_on_a_field_of_the_loops_item_is_met_by_the_right_round(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ParallelFor(_SNAKES) as item, dsl.If(item.snakes == "boa"):
            say(text="eggs")

    result = run(pipeline, tmp_path, say)

    assert result.succeeded
    assert result.given("say", "text") == ["eggs"]


def test_a_condition_guards_steps_that_take_artifacts(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline(text: str = "yes") -> None:
        note = write(text="kept")
        with dsl.If(text == "yes"):
            read(note=note.outputs["note"])
        with dsl.If(text == "no"):
            shout(text="never")

    result = run(pipeline, tmp_path, write, read, shout)

    assert result.succeeded
    assert len(result.given("read", "note")) == 1
    assert result.given("shout", "text") == []


def test_a_loop_over_a_field_of_the_outer_loops_item(tmp_path: Path) -> None:
    items = [{"who": "a", "tags": ["x", "y"]}, {"who": "b", "tags": ["z"]}]

    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ParallelFor(items) as item, dsl.ParallelFor(item.tags) as tag:
            say(text=tag)

    result = run(pipeline, tmp_path, say)

    assert sorted(result.given("say", "text")) == ["x", "y", "z"]


def test_sub_fields_two_deep_and_conditions_on_them_within_nested_loops(tmp_path: Path) -> None:
    rows = [{"cell": "x", "text": "1"}, {"cell": "y", "text": "2"}]
    items = [{"rows": rows}, {"rows": [{"cell": "x", "text": "3"}]}]

    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with (
            dsl.ParallelFor(items) as item,
            dsl.ParallelFor(item.rows) as row,
            dsl.If(row.cell == "x"),
        ):
            say(text=row.text)

    result = run(pipeline, tmp_path, say)

    assert sorted(result.given("say", "text")) == ["1", "3"]


def test_a_condition_that_cannot_be_evaluated_fails_the_run_and_says_where(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        animals = [{"snakes": "boa"}, {"birds": "tit"}]
        with dsl.ParallelFor(animals, parallelism=1) as item, dsl.If(item.snakes == "boa"):
            say(text="found")

    result = run(pipeline, tmp_path, say)

    assert not result.succeeded
    assert result.ended.error.startswith(
        "for-loop-2 (round 2) > condition-3: {'birds': 'tit'} has no 'snakes'"
    )
    assert result.given("say", "text") == ["found"]


def test_a_condition_of_a_form_that_is_no_expression_fails_the_run(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline(text: str) -> None:
        with dsl.If(text == "it's"):
            say(text="never")

    result = run(pipeline, tmp_path, say, text="it's")

    assert not result.succeeded
    assert "condition-1: the condition" in result.ended.error
    assert "cannot be evaluated" in result.ended.error


@pytest.mark.parametrize(("number", "taken"), [(1, "one"), (2, "two"), (3, "many")])
def test_if_elif_else_take_one_branch_and_one_of_its_output(
    tmp_path: Path, number: int, taken: str
) -> None:
    @dsl.pipeline(name="p")
    def pipeline(number: int) -> None:
        with dsl.If(number == 1):
            one = say(text="one")
        with dsl.Elif(number == 2):
            two = say(text="two")
        with dsl.Else():
            many = say(text="many")
        shout(text=dsl.OneOf(one.output, two.output, many.output))

    result = run(pipeline, tmp_path, say, shout, number=number)

    assert result.succeeded, result.ended.error
    assert [inputs["text"] for name, inputs in result.calls if name != "shout"] == [taken]
    assert result.given("shout", "text") == [taken]
    assert sorted(result.states().values()).count("task_not_triggered") == 2


@pytest.mark.parametrize(("flag", "text"), [(True, "yes"), (False, "no")])
def test_one_of_artifacts(tmp_path: Path, flag: bool, text: str) -> None:
    @dsl.pipeline(name="p")
    def pipeline(flag: bool) -> None:
        with dsl.If(flag == True):  # noqa: E712
            yes = write(text="yes")
        with dsl.Else():
            no = write(text="no")
        read(note=dsl.OneOf(yes.outputs["note"], no.outputs["note"]))

    result = run(pipeline, tmp_path, write, read, flag=flag)

    assert result.succeeded, result.ended.error
    assert [note.metadata["text"] for note in result.given("read", "note")] == [text]


@pytest.mark.parametrize(("score", "runs"), [(0.5, []), (0.9, ["good"]), (0.99, ["good", "best"])])
def test_conditions_within_conditions_on_outputs(
    tmp_path: Path, score: float, runs: list[str]
) -> None:
    @dsl.pipeline(name="p")
    def pipeline(score: float, text: str = "") -> None:
        with dsl.If(score > 0.8):
            said = say(text="good")
            with dsl.If(score > 0.95), dsl.If(said.output == "good"):
                say(text="best")

    result = run(pipeline, tmp_path, say, score=score)

    assert result.succeeded
    assert [inputs["text"] for _, inputs in result.calls] == runs


def test_collected_parameters_keep_the_order_of_the_rounds(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> int:
        with dsl.ParallelFor([1, 2, 3, 4]) as number:
            more = add(left=number)
        return total(numbers=dsl.Collected(more.output)).output

    result = run(pipeline, tmp_path, add, total)

    assert result.given("total", "numbers") == [[2, 3, 4, 5]]
    assert result.ended.outputs == {"Output": 14}


def test_collected_from_loops_within_loops_is_a_list_of_lists(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ParallelFor([10, 20]) as left, dsl.ParallelFor([1, 2]) as right:
            more = add(left=left, right=right)
        depth(lists=dsl.Collected(more.output))

    result = run(pipeline, tmp_path, add, depth)

    assert result.given("depth", "lists") == [[[11, 12], [21, 22]]]


def test_collected_artifacts_are_one_list_and_loops_go_over_it(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ParallelFor(["a", "b", "c"]) as text:
            note = write(text=text)
        read_all(notes=dsl.Collected(note.outputs["note"]))

    result = run(pipeline, tmp_path, write, read_all)

    assert result.succeeded, result.ended.error
    (notes,) = result.given("read-all", "notes")
    assert [note.metadata["text"] for note in notes] == ["a", "b", "c"]


def test_collected_artifacts_within_an_inner_pipeline_and_a_loop_over_them(tmp_path: Path) -> None:
    @dsl.pipeline(name="inner")
    def inner() -> list[dsl.Dataset]:
        with dsl.ParallelFor(["a", "b"]) as text:
            note = write(text=text)
        return dsl.Collected(note.outputs["note"])

    @dsl.pipeline(name="p")
    def pipeline() -> None:
        notes = inner()
        with dsl.ParallelFor(notes.output) as note:
            read(note=note)

    result = run(pipeline, tmp_path, write, read)

    assert result.succeeded, result.ended.error
    assert sorted(n.metadata["text"] for n in result.given("read", "note")) == ["a", "b"]


def test_an_empty_loop_succeeds_and_collects_an_empty_list(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        numbers = make_list(count=0)
        with dsl.ParallelFor(numbers.output) as number:
            more = add(left=number)
        total(numbers=dsl.Collected(more.output))

    result = run(pipeline, tmp_path, make_list, add, total)

    assert result.succeeded, result.ended.error
    assert result.given("total", "numbers") == [[]]


def test_loops_over_an_output_a_parameter_and_the_fields_of_an_outputs_items(
    tmp_path: Path,
) -> None:
    @dsl.pipeline(name="p")
    def pipeline(texts: list) -> None:
        with dsl.ParallelFor(make_list(count=2).output) as number:
            add(left=number)
        with dsl.ParallelFor(texts) as text:
            say(text=text)
        with dsl.ParallelFor(make_dicts().output) as item, dsl.ParallelFor(item.tags) as tag:
            shout(text=tag)

    result = run(pipeline, tmp_path, make_list, add, say, make_dicts, shout, texts=["p", "q"])

    assert result.succeeded, result.ended.error
    assert sorted(result.given("add", "left")) == [0, 1]
    assert sorted(result.given("say", "text")) == ["p", "q"]
    assert sorted(result.given("shout", "text")) == ["x", "y"]


def test_a_loop_over_what_is_no_list_fails_the_run(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline(texts: list) -> None:
        with dsl.ParallelFor(texts) as text:
            say(text=text)

    result = run(pipeline, tmp_path, say, texts="none")

    assert not result.succeeded
    assert "for-loop-1: the loop iterates over" in result.ended.error


def test_a_failing_round_is_named_with_its_task(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ParallelFor([1, 0, 2], parallelism=1) as number, dsl.If(number < 2):
            divide(by=number)

    result = run(pipeline, tmp_path, divide)

    assert not result.succeeded
    assert (
        result.ended.error == "for-loop-2 (round 2) > divide: ZeroDivisionError: division by zero"
    )


def test_rounds_run_as_few_at_a_time_as_the_pipeline_says(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ParallelFor([1, 2, 3, 4], parallelism=1):
            alone()

    assert run(pipeline, tmp_path, alone).succeeded


@pytest.mark.parametrize("fail_fast", [False, True])
@pytest.mark.parametrize(("by", "state"), [(1, "SUCCEEDED"), (0, "FAILED")])
def test_an_exit_task_runs_after_the_body_and_is_told_how_it_ended(
    tmp_path: Path, by: int, state: str, fail_fast: bool
) -> None:
    @dsl.pipeline(name="p")
    def pipeline(by: int) -> None:
        with dsl.ExitHandler(clean_up(text="bye")):
            result = divide(by=by)
            say(text="after").after(result)

    result = run(pipeline, tmp_path, clean_up, divide, say, fail_fast=fail_fast, by=by)

    assert result.succeeded is (by == 1)
    (status,) = result.given("clean-up", "status")
    assert status["state"] == state
    assert status["pipelineTaskName"] == "exit-handler-1"
    assert status["pipelineJobResourceName"] == "jobs/1"
    assert ("ZeroDivisionError" in status["error"].get("message", "")) is (by == 0)
    assert ("say" in [name for name, _ in result.calls]) is (by == 1)


def test_a_failing_exit_task_fails_the_run(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ExitHandler(divide(by=0)):
            say(text="fine")

    result = run(pipeline, tmp_path, divide, say)

    assert not result.succeeded
    assert result.ended.error == "divide: ZeroDivisionError: division by zero"


def test_ignore_upstream_failure_runs_with_the_default_and_the_run_has_failed(
    tmp_path: Path,
) -> None:
    @dsl.component(install_kfp_package=False)
    def fail(text: str) -> str:
        raise ValueError(text)

    @dsl.pipeline(name="p")
    def pipeline() -> None:
        failed = fail(text="no")
        optional(text=failed.output, other="o").ignore_upstream_failure()
        say(text=failed.output)

    result = run(pipeline, tmp_path, fail, optional, say)

    assert result.calls[1:] == [("optional", {"other": "o"})]
    assert not result.succeeded
    assert result.states()["say"] == "task_not_triggered"


def test_pipelines_in_pipelines_take_defaults_and_f_strings_and_give_outputs(
    tmp_path: Path,
) -> None:
    @dsl.pipeline(name="inner")
    def inner(text: str, suffix: str = "!") -> str:
        return shout(text=f"{text}{suffix}").output

    @dsl.pipeline(name="p")
    def pipeline(name: str, count: int = 2) -> str:
        first = inner(text=f"hello {name} {count}")
        second = inner(text=first.output, suffix="?")
        return say(text=second.output).output

    result = run(pipeline, tmp_path, shout, say, name="you", count=2.0)

    assert result.succeeded, result.ended.error
    assert result.ended.outputs == {"Output": "HELLO YOU 2!?"}


def test_optional_inputs_are_left_out(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline(text: Optional[str] = None) -> None:  # noqa: UP045
        optional(other=text)

    result = run(pipeline, tmp_path, optional)

    assert result.succeeded, result.ended.error
    assert result.calls == [("optional", {})]


def test_tasks_of_a_loops_rounds_belong_to_the_loop_and_have_ids_of_their_own(
    tmp_path: Path,
) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        with dsl.ParallelFor([1, 2]) as number:
            add(left=number)

    result = run(pipeline, tmp_path, add)

    (loop,) = {event.task_id for event in result.events if event.kind == "group_started"}
    ended = [event for event in result.events if event.kind == "task_succeeded"]
    assert {event.groups for event in ended} == {(loop,)}
    assert len({event.task_id for event in ended}) == 2


def test_independent_tasks_go_on_after_a_failure_unless_told_to_stop(tmp_path: Path) -> None:
    @dsl.pipeline(name="p")
    def pipeline() -> None:
        divide(by=0)
        say(text="other")

    slow: Any = run(pipeline, tmp_path, divide, say)

    assert not slow.succeeded
    assert slow.given("say", "text") == ["other"]
