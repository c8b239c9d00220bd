"""Bring the AWS side up, release images to it, go back, take it down.

    python -m infra.deploy up --image cola:lambda RequireApiKey=false   # create or update the stack, release
    python -m infra.deploy push cola:lambda                             # to ECR; prints REPOSITORY@sha256:...
    python -m infra.deploy release REPOSITORY@sha256:...                # publish, smoke test, move the alias
    python -m infra.deploy invoke "The boy is sitting on a bench."      # one prediction through API Gateway
    python -m infra.deploy rollback                                     # the alias back to the version before
    python -m infra.deploy status
    python -m infra.deploy down

Reads infra/template.yaml and AWS's usual settings (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL); the stack's
name is STACK (default cola); REGISTRY is an emulator's. Writes nothing. `push` and `up --image` need Docker.
"""

import argparse
import json
import os

from commands.run import run_command
from errors import ColaError
from infra import forwarder_zip, image, release, rest_api, stack


def up(
    name: str, local_image: str | None, parameters: dict[str, str], registry: str | None = None
) -> None:
    """Create or update the stack; with an image, or where one is live, release it with the new settings."""
    if not stack.exists(name):
        print(f"creating stack {name}: store, registry, roles")
        stack.apply(name, parameters | {"ImageUri": ""})
    outputs = stack.outputs(name)
    if local_image:
        print(f"pushing {local_image} to {outputs['RepositoryUri']}")
        uri = image.push(local_image, outputs["RepositoryUri"], registry)
    else:
        uri = release.live_image(outputs["FunctionName"]) if "FunctionName" in outputs else ""
    store = outputs["ModelStoreUrl"].removeprefix("s3://").partition("/")[0]
    forwarder = {
        "ForwarderKey": forwarder_zip.upload(store)
    }  # used where the stack collects predictions
    print(f"updating stack {name}")
    stack.apply(name, forwarder | parameters | {"ImageUri": uri})
    outputs = stack.outputs(name)
    if uri:
        rest_api.snapshot(outputs)
        print(f"version {release.release(outputs, uri)} answers: {uri}")
    status(name)


def status(name: str) -> None:
    """Print what a person needs: the URLs, and which version answers."""
    outputs = stack.outputs(name)
    if "FunctionName" in outputs:
        outputs["LiveImage"] = release.live_image(outputs["FunctionName"])
        outputs["PredictUrl"] = rest_api.address(outputs)
    width = max(map(len, outputs))
    for key, value in sorted(outputs.items()):
        print(f"{key:<{width}}  {value}")


def down(name: str) -> None:
    """Delete the stack and say what stays."""
    store = stack.outputs(name)["ModelStoreUrl"].removeprefix("s3://").partition("/")[0]
    stack.delete(name)
    print(
        f"stack {name} is gone; the model store s3://{store} stays, with every version of the model"
    )


def _parameters(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if wrong := [key for key, equals, _ in split if not equals or not key or key == "ImageUri"]:
        raise ColaError(
            f"{wrong[0]!r} is not a parameter NAME=VALUE of infra/template.yaml that you may set here"
        )
    return {key: value for key, _, value in split}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    parser.add_argument("--stack", default=os.environ.get("STACK", "cola"), help="the stack's name")
    parser.add_argument(
        "--registry", default=os.environ.get("REGISTRY"), help="an emulator's, as HOST:PORT"
    )
    command = commands.add_parser("up", help="create or update the stack, release an image")
    command.add_argument("--image", help="a local Docker image to push and release")
    command.add_argument(
        "parameters", nargs="*", metavar="NAME=VALUE", help="parameters of the template"
    )
    commands.add_parser("push", help="push a local image").add_argument("image")
    commands.add_parser("release", help="make a pushed image the one that answers").add_argument(
        "image"
    )
    commands.add_parser("invoke", help="one prediction through API Gateway").add_argument("text")
    command = commands.add_parser("rollback", help="the alias back to the version before")
    command.add_argument("--to", metavar="VERSION", help="this version instead")
    commands.add_parser("status", help="URLs and the live version")
    commands.add_parser("down", help="delete the stack; the model store stays")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    name = arguments.stack
    match arguments.command:
        case "up":
            up(name, arguments.image, _parameters(arguments.parameters), arguments.registry)
        case "push":
            print(
                image.push(
                    arguments.image, stack.outputs(name)["RepositoryUri"], arguments.registry
                )
            )
        case "release":
            print(
                f"version {release.release(stack.outputs(name), arguments.image)} answers: {arguments.image}"
            )
        case "invoke":
            print(
                json.dumps(
                    rest_api.predict(stack.outputs(name), arguments.text), ensure_ascii=False
                )
            )
        case "rollback":
            print(f"version {release.rollback(stack.outputs(name), arguments.to)} answers")
        case "status":
            status(name)
        case "down":
            down(name)


if __name__ == "__main__":
    run_command(main)
