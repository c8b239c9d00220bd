"""Monitoring: every prediction in Elasticsearch, and a Kibana dashboard as code (chapter 10).

From CloudWatch Logs to Elasticsearch, as a Lambda function:

    forwarder.py            the function: a subscription event in, documents out
    log_events.py           the event that CloudWatch Logs sends
    log_messages.py         the JSON object in a log message, and the figures of REPORT lines
    delivery.py             bulk delivery: what to try again, what to refuse, what to raise
    dead_letters.py         the queue of what Elasticsearch refuses
    replay.py               delivers dead letters again

Setting up the servers:

    provision.py            the command: index templates, first indices, the reference histogram
    lifecycle.py            when indices are deleted
    policies.py             which policies they follow already
    security.py             the writer's role, user and API key
    kibana_objects.py       data views, dashboard and rules
    kibana_7_10.py          translates the dashboard for Amazon's Elasticsearch 7.10
    kibana_7_10_metrics.py  what its panels compute
    kibana_7_10_tsvb.py     its charts over time and its figures
    kibana_7_10_charts.py   its classic charts, texts and lists
    kibana_7_10_vega.py     its pair of histograms
    steps.py                how a second run changes nothing

For both:

    elastic.py              the one way this package speaks HTTP to Elasticsearch and Kibana
    signers.py              how its requests authenticate
    reference.py            what is taken from a model file

The drift check (drift/) reads what is stored here. Standard library only, for this file,
forwarder.py and what that imports: they are the Lambda function's zip file.
"""
