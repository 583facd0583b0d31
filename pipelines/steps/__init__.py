"""Parts of DAGs: pipelines that other pipelines call as one step.

A part has no defaults: what calls it has them, from the options classes of doctune.
"""
