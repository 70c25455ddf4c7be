"""The pictures of docs/the-model-in-pictures.md: measured, drawn and quoted by `python -m pictures DATA`."""
