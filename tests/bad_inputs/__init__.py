"""
Bad inputs, generated: whatever a run reads from its machine or from a Lease, altered by accident or
on purpose. Each is refused in one line that an operator can use, or was harmless; none ends in a
traceback, and nothing is written meanwhile.

    python -m tests.bad_inputs             10,000 of them, and docs/bad-inputs.md anew
    python -m tests.bad_inputs --only journals --from 4711 --count 1
"""
