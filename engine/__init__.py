"""How Faust is driven in chunks: consumer, outlet, write-behind table. Knows nothing about grades.

Faust keeps what it is good at: agents, group membership, assignment, tables' changelog recovery and
standby copies. What is replaced, and why, stands at the top of each file; `tests/engine/test_hooks.py`
fails when a Faust release changes one of the hooks that are overridden.
"""
