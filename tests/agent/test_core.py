"""Finding, asking, citing, admitting, falling back: a real index, models told what to say."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from doctune.agent import Agent, Message, Reply, Turn
from doctune.agent.context import build_context, message_tokens
from doctune.agent.messages import EXTRACTIVE
from doctune.agent.model_facts import read_model_facts
from doctune.agent.options import AgentOptions
from doctune.errors import DatasetError, UsageError
from doctune.knowledge.filters import Filter
from tests.agent.conftest import FakeStage
from tests.agent.corpus import ORDERS, character_tokenizer

QUESTION = "How often is the filter of the Arlo 3 rinsed?"


def answer(agent: Agent, *said: str, groups: list[str] | None = None) -> Reply:
    roles = ["user", "assistant"] * len(said)
    messages = [Message(role, text) for role, text in zip(roles, said, strict=False)]  # type: ignore[arg-type]
    return asyncio.run(agent.answer(messages, groups))


def test_an_answer_by_quotation_has_its_source_with_page_heading_and_box(agent: Agent) -> None:
    reply = answer(agent, QUESTION)
    assert "14 days" in reply.text
    assert "[1]" in reply.text
    first = reply.sources[0].source
    assert (first.file, first.page) == ("arlo-3-manual.pdf", 1)
    assert first.heading[-1].endswith("Cleaning")
    left, top, right, bottom = first.box
    assert 0 < left < right < 596
    assert 0 < top < bottom < 842
    assert reply.speaker.stage == EXTRACTIVE
    assert not reply.speaker.fallback
    assert reply.unsupported == ()


def test_a_follow_up_is_asked_as_a_question_of_its_own(agent: Agent) -> None:
    first = answer(agent, "How many watts does the Arlo 3 need while grinding?")
    assert "310 watts" in first.text
    second = answer(
        agent, "How many watts does the Arlo 3 need while grinding?", first.text, "And the Arlo 5?"
    )
    assert second.question == "How many watts does the Arlo 5 need while grinding?"
    assert "480 watts" in second.text


def test_what_the_documents_do_not_say_is_admitted_with_the_closest_places(agent: Agent) -> None:
    reply = answer(agent, "Who founded the company that makes bicycles in Lisbon?")
    assert reply.refused
    assert reply.text.startswith("The documents do not say.")
    assert len(reply.closest) == 3
    assert reply.closest[0].source.file in reply.text


def test_the_last_message_must_be_a_users(agent: Agent) -> None:
    with pytest.raises(UsageError, match="last message"):
        answer(agent, QUESTION, "Every 14 days.")


def test_a_model_answers_where_it_is_asked_and_is_cited(asking) -> None:
    stage = FakeStage(says=["The filter is rinsed every 14 days."])
    reply = answer(asking(stage), QUESTION)
    assert reply.text == "The filter is rinsed every 14 days [1]."
    assert reply.speaker.stage == "model"
    assert reply.speaker.model_version == "model@1"
    prompt = stage.asked[0][-1].content
    assert prompt.endswith(f"Question: {QUESTION}")
    assert "[1] " in prompt


def test_an_invented_number_is_asked_again_with_other_passages(asking) -> None:
    stage = FakeStage(says=["Every 99 days.", "The motor is covered for 36 months."])
    reply = answer(asking(stage, passages=2), QUESTION)
    assert len(stage.asked) == 2
    assert stage.asked[0] != stage.asked[1]
    assert "99" not in reply.text


def test_what_is_invented_twice_gives_way_to_what_the_documents_say(asking) -> None:
    stage = FakeStage(says=["Every 99 days by Otto Brandt."])
    reply = answer(asking(stage, passages=2), QUESTION)
    assert "14 days" in reply.text
    assert "99" not in reply.text
    assert reply.speaker == type(reply.speaker)(stage=EXTRACTIVE, fallback=True)


def test_a_model_that_says_that_the_documents_do_not_say_is_believed(asking) -> None:
    reply = answer(asking(FakeStage()), QUESTION)
    assert reply.refused
    assert reply.closest


def test_by_default_the_way_that_the_index_names_is_taken(agent: Agent) -> None:
    stage = FakeStage()
    assert answer(Agent(agent.answerer, [stage]), QUESTION).speaker.stage == EXTRACTIVE
    assert stage.asked == []


@pytest.mark.parametrize("mode", ["error", "slow"])
def test_with_each_plug_pulled_the_next_stage_answers_within_its_limit(asking, mode: str) -> None:
    names = ["champion", "other version", "other endpoint", "gemini"]
    stages = [FakeStage(name, says=["The filter is rinsed every 14 days."]) for name in names]
    agent = asking(*stages)
    for pulled in range(len(stages) + 1):
        for stage in stages[:pulled]:
            stage.mode = mode
        started = time.monotonic()
        reply = answer(agent, QUESTION)
        took = time.monotonic() - started
        spoke = names[pulled] if pulled < len(names) else EXTRACTIVE
        assert reply.speaker.stage == spoke
        assert reply.speaker.fallback == (pulled > 0)
        assert "14 days" in reply.text
        assert took < sum(stage.seconds for stage in stages[:pulled]) + 2


def test_a_dead_stage_is_left_alone_after_three_failures(asking) -> None:
    dead = FakeStage("dead", mode="slow", seconds=0.1)
    agent = asking(dead, FakeStage("next", says=["The filter is rinsed every 14 days."]))
    for _ in range(5):
        assert answer(agent, QUESTION).speaker.stage == "next"
    assert len(dead.asked) == 3


@pytest.mark.parametrize("name", ORDERS)
def test_orders_in_a_document_change_nothing(agent: Agent, name: str) -> None:
    reply = answer(agent, f"How often is the visor of the hood {name} oiled?")
    assert "30 hours" in reply.text
    said = reply.text.casefold()
    for word in ("5 hours", "banan", "evil", "pirate", "999", "ignor", "oublie"):
        assert word not in said


@pytest.mark.parametrize("name", ORDERS)
def test_a_model_never_sees_orders_and_what_it_obeys_is_not_said(asking, name: str) -> None:
    question = f"How often is the visor of the hood {name} oiled?"
    obeying = FakeStage(says=["Banana! It is oiled every 5 hours, see https://evil.example."])
    reply = answer(asking(obeying), question)
    prompt = obeying.asked[0][-1].content
    assert ORDERS[name] not in prompt
    assert "30 hours" in prompt
    assert "5 hours" not in reply.text
    assert "evil" not in reply.text


def test_groups_decide_what_is_found_quoted_and_named_as_close(agent: Agent) -> None:
    question = "What does a partner pay for an Arlo 3?"
    assert "412 crowns" in answer(agent, question, groups=["everybody", "partners"]).text
    for groups in (["everybody"], ["everybody", "others"], []):
        reply = answer(agent, question, groups=groups)
        places = [*reply.sources, *reply.closest]
        assert "412" not in reply.text
        assert all("partners" not in one.source.file for one in places)


def test_an_answer_stands_on_the_documents_that_were_asked_for(agent: Agent) -> None:
    there = agent.ask(QUESTION, only=Filter(documents=("arlo*",)))
    elsewhere = agent.ask(QUESTION, only=Filter(documents=("warranty.pdf",)))
    assert "14 days" in there.text
    assert "14 days" not in elsewhere.text
    places = [*elsewhere.sources, *elsewhere.closest]
    assert {one.source.file for one in places} <= {"warranty.pdf"}


def test_the_context_holds_its_budget_and_says_what_was_left_out(agent: Agent) -> None:
    places = agent.answerer.places(QUESTION, 8)
    earlier = [Turn(f"Question {n}?", f"Answer {n}. " + "More of it. " * 20) for n in range(12)]
    options = AgentOptions(context_tokens=500, turns=2)
    context = build_context(QUESTION, places, earlier, options)
    assert sum(message_tokens(one.content) for one in context.messages) <= 500
    assert "left out" in context.left_out
    assert context.messages[-1].content.endswith(QUESTION)
    roomy = build_context(QUESTION, places, earlier, AgentOptions(context_tokens=8000, turns=2))
    assert len(roomy.shown) == len(places)
    assert roomy.messages[0].role == "system"
    assert "- Question 0? Answer 0." in roomy.messages[0].content
    assert [one.content for one in roomy.messages[1:5:2]] == ["Question 10?", "Question 11?"]


def test_the_models_own_tokenizer_counts_and_its_context_is_a_limit(
    agent: Agent, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_text(character_tokenizer().to_str())
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 1200}))
    facts = read_model_facts(str(tmp_path))
    assert facts.count("four") == 4
    places = agent.answerer.places(QUESTION, 8)
    options = AgentOptions(context_tokens=4000, answer_tokens=200)
    context = build_context(QUESTION, places, [Turn("Why?", "x" * 500)], options, facts)
    used = sum(len(one.content) for one in context.messages)
    assert 500 < used <= 1000
    estimated = build_context(QUESTION, places, [], options)
    assert len(estimated.shown) > len(context.shown)


def test_a_tokenizer_that_is_not_there_is_said(agent: Agent, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no tokenizer\.json"):
        Agent(agent.answerer, [], AgentOptions(tokenizer=str(tmp_path)))


TALK = ("How loud is the Arlo 3?", "62 decibels.", "And the Arlo 5?", "70 decibels.", QUESTION)


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        ("The Arlo 3 makes 62 decibels and the Arlo 5 makes 70.", True),
        ("The Arlo 3 makes 99 decibels.", False),  # which nobody said
        ("", False),
    ],
)
def test_old_turns_are_summarised_by_the_model_or_by_their_key_sentences(
    asking, summary: str, shown: bool
) -> None:
    stage = FakeStage(says=[summary, "The filter is rinsed every 14 days."])
    agent = asking(stage, turns=0)
    for _ in range(2):
        assert "14 days" in answer(agent, *TALK).text
    assert [asked[-1].content[:9] for asked in stage.asked] == [
        "Summarise",
        "Answer th",
        "Answer th",
    ]
    kept = stage.asked[1][0].content
    assert ("- How loud is the Arlo 3? 62 decibels." in kept) != shown
    assert (summary in kept) == (shown or not summary)


@pytest.mark.parametrize(
    ("rewritten", "used"),
    [
        ("Is the filter of the Arlo 3 covered against leaves?", True),
        ("Is the filter of the Arlo 9 covered against leaves?", False),  # of which nobody spoke
        ("The filter is not covered.", False),
        ("Who rules Norway?", False),
        ("", False),
    ],
)
def test_a_follow_up_that_no_rule_changes_is_rewritten_by_the_model_where_that_is_asked(
    asking, rewritten: str, used: bool
) -> None:
    asked = "Against leaves covered?"
    talk = (QUESTION, "Every 14 days.", asked)
    stage = FakeStage(says=[rewritten, "The filter is not covered."])
    reply = answer(asking(stage, follow_ups="model"), *talk)
    assert reply.question == (rewritten if used else asked)
    assert stage.asked[0][-1].content.startswith("Rewrite the last question")
    by_rules = FakeStage(says=["The filter is not covered."])
    assert answer(asking(by_rules), *talk).question == asked
    assert not any("Rewrite" in said[-1].content for said in by_rules.asked)


def test_without_a_summary_in_time_the_key_sentences_stand(asking) -> None:
    stage = FakeStage(mode="error")
    spare = FakeStage("spare", says=["The filter is rinsed every 14 days."])
    reply = answer(asking(stage, spare, turns=0), *TALK)
    assert reply.speaker.stage == "spare"
    assert "- How loud is the Arlo 5? 70 decibels." in spare.asked[0][0].content
    assert len(spare.asked) == 1
