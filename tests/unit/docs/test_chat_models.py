"""The prompt of docs/how-to/chat-models.md asks for what the strict reader reads."""

import json
import re

from sitegen.pages import DOCS

from lapse.core.changes import Change
from lapse.core.findings import FINDINGS, LEVELS
from lapse.core.grammar import parse
from lapse.evaluation.readers import READERS

PAGE = (DOCS / "how-to" / "chat-models.md").read_text("utf-8")
PROMPT, ANSWER = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_prompt_lists_the_findings_and_levels():
    (findings,) = re.findall(r"FINDING is one of: (.*)\.", PROMPT)
    (levels,) = re.findall(r"LEVEL is one of: (.*)\.", PROMPT)
    assert tuple(findings.split(", ")) == FINDINGS
    assert set(levels.split(", ")) <= set(LEVELS)


def test_every_sentence_of_the_prompt_is_read():
    sentences = re.findall(r"^(?:the |nothing ).*\.$", PROMPT, flags=re.MULTILINE)
    assert len(sentences) == 8
    for sentence in sentences:
        text = sentence.replace("FINDING", "edema", 1).replace("FINDING", "hernia")
        text = text.replace("LEVEL", "mild", 1).replace("LEVEL", "severe")
        assert parse(text).is_parsed, text


def test_the_example_answer_and_the_example_line():
    assert parse(ANSWER).is_parsed and len(parse(ANSWER).changes) == 5
    assert all(reader(ANSWER).changes == parse(ANSWER).changes for reader in READERS.values())
    (line,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    changes = {Change(**change) for change in json.loads(line)["changes"]}
    assert Change("edema", "level", "mild", "severe") in changes
