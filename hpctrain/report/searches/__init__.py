"""Reports about searches: text, drawings, a page, and a document for other programs."""
