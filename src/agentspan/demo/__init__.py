"""The demo: an agent that works through customer feedback and outlives its worker.

`agentspan demo` plays it. The agent is an ordinary one, in `agent.py`; its tools compute real figures, in
`analysis.py`, over the feedback in `feedback.jsonl`.
"""
