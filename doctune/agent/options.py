"""The settings of an agent."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from doctune.knowledge.prompt import REFUSAL, SHOWN

Answering = Literal["auto", "model", "quote"]


class AgentOptions(BaseModel):
    """Settings of an agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answering: Answering = Field(
        "auto",
        description="model asks the stages, quote quotes the documents, auto does what the "
        "evaluation found better, as the index has it.",
    )
    refusal: str = Field(
        REFUSAL, min_length=1, description="What is said where the documents do not say."
    )
    passages: int = Field(
        SHOWN,
        ge=1,
        le=20,
        description="Most passages that a model is shown; tuned models have learnt with as many as "
        "the default.",
    )
    closest: int = Field(3, ge=0, le=10, description="Places named where nothing answers.")
    context_tokens: int = Field(
        1800,
        ge=256,
        description="Most tokens of all that a model is shown, answer apart; fewer where its own "
        "context is shorter.",
    )
    tokenizer: str = Field(
        "",
        description="Folder with the model's tokenizer.json, which counts the tokens; empty "
        "estimates. config.json beside it gives the length of the context, the chat template "
        "whether the model can call tools.",
    )
    answer_tokens: int = Field(256, ge=16, description="Most tokens of an answer.")
    turns: int = Field(2, ge=0, le=20, description="Earlier turns that a model is shown whole.")
    follow_ups: Literal["rules", "model"] = Field(
        "rules",
        description="Who makes follow-ups self-contained: rules, or also the model where the rules "
        "change nothing; only for models that are able to.",
    )
    summaries: Literal["model", "sentences"] = Field(
        "model",
        description="How older turns are kept: in a summary by the model where it gives one, or by "
        "a key sentence each.",
    )
    system: str = Field("", description="What a model is told before the conversation.")
