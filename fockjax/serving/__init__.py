"""A trained model behind HTTP: docs/serving.md. Needs the extra `serve`."""
