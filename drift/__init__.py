"""Does the model still see the world that it was validated on?

search.py     a search of the predictions in Elasticsearch, answered in full or not at all
windows.py    one window of traffic, counted: from Elasticsearch or from the API's log files
log_files.py  the records of those files, rotated ones included
checks.py     a window against the model's reference distributions, with a table of limits
verdict.py    two windows in a row: ok, warning, drift, alarm or unknown
report.py     the HTML page of a check
dispatch.py   asks GitHub for a retraining run
__main__.py   the check as a command: python -m drift
label.py      low-confidence predictions as a TSV for a person to label
simulate.py   sends traffic to an API, for the demo and the tests: normal or drifted
sentences.py  what that traffic says
times.py      times and time spans as people write them
"""
