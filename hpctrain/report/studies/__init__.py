"""What a study found: means, spreads, paired differences, tables and a page."""
