"""From a run store to what people read: text, tables and plots."""
