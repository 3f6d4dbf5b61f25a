"""The self-contained page that shows what a run kept, dropped and changed."""
