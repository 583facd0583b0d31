"""Rules that make questions and answers from the structure of a document, without a model."""
