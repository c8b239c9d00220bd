"""The HTTP client: it authenticates, reports errors in one line, and leaks no secret."""

import json
import socket
import threading

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, UnauthorizedSSOTokenError
from botocore.session import Session
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from errors import ElasticError
from monitoring import signers
from monitoring.elastic import Elastic
from tests.helpers.net import free_port
from tests.helpers.servers import ANY_PATH

SECRET = "correct-horse"


@pytest.fixture
def echo(httpserver: HTTPServer) -> str:
    """Start a server that answers with the headers it was sent; return its URL.

    ``/redirect`` points elsewhere, ``/denied`` answers with a 403.
    """

    def answer(request: Request) -> Response:
        status = {"/redirect": 302, "/denied": 403}.get(request.path, 200)
        body = json.dumps({"headers": dict(request.headers)})
        return Response(body, status, {"Location": "http://127.0.0.1:1/elsewhere"})

    httpserver.expect_request(ANY_PATH).respond_with_handler(answer)
    return httpserver.url_for("")


@pytest.mark.parametrize(
    ("environment", "authorization"),
    [
        ({}, None),
        ({"ELASTICSEARCH_API_KEY": SECRET}, f"ApiKey {SECRET}"),
        (
            {"ELASTICSEARCH_USERNAME": "elastic", "ELASTICSEARCH_PASSWORD": SECRET},
            "Basic ZWxhc3RpYzpjb3JyZWN0LWhvcnNl",
        ),
        (
            {"ELASTICSEARCH_API_KEY": SECRET, "ELASTICSEARCH_USERNAME": "elastic"},
            f"ApiKey {SECRET}",
        ),
    ],
)
def test_the_environment_decides_how_to_authenticate(
    echo: str, environment: dict[str, str], authorization: str | None
) -> None:
    server = Elastic.from_environment({"ELASTICSEARCH_URL": echo, **environment})
    assert server.request("GET", "/")["headers"].get("Authorization") == authorization


@pytest.mark.parametrize(
    ("secret", "authorization"),
    [
        ({"api_key": SECRET}, f"ApiKey {SECRET}"),
        ({"username": "elastic", "password": SECRET}, "Basic ZWxhc3RpYzpjb3JyZWN0LWhvcnNl"),
    ],
)
def test_credentials_can_come_from_secrets_manager(
    echo: str, monkeypatch: pytest.MonkeyPatch, secret: dict[str, str], authorization: str
) -> None:
    def answer(client: BaseClient, operation: str, parameters: dict[str, str]) -> dict[str, str]:
        assert operation == "GetSecretValue"
        assert client.meta.region_name == "eu-west-1"

        # All tries have to fit into the forwarder's minute.
        assert client.meta.config.connect_timeout + client.meta.config.read_timeout < 30
        return {"SecretString": json.dumps(secret)}

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)

    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cola-AbCdEf"
    server = Elastic.from_environment({"ELASTICSEARCH_URL": echo, "ELASTICSEARCH_SECRET_ARN": arn})
    assert server.request("GET", "/")["headers"]["Authorization"] == authorization


@pytest.mark.parametrize(
    "host",
    [
        "search-cola-abc.eu-central-1.es.amazonaws.com",
        "search-cola-abc.aos.eu-central-1.on.aws",
    ],
)
def test_requests_to_an_amazon_domain_are_signed(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    url = f"https://{host}"
    sign = signers.choose_signer(url, {})
    assert sign is not None

    headers = sign("POST", url + "/_bulk", b"{}\n")
    assert "/eu-central-1/es/aws4_request" in headers["Authorization"]
    assert SECRET not in json.dumps(headers)
    assert sign("POST", url + "/_bulk", b"other")["Authorization"] != headers["Authorization"]


def test_a_secret_that_aws_keeps_back_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(client: BaseClient, operation: str, parameters: dict[str, str]) -> None:
        denied = {"Code": "AccessDeniedException", "Message": "not yours"}
        raise ClientError({"Error": denied}, operation)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)

    environment = {
        "ELASTICSEARCH_URL": "http://127.0.0.1:9200",
        "ELASTICSEARCH_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cola",
    }
    with pytest.raises(ElasticError, match="^AWS: .*AccessDeniedException.*not yours: check"):
        Elastic.from_environment(environment)


def test_credentials_that_have_expired_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Expired:
        def get_frozen_credentials(self) -> None:
            raise UnauthorizedSSOTokenError

    monkeypatch.setattr(Session, "get_credentials", lambda session: Expired())
    server = Elastic.from_environment(
        {"ELASTICSEARCH_URL": "https://search-cola-abc.eu-central-1.es.amazonaws.com"}
    )
    with pytest.raises(ElasticError, match="^AWS: The SSO session .* has expired"):
        server.request("GET", "/")


def test_an_aws_profile_that_there_is_not_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    url = "https://search-cola-abc.eu-central-1.es.amazonaws.com"
    with pytest.raises(ElasticError, match=r"^AWS: .*profile \(nobody\) could not be found"):
        Elastic.from_environment({"ELASTICSEARCH_URL": url})


def test_a_redirect_is_not_followed(echo: str) -> None:
    server = Elastic(echo, signers.api_key(SECRET))
    with pytest.raises(ElasticError, match="HTTP 302"):
        server.request("GET", "/redirect")


def test_an_error_names_the_request_and_no_secret(echo: str) -> None:
    server = Elastic(echo, signers.api_key(SECRET))
    with pytest.raises(ElasticError, match=r"GET .*/denied: HTTP 403") as caught:
        server.request("GET", "/denied")
    assert caught.value.status == 403

    down = Elastic(f"http://127.0.0.1:{free_port()}", signers.api_key(SECRET))
    with pytest.raises(ElasticError, match="is the server up") as caught:
        down.request("GET", "/")
    assert caught.value.status == 0
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("secret", [f"{SECRET}\n", f"{SECRET}\r\nX-Other: header"])
def test_a_key_with_a_line_break_is_refused_and_not_printed(echo: str, secret: str) -> None:
    """A secret that was copied from a file ends in one."""
    server = Elastic(echo, signers.api_key(secret))
    with pytest.raises(ElasticError, match="a line break") as caught:
        server.request("GET", "/")

    # As if the server had refused them: the forwarder does not try again, and a replay stops.
    assert caught.value.status == 401
    assert SECRET not in str(caught.value)


def test_a_refusal_whose_reason_never_arrives_is_still_that_refusal() -> None:
    """The server sends the status, and goes silent before the body."""
    head = b"HTTP/1.1 503 busy\r\nContent-Length: 100\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(head)
                is_over.wait(10)

        is_over = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ElasticError, match=r"HTTP 503: no reason arrived") as caught:
            Elastic(url).request("GET", "/", timeout=0.3)
        is_over.set()
        thread.join()

    assert caught.value.status == 503


@pytest.mark.parametrize(
    "url", [f"https://elastic:{SECRET}@localhost:9200", f"http://{SECRET}@127.0.0.1:9200/a@b"]
)
def test_credentials_in_a_url_are_refused_and_not_printed(url: str) -> None:
    with pytest.raises(ElasticError, match="must not hold credentials") as caught:
        Elastic(url)
    assert SECRET not in str(caught.value)


def test_credentials_go_over_https_only_unless_the_host_is_near() -> None:
    login = signers.basic("elastic", SECRET)
    far = [
        "http://search.example.org:9200",
        "http://[2001:db8::1]:9200",
        "http://127.evil.example:9200",
    ]
    for url in far:
        with pytest.raises(ElasticError, match="unencrypted: use https"):
            Elastic(url, login)

    near = [
        "http://127.0.0.1:9200",
        "http://127.0.0.2:9200",
        "http://[::1]:9200",
        "http://localhost",
        "http://elasticsearch",
    ]
    for url in [*near, "https://search.example.org"]:
        assert Elastic(url, login).url == url


def test_a_proxy_sees_what_goes_far_and_nothing_that_stays_near(
    httpserver: HTTPServer, echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", echo)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    near = Elastic(f"http://127.0.0.1:{free_port()}", signers.basic("elastic", SECRET))
    with pytest.raises(ElasticError, match="is the server up"):
        near.request("GET", "/")
    assert httpserver.log == []

    Elastic("http://search.example.org").request("GET", "/")
    assert len(httpserver.log) == 1


def test_a_server_without_credentials_may_be_anywhere() -> None:
    assert Elastic("http://search.example.org:9200").url == "http://search.example.org:9200"


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9200", "file:///etc/passwd", "ftp://host", "http://[::1", "https://"]
)
def test_a_url_that_is_none_says_what_one_looks_like(url: str) -> None:
    with pytest.raises(ElasticError, match=r"e\.g\. http://127\.0\.0\.1:9200") as caught:
        Elastic(url)

    # It may be that of Kibana or GitHub, which another setting gives.
    assert "ELASTICSEARCH_URL" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["not json", "[]", '"text"', '{"apikey": "x"}', '{"username": "elastic"}']
)
def test_a_secret_of_the_wrong_form_says_so(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setattr(BaseClient, "_make_api_call", lambda *args: {"SecretString": secret})

    environment = {
        "ELASTICSEARCH_URL": "http://127.0.0.1:9200",
        "ELASTICSEARCH_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cola",
    }
    with pytest.raises(ElasticError, match="must be JSON"):
        Elastic.from_environment(environment)
