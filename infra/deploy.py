"""Chapter 9: bring the AWS side up, release images to it, go back, take it down.

    python -m infra.deploy up --image cola:lambda RequireApiKey=false   # create or update, release
    python -m infra.deploy push cola:lambda                             # to ECR; prints the digest
    python -m infra.deploy release REPOSITORY@sha256:...                # publish, test, move alias
    python -m infra.deploy invoke "The boy is sitting on a bench."      # one prediction by the API
    python -m infra.deploy rollback                                     # to the image before
    python -m infra.deploy status
    python -m infra.deploy down

Reads infra/template.yaml and AWS's usual settings (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL).
STACK is the stack's name (default cola), REGISTRY the registry of an emulator. Writes nothing.
``push`` and ``up --image`` need Docker.
"""

import argparse
import json
import os
from collections.abc import Sequence

from commands.run import run_command
from commands.tables import print_table
from errors import ColaError
from infra import forwarder_zip, image, release, rest_api
from infra.stack import Stack


def up(
    stack: Stack, local_image: str | None, parameters: dict[str, str], registry: str | None = None
) -> None:
    """Create or update the stack and release an image to it; print how it goes.

    Args:
        stack: The stack.
        local_image: The image to push and release. None releases the one that answers now once
            more, with the new settings; if there is none, the stack serves nothing.
        parameters: Values for the template's parameters, see ``Stack.apply``.
        registry: See ``image.push``.

    Raises:
        DeployError: AWS refused, or the image does not predict.
    """
    # A new stack comes in two steps: a function needs an image, and an image needs the registry.
    if not stack.exists():
        print(f"creating stack {stack.name}: store, registry, roles")
        stack.apply(parameters | {"ImageUri": ""})

    outputs = stack.outputs()
    if local_image:
        print(f"pushing {local_image} to {outputs.repository_uri}")
        image_uri = image.push(local_image, outputs.repository_uri, registry)
    elif outputs.function_name:
        # The stack's own ImageUri is the one of its last update; releases since then are newer.
        image_uri = release.live_image(outputs.function_name)
    else:
        image_uri = ""

    # Uploaded in any case; the stack uses it where it collects predictions.
    forwarder = {"ForwarderKey": forwarder_zip.upload(outputs.model_store_bucket)}

    print(f"updating stack {stack.name}")
    stack.apply(forwarder | parameters | {"ImageUri": image_uri})

    if image_uri:
        # The update changed the function and the methods; callers see neither before these two.
        outputs = stack.outputs()
        rest_api.redeploy_stage(outputs)
        version = release.release(outputs, image_uri, stack.poll_seconds)
        print(f"version {version} answers: {image_uri}")
    print_status(stack)


def print_status(stack: Stack) -> None:
    """Print what a person needs: the URLs, and which version answers."""
    outputs = stack.outputs()
    values = outputs.template_names()
    if outputs.function_name is not None:
        values["LiveImage"] = release.live_image(outputs.function_name)
        values["PredictUrl"] = rest_api.predict_url(outputs)
    print_table(sorted(values.items()))


def down(stack: Stack) -> None:
    """Delete the stack, complete or not, and say what stays.

    Raises:
        DeployError: There is no such stack, or a resource could not be deleted.
    """
    # One whose creation was interrupted has no outputs, but it must go all the same.
    if stack.has_outputs():
        store = f"the model store s3://{stack.outputs().model_store_bucket} stays"
    else:
        store = "if it had a model store already, that stays"

    stack.delete()
    print(f"stack {stack.name} is gone; {store}, with every version of the model")


def _parse_parameters(pairs: Sequence[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` arguments as a mapping.

    Raises:
        ColaError: One of them is something else, or names ImageUri, which ``--image`` sets.
    """
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or name == "ImageUri":
            raise ColaError(
                f"{name!r} is not a parameter NAME=VALUE of infra/template.yaml "
                "that you may set here"
            )
        parameters[name] = value
    return parameters


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--stack", default=os.environ.get("STACK", "cola"), help="the stack's name")
    parser.add_argument(
        "--registry", default=os.environ.get("REGISTRY"), help="an emulator's, as HOST:PORT"
    )
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("up", help="create or update the stack, release an image")
    command.add_argument("--image", help="a local Docker image to push and release")
    command.add_argument(
        "parameters", nargs="*", metavar="NAME=VALUE", help="parameters of the template"
    )

    command = commands.add_parser("push", help="push a local image")
    command.add_argument("image")

    command = commands.add_parser("release", help="make a pushed image the one that answers")
    command.add_argument("image")

    command = commands.add_parser("invoke", help="one prediction through API Gateway")
    command.add_argument("text")

    command = commands.add_parser("rollback", help="the alias back to the image before")
    command.add_argument("--to", metavar="VERSION", help="this version instead")

    commands.add_parser("status", help="URLs and the live version")
    commands.add_parser("down", help="delete the stack; the model store stays")
    return parser.parse_args()


def main() -> None:
    """Run the command that the arguments name."""
    arguments = _parse_arguments()
    stack = Stack(arguments.stack)

    match arguments.command:
        case "up":
            parameters = _parse_parameters(arguments.parameters)
            up(stack, arguments.image, parameters, arguments.registry)
        case "push":
            repository = stack.outputs().repository_uri
            print(image.push(arguments.image, repository, arguments.registry))
        case "release":
            version = release.release(stack.outputs(), arguments.image)
            print(f"version {version} answers: {arguments.image}")
        case "invoke":
            answer = rest_api.predict(stack.outputs(), arguments.text)
            print(json.dumps(answer, ensure_ascii=False))
        case "rollback":
            outputs = stack.outputs()
            version = release.rollback(outputs, arguments.to)
            print(f"version {version} answers: {release.live_image(outputs.require_function())}")
        case "status":
            print_status(stack)
        case "down":
            down(stack)


if __name__ == "__main__":
    run_command(main)
