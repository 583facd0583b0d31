"""The handlers, one module a service of Vertex AI. Importing this registers all of them."""

from doctune.localvertex.services import endpoints, evaluations, models, predictions, projects

__all__ = ["endpoints", "evaluations", "models", "predictions", "projects"]
