"""The AWS side (chapter 9): template.yaml holds the resources, the modules bring them up.

aws.py             clients of AWS; AWS's errors as one line each
stack.py           the CloudFormation stack: create, update, delete, outputs
stack_events.py    which resource failed first, and why
image.py           pushes a Docker image to the stack's registry
forwarder_zip.py   the zip file of the function that forwards predictions (monitoring/forwarder.py)
rest_api.py        one request to the REST API, as a caller makes it
versions.py        versions of the function: publishes and tries them
release.py         releases, rollbacks: the alias that says which version answers
digests.py         pins the images of others by their digest
deploy.py          the command line: ``python -m infra.deploy``
"""
