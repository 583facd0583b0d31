"""doctune: a folder of PDFs to a fine-tuned, evaluated and deployed language model."""

__version__ = "0.1.0"
