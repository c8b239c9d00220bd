"""The page in a real browser: type, paste, keep, keyboard, accessibility. Needs chromium."""

import shutil

import pytest

from serving.settings import Settings
from tests.helpers.fake_predictor import FakePredictor, expected
from tests.helpers.http_service import serving

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if not CHROMIUM:
    pytest.skip("no chromium on PATH: apt-get install chromium", allow_module_level=True)
pytestmark = pytest.mark.slow
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
SIZES = {"desktop": {"width": 1200, "height": 860}, "phone": {"width": 360, "height": 740}}
SENTENCE = "I wonder whether what she said was true."


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address():
    with serving(Settings()) as (client, _):
        yield str(client.base_url)


@pytest.fixture(
    params=[("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")],
    ids="-".join,
)
def page(request, browser, address):
    """The page at every width and in both themes; nothing may have gone wrong afterwards."""
    size, scheme = request.param
    context = browser.new_context(
        viewport=SIZES[size], color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda sent: complaints.append(sent.url) if not sent.url.startswith(address) else None,
    )
    page.goto(address)
    yield page
    context.close()
    assert complaints == []


def answer(page, text=SENTENCE):
    """Type a sentence and wait for its answer."""
    page.locator("#text").press_sequentially(text)
    sync_api.expect(page.locator("#words")).to_have_text(text)
    sync_api.expect(page.locator("body")).not_to_have_class("waiting")


def percent(share):
    return f"{share * 100:.0f}%"


def test_typing_shows_label_score_and_words(page):
    answer(page)
    known = expected(SENTENCE)
    sync_api.expect(page.locator("#label")).to_have_text(known.label.capitalize())
    sync_api.expect(page.locator("#score")).to_have_text(f"{percent(known.score)} sure")
    assert page.locator("#words button").all_text_contents() == SENTENCE.rstrip(".").split()
    without = expected(SENTENCE.replace("whether ", "")).probability_acceptable
    kind = "helps" if known.probability_acceptable > without else "hurts"
    sync_api.expect(page.locator("#words button", has_text="whether")).to_have_class(kind)
    sync_api.expect(page.locator("#spoken")).to_contain_text(
        f"{known.label}, {percent(known.score)}"
    )


def test_enter_right_behind_the_last_letter_leaves_no_older_answer(page):
    answer(page)
    page.locator("#text").press_sequentially(" Really")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#words")).to_have_text(f"{SENTENCE} Really")

    page.fill("#text", "One here.\nTwo here.")
    page.click("#submit")
    sync_api.expect(page.locator("#many li")).to_have_count(2)
    sync_api.expect(page.locator("#verdict")).to_be_hidden()


def test_no_part_is_cut_off_or_wider_than_the_screen(page):
    answer(page)
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#recent li")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_against_accessibility(page):
    def violations():
        found = axe.Axe().run(page).response["violations"]
        return [(item["id"], [node["html"] for node in item["nodes"]]) for item in found]

    assert violations() == []
    answer(page)
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#recent li")).to_have_count(1)
    assert violations() == []
    page.fill("#text", "One here.\nTwo here.")
    page.click("#submit")
    sync_api.expect(page.locator("#many li")).to_have_count(2)
    assert violations() == []


def test_leaving_a_word_out_with_the_keyboard_alone(page):
    answer(page)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "whether":
            break
    page.keyboard.press("Enter")
    shorter = SENTENCE.replace("whether ", "")
    assert page.input_value("#text") == shorter
    sync_api.expect(page.locator("#words")).to_have_text(shorter)
    assert page.evaluate("document.activeElement.id") == "text"


def test_kept_sentences_survive_a_reload_and_can_be_cleared(page):
    for text in ("The first.", "The second."):
        page.fill("#text", text)
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("#recent q").first).to_have_text(text)
    page.reload()
    assert page.locator("#recent q").all_text_contents() == ["The second.", "The first."]
    page.locator("#recent li button").last.click()
    sync_api.expect(page.locator("#words")).to_have_text("The first.")
    page.click("#clear")
    sync_api.expect(page.locator("#recent")).to_be_hidden()


def test_many_lines_are_checked_in_one_request(page):
    sentences = [f"Sentence number {number}." for number in range(30)]
    requests = []
    page.on(
        "request",
        lambda request: requests.append(request.url) if request.method == "POST" else None,
    )
    page.fill("#text", "\n\n".join(sentences))
    sync_api.expect(page.locator("#submit")).to_have_text("Check 30")
    page.click("#submit")
    sync_api.expect(page.locator("#many li")).to_have_count(30)
    good = sum(expected(text).label == "acceptable" for text in sentences)
    sync_api.expect(page.locator("#many-title")).to_have_text(f"{good} of 30 acceptable")
    assert len(requests) == 1


def test_a_text_is_never_taken_for_markup(page):
    text = "<img src=x onerror=alert(1)> & <b>bold</b> \U0001f600 words"
    answer(page, text)
    assert page.locator("#verdict img, #verdict #words b").count() == 0


def test_the_model_is_named_with_its_corpus_and_mcc(page):
    facts = page.locator("#model")
    for fact in ("0123456789ab", "fake", "0.500"):
        sync_api.expect(facts).to_contain_text(fact)


def test_a_slow_answer_never_overwrites_a_newer_one(browser):
    fake = FakePredictor()
    with serving(Settings(), fake) as (client, _):
        page = browser.new_page()
        page.goto(str(client.base_url))
        fake.gate.clear()
        page.fill("#text", "An old sentence.")
        page.wait_for_timeout(300)
        page.fill("#text", "A new sentence.")
        page.wait_for_timeout(300)
        fake.gate.set()
        sync_api.expect(page.locator("#words")).to_have_text("A new sentence.")
        page.wait_for_timeout(200)
        assert page.locator("#words").text_content() == "A new sentence."
        page.close()


def test_errors_and_the_api_key_are_asked_for_in_words(browser):
    with serving(Settings(api_key="k", max_characters=30)) as (client, _):
        page = browser.new_page()
        page.goto(str(client.base_url))
        page.fill("#text", "A sentence.")
        sync_api.expect(page.locator("#problem")).to_contain_text("API key is missing")
        page.fill("#key", "k")
        page.locator("#key").press("Tab")
        sync_api.expect(page.locator("#words")).to_have_text("A sentence.")
        sync_api.expect(page.locator("#problem")).to_be_hidden()
        page.fill("#text", "x" * 31)
        sync_api.expect(page.locator("#problem")).to_contain_text("at most 30")
        page.close()
