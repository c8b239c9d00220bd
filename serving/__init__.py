"""What app.py and lambda_handler.py are made of.

settings.py        what can be configured, from the environment
messages.py        what a client may say and what it is answered, the same for both servers
service.py         tokenize, batch, count and log
batching.py        which waiting sentences share a row, and who runs it
waiting.py         those sentences, and whose turn it is
supervisor.py      starts several workers, replaces those that die, and writes their log
worker.py          what each of them is given, how it begins, and the signals that end it
metrics.py         what Prometheus reads
prediction_log.py  one JSON line per prediction
log_writer.py      the thread that writes those lines
log_outputs.py     where it writes them to: standard output, a rotated file
explain.py         which words hurt a sentence
http.py            the routes of app.py
openapi.py         their description
clients.py         request bodies, and clients that leave
middleware.py      what every HTTP request passes: id, key, time, last catch
refusals.py        the answers to what is refused
connections.py     what one client may take up, and what the routes know of it
protocol.py        holds a client to that, from the first byte on
upgrades.py        lets requests with an Upgrade keep their bodies
lambda_events.py   the events of lambda_handler.py
web/               the page to try it on
"""
