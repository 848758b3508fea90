"""An :class:`mlx_encoder.Encoder` inside other packages: a module for each, which imports it and is imported on demand.

``haystack``, ``langchain``, ``llama_index``, ``mteb`` and ``sklearn``. docs/integrations.md has an example of each.
"""
