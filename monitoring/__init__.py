"""Monitoring: every prediction in Elasticsearch, a Kibana dashboard as code, and a drift check.

forwarder.py   AWS: CloudWatch Logs subscription -> Elasticsearch (a Lambda function)
delivery.py    bulk delivery: what to retry, what to dead-letter, what to raise
replay.py      delivers dead letters again
elastic.py     the one way this package speaks HTTP to Elasticsearch and Kibana
provision.py   index templates, lifecycle, writer, data views, dashboard and rules, idempotent
windows.py     one window of traffic, counted: from Elasticsearch or from a JSONL file
drift.py       a window against the model's reference distributions -> verdict, report, dispatch
simulate.py    traffic for the demo and the tests: normal, drifted, bursts
label.py       low-confidence predictions -> a TSV in the corpus format, for a person to label
"""
