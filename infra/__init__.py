"""The AWS side: template.yaml says what there is, deploy.py brings it up and releases images to it."""
