"""The pages: what people read in a browser. Routes, view models, templates, and all static files."""
