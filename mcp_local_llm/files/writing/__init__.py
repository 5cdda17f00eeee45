"""Answers become files and rows. It must not know how files are read, nor who asks.

Drafts         one answer becomes one file, or an old version comes back
DraftBatch     each file that a call reads gets a file of its own
RowsBatch      the answers to many files become the rows of one
rows_text      rows that come back to the agent, within bounds; `bounded_answer` is for one answer
StateFolder    what must not be lost; `Journal` has the rows of a call that may end early
"""
