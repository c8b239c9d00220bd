"""The parts of app.py and lambda_handler.py: settings, messages, batching, metrics."""
